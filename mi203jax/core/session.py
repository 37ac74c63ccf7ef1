"""A run from its trials to its figures: what joins the loop to files, screen and signals."""

import time
import traceback
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from mi203jax.core.checkpoint import Checkpoints
from mi203jax.core.config import RunConfig
from mi203jax.core.display import Display
from mi203jax.core.errors import UsageError
from mi203jax.core.experiment import Experiment
from mi203jax.core.figures import comparison, learning_curves, save_figure
from mi203jax.core.interruption import Interrupted, Interruption
from mi203jax.core.loop import Carry, Group, Progress, trial
from mi203jax.core.provenance import differences, provenance
from mi203jax.core.results import Row, ranked, results, write_csv
from mi203jax.core.run_directory import Record, RunDirectory, Status
from mi203jax.core.task import PyTree, Task
from mi203jax.core.tensorboard import Tensorboard
from mi203jax.core.trials import group, label, varied_fields


class Options(NamedTuple):
    """How a run is kept and shown; nothing here changes its numbers."""

    checkpoint_every: float = 60.0  # seconds
    quiet: bool = False
    tensorboard: bool = False
    debug: bool = False  # let exceptions through, with their traceback


class Plan(NamedTuple):
    """Trials that share a program, ready to run."""

    members: list[int]  # indices of the trials
    group: Group
    like: Carry  # shapes and dtypes


def plan(task: Task, trials: Sequence[RunConfig]) -> list[Plan]:
    """Groups the trials and traces each program, so that mistakes show before anything is written.

    Raises:
        UsageError: if a configuration cannot work.
    """
    plans = []
    for members in group(trials):
        configs = [trials[i] for i in members]
        program = Group(task, configs, task.data(configs[0]))
        plans.append(Plan(members, program, program.abstract()))
    return plans


def begin(
    name: str,
    experiment: Experiment,
    trials: Sequence[RunConfig],
    out: str | None,
    options: Options,
    interruption: Interruption,
) -> list[Row]:
    """Runs trials of an experiment in a new folder and gives the rows of the results, best first.

    Args:
        name: the experiment's name.
        experiment: the experiment.
        trials: the configurations.
        out: the folder; None: one under `runs/`.
        options: how the run is kept and shown.
        interruption: asked now and then whether to stop.

    Raises:
        UsageError: if a configuration or the folder cannot work; nothing was written.
        Interrupted: after Ctrl-C or SIGTERM, with everything saved.
    """
    task = experiment.load_task()
    plans = plan(task, trials)
    interruption.check()
    directory = RunDirectory.create(out, name, trials, provenance([c.seed for c in trials]))
    try:
        return Session(task, plans, directory, options, interruption).run()
    finally:
        directory.close()


def resume(
    directory: RunDirectory, experiment: Experiment, options: Options, interruption: Interruption
) -> list[Row]:
    """Goes on with the run in a folder, running only what is missing or failed; closes the folder.

    Raises:
        UsageError: if a checkpoint is damaged; nothing was written.
        Interrupted: after Ctrl-C or SIGTERM, with everything saved.
    """
    try:
        task = experiment.load_task()
        session = Session(task, plan(task, directory.trials), directory, options, interruption)
        for number in range(len(session.plans)):
            session.checkpoints(number).verify()
        interruption.check(directory.path)
        begun, now = directory.provenance(), provenance([])
        directory.save_provenance(begun | {"resumed": [*begun.get("resumed", []), now]})
        for difference in differences(begun, now):
            session.display.say(f"{difference}: equal to rounding, not bit for bit")
        return session.run()
    finally:
        directory.close()


class Session:
    """One run of one experiment in one folder."""

    def __init__(
        self,
        task: Task,
        plans: list[Plan],
        directory: RunDirectory,
        options: Options,
        interruption: Interruption,
    ):
        self.task = task
        self.plans = plans
        self.directory = directory
        self.options = options
        self.interruption = interruption
        self.display = Display(options.quiet, task.objective)
        self.tensorboard = Tensorboard(directory.path / "tensorboard") if options.tensorboard else None

    def run(self) -> list[Row]:
        """Runs what is missing and gives the rows of the results, best first.

        Raises:
            Interrupted: after Ctrl-C or SIGTERM, with everything saved.
        """
        self.display.say(f"run directory: {self.directory.path}")
        for number, (members, _, _) in enumerate(self.plans):
            self.interruption.check(self.directory.path)
            if not all(self.directory.statuses[i].is_final for i in members):
                self._try_group(number)
        self.interruption.check(self.directory.path)
        return self._conclude()

    def checkpoints(self, number: int) -> Checkpoints:
        """The checkpoints of a group."""
        path = self.directory.path
        return Checkpoints(path / "checkpoints" / f"group-{number}", path / "config.json")

    # ---- a group of trials ----

    def _try_group(self, number: int) -> None:
        """A group that fails does not stop the others."""
        try:
            self._run_group(number)
        except (Interrupted, UsageError):
            raise
        except Exception as error:
            if self.options.debug:
                raise
            reason = f"{type(error).__name__}: {error}".splitlines()[0][:300]
            running = self._running(self.plans[number].members)
            for i in running:
                self.directory.statuses[i] = Status("failed", self.directory.statuses[i].step, reason)
            self.directory.save_statuses()
            self.directory.log_error(f"trials {running}\n{traceback.format_exc()}")
            self.display.say(f"{self._name(number)} failed: {reason}; see errors.txt")

    def _run_group(self, number: int) -> None:
        members, program, like = self.plans[number]
        config, checkpoints = program.config, self.checkpoints(number)
        resume = checkpoints.restore(like)
        done = resume[0] * config.steps_per_iteration if resume else 0
        kept = self.directory.cut(members, done if resume else -1)
        before = max((r["seconds"] for r in kept if r["trial"] in members), default=0.0)
        self._begin(members, done if resume else -1)
        self.display.begin(self._name(number), done, config.num_iterations * config.steps_per_iteration)
        pace, clock, saved = _Pace(), time.monotonic(), time.monotonic()
        try:
            for progress in program.run(pace, resume):
                training = jax.device_get(progress.training)  # waits for the chunk
                pace.tick()
                step = progress.iteration * config.steps_per_iteration
                self.display.update(step, len(members), training)
                if progress.evaluation is not None:
                    self._record(members, progress, step, before + time.monotonic() - clock)
                ends = progress.iteration == config.num_iterations or not self._running(members)
                due = time.monotonic() - saved > self.options.checkpoint_every
                if ends or due or self.interruption.signal is not None:
                    checkpoints.save(progress.iteration, progress.carry)
                    saved = time.monotonic()
                if ends:
                    break
                self.interruption.check(self.directory.path)
            self._end(members)
        finally:
            self.display.end()

    def _name(self, number: int) -> str:
        trials, programs = len(self.plans[number].members), len(self.plans)
        name = self.directory.experiment + (f": {trials} trials" if trials > 1 else "")
        return name + (f" (program {number + 1} of {programs})" if programs > 1 else "")

    def _running(self, members: list[int]) -> list[int]:
        return [i for i in members if self.directory.statuses[i].status == "running"]

    def _begin(self, members: list[int], done: int) -> None:
        """Marks as running what did not diverge up to the step where the group goes on."""
        for i in members:
            status = self.directory.statuses[i]
            if status.status != "diverged" or status.step > done:
                self.directory.statuses[i] = Status("running", max(0, done))
        self.directory.save_statuses()

    def _end(self, members: list[int]) -> None:
        for i in self._running(members):
            config = self.directory.trials[i]
            self.directory.statuses[i] = Status("done", config.num_iterations * config.steps_per_iteration)
        self.directory.save_statuses()

    def _record(self, members: list[int], progress: Progress, step: int, seconds: float) -> None:
        values, finite = jax.device_get((progress.evaluation, progress.finite))
        running = self._running(members)
        lines = {i: k for k, i in enumerate(members) if i in running}
        records: list[Record] = [
            {"trial": i, "step": step, "seconds": round(seconds, 3)}
            | {n: float(v[k]) for n, v in values.items() if not (finite[n][k] and np.isnan(v[k]))}
            for i, k in lines.items()
        ]
        self.directory.append(records)
        if self.tensorboard:
            self.tensorboard.write(records)
        self.display.record(step, {n: v[list(lines.values())] for n, v in values.items()})
        for i, k in lines.items():
            bad = sorted(n for n, f in finite.items() if not f[k])
            if bad:
                self._diverge(i, step, bad)

    def _diverge(self, trial: int, step: int, metrics: list[str]) -> None:
        error = f"{', '.join(metrics)} not finite by step {step:,}"
        self.directory.statuses[trial] = Status("diverged", step, error)
        self.directory.save_statuses()
        name = label(self.directory.trials[trial], varied_fields(self.directory.trials))
        self.display.say(f"trial {trial} {name} diverged: {error}; the others go on")

    # ---- at the end ----

    def _conclude(self) -> list[Row]:
        run, records = self.directory, self.directory.records()
        rows = results(run.trials, run.statuses, records, self.task.objective, self.task.best)
        write_csv(run.path / "results.csv", rows)
        order = ranked(rows, self.task.objective, self.task.best)
        self.display.say("drawing the figures")
        curves = learning_curves(run.trials, records, self.task.objective, run.experiment)
        files = [save_figure(run.path / "figures" / "learning_curve", curves)]
        if len(run.trials) > 1:
            dots = comparison(run.trials, records, self.task.objective, run.experiment)
            files.append(save_figure(run.path / "figures" / "comparison", dots))
        figures = self._figures_of(order[0])
        self.interruption.check(run.path)
        files += [save_figure(run.path / "figures" / name, figure) for name, figure in figures.items()]
        run.finish()
        self.display.summary(order, self.task.objective, run.path, files)
        return order

    def _figures_of(self, row: Row) -> dict[str, Any]:
        """The task's own figures, of the best trial."""
        if row["status"] != "done":
            return {}
        index = row["trial"]
        number = next(n for n, p in enumerate(self.plans) if index in p.members)
        members, program, like = self.plans[number]
        restored = self.checkpoints(number).restore(like)
        if restored is None:
            folder = self.checkpoints(number).folder
            raise UsageError(f"{folder} has no checkpoint of trial {index}, which is finished.")
        state: PyTree = trial(restored[1].state, members.index(index))
        return self.task.figures(self.directory.trials[index], state, program.data)


class _Pace:
    """How many iterations until the next report: so many that it comes about twice a second."""

    def __init__(self, seconds: float = 0.5):
        self._seconds = seconds
        self._length = 8
        self._then = time.monotonic()

    def __call__(self) -> int:
        self._then = time.monotonic()
        return self._length

    def tick(self) -> None:
        """The iterations asked for last are done."""
        took = time.monotonic() - self._then
        if took < self._seconds / 2:
            self._length *= 2
        elif took > self._seconds * 2:
            self._length = max(1, self._length // 2)
