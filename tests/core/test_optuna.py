"""Sweeps of the toy that Optuna draws, round by round."""

import json
import os
import signal

import jax
import pytest

from mi203jax.core import session
from mi203jax.core.interruption import Interrupted, Interruption
from mi203jax.core.trials import Sweep
from tests.core.running import QUIET, resume
from tests.core.toy import EXPERIMENT, Toy, task


def trials_of(folder):
    return json.loads((folder / "config.json").read_text())["trials"]


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
        assert trials_of(tmp_path) == trials_of(whole[1])

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
        assert len(trials_of(tmp_path)) == 8
        resume(tmp_path)
        assert trials_of(tmp_path) == trials_of(whole[1])
