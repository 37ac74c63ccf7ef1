"""A fault at every write of a run: it is named, what was saved stays, and the run goes on to the same bits."""

import errno
import os

import pytest

import launch
from mi203jax.core.documents import read_document
from mi203jax.core.errors import Fault, UsageError
from mi203jax.core.html_report import write_report
from mi203jax.core.loop import Group
from mi203jax.core.outputs import PROVENANCE
from mi203jax.core.piece import Options
from mi203jax.core.trials import Sweep
from tests.core.running import begin, metrics, parameters, resume, statuses
from tests.core.toy import EXPERIMENT, Toy, task
from tests.faults.injection import Killed, die, refuse, watched

OFTEN = Options(quiet=True, checkpoint_every=0.0)
ASKED = ("noise=0.5", "learning_rate=0.1,0.2", "total_steps=16", "eval_every=8")

pytestmark = [pytest.mark.usefixtures("compiled_once")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of the run that nothing disturbed, and its writes."""
    path = tmp_path_factory.mktemp("whole") / "run"
    with watched(path) as writes:
        begin(path, *ASKED, options=OFTEN)
    return path, list(writes)


def sites(path, writes):
    """The places in the program that write, each once; of what orbax writes the first."""
    found = {}
    for write in writes:
        site = write.site(path)
        found.setdefault("orbax" if "orbax" in site[1] else site, site)
    return list(found.values())


def go_on(path):
    """Resumes what there is to resume; else begins."""
    if not (path / "config.json").exists():
        begin(path, *ASKED, options=OFTEN)
    elif "finished" in read_document(path / PROVENANCE):  # but its report is not there
        write_report([path], lambda _: EXPERIMENT)
    else:
        resume(path, options=OFTEN)
    assert (path / "report.html").stat().st_size


@pytest.fixture(scope="module")
def like():
    """What the checkpoint of the run is like."""
    return Group(task, Sweep(Toy(), ASKED).trials(), None).abstract()


def outcome(path, like):
    """What the run came to."""
    return metrics(path), statuses(path), parameters(path, like)


def test_it_is_known_what_a_run_writes(whole):
    path, writes = whole
    names = {write.site(path)[1] for write in writes}
    assert {".config.#.part.json", ".results.#.part.csv", ".report.#.part.html"} <= names
    assert {"pieces/#/metrics.jsonl", "pieces/#/.status.#.part.json"} <= names
    assert {"pieces/#/checkpoints/.#.#.part.json", "figures/.learning_curve.#.part.png"} <= names


def test_refused(whole, like, tmp_path):
    path, writes = whole
    expected = outcome(path, like)
    for number, site in enumerate(sites(path, writes)):
        own = tmp_path / f"{number}" / "run"
        with watched(own, refuse(site, own, errno.ENOSPC)), pytest.raises((Fault, UsageError)) as raised:
            begin(own, *ASKED, options=OFTEN)
        assert str(own) in str(raised.value), site
        assert len(str(raised.value).splitlines()) == 1
        go_on(own)
        assert outcome(own, like) == expected, site


def test_killed(whole, like, tmp_path):
    path, writes = whole
    expected = outcome(path, like)
    for number, site in enumerate(sites(path, writes)):
        own = tmp_path / f"{number}" / "run"
        with watched(own, die(site, own)), pytest.raises(Killed):
            begin(own, *ASKED, options=OFTEN)
        go_on(own)
        assert outcome(own, like) == expected, site


@pytest.mark.parametrize(
    ("file", "told", "helps"),
    [
        ("metrics.jsonl", "x/pieces/0/metrics.jsonl", "What was saved before stays; {}--resume=x"),
        ("report", "x/report.html", "The results are whole; {}--report=x"),
    ],
)
def test_a_user_is_told_what_helps(file, told, helps, tmp_path, monkeypatch, capsys):
    def full(write):
        if write.path.name.lstrip(".").startswith(file):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("experiments.get", lambda name: EXPERIMENT)
    with watched(tmp_path / "x", full):
        assert launch.main(["launch.py", "--exp=toy", "--out=x", "--quiet", "--no-cache"]) == 1
    words = helps.format("once that is mended, go on with: python launch.py ")
    assert capsys.readouterr().err == (
        f"launch.py: {told} cannot be written: No space left on device. {words}\n"
    )
    assert launch.main(["launch.py", words.split()[-1]]) == 0
    assert (tmp_path / "x" / "report.html").exists()
