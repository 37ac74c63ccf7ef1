"""A search that learns: rounds of trials, each proposed by Optuna after what came of those before."""

import numpy as np

from mi203jax.core.config import RunConfig
from mi203jax.core.run_directory import RunDirectory
from mi203jax.core.search import Tried, save_study
from mi203jax.core.sparingly import Sparingly
from mi203jax.core.task import Task


class Rounds:
    """The rounds of a run."""

    def __init__(self, run: RunDirectory, task: Task):
        self._run = run
        self._task = task
        self._write_now_and_then = Sparingly(self._write)

    def next(self) -> list[RunConfig]:
        """What is proposed after what was tried; none if that was all, or nothing is searched so."""
        sweep = self._run.sweep
        if sweep.search != "optuna":
            return []
        tried = self._tried()
        if len(tried) >= (sweep.draws or 0):
            self._write(tried)
            return []
        self._write_now_and_then(tried)
        return sweep.proposals(tried, self._task.best)

    def _write(self, tried: list[Tried]) -> None:
        save_study(str(self._run.path / "optuna.log"), self._run.sweep.space(), tried, self._task.best)

    def _tried(self) -> list[Tried]:
        """Each proposal with the mean of its seeds; None where one did not end well."""
        sweep, statuses = self._run.sweep, self._run.statuses
        tried = []
        for first in range(0, len(statuses), sweep.seeds):
            ends = statuses[first : first + sweep.seeds]
            values = [s.objective for s in ends if s.status == "done" and s.objective is not None]
            c = self._run.trials[first]
            mean = float(np.mean(values)) if len(values) == sweep.seeds else None
            tried.append(Tried({n: getattr(c, n) for n in sweep.space()}, mean))
        return tried
