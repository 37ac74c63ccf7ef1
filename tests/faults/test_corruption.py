"""Each file of a run cut, emptied, changed by a bit, taken from another run, or gone: it is named."""

import itertools
import os
import shutil
import signal

import jax
import numpy as np
import pytest

from mi203jax.core.documents import read_document
from mi203jax.core.errors import UsageError
from mi203jax.core.html_report import write_report
from mi203jax.core.interruption import Interrupted
from mi203jax.core.results import load_metrics, load_results
from tests.core.documents import flip
from tests.core.running import QUIET, begin, metrics, resume
from tests.core.toy import EXPERIMENT, task

ASKED = ("noise=1.0", "dimension=1,2", "total_steps=16", "eval_every=8")

pytestmark = pytest.mark.usefixtures("compiled_once", "undrawn")


def stopping(at=8):
    """The toy, stopped in its second program."""

    def evaluate(c, state, data):
        def send(t):
            if t == at:
                os.kill(os.getpid(), signal.SIGTERM)

        if c.dimension == 2:
            jax.debug.callback(send, state.t)
        return task.evaluate(c, state, data)

    return EXPERIMENT._replace(task=task._replace(evaluate=evaluate))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture
def stopped(folders):
    """A run that was stopped, and a like one."""
    if not (folders / "stopped").exists():
        for name in ("stopped", "like"):
            with pytest.raises(Interrupted):
                begin(folders / name, *ASKED, experiment=stopping())
    return folders / "stopped", folders / "like"


@pytest.fixture
def whole(folders):
    """A run that nothing stopped, and a like one."""
    if not (folders / "whole").exists():
        for name in ("whole", "other"):
            begin(folders / name, *ASKED)
    return folders / "whole", folders / "other"


def damages(file, other):
    """What may happen to a file, by name; `other` is the same file of another run."""
    size = file.stat().st_size

    def cut(file):
        file.write_bytes(file.read_bytes()[: size // 2])

    found = {"gone": lambda f: f.unlink(), "cut": cut, "emptied": lambda f: f.write_bytes(b"")}
    for bit in np.random.default_rng(size).integers(0, 8 * size, 3) if size else ():
        found[f"bit {bit}"] = lambda f, bit=bit: flip(f, int(bit))
    if other.exists():
        found["another run's"] = lambda f: f.write_bytes(other.read_bytes())
    return found


def cases(folder, like, copy, parts):
    """Files of a run with every damage, in a copy of the run: which file, and what was done to it."""
    assert all(any(folder.glob(part)) for part in parts)
    names = sorted(p.relative_to(folder) for part in parts for p in folder.glob(part) if p.is_file())
    for name in names:
        for how, damage in damages(folder / name, like / name).items():
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(folder, copy)
            before = (copy / name).read_bytes()
            damage(copy / name)
            if not (copy / name).exists() or (copy / name).read_bytes() != before:
                yield name, how


def refusal(act, *args):
    """What a user is told; "" where it works."""
    try:
        act(*args)
    except UsageError as error:
        return str(error)
    return ""


def is_named(name, words):
    """Whether one line tells which file it is; of a run's configuration all other files are another's."""
    of_another = name.name == "config.json" and "is of another run" in words
    return "\n" not in words and (of_another or all(part in words for part in name.parts))


def contents(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != ".lock"}


def test_resume(stopped, tmp_path):
    """Each file that it needs is looked at before anything is written."""
    folder, like = stopped
    needed = ("*.json", "pieces/*/*.json*", "pieces/1/checkpoints/**/*")
    for name, how in cases(folder, like, tmp_path / "copy", needed):
        before = contents(tmp_path / "copy")
        words = refusal(resume, tmp_path / "copy", stopping(at=-1))
        assert is_named(name, words), (name, how, words)
        assert contents(tmp_path / "copy") == before, (name, how)


def test_resume_without_what_it_makes_again(stopped, whole, tmp_path):
    folder, like = stopped
    for name, how in itertools.islice(cases(folder, like, tmp_path / "copy", ["results.csv"]), 2):
        resume(tmp_path / "copy", stopping(at=-1))
        assert metrics(tmp_path / "copy") == metrics(whole[0]), (name, how)


def test_report(whole, tmp_path):
    folder, like = whole
    for name, how in cases(folder, like, tmp_path / "copy", ("*.json", "pieces/*/*.json*")):
        words = refusal(write_report, [tmp_path / "copy"], lambda _: EXPERIMENT)
        assert is_named(name, words), (name, how, words)
        words = refusal(load_metrics, tmp_path / "copy")
        assert name.name == "provenance.json" or is_named(name, words), (name, how, words)


def test_what_was_written_for_readers(whole, tmp_path):
    folder, like = whole
    for name, how in cases(folder, like, tmp_path / "copy", ["figures/*"]):
        page = write_report([tmp_path / "copy"], lambda _: EXPERIMENT).read_text()
        assert ("It is not there" if how == "gone" else "it is not what was drawn") in page, (name, how)
    for name, how in cases(folder, like, tmp_path / "copy", ["results.csv", "provenance.json"]):
        assert is_named(name, refusal(load_results, tmp_path / "copy")), how


def test_a_checkpoint_that_only_figures_need(stopped, tmp_path):
    """Of trials that were over: their numbers are kept, and the file is named when it is its turn."""
    folder, _ = stopped
    shutil.copytree(folder, tmp_path / "copy")
    files = [p for p in (tmp_path / "copy/pieces/0/checkpoints").rglob("*") if p.is_file()]
    damaged = max(files, key=lambda p: p.stat().st_size)
    damaged.write_bytes(b"")
    words = refusal(resume, tmp_path / "copy", stopping(at=-1))
    assert is_named(damaged.relative_to(tmp_path / "copy"), words)


@pytest.mark.parametrize(
    "name", ["config.json", "provenance.json", "pieces/1/status.json", "pieces/1/metrics.jsonl"]
)
@pytest.mark.parametrize("instead", [os.mkfifo, os.mkdir], ids=["a pipe", "a folder"])
def test_something_else_in_the_place_of_a_file(stopped, tmp_path, name, instead):
    """Nothing would ever come from a pipe."""
    shutil.copytree(stopped[0], tmp_path / "copy")
    (tmp_path / "copy" / name).unlink()
    instead(tmp_path / "copy" / name)
    signal.alarm(30)
    acts = [lambda: resume(tmp_path / "copy", stopping(at=-1))]
    acts += [] if name == "provenance.json" else [lambda: load_metrics(tmp_path / "copy")]
    for act in acts:
        assert f"{tmp_path / 'copy' / name} is damaged: it is no regular file." in refusal(act)
    signal.alarm(0)


def test_a_document_in_the_place_of_another_of_its_run(stopped, tmp_path):
    shutil.copytree(stopped[0], tmp_path / "copy")
    (noted,) = (tmp_path / "copy/pieces/1/checkpoints").glob("*.json")
    shutil.copy(tmp_path / "copy/pieces/1/status.json", noted)
    words = refusal(resume, tmp_path / "copy", stopping(at=-1))
    assert is_named(noted.relative_to(tmp_path / "copy"), words)


def test_documents_say_which_run_they_are_of(whole):
    first, second = (read_document(folder / "config.json") for folder in whole)
    assert first["run"] != second["run"]
    assert first["trials"] == second["trials"]


def test_a_resume_of_what_lost_a_piece_says_so(stopped, whole, tmp_path, capsys):
    shutil.copytree(stopped[0], tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / "pieces" / "0")
    resume(tmp_path / "copy", stopping(at=-1), QUIET._replace(quiet=False))
    assert "pieces/0 is not there: its trials begin anew" in capsys.readouterr().out
    assert metrics(tmp_path / "copy") == metrics(whole[0])
