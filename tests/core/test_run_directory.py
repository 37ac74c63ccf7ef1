"""The folder of a run: what is written, what is read back, what is refused."""

import json
import subprocess
import sys

import pytest

from mi203jax.core.errors import UsageError
from mi203jax.core.run_directory import RunDirectory, Status
from mi203jax.core.trials import expand
from tests.core.toy import Toy


def create(path=None, trials=None):
    return RunDirectory.create(path and str(path), "toy", trials or [Toy()], {"packages": {}})


def reopen(path):
    return RunDirectory.open(str(path), lambda name: Toy)


class TestCreate:
    def test_the_folder_tells_the_whole_configuration(self, tmp_path):
        trials = expand(Toy(), ["learning_rate=0.1,0.3", "dimension=2,3"], seeds=2)
        create(tmp_path / "a" / "b", trials).close()
        run = reopen(tmp_path / "a" / "b")
        assert run.trials == trials
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
        create(tmp_path).close()
        (tmp_path / "config.json").unlink()
        create(tmp_path).close()
        assert reopen(tmp_path).trials == [Toy()]

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
            ("config.json", "{}", "config.json is damaged"),
            ("config.json", b"\xff\xfe", "config.json is damaged"),
            ("status.json", '{"finished": false, "trials": [{"status": "dne"}]}', "status.json is damaged"),
            ("status.json", '{"finished": false, "trials": [{"step": "x"}]}', "status.json is damaged"),
            ("status.json", '{"finished": false, "trials": []}', "status.json is damaged"),
            ("provenance.json", '{"packages": []}', "provenance.json is damaged"),
            ("provenance.json", '{"packages": {}, "resumed": 1}', "provenance.json is damaged"),
            ("metrics.jsonl", b'{"trial": 0, "step": 1, "seconds": 1, "x": "\xff"}\n', "line 1 is damaged"),
            ("metrics.jsonl", '{"trial": [0], "step": 1, "seconds": 1}\n', "line 1 is damaged"),
            ("metrics.jsonl", '{"trial": 0, "step": "1", "seconds": 1}\n', "line 1 is damaged"),
            ("metrics.jsonl", '{"trial": 7, "step": 1, "seconds": 1}\n', "line 1 is damaged"),
            ("status.json", "[]", "status.json is damaged"),
            ("status.json", '[{"wrong": 1}]', "status.json is damaged"),
            ("status.json", "", "status.json is damaged"),
        ],
    )
    def test_damaged(self, tmp_path, file, text, message):
        create(tmp_path).close()
        (tmp_path / file).write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(UsageError, match=message):
            reopen(tmp_path)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"version": "99.0"}, "begun by mi203jax 99.0, this is"),
            ({"config": {}}, "Missing field"),
            ({"trials": [{"learning_rate": -1.0}]}, "learning_rate=-1.0"),
            ({"trials": [{"lr": 1.0}]}, "Unknown field 'lr'"),
            ({"trials": [{"learning_rate": {}}]}, "learning_rate={}"),
            ({"trials": []}, "no trial"),
        ],
    )
    def test_of_another_version(self, tmp_path, change, message):
        create(tmp_path).close()
        config = json.loads((tmp_path / "config.json").read_text())
        (tmp_path / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(UsageError, match=message):
            reopen(tmp_path)


class TestLock:
    def test_a_second_process_is_refused(self, tmp_path):
        run = create(tmp_path, [Toy(), Toy(seed=1)])
        code = (
            "import sys; from mi203jax.core.run_directory import RunDirectory; "
            "from tests.core.toy import Toy; RunDirectory.open(sys.argv[1], lambda n: Toy)"
        )
        command = [sys.executable, "-c", code, str(tmp_path)]
        refused = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "is in use by another process" in refused.stderr
        run.close()
        assert subprocess.run(command, capture_output=True, check=False).returncode == 0


class TestRecords:
    @pytest.fixture
    def records(self):
        steps = ((s, i) for s in (0, 10, 20) for i in (0, 1))
        return [{"trial": i, "step": s, "seconds": 0.1, "eval/loss": 0.5 * s + i} for s, i in steps]

    def test_come_back(self, tmp_path, records):
        run = create(tmp_path, [Toy(), Toy(seed=1)])
        run.append(records[:4])
        run.append(records[4:])
        assert run.records() == records

    def test_not_finite_is_null(self, tmp_path):
        run = create(tmp_path, [Toy(), Toy(seed=1)])
        run.append([{"trial": 0, "step": 0, "seconds": 0.0, "eval/loss": float("nan"), "x": float("inf")}])
        assert run.records() == [{"trial": 0, "step": 0, "seconds": 0.0, "eval/loss": None, "x": None}]

    def test_a_torn_last_line_is_left_out(self, tmp_path, records):
        run = create(tmp_path, [Toy(), Toy(seed=1)])
        run.append(records)
        path = tmp_path / "metrics.jsonl"
        path.write_text(path.read_text()[:-9])
        assert run.records() == records[:-1]

    def test_another_damaged_line_is_named(self, tmp_path, records):
        run = create(tmp_path, [Toy(), Toy(seed=1)])
        run.append(records)
        path = tmp_path / "metrics.jsonl"
        path.write_text(path.read_text().replace('"step": 10', '"stp": 10', 1))
        with pytest.raises(UsageError, match="metrics.jsonl: line 3 is damaged"):
            run.records()

    def test_cut_drops_what_comes_after(self, tmp_path, records):
        run = create(tmp_path, [Toy(), Toy(seed=1)])
        run.append(records)
        kept = run.cut([1], 10)
        assert kept == run.records() == [r for r in records if r["trial"] == 0 or r["step"] <= 10]


def test_statuses_come_back(tmp_path):
    run = create(tmp_path, [Toy(), Toy(seed=1), Toy(seed=2)])
    run.statuses = [Status("done", 40), Status("diverged", 10, "loss not finite"), Status("failed", 0, "no")]
    run.save_statuses()
    run.close()
    run = reopen(tmp_path)
    assert run.statuses == [
        Status("done", 40),
        Status("diverged", 10, "loss not finite"),
        Status("failed", 0, "no"),
    ]
    assert [s.is_final for s in run.statuses] == [True, True, False]
    run.finish()
    assert not run.is_finished
    run.close()
    run = reopen(tmp_path)
    run.statuses[2] = Status("done", 40)
    run.finish()
    run.close()
    with pytest.raises(UsageError, match="is finished"):
        reopen(tmp_path)
