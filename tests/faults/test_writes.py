"""A fault at every write of a run: it is named, what was saved stays, and the run goes on to the same bits."""

import errno
import gc
import os
import resource
import shutil

import jax
import orbax.checkpoint as ocp
import pytest

import launch
from mi203jax.core import checkpoint
from mi203jax.core.documents import read_document
from mi203jax.core.errors import Fault, UsageError
from mi203jax.core.html_report import write_report
from mi203jax.core.interruption import Interrupted
from mi203jax.core.loop import Group
from mi203jax.core.outputs import PROVENANCE
from mi203jax.core.piece import Options
from mi203jax.core.piece_folder import PieceFolder
from mi203jax.core.trials import Sweep
from tests.core.running import begin, interrupting, metrics, parameters, resume, statuses
from tests.core.toy import EXPERIMENT, Toy, task
from tests.faults.injection import Killed, die, refuse, vanish, watched

OFTEN = Options(quiet=True, checkpoint_every=0.0)
ASKED = ("noise=0.5", "learning_rate=0.1,0.2", "total_steps=8", "eval_every=8")

CHECKPOINT = "pieces/#/checkpoints/#/"

pytestmark = [
    pytest.mark.usefixtures("compiled_once", "plain_figures"),
    # What orbax had begun when it was stopped is never awaited.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore:coroutine"),
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of the run that nothing disturbed, and its writes."""
    path = tmp_path_factory.mktemp("whole") / "run"
    with watched(path) as writes:
        begin(path, *ASKED, options=OFTEN)
    return path, list(writes)


def sites(path, writes):
    """The places in the program that write, each once; of what stands in a checkpoint the first."""
    found = {}
    for write in writes:
        site = write.site(path)
        found.setdefault(CHECKPOINT if site[1].startswith(CHECKPOINT) else site, site)
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
    assert not [p for place in ("pieces", "figures") for p in (path / place).rglob(".*.part*")]


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


def test_what_is_told_of_is_on_the_disk_before(tmp_path, monkeypatch):
    """Else a power failure would leave a file that tells of what is not there."""
    synced, told, whole = {}, [], []

    def fsync(descriptor):
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        inside = len(os.listdir(path)) if os.path.isdir(path) else os.path.getsize(path)
        synced[path] = inside

    def replace(source, target, replaced=os.replace):
        assert os.path.getsize(source) == synced[str(source)], target
        if target.name == "status.json":
            told.append(read_document(source)["metrics"]["size"])
            assert told[-1] <= synced.get(str(target.with_name("metrics.jsonl")), 0)
        elif target.parent.name == "checkpoints":
            files = [p for p in target.with_suffix("").rglob("*") if p.is_file()]
            whole.append(len(files))
            assert {p: p.stat().st_size for p in files} == {p: synced.get(str(p)) for p in files}
            folders = [p for p in (target.with_suffix(""), *target.with_suffix("").rglob("*")) if p.is_dir()]
            assert {f: len(list(f.iterdir())) for f in folders} == {f: synced.get(str(f)) for f in folders}
            assert {str(target.parent), str(target.parents[1])} <= synced.keys()
        replaced(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    begin(tmp_path / "run", *ASKED, options=OFTEN)
    assert max(told) == (tmp_path / "run/pieces/0/metrics.jsonl").stat().st_size
    assert min(whole) > 1


def test_refused(whole, like, tmp_path):
    """By a full disk, a lost permission, a disk that is read-only by now, too many open files, in turn."""
    path, writes = whole
    expected, kinds = outcome(path, like), (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EMFILE)
    for number, site in enumerate(sites(path, writes)):
        own = tmp_path / f"{number}" / "run"
        rule = refuse(site, own, kinds[number % len(kinds)])
        with watched(own, rule), pytest.raises((Fault, UsageError)) as raised:
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


def test_deleted_underneath(whole, tmp_path):
    """That is told, and no part of it is made again; but orbax makes the folders of a checkpoint."""
    path, writes = whole
    first, *others = sites(path, writes)
    assert first == ("os.mkdir", ".")
    for number, site in enumerate(others):
        own = tmp_path / f"{number}" / "run"
        with watched(own, vanish(site, own)), pytest.raises((Fault, UsageError)) as raised:
            begin(own, *ASKED, options=OFTEN)
        assert str(own) in str(raised.value), site
        assert not own.exists() or site[1].startswith("pieces/#/checkpoints/#"), site
        assert not (own / "config.json").exists(), site


def test_deleted_while_a_checkpoint_is_written(tmp_path, monkeypatch):
    """The first of them: the run does not go on in folders that orbax made again."""
    run, save, evaluated = tmp_path / "run", checkpoint._write, []

    def deleting(target, carry, may_be_too_large):
        if target.name == "8":
            shutil.rmtree(run)
        save(target, carry, may_be_too_large)

    monkeypatch.setattr(checkpoint, "_write", deleting)
    monkeypatch.setattr(PieceFolder, "append", counting(PieceFolder.append, evaluated))
    with pytest.raises((Fault, UsageError), match="metrics.jsonl"):
        begin(run, *ASKED[:2], "total_steps=40", "eval_every=8", options=OFTEN)
    assert len(evaluated) <= 3  # of steps 0, 8 and 16


def test_deleted_underneath_is_told_to_the_user(tmp_path, monkeypatch, capsys):
    """Nothing in it could be deleted, or gone on with."""

    def delete(c, state, data):
        jax.debug.callback(lambda t: t == 20 and shutil.rmtree("x"), state.t)
        return task.evaluate(c, state, data)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "experiments.get", lambda name: EXPERIMENT._replace(task=task._replace(evaluate=delete))
    )
    asked = ["--exp=toy", "--out=x", "--quiet", "--no-cache", "--checkpoint-every=1e-9"]
    assert launch.main(["launch.py", *asked]) == 1
    told = capsys.readouterr().err
    assert told.endswith(" The folder of the run was deleted, and nothing of it is left.\n")
    assert len(told.splitlines()) == 1


def counting(f, calls):
    return lambda *args: (calls.append(1), f(*args))[1]


def test_a_file_that_is_not_the_one_that_was_begun(tmp_path):
    piece = PieceFolder(tmp_path / "run/pieces/0", [0], "a")
    (tmp_path / "run").mkdir()
    piece.save_statuses()
    piece.append([{"trial": 0, "step": 0, "seconds": 0.0}])
    piece.metrics.unlink()
    with pytest.raises(Fault, match="metrics.jsonl cannot be written: No such file"):
        piece.sync()
    with pytest.raises(Fault, match="it is not the file that was begun: was the folder deleted"):
        piece.append([{"trial": 0, "step": 1, "seconds": 0.0}])


@pytest.mark.parametrize("limit", ["RLIMIT_FSIZE", "RLIMIT_NOFILE"])
def test_limits_of_the_process(limit, like, whole, tmp_path, monkeypatch):
    """They are met by what C++ writes, too: a full quota, too many open files."""
    save, number = checkpoint._write, getattr(resource, limit)
    soft, hard = resource.getrlimit(number)

    def limited(target, carry, may_be_too_large):
        if target.name != "8":
            return save(target, carry, may_be_too_large)
        few = {"RLIMIT_FSIZE": 64, "RLIMIT_NOFILE": len(os.listdir("/proc/self/fd"))}[limit]
        resource.setrlimit(number, (few, hard))
        try:
            return save(target, carry, may_be_too_large)
        finally:
            resource.setrlimit(number, (soft, hard))

    monkeypatch.setattr(checkpoint, "_write", limited)
    with pytest.raises(Fault, match="checkpoints/8 cannot be written: .*") as raised:
        begin(tmp_path / "run", *ASKED, options=OFTEN)
    assert "\n" not in str(raised.value)
    monkeypatch.undo()
    raised = None
    gc.collect()  # here, and not where a warning would be told of
    go_on(tmp_path / "run")
    assert outcome(tmp_path / "run", like) == outcome(whole[0], like)


@pytest.mark.parametrize("at", [0, 8])
def test_memory_that_does_not_suffice_to_write_a_checkpoint(at, tmp_path, monkeypatch):
    """Of the first one: what never fitted is divided. Of another: what was saved is not given up."""
    run, save = tmp_path / "run", ocp.Checkpointer.save

    def short(self, target, *args, **others):
        if target.name == f"{at}" and "pieces/0" in str(target):
            raise MemoryError
        return save(self, target, *args, **others)

    monkeypatch.setattr(ocp.Checkpointer, "save", short)
    if at == 0:
        begin(run, *ASKED, options=OFTEN)
        assert sorted(p.name for p in run.glob("pieces/*")) == ["1", "2"]
    else:
        with pytest.raises(Fault, match="checkpoints/8 cannot be written: MemoryError"):
            begin(run, *ASKED, options=OFTEN)
        assert (run / "pieces/0/checkpoints/0.json").exists()


@pytest.mark.parametrize("error", [MemoryError(), ValueError("EMFILE: Too many open files")])
def test_a_good_checkpoint_that_cannot_be_read_now_is_kept(error, like, whole, tmp_path, monkeypatch):
    """For want of memory that another program has, say: nobody is told to delete it, and no trial begins anew."""
    run = tmp_path / "run"
    with pytest.raises(Interrupted):
        begin(run, *ASKED, options=OFTEN, experiment=interrupting(0))
    before = sorted(run.rglob("*"))

    def refusing(self, *args, **others):
        raise error

    monkeypatch.setattr("orbax.checkpoint.Checkpointer.restore", refusing)
    with pytest.raises(Fault, match="checkpoints/0 cannot be read: .+"):
        resume(run, options=OFTEN)
    assert sorted(run.rglob("*")) == before
    monkeypatch.undo()
    resume(run, options=OFTEN)
    assert outcome(run, like) == outcome(whole[0], like)


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
