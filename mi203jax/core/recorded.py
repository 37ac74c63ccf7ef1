"""What tables and figures need of what a run recorded: it stays small, however much that was.

Does not import jax.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

Record = dict[str, Any]
"""A line of `metrics.jsonl`: trial, step, seconds, and metrics by name (None: not finite)."""

Best = Literal["max", "min"]

POINTS = 200_000
"""Of the curves of one metric, all trials together; beyond, every second one is left out, and so on."""


class Curves:
    """The values of one metric, by trial and step."""

    def __init__(self) -> None:
        self._points: dict[int, dict[int, float]] = {}
        self._last: dict[int, tuple[int, float]] = {}
        self._seen: dict[int, int] = {}
        self._every, self._size = 1, 0

    def add(self, trial: int, step: int, value: float) -> None:
        """A value that comes after those of the trial that are there."""
        seen = self._seen.get(trial, 0)
        self._seen[trial], self._last[trial] = seen + 1, (step, value)
        if seen % self._every:
            return
        self._points.setdefault(trial, {})[step] = value
        self._size += 1
        if self._size > POINTS:
            self._points = {i: dict([*own.items()][::2]) for i, own in self._points.items()}
            self._every, self._size = 2 * self._every, sum(map(len, self._points.values()))

    def of(self, trial: int) -> dict[int, float]:
        """Step -> value, the last one always among them."""
        return self._points.get(trial, {}) | dict([self._last[trial]] if trial in self._last else [])

    @property
    def values(self) -> list[float]:
        """All values that are there."""
        return [value for trial in self._points for value in self.of(trial).values()]


class Recorded:
    """Lines of `metrics.jsonl`, taken in as they come.

    Attributes:
        last: trial -> its last line.
        best: trial -> the best value of the objective; none where there was no value.
        names: the metrics that were recorded.
        curves: metric -> its values, of the objective and of the others that were asked for.
    """

    def __init__(self, objective: str, best: Best, curves: Sequence[str] = ()):
        """`best`: whether a larger or a smaller objective is better."""
        self.objective = objective
        self._better = max if best == "max" else min
        self.last: dict[int, Record] = {}
        self.best: dict[int, float] = {}
        self.names: set[str] = set()
        self.curves = {name: Curves() for name in (objective, *curves)}

    def add(self, records: Iterable[Record]) -> "Recorded":
        """Takes lines in, in their order within each trial; gives itself."""
        for record in records:
            trial = record["trial"]
            self.last[trial] = record
            self.names.update(name for name in record if "/" in name)
            for name, curves in self.curves.items():
                if (value := record.get(name)) is not None:
                    curves.add(trial, record["step"], value)
            if (value := record.get(self.objective)) is not None:
                self.best[trial] = self._better(self.best.get(trial, value), value)
        return self
