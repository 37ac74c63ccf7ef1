"""What one sees while a run goes on, and at its end."""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

from mi203jax.core.results import Row

Values = dict[str, np.ndarray]  # metric -> [trials]

ARMS, LOST = 30, 20
"""Rows that are printed at most, of arms and of trials that were lost."""


class _Output:
    """Standard output, which falls silent when nobody can read it any more: the run goes on."""

    def __init__(self) -> None:
        self._file = sys.stdout

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, text: str) -> int:
        """Writes, unless the terminal is gone, the pipe is closed or the disk is full."""
        try:
            return self._file.write(text)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._file.fileno())
            return len(text)

    def flush(self) -> None:
        """As `write`."""
        try:
            self._file.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._file.fileno())


class Display:
    """A live progress bar and a line an evaluation; on a pipe the lines alone; nothing if quiet."""

    def __init__(self, quiet: bool, objective: str):
        self.quiet = quiet
        self._objective = objective
        self._in_training = "train/" + objective.partition("/")[2]
        terminal = sys.stdout.isatty()
        # On a pipe nobody's window is 80 columns wide.
        self._console = Console(
            file=cast(IO[str], _Output()), highlight=False, soft_wrap=True, width=None if terminal else 160
        )
        self._progress: Progress | None = None
        self._bar: Any = None
        self._clock, self._warm = (0, 0.0), False

    def say(self, text: str) -> None:
        """A line for the reader."""
        if not self.quiet:
            self._console.print(text, markup=False)

    def begin(self, name: str, done: int, total: int) -> None:
        """A run begins, or goes on: `done` of `total` steps of all trials together."""
        self._clock, self._warm = (done, time.monotonic()), False
        if self.quiet or not self._console.is_terminal:
            return
        self.end()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
            _Speed(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[latest]}", table_column=Column(no_wrap=True, overflow="ellipsis")),
            console=self._console,
            transient=True,
        )
        self._bar = self._progress.add_task(name, total=total, completed=done, latest="compiling", speed=None)
        self._progress.start()

    def update(self, done: int, tally: str, training: Values) -> None:
        """So many steps are done; what became of the trials, if there are several; metrics of some."""
        before, then = self._clock
        if self._progress is None or done == before:
            return
        now = time.monotonic()
        # The first call includes compilation, and says nothing about the speed to come.
        speed = (done - before) / max(now - then, 1e-9) if self._warm else None
        self._clock, self._warm = (done, now), True
        name = self._in_training
        latest = [tally] if tally else []
        latest += [_range(name, training[name])] if name in training else []
        self._progress.update(self._bar, completed=done, latest="   ".join(latest), speed=speed)

    def record(self, where: str, step: int, evaluation: Values, of_many: bool) -> None:
        """An evaluation after so many steps; of many trials the ranges of what matters most."""
        first = (self._objective, self._in_training, "train/loss")
        evaluation = {n: v for n, v in evaluation.items() if n in first or not of_many}
        names = sorted(evaluation, key=lambda n: (first.index(n) if n in first else len(first), n))
        values = [_range(n, evaluation[n]) for n in names if not np.isnan(evaluation[n]).all()]
        self.say(f"{where}step {step:>11,}   " + "   ".join(values))

    def end(self) -> None:
        """The run stopped, or ended."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def summary(
        self,
        rows: Sequence[Row],
        of_arms: Sequence[Row],
        objective: str,
        folder: Path,
        figures: Sequence[Path],
    ) -> None:
        """The table of results, and where everything is.

        Args:
            rows: a row a trial, best first.
            of_arms: a row an arm, best first.
            objective: the metric that is compared.
            folder: of the run.
            figures: their files.
        """
        if self.quiet:
            print(folder)
            return
        if len(rows) > 1:
            self._print_arms(of_arms, objective)
        else:
            names = [n for n in rows[0] if "/" not in n or n == objective or n.startswith("best/")]
            names.remove("error")
            self._print_table(names, [[_cell(rows[0][n]) for n in names]])
        lost = [row for row in rows if row["error"]]
        for row in lost[:LOST]:
            self.say(f"trial {row['trial']} {row['status']}: {row['error']}")
        if len(lost) > LOST:
            self.say(f"and {len(lost) - LOST} more that were lost: {folder / 'results.csv'}")
        for figure in figures:
            self.say(f"{figure}")
        self.say(f"run directory: {folder}")

    def _print_arms(self, rows: Sequence[Row], objective: str) -> None:
        fields = list(rows[0])[: list(rows[0]).index("seeds")]
        several = any(row["seeds"] > 1 for row in rows)
        names = [*fields, *(["seeds", "mean of " + objective, "95 %", ""] if several else [objective])]
        names += ["lost"] if any(row["lost"] for row in rows) else []
        cells = []
        for row in rows[:ARMS]:
            line = (
                [row[n] for n in fields] + ([_cell(row["seeds"])] if several else []) + [_cell(row["mean"])]
            )
            if several:
                interval = "–" if row["low"] is None else f"{_cell(row['low'])} to {_cell(row['high'])}"
                line += [interval, _remark(row, rows[0])]
            cells.append(line + ([str(row["lost"])] if "lost" in names else []))
        self._print_table(names, cells)
        if len(rows) > ARMS:
            self.say(f"and {len(rows) - ARMS} more, in results.csv")

    def _print_table(self, names: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
        table = Table()
        for name in names:
            table.add_column(name, justify="left" if name in ("status", "") else "right", overflow="fold")
        for line in cells:
            table.add_row(*(Text(str(cell)) for cell in line))
        self._console.print(table)


def _remark(row: Row, first: Row) -> str:
    if row is first:
        return "best"
    if row["mean"] is None:
        return ""
    remarks = {True: "not distinguishable from the best", False: "worse", None: "too few seeds to tell"}
    return remarks[row["tie"]]


class _Speed(ProgressColumn):
    """Steps a second of all trials together."""

    def render(self, task: Task) -> Text:
        speed = task.fields.get("speed")
        return Text(f"{speed:,.0f} steps/s" if speed else "", style="progress.data.speed")


def _range(name: str, values: np.ndarray) -> str:
    """`"eval/return 8.3"`, or the smallest and largest over trials: never an average of seeds."""
    values = values[~np.isnan(values)]
    if not len(values):
        return f"{name} –"
    low, high = f"{values.min():.4g}", f"{values.max():.4g}"
    return f"{name} {low}" if low == high else f"{name} {low}…{high}"


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
