"""What a study found, as plain values that a file keeps: all tables and figures are made of these."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

from mi203jax.core.results import Best
from mi203jax.study.statistics import Comparison, compare, holm


class ArmResult(NamedTuple):
    """What came of one arm."""

    name: str
    values: list[dict[str, Any]]  # what was drawn to tune it
    tuning: list[float | None]  # the score of each, on held-out data; None: nothing was measured
    chosen: dict[str, Any]  # the best of the values
    scores: list[float]  # of the fresh seeds, on test data
    diverged: int = 0  # of these
    unstable: float | None = None  # share of the runs that tuned it that diverged; None: not recorded

    @property
    def is_at_edge(self) -> bool:
        """Whether a better value may lie beyond those that were tried.

        So it is where the largest or the smallest number was chosen, and where all did alike, as where all
        diverged.
        """
        if len(set(self.tuning)) == 1:
            return True
        tried = {n: [v[n] for v in self.values] for n in self.chosen}
        numbers = {n: own for n, own in tried.items() if all(type(v) in (int, float) for v in own)}
        return any(self.chosen[n] in (min(own), max(own)) for n, own in numbers.items())


class Result(NamedTuple):
    """What came of one claim in one cell of a setting."""

    claim: str
    slide: str
    setting: str
    cell: str  # what tells it from the setting's other cells
    experiment: str
    metric: str
    best: Best
    budget: str
    first: ArmResult
    second: ArmResult
    looked_at: int = 1  # comparisons among which this one was picked by what it showed

    @property
    def comparison(self) -> Comparison:
        """How the arms compare on fresh seeds."""
        return _compare(
            tuple(self.first.scores), tuple(self.second.scores), self.best == "max", self.looked_at
        )


@functools.lru_cache(maxsize=4096)  # tables and figures ask again
def _compare(first: tuple[float, ...], second: tuple[float, ...], larger: bool, looked_at: int) -> Comparison:
    return compare(first, second, larger_is_better=larger, looked_at=looked_at)


def corrected(results: Sequence[Result]) -> list[float]:
    """P of each comparison, corrected for the number of all (Holm); of those of a search by its own level."""
    fixed = [r for r in results if r.looked_at == 1]
    p = dict(zip(map(id, fixed), holm([r.comparison.p for r in fixed]), strict=True))
    return [float(p.get(id(r), min(1.0, r.comparison.p * r.looked_at))) for r in results]


class Looked(NamedTuple):
    """A cell that was looked at in search of counter-examples."""

    claim: str
    setting: str
    cell: str
    advantage: float  # of the first arm's choice on held-out data


def to_json(result: Result) -> dict[str, Any]:
    """As JSON takes it."""
    return result._asdict() | {n: getattr(result, n)._asdict() for n in ("first", "second")}


def from_json(found: dict[str, Any]) -> Result:
    """What `to_json` gave."""
    return Result(**(found | {n: ArmResult(**found[n]) for n in ("first", "second")}))
