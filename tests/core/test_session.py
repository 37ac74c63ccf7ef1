"""Whole runs of the toy, from trials to figures."""

import csv
import functools
import json
import os
import shutil
import signal

import jax
import numpy as np
import pytest
from PIL import Image

from mi203jax.core import session
from mi203jax.core.checkpoint import Checkpoints
from mi203jax.core.config import config
from mi203jax.core.errors import UsageError
from mi203jax.core.files import lock
from mi203jax.core.interruption import Interrupted, Interruption
from mi203jax.core.loop import Group
from mi203jax.core.piece import Options
from mi203jax.core.plan import plan
from mi203jax.core.run_directory import RunDirectory
from mi203jax.core.trials import Sweep
from tests.core.toy import EXPERIMENT, Toy, exact_loss, task

QUIET = Options(quiet=True)


def begin(path, *assignments, seeds=1, experiment=EXPERIMENT, options=QUIET):
    sweep = Sweep(Toy(), assignments, seeds)
    with Interruption() as interruption:
        return session.begin("toy", experiment, sweep, str(path), options, interruption)


def resume(path, experiment=EXPERIMENT, options=QUIET):
    with Interruption() as interruption:
        directory = RunDirectory.open(str(path), lambda name: Toy())
        return session.resume(directory, experiment, options, interruption)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Assignments -> the folder of their run, which nothing stopped."""

    @functools.cache
    def folder(*assignments, seeds=1):
        path = tmp_path_factory.mktemp("undisturbed")
        begin(path, *assignments, seeds=seeds)
        return path

    return folder


def metrics(path):
    """The lines of each metrics.jsonl without the wall time."""
    files = sorted(path.glob("pieces/*/metrics.jsonl"))
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


def statuses(path):
    return [row for file in sorted(path.glob("pieces/*/status.json")) for row in json.loads(file.read_text())]


def interrupting(at, number=signal.SIGTERM):
    """The toy, whose process is sent a signal once, in the evaluation after `at` iterations."""
    sent = []

    def evaluate(c, state, data):
        def send(t):
            if t >= at and not sent:
                sent.append(t)
                os.kill(os.getpid(), number)

        jax.debug.callback(send, state.t)
        return task.evaluate(c, state, data)

    return EXPERIMENT._replace(task=task._replace(evaluate=evaluate))


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
        noted = json.loads((tmp_path / "provenance.json").read_text())["figures"]
        assert sorted(noted) == sorted(path.name for path in (tmp_path / "figures").iterdir())

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
        assert status[1][1] == "eval/loss, train/loss not finite by step 10"
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
class TestResume:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_after_a_signal_to_the_same_bits(self, tmp_path, number, undisturbed):
        arguments = ("noise=1.0", "learning_rate=0.1,0.2")
        trials = Sweep(Toy(), arguments, 2).trials()
        experiment = interrupting(20, number)
        with pytest.raises(Interrupted) as interrupted:
            begin(tmp_path / "a", *arguments, seeds=2, experiment=experiment)
        assert interrupted.value.exit_code == 128 + number
        assert interrupted.value.folder == tmp_path / "a"
        assert max(r["step"] for r in metrics(tmp_path / "a")) == 20
        resume(tmp_path / "a", experiment)
        whole = undisturbed(*arguments, seeds=2)
        assert metrics(tmp_path / "a") == metrics(whole)
        self.same_checkpoint((tmp_path / "a", whole), trials)

    @staticmethod
    def same_checkpoint(folders, trials):
        like = Group(task, trials, None).abstract()
        carries = [Checkpoints(f / "pieces" / "0" / "checkpoints", trials).restore(like) for f in folders]
        (step_a, a), (step_b, b) = carries
        assert step_a == step_b == 40
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
            np.testing.assert_array_equal(
                *(jax.random.key_data(v) if v.dtype.name.startswith("key") else v for v in (x, y))
            )

    def test_records_after_the_checkpoint_are_cut_and_made_again(self, tmp_path, undisturbed):
        """Killed long after its last checkpoint: here, its metrics hold what the checkpoint does not."""
        with pytest.raises(Interrupted):
            begin(tmp_path / "a", "noise=1.0", experiment=interrupting(20))
        with open(tmp_path / "a" / "pieces" / "0" / "metrics.jsonl", "a") as file:
            file.write('{"trial": 0, "step": 30, "seconds": 1.0, "eval/loss": 99.0}\n{"trial": 0, "st')
        resume(tmp_path / "a", interrupting(10**9))
        assert metrics(tmp_path / "a") == metrics(undisturbed("noise=1.0"))

    def test_without_a_checkpoint_it_begins_anew(self, tmp_path, undisturbed):
        with pytest.raises(Interrupted):
            begin(tmp_path / "a", "noise=1.0", experiment=interrupting(20))
        shutil.rmtree(tmp_path / "a" / "pieces" / "0" / "checkpoints")
        resume(tmp_path / "a", interrupting(10**9))
        assert metrics(tmp_path / "a") == metrics(undisturbed("noise=1.0"))

    def test_finished(self, tmp_path):
        begin(tmp_path)
        with pytest.raises(UsageError, match="this run is finished; its results are in"):
            resume(tmp_path)

    @pytest.mark.parametrize(
        ("damage", "message"),
        [
            (lambda f: f.write_bytes(f.read_bytes()[:10]), "is not what was written"),
            (lambda f: f.write_bytes(bytes([f.read_bytes()[0] ^ 1]) + f.read_bytes()[1:]), "is not what was"),
            (lambda f: f.unlink(), "is not what was written"),
        ],
        ids=["cut", "one bit", "gone"],
    )
    def test_a_damaged_checkpoint_is_named(self, tmp_path, damage, message):
        with pytest.raises(Interrupted):
            begin(tmp_path, experiment=interrupting(20))
        before = {f: f.read_bytes() for f in tmp_path.rglob("*.json*")}
        damage(
            max(
                (f for f in tmp_path.glob("pieces/0/checkpoints/**/*") if f.is_file()),
                key=lambda f: f.stat().st_size,
            )
        )
        with pytest.raises(
            UsageError,
            match=rf"pieces/0/checkpoints/20 is damaged: .*{message}.*Delete .* to begin its trials anew",
        ):
            resume(tmp_path, interrupting(10**9))
        assert before == {f: f.read_bytes() for f in tmp_path.rglob("*.json*")}

    def test_a_checkpoint_of_another_configuration_is_refused(self, tmp_path):
        with pytest.raises(Interrupted):
            begin(tmp_path, experiment=interrupting(20))
        config = (tmp_path / "config.json").read_text()
        (tmp_path / "config.json").write_text(config.replace('"total_steps": 40', '"total_steps": 80'))
        with pytest.raises(UsageError, match="in config.json are not those that it was made with"):
            resume(tmp_path, interrupting(10**9))

    def test_stopped_in_the_last_evaluation(self, tmp_path):
        """Everything is computed and saved, but nothing concluded."""
        with pytest.raises(Interrupted):
            begin(tmp_path / "a", experiment=interrupting(40))
        assert resume(tmp_path / "a", interrupting(10**9))[0]["status"] == "done"

    def test_killed_between_the_last_checkpoint_and_the_end(self, tmp_path, monkeypatch, undisturbed):
        save = Checkpoints.save

        def dies(self, iteration, carry):
            save(self, iteration, carry)
            if iteration == 40:
                raise SystemExit

        monkeypatch.setattr(Checkpoints, "save", dies)
        with pytest.raises(SystemExit):
            begin(tmp_path / "a")
        monkeypatch.undo()
        assert statuses(tmp_path / "a")[0]["status"] == "running"
        assert resume(tmp_path / "a")[0]["status"] == "done"
        assert metrics(tmp_path / "a") == metrics(undisturbed())

    def test_a_failed_group_leaves_its_traceback(self, tmp_path, monkeypatch):
        monkeypatch.setattr(Group, "run", lambda *args: 1 / 0)
        assert begin(tmp_path)[0]["status"] == "failed"
        assert "ZeroDivisionError" in (tmp_path / "pieces" / "0" / "errors.txt").read_text()

    def test_a_diverged_trial_stays_so(self, tmp_path, undisturbed):
        with pytest.raises(Interrupted):
            begin(tmp_path / "a", "learning_rate=0.1,1e30", experiment=interrupting(20))
        resume(tmp_path / "a", interrupting(10**9))
        whole = undisturbed("learning_rate=0.1,1e30")
        assert metrics(tmp_path / "a") == metrics(whole)
        assert statuses(tmp_path / "a") == statuses(whole)

    def test_says_so_when_jaxlib_changed(self, tmp_path, capsys):
        with pytest.raises(Interrupted):
            begin(tmp_path, experiment=interrupting(20))
        provenance = json.loads((tmp_path / "provenance.json").read_text())
        provenance["packages"]["jaxlib"] = "0.0.1"
        (tmp_path / "provenance.json").write_text(json.dumps(provenance))
        resume(tmp_path, interrupting(10**9), Options())
        assert "begun with jaxlib 0.0.1, going on with" in capsys.readouterr().out
        assert len(json.loads((tmp_path / "provenance.json").read_text())["resumed"]) == 1


class TestFiguresAfterAStop:
    def test_finished_but_for_its_figures(self, tmp_path):
        """What was trained is not trained again."""
        begin(tmp_path)
        lines = metrics(tmp_path)
        (tmp_path / "figures" / "learning_curve.png").unlink()
        provenance = json.loads((tmp_path / "provenance.json").read_text())
        del provenance["finished"]
        (tmp_path / "provenance.json").write_text(json.dumps(provenance))
        assert resume(tmp_path)[0]["status"] == "done"
        assert metrics(tmp_path) == lines
        assert (tmp_path / "figures" / "learning_curve.png").exists()

    def test_stopped_while_figures_are_drawn(self, tmp_path):
        def figures(*args):
            os.kill(os.getpid(), signal.SIGINT)
            return {}

        with pytest.raises(Interrupted) as interrupted:
            begin(tmp_path, experiment=EXPERIMENT._replace(task=task._replace(figures=figures)))
        assert interrupted.value.folder == tmp_path
        assert (tmp_path / "results.csv").exists()
        assert resume(tmp_path)[0]["status"] == "done"
        assert (tmp_path / "figures" / "still.gif").exists()


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
        with pytest.raises(UsageError, match=r"One trial keeps 1e\+06 gigabytes in memory, .* are free"):
            plan(task, [Outside(dimension=4)], QUIET)
        assert plan(task, [Outside(dimension=4)], QUIET._replace(max_memory=10**9))


def test_what_a_trial_keeps_must_fit(monkeypatch):
    monkeypatch.setattr("mi203jax.core.plan.available", lambda: 10)
    with pytest.raises(UsageError, match="One trial keeps .* are free: expected less"):
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
        assert sorted(i for piece in pieces for i in piece) == list(range(3))
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

    def test_fail_fast_stops_within_a_piece(self, tmp_path, undisturbed):
        rows = begin(tmp_path, "learning_rate=0.1,1e30", options=QUIET._replace(fail_fast=True))
        assert {r["trial"]: r["status"] for r in rows} == {0: "running", 1: "diverged"}
        assert max(r["step"] for r in metrics(tmp_path)) == 10
        assert {r["trial"]: r["status"] for r in resume(tmp_path)} == {0: "done", 1: "diverged"}
        assert metrics(tmp_path) == metrics(undisturbed("learning_rate=0.1,1e30"))


@pytest.mark.usefixtures("undrawn")
class TestOptuna:
    space = ("learning_rate=loguniform(1e-3,1)", "dimension=choice(1,2)")

    @classmethod
    def begin(cls, path, experiment=EXPERIMENT):
        sweep = Sweep(Toy(), cls.space, seeds=2, draws=5, search="optuna", at_once=2)
        with Interruption() as interruption:
            return session.begin("toy", experiment, sweep, str(path), QUIET, interruption)

    @pytest.fixture(scope="class")
    @classmethod
    def whole(cls, tmp_path_factory):
        """The rows and the folder of a run that nothing stopped."""
        folder = tmp_path_factory.mktemp("whole")
        return cls.begin(folder), folder

    def test_learns_round_by_round(self, whole):
        rows, folder = whole
        assert len(rows) == 10
        assert {r["status"] for r in rows} == {"done"}
        config = json.loads((folder / "config.json").read_text())
        assert config["sweep"]["search"] == "optuna"
        assert (folder / "optuna.log").exists()

    @pytest.mark.parametrize("stop", [0, 1])
    def test_killed_between_two_rounds(self, tmp_path, monkeypatch, stop, whole):
        """Before the first and the second proposal that learns."""
        rounds, next_round = [], session.Session._next_round

        def dies(self):
            if len(rounds) == stop:
                raise SystemExit
            rounds.append(1)
            return next_round(self)

        monkeypatch.setattr(session.Session, "_next_round", dies)
        with pytest.raises(SystemExit):
            self.begin(tmp_path)
        monkeypatch.undo()
        assert len(resume(tmp_path)) == 10
        assert (tmp_path / "config.json").read_text() == (whole[1] / "config.json").read_text()

    def test_a_resume_proposes_what_would_have_been(self, tmp_path, whole):
        """Stopped in its second round."""
        asked = []

        def evaluate(c, state, data):
            def stop(t):
                asked.append(t)
                if len(asked) == 30:
                    os.kill(os.getpid(), signal.SIGTERM)

            jax.debug.callback(stop, state.t)
            return task.evaluate(c, state, data)

        with pytest.raises(Interrupted):
            self.begin(tmp_path, EXPERIMENT._replace(task=task._replace(evaluate=evaluate)))
        before = len(json.loads((tmp_path / "config.json").read_text())["trials"])
        assert before == 8
        resume(tmp_path)
        assert (tmp_path / "config.json").read_text() == (whole[1] / "config.json").read_text()


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
