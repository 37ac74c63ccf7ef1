"""Sweeps of the toy that are cut into pieces."""

import json

import pytest

from mi203jax.core import session
from mi203jax.core.config import config
from mi203jax.core.errors import UsageError
from mi203jax.core.files import lock
from mi203jax.core.interruption import Interrupted, Interruption
from mi203jax.core.loop import Group
from mi203jax.core.piece import Options, Piece
from mi203jax.core.plan import plan
from mi203jax.core.run_directory import RunDirectory
from mi203jax.core.trials import Sweep
from tests.core.running import QUIET, begin, interrupting, metrics, resume
from tests.core.toy import EXPERIMENT, Toy, task


@config
class Outside(Toy):
    """A toy that keeps something outside of JAX, if it is of three dimensions."""

    @property
    def is_alone(self):
        return self.dimension == 3

    @property
    def bytes_outside(self):
        return 10**15 if self.dimension == 4 else 0


@pytest.mark.usefixtures("undrawn")
class TestOutsideOfJax:
    @pytest.mark.parametrize(("dimensions", "said"), [("2,3", True), ("2,1", False)])
    def test_it_is_said(self, dimensions, said, tmp_path, capsys):
        """Also where only some of the trials keep something there."""
        sweep = Sweep(Outside(), (f"dimension={dimensions}",))
        with Interruption() as interruption, pytest.raises(Interrupted):
            session.begin("toy", interrupting(15), sweep, str(tmp_path), Options(), interruption)
        assert ("trials run one after the other" in capsys.readouterr().out) == said
        with Interruption() as interruption:
            directory = RunDirectory.open(str(tmp_path), lambda name: Outside())
            session.resume(directory, EXPERIMENT, Options(), interruption)
        assert ("their episodes begin anew" in capsys.readouterr().out) == said

    def test_it_counts_for_the_memory(self):
        with pytest.raises(UsageError, match=r"One trial keeps 1,000,000 gigabytes in memory, .* are free"):
            plan(task, [Outside(dimension=4)], QUIET)
        with pytest.raises(UsageError, match="--max-memory=1: one trial takes about 1,000,000 gigabytes"):
            plan(task, [Outside(dimension=4)], QUIET._replace(max_memory=10**9))


def test_what_a_trial_keeps_must_fit(monkeypatch):
    monkeypatch.setattr("mi203jax.core.plan.available", lambda: 10)
    with pytest.raises(
        UsageError, match="One trial keeps .* are free: expected smaller values of the fields"
    ):
        plan(task, [Toy()], QUIET)


@pytest.mark.usefixtures("undrawn")
class TestPieces:
    def test_groups_that_do_not_fit_are_cut(self, tmp_path):
        """Into pieces of one program, which changes no result."""
        arguments = ("noise=1.0", "learning_rate=lin(0.1,0.5,3)")
        whole = begin(tmp_path / "whole", *arguments)
        need = plan(task, Sweep(Toy(), arguments).trials(), QUIET)[0].bytes
        cut = begin(tmp_path / "cut", *arguments, options=QUIET._replace(max_memory=need // 2))
        pieces = json.loads((tmp_path / "cut" / "config.json").read_text())["pieces"]
        assert len(pieces) > 1
        assert sorted(i for piece in pieces.values() for i in piece) == list(range(3))
        for a, b in zip(whole, cut, strict=True):
            assert a["trial"] == b["trial"]
            assert a["eval/loss"] == pytest.approx(b["eval/loss"], rel=1e-5)

    def test_only_what_is_missing_or_failed_runs_again(self, tmp_path, monkeypatch):
        run, ran = Group.run, []

        def fails(self, *args):
            ran.append(self.config.dimension)
            if self.config.dimension == 2:
                raise MemoryError("no room")
            return run(self, *args)

        monkeypatch.setattr(Group, "run", fails)
        rows = begin(tmp_path, "dimension=1,2,3")
        assert [r["status"] for r in rows].count("failed") == 1
        before = {n: (tmp_path / "pieces" / n / "metrics.jsonl").read_text() for n in "02"}
        monkeypatch.setattr(
            Group, "run", lambda self, *args: (ran.append(-self.config.dimension), run(self, *args))[1]
        )
        resume(tmp_path)
        assert ran == [1, 2, 3, -2]
        assert before == {n: (tmp_path / "pieces" / n / "metrics.jsonl").read_text() for n in "02"}

    def test_every_failure_is_told_with_its_own_error(self, tmp_path, monkeypatch, capsys):
        def fails(self, *args):
            raise ValueError(f"width {self.config.dimension}")

        monkeypatch.setattr(Group, "run", fails)
        begin(tmp_path, "dimension=1,2", options=Options())
        out = capsys.readouterr().out
        assert "trial 0 dimension=1 failed: ValueError: width 1" in out
        assert "trial 1 dimension=2 failed: ValueError: width 2" in out

    def test_what_cannot_be_built_does_not_stop_the_others(self, tmp_path, monkeypatch):
        """As a set that vanished between a run and its resume."""
        with pytest.raises(Interrupted):
            begin(tmp_path, "dimension=1,2", experiment=interrupting(10))

        def data(c):
            if c.dimension == 1:
                raise OSError("gone")

        rows = resume(tmp_path, EXPERIMENT._replace(task=task._replace(data=data)))
        assert {r["trial"]: r["status"] for r in rows} == {0: "failed", 1: "done"}
        assert [r["status"] for r in resume(tmp_path)] == ["done", "done"]

    def test_a_group_is_traced_once_however_many_trials(self, tmp_path):
        traced = []

        def step(c, state, data, t):
            traced.append(c.dimension)
            return task.step(c, state, data, t)

        def traces(*assignments):
            traced.clear()
            begin(
                tmp_path / str(len(assignments)),
                *assignments,
                experiment=EXPERIMENT._replace(task=task._replace(step=step)),
            )
            return len(traced)

        assert traces("learning_rate=lin(0.1,0.5,5)", "noise=0,1") == traces("learning_rate=0.1")

    def test_a_piece_in_use_is_refused(self, tmp_path):
        """By a worker whose driver died, say."""
        with pytest.raises(Interrupted):
            begin(tmp_path, experiment=interrupting(10))
        with (
            lock(tmp_path / "pieces" / "0"),
            pytest.raises(UsageError, match="pieces/0 is in use by another"),
        ):
            resume(tmp_path)

    def test_a_piece_that_ended_is_free_while_something_refers_to_it(self, tmp_path, monkeypatch):
        kept, run = [], Piece.run
        monkeypatch.setattr(Piece, "run", lambda self, *args: (kept.append(self), run(self, *args)))
        begin(tmp_path)
        assert len(kept) == 1
        lock(tmp_path / "pieces" / "0", patience=0.0).release()

    def test_fail_fast_stops_within_a_piece(self, tmp_path, undisturbed):
        rows = begin(tmp_path, "learning_rate=0.1,1e30", options=QUIET._replace(fail_fast=True))
        assert {r["trial"]: r["status"] for r in rows} == {0: "running", 1: "diverged"}
        assert max(r["step"] for r in metrics(tmp_path)) == 10
        assert {r["trial"]: r["status"] for r in resume(tmp_path)} == {0: "done", 1: "diverged"}
        assert metrics(tmp_path) == metrics(undisturbed("learning_rate=0.1,1e30"))
