"""The folder of a run: what is written, what is read back, what is refused."""

import subprocess
import sys

import pytest

from mi203jax.core.errors import UsageError
from mi203jax.core.outputs import is_whole, noted_files
from mi203jax.core.piece_folder import Status
from mi203jax.core.run_directory import RunDirectory
from mi203jax.core.trials import Sweep, group
from tests.core.documents import edit
from tests.core.toy import Toy

ONE = Sweep(Toy())


def create(path=None, sweep=ONE):
    run = RunDirectory.create(path and str(path), "toy", sweep, {"packages": {}})
    for piece in run.add(sweep.trials(), group(sweep.trials())):
        piece.save_statuses()
    return run


def reopen(path):
    return RunDirectory.open(str(path), lambda name: Toy())


class TestCreate:
    def test_the_folder_tells_the_whole_configuration(self, tmp_path):
        sweep = Sweep(Toy(), ("learning_rate=0.1,0.3", "dimension=2,3"), seeds=2)
        create(tmp_path / "a" / "b", sweep).close()
        run = reopen(tmp_path / "a" / "b")
        assert run.trials == sweep.trials()
        assert run.sweep == sweep
        assert [piece.members for piece in run.pieces] == [[0, 1, 4, 5], [2, 3, 6, 7]]
        assert run.experiment == "toy"
        assert run.statuses == [Status()] * 8

    def test_runs_of_one_second_get_a_folder_each(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert len({create().path for _ in range(5)}) == 5

    def test_refuses_a_folder_that_holds_a_run(self, tmp_path):
        create(tmp_path).close()
        before = sorted(tmp_path.iterdir())
        with pytest.raises(UsageError, match="holds a run already"):
            create(tmp_path)
        assert sorted(tmp_path.iterdir()) == before

    def test_refuses_a_folder_that_is_not_empty(self, tmp_path):
        (tmp_path / "thesis.tex").touch()
        with pytest.raises(UsageError, match="is not empty: expected a new or empty folder"):
            create(tmp_path)

    def test_takes_a_folder_whose_run_died_before_it_began(self, tmp_path):
        RunDirectory.create(str(tmp_path), "toy", Sweep(Toy()), {"packages": {}}).close()
        create(tmp_path).close()
        assert reopen(tmp_path).trials == [Toy()]

    @pytest.mark.parametrize("recorded", ["metrics.jsonl", "checkpoints"])
    def test_refuses_a_folder_that_lost_its_configuration_alone(self, tmp_path, recorded):
        create(tmp_path).close()
        (tmp_path / "config.json").unlink()
        (tmp_path / "pieces/0" / recorded).mkdir()
        with pytest.raises(UsageError, match="holds what a run recorded: expected a new or empty folder"):
            create(tmp_path)

    def test_knows_the_home_folder(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        assert create("~/run").path == tmp_path / "run"

    @pytest.mark.parametrize("where", ["file", "file/under", "/proc/nowhere"])
    def test_refuses_what_cannot_be_written(self, tmp_path, where):
        (tmp_path / "file").touch()
        with pytest.raises(UsageError, match="cannot be written"):
            create(tmp_path / where)


class TestOpen:
    def test_missing(self, tmp_path):
        with pytest.raises(UsageError, match="there is no such folder"):
            reopen(tmp_path / "nowhere")

    def test_empty(self, tmp_path):
        with pytest.raises(UsageError, match=r"no run in this folder \(config.json is missing\)"):
            reopen(tmp_path)
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        ("file", "text", "message"),
        [
            ("config.json", "{", "config.json is damaged"),
            ("config.json", "[]", "config.json is damaged"),
            ("config.json", "{}", "config.json is damaged, or another program's: it has no 'version'."),
            ("config.json", b"\xff\xfe", "config.json is damaged"),
            ("pieces/0/status.json", "[]", "status.json is damaged"),
            ("pieces/0/status.json", "", "status.json is damaged"),
            ("provenance.json", '{"packages": []}', "provenance.json is damaged"),
        ],
    )
    def test_damaged(self, tmp_path, file, text, message):
        create(tmp_path).close()
        (tmp_path / file).write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(UsageError, match=message):
            reopen(tmp_path)

    def test_without_its_provenance(self, tmp_path):
        create(tmp_path).close()
        (tmp_path / "provenance.json").unlink()
        with pytest.raises(UsageError, match=r"provenance\.json is missing") as caught:
            reopen(tmp_path)
        assert str(caught.value).count(str(tmp_path)) == 1

    def test_a_file(self, tmp_path):
        (tmp_path / "x").touch()
        with pytest.raises(UsageError, match="this is a file, expected the folder of a run"):
            reopen(tmp_path / "x")

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"config": {}}, "Missing field"),
            ({"trials": [{"learning_rate": -1.0}]}, "learning_rate=-1.0"),
            ({"trials": [{"lr": 1.0}]}, "Unknown field 'lr'"),
            ({"trials": [{"learning_rate": {}}]}, "learning_rate={}"),
            ({"sweep": {"draw": 3}}, "config.json is of another version of this program: .*'draw'"),
            ({"sweep": None}, "config.json is of another version of this program: 'sweep'"),
        ],
    )
    def test_of_another_version(self, tmp_path, change, message):
        create(tmp_path).close()
        edit(tmp_path / "config.json", **change)
        with pytest.raises(UsageError, match=message):
            reopen(tmp_path)


class TestLock:
    def test_a_second_process_is_refused(self, tmp_path):
        run = create(tmp_path, Sweep(Toy(), seeds=2))
        code = (
            "import sys; from mi203jax.core.run_directory import RunDirectory; "
            "from tests.core.toy import Toy; RunDirectory.open(sys.argv[1], lambda n: Toy())"
        )
        command = [sys.executable, "-c", code, str(tmp_path)]
        refused = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "is in use by another process" in refused.stderr
        run.close()
        assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_what_is_noted_stays_noted(tmp_path):
    """A part of a series that is finished notes its table anew, and has figures."""
    run = create(tmp_path)
    for name in ("results.csv", "figure.png"):
        (tmp_path / name).write_text(name)
        run.note([tmp_path / name])
    run.close()
    noted = noted_files(tmp_path)
    assert len(noted) == 2
    assert all(is_whole(file, noted) for file in noted)


def test_trials_may_be_added(tmp_path):
    """As a search that learns adds them."""
    run = create(tmp_path, Sweep(Toy(), ("learning_rate=0.1,0.2",)))
    (piece,) = run.add([Toy(learning_rate=0.3, noise=1.0)], [[0]])
    piece.save_statuses()
    run.close()
    again = reopen(tmp_path)
    assert [(c.learning_rate, c.noise) for c in again.trials] == [(0.1, 0.0), (0.2, 0.0), (0.3, 1.0)]
    assert [piece.members for piece in again.pieces] == [[0, 1], [2]]


def test_is_finished_when_no_trial_is_left(tmp_path):
    run = create(tmp_path, Sweep(Toy(), ("dimension=1,2",)))
    for piece, status in zip(run.pieces, (Status("done", 40), Status("failed", 0, "no")), strict=True):
        piece.statuses = [status]
        piece.save_statuses()
    run.finish([])
    run.close()
    run = reopen(tmp_path)
    assert run.statuses == [Status("done", 40), Status("failed", 0, "no")]
    run.pieces[1].statuses = [Status("diverged", 10, "loss not finite")]
    run.pieces[1].save_statuses()
    run.finish([])
    run.close()
    with pytest.raises(UsageError, match="is finished"):
        reopen(tmp_path)
