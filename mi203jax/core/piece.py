"""A piece of a run: trials as one compiled program, with their records, checkpoints and statuses."""

import contextlib
import functools
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np

from mi203jax.core.checkpoint import Checkpoints, Saved
from mi203jax.core.config import RunConfig
from mi203jax.core.errors import Fault, UsageError
from mi203jax.core.files import locked, make_folder
from mi203jax.core.interruption import Interrupted, Interruption
from mi203jax.core.loop import Carry, Group, Progress
from mi203jax.core.memory import is_out_of_memory
from mi203jax.core.parallel import Parallel
from mi203jax.core.piece_folder import PieceFolder, Status, Written
from mi203jax.core.recorded import Record, Recorded
from mi203jax.core.tensorboard import Tensorboard

Values = dict[str, np.ndarray]  # metric -> [trials]

STATUS_EVERY = 2.0
"""Seconds between two writes of how far a piece is."""


class Options(NamedTuple):
    """How a run is kept, shown and laid out; its numbers stay the same up to rounding."""

    checkpoint_every: float = 60.0  # seconds
    quiet: bool = False
    tensorboard: bool = False
    debug: bool = False  # let exceptions through, with their traceback
    fail_fast: bool = False
    parallel: Parallel = "auto"
    devices: int = 1  # among which each batch is divided
    max_memory: int | None = None  # bytes that a piece may take


class OutOfMemory(Exception):
    """The trials of a piece took together more memory than there is."""


class Watch(NamedTuple):
    """Who is told how a piece goes on."""

    progress: Callable[[PieceFolder, Values], None] = lambda piece, training: None
    evaluation: Callable[[PieceFolder, int, Values], None] = lambda piece, step, evaluation: None
    diverged: Callable[[PieceFolder, int], None] = lambda piece, position: None


class Piece:
    """Trials that this process runs, in their folder."""

    def __init__(
        self,
        folder: PieceFolder,
        configs: Sequence[RunConfig],
        make_group: Callable[[], Group],
        objective: str,
        options: Options,
    ):
        """
        Args:
            folder: what is kept.
            configs: the trials' configurations.
            make_group: gives their program; called when it is first needed.
            objective: the metric that statuses tell.
            options: how they run.
        """  # noqa: D205, D212
        self.folder = folder
        self.config = configs[0]
        self._make_group = make_group
        self.checkpoints = Checkpoints(folder, configs)
        self.end: Carry | None = None
        """What all came to, if it came to its end in this process."""
        self._objective = objective
        self._options = options
        self._tensorboard = Tensorboard(folder.run / "tensorboard") if options.tensorboard else None

    @functools.cached_property
    def group(self) -> Group:
        """The trials' program."""
        return self._make_group()

    def restore(self) -> Saved | None:
        """What the newest checkpoint holds; None if there is none.

        Raises:
            UsageError: if it is damaged.
        """
        return self.checkpoints.restore(self.group.abstract())

    def try_run(self, watch: Watch, interruption: Interruption) -> None:
        """As `run`, but an error is kept as what became of the trials, so that other pieces can go on.

        Raises:
            OutOfMemory: if memory did not suffice for several trials.
        """
        try:
            self.run(watch, interruption)
        except (Interrupted, UsageError, Fault):
            raise
        except Exception as error:
            if len(self.folder.members) > 1 and is_out_of_memory(error):
                raise OutOfMemory(str(error)) from error
            if self._options.debug:
                raise
            fail(self.folder, f"{type(error).__name__}: {error}", traceback.format_exc())

    def run(self, watch: Watch, interruption: Interruption) -> None:
        """Runs what is missing.

        Raises:
            UsageError: if a checkpoint is damaged, or another process runs the piece.
            Fault: if a file cannot be written; what was saved before stays.
            Interrupted: after a signal, with everything saved.
        """
        make_folder(self.folder.path, self.folder.run)
        with locked(self.folder.path), self._tensorboard or contextlib.nullcontext():
            self._go_on(watch, interruption)

    def _go_on(self, watch: Watch, interruption: Interruption) -> None:
        folder, saved = self.folder, self.restore()
        before = self._begin(saved)
        pace, begun, kept_at, told = _Pace(), time.monotonic(), time.monotonic(), time.monotonic()
        for progress in self.group.run(pace, saved[:2] if saved else None):
            training = jax.device_get(progress.training)  # waits for the chunk
            pace.tick()
            now = time.monotonic()
            if progress.evaluation is not None:
                self._record(progress, before + now - begun, watch)
            self._set({i: s._replace(step=self._step(progress)) for i, s in self._running().items()})
            watch.progress(folder, training)
            is_asked = interruption.signal is not None  # once: one that comes later finds nothing saved
            stops = self._options.fail_fast and any(s.status == "diverged" for s in folder.statuses)
            ends = progress.iteration == self.config.num_iterations or not self._running()
            if ends or stops or is_asked or now - kept_at > self._options.checkpoint_every:
                self.checkpoints.save(progress.iteration, self.group.own(progress.carry))
                kept_at = time.monotonic()
            if ends:
                self.end = self.group.own(progress.carry)
                break
            if stops or now - told > STATUS_EVERY:
                folder.save_statuses()
                told = now
            if stops:
                return
            if is_asked:
                interruption.check()
        self._set({i: s._replace(status="done") for i, s in self._running().items()})
        folder.save_statuses()

    def _step(self, progress: Progress) -> int:
        return progress.iteration * self.config.steps_per_iteration

    def _running(self) -> dict[int, Status]:
        """Position within the piece -> status."""
        return {i: s for i, s in enumerate(self.folder.statuses) if s.status == "running"}

    def _set(self, new: dict[int, Status]) -> None:
        for i, status in new.items():
            self.folder.statuses[i] = status

    def _begin(self, saved: Saved | None) -> float:
        """Marks as running what had not diverged where the piece goes on; gives the seconds until there."""
        done = saved.iteration * self.config.steps_per_iteration if saved else -1
        kept = self.folder.rewind(saved.metrics if saved else Written())
        last = Recorded(self._objective, "max").add(kept).last
        for i, status in enumerate(self.folder.statuses):
            if status.status != "diverged" or status.step > done:
                objective = last.get(self.folder.members[i], {}).get(self._objective)
                self.folder.statuses[i] = Status("running", max(0, done), objective=objective)
        self.folder.save_statuses()
        self.folder.cut()
        return max((record["seconds"] for record in last.values()), default=0.0)

    def _record(self, progress: Progress, seconds: float, watch: Watch) -> None:
        step, running = self._step(progress), list(self._running())
        values, finite = jax.device_get((progress.evaluation, progress.finite))
        records: list[Record] = [
            {"trial": self.folder.members[i], "step": step, "seconds": round(seconds, 3)}
            | {n: float(v[i]) for n, v in values.items() if not (finite[n][i] and np.isnan(v[i]))}
            for i in running
        ]
        self.folder.append(records)
        if self._tensorboard:
            self._tensorboard.write(records)
        watch.evaluation(self.folder, step, {n: v[running] for n, v in values.items()})
        for i, record in zip(running, records, strict=True):
            objective = record.get(self._objective, self.folder.statuses[i].objective)
            self._set({i: self.folder.statuses[i]._replace(step=step, objective=objective)})
        if bad := {i: names for i in running if (names := [n for n, f in finite.items() if not f[i]])}:
            self._leave_behind(bad, progress, watch)

    def _leave_behind(self, bad: Mapping[int, Sequence[str]], progress: Progress, watch: Watch) -> None:
        """Marks as diverged the trials of which a metric was not finite, at the step where that began."""
        begun = jax.device_get(progress.carry.bad)
        for i, not_finite in bad.items():
            at = {name: self._first(name, begun, i, self._step(progress)) for name in not_finite}
            first = min(at.values())
            names = ", ".join(sorted(n for n, step in at.items() if step == first))
            error = f"{names} not finite at step {first:,}"
            status = self.folder.statuses[i]
            self._set({i: status._replace(status="diverged", error=error, objective=None)})
            watch.diverged(self.folder, i)
        self.folder.save_statuses()

    def _first(self, name: str, begun: Values, position: int, step: int) -> int:
        """The step at which a metric was first not finite: of what is not measured at each step, `step`."""
        iterations = begun.get(name.removeprefix("train/")) if name.startswith("train/") else None
        return step if iterations is None else int(iterations[position]) * self.config.steps_per_iteration


def fail(folder: PieceFolder, error: str, details: str) -> None:
    """Marks what had not ended as failed, with the first line of the error; `errors.txt` gets the details."""
    reason = error.strip().splitlines()[0][:300]
    for i, status in enumerate(folder.statuses):
        if not status.is_final:
            folder.statuses[i] = status._replace(status="failed", error=reason)
    folder.save_statuses()
    folder.log_error(f"trials {folder.members}\n{details}")


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
