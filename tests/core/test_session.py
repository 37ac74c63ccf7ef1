"""Whole runs of the toy, from trials to figures."""

import csv
import json
import os

import jax
import pytest
from PIL import Image

from mi203jax.core.checkpoint import Checkpoints
from mi203jax.core.loop import Group
from mi203jax.core.outputs import is_damaged, noted_files
from mi203jax.core.piece import Options
from tests.core.running import begin, metrics, resume
from tests.core.toy import Toy, exact_loss


class TestBegin:
    def test_records_a_line_for_each_trial_and_evaluation(self, tmp_path):
        begin(tmp_path, "learning_rate=0.1,0.05", seeds=2)
        lines = metrics(tmp_path)
        assert [(r["step"], r["trial"]) for r in lines] == [
            (s, i) for s in (0, 10, 20, 30, 40) for i in range(4)
        ]
        for r in lines:
            c = Toy(learning_rate=0.1 if r["trial"] < 2 else 0.05)
            assert r["eval/loss"] == pytest.approx(exact_loss(c, r["step"]), rel=1e-3)
        assert "train/never" not in lines[-1]
        assert "train/loss" not in lines[0]

    def test_results_and_figures(self, tmp_path):
        rows = begin(tmp_path, "learning_rate=0.05,0.1")
        assert [r["trial"] for r in rows] == [1, 0]  # best first
        with open(tmp_path / "results.csv") as file:
            table = list(csv.DictReader(file))
        assert [r["learning_rate"] for r in table] == ["0.05", "0.1"]
        assert [r["status"] for r in table] == ["done", "done"]
        assert float(table[1]["eval/loss"]) == pytest.approx(exact_loss(Toy(), 40), rel=1e-3)
        assert float(table[1]["best/eval/loss"]) == float(table[1]["eval/loss"])
        for name in ("learning_curve", "comparison"):
            assert Image.open(tmp_path / "figures" / f"{name}.png").size[0] > 500
        assert Image.open(tmp_path / "figures" / "still.gif").format == "GIF"
        noted = noted_files(tmp_path)
        assert sorted(noted) == sorted([*(tmp_path / "figures").iterdir(), tmp_path / "results.csv"])
        assert not any(is_damaged(path, noted) for path in noted)

    def test_static_sweeps_run_group_by_group(self, tmp_path):
        begin(tmp_path, "dimension=1,3", "learning_rate=0.1,0.05")
        last = {r["trial"]: r["eval/loss"] for r in metrics(tmp_path)}
        assert last[0] == pytest.approx(exact_loss(Toy(dimension=1), 40), rel=1e-3)
        assert last[2] == pytest.approx(exact_loss(Toy(dimension=3), 40), rel=1e-3)

    def test_steps_are_the_configurations_unit(self, tmp_path):
        begin(tmp_path, "per_iteration=5", "total_steps=100", "eval_every=50")
        assert [r["step"] for r in metrics(tmp_path)] == [0, 50, 100]

    def test_provenance(self, tmp_path):
        begin(tmp_path, seeds=2)
        provenance = json.loads((tmp_path / "provenance.json").read_text())
        assert provenance["seeds"] == [0, 1]
        assert provenance["packages"]["jax"] == jax.__version__
        assert provenance["devices"] == ["cpu: cpu"]

    def test_mistakes_write_nothing(self, tmp_path):
        with pytest.raises(ValueError, match="the toy is broken"):
            begin(tmp_path / "run", "fail=true")
        assert not (tmp_path / "run").exists()


class TestDivergence:
    def test_is_named_and_the_others_go_on(self, tmp_path):
        rows = begin(tmp_path, "learning_rate=0.1,1e30,0.05")
        status = {r["trial"]: (r["status"], r["error"]) for r in rows}
        assert status[0] == status[2] == ("done", "")
        assert status[1][0] == "diverged"
        assert status[1][1] == "train/loss not finite at step 2"
        assert rows[-1]["trial"] == 1
        lines = metrics(tmp_path)
        assert max(r["step"] for r in lines if r["trial"] == 1) == 10
        assert max(r["step"] for r in lines if r["trial"] == 0) == 40

    def test_a_group_without_a_running_trial_ends(self, tmp_path):
        rows = begin(tmp_path, "learning_rate=1e30", "total_steps=1000000000")
        assert rows[0]["status"] == "diverged"

    def test_a_failing_group_does_not_stop_the_others(self, tmp_path, monkeypatch):
        run = Group.run

        def fails(self, *args):
            if self.config.dimension == 3:
                raise MemoryError("no room")
            return run(self, *args)

        monkeypatch.setattr(Group, "run", fails)
        rows = begin(tmp_path, "dimension=3,1")
        assert [(r["trial"], r["status"], r["error"]) for r in rows] == [
            (1, "done", ""), (0, "failed", "MemoryError: no room"),
        ]  # fmt: skip
        monkeypatch.undo()
        assert [r["status"] for r in resume(tmp_path)] == ["done", "done"]


@pytest.mark.usefixtures("undrawn")
def test_checkpoints_by_the_clock(tmp_path, monkeypatch):
    saved = []
    save = Checkpoints.save
    monkeypatch.setattr(Checkpoints, "save", lambda self, *args: (saved.append(args[0]), save(self, *args)))
    begin(tmp_path, options=Options(checkpoint_every=1e-9, quiet=True))
    assert {0, 10, 20, 30, 40} <= set(saved)


@pytest.mark.usefixtures("undrawn")
def test_tensorboard_events(tmp_path):
    begin(tmp_path, "learning_rate=0.1,0.2", options=Options(quiet=True, tensorboard=True))
    files = sorted(tmp_path.glob("tensorboard/trial-*/events*"))
    assert [f.parent.name for f in files] == ["trial-0", "trial-1"]
    assert all(b"eval/loss" in f.read_bytes() for f in files)
    opened = {os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")}
    assert not opened & {str(f) for f in files}


def test_what_one_sees(tmp_path, capsys):
    begin(tmp_path, "learning_rate=0.1,0.2", options=Options())
    out = capsys.readouterr().out
    assert f"run directory: {tmp_path}" in out
    assert "step          10   eval/loss 0.0" in out
    assert "learning_curve.png" in out
    assert "…" in out  # the range over trials, never their average


@pytest.mark.usefixtures("undrawn")
def test_quiet_prints_the_folder_alone(tmp_path, capsys):
    begin(tmp_path)
    assert capsys.readouterr().out == f"{tmp_path}\n"
