"""How an arm depends on its tuning: what one gets after k tries, and how far apart the tries are.

A try is a configuration that tuning drew. One without a score is worth −∞ (∞ where smaller is better). One
that diverged has a score, where the setting says what that is worth. Does not import jax.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Spread(NamedTuple):
    """How far apart the tries of an arm are; quantiles are over all of them, those without a score included.

    Attributes:
        median: half of the tries are as good or worse; it is one of them, the worse of two in the middle.
        worse_quartile: a quarter of the tries are as good or worse.
        better_quartile: three quarters are.
        best: of all.
    """

    median: float
    worse_quartile: float
    better_quartile: float
    best: float


def spread(values: Sequence[float] | np.ndarray, *, larger_is_better: bool = True) -> Spread:
    """Quantiles of what tuning tried.

    Args:
        values: score of each try, `[n]`, n ≥ 1.
        larger_is_better: of scores.

    Raises:
        ValueError: if there are no values, or one is nan or infinitely good.
    """
    tries = _tries("spread", "values", values, larger_is_better)
    sign = 1 if larger_is_better else -1
    worse, median, better = (
        float(quantile_of_best(values, 1, q=q, larger_is_better=larger_is_better)) for q in (0.25, 0.5, 0.75)
    )
    return Spread(median, worse, better, float(sign * tries[-1]))


def expected_best(
    values: Sequence[float] | np.ndarray,
    k: int | Sequence[int] | np.ndarray | None = None,
    *,
    larger_is_better: bool = True,
) -> np.ndarray:
    """Expected best of k random tries (Dodge et al. 2019, "Show your work").

    Σ_i v_i ((i / n)^k − ((i − 1) / n)^k), v_1 the worst value and v_n the best: k draws with replacement. For
    k near n it is too low on average as an estimate for new tries (Tang et al. 2020). If a value is −∞ so is
    the expectation, for all k: put in its place what one would use instead (the accuracy of guessing), or
    take `quantile_of_best`.

    Args:
        values: score of each try, `[n]`, n ≥ 1.
        k: number of tries, `[...]`; None: 1 to n.
        larger_is_better: of scores.

    Returns:
        float64, of the shape of k.

    Raises:
        ValueError: if there are no values, one is nan or infinitely good, or k is no positive integer.
    """
    tries = _tries("expected_best", "values", values, larger_is_better)
    n = len(tries)
    powers = (np.arange(n + 1) / n) ** _counts("expected_best", k, n)[..., None]
    best = (tries * np.diff(powers)).sum(-1)
    return best if larger_is_better else -best


def quantile_of_best(
    values: Sequence[float] | np.ndarray,
    k: int | Sequence[int] | np.ndarray | None = None,
    *,
    q: float = 0.5,
    larger_is_better: bool = True,
) -> np.ndarray:
    """Quantile of the best of k random tries: the worst value v with F(v)^k ≥ q.

    F(v) is the share of values that are v or worse: draws are with replacement, as in `expected_best`. Some
    values may be −∞.

    Args:
        values: score of each try, `[n]`, n ≥ 1.
        k: number of tries, `[...]`; None: 1 to n.
        q: in (0, 1]; a small one is what one gets with bad luck.
        larger_is_better: of scores.

    Returns:
        float64, of the shape of k; each is one of the values.

    Raises:
        ValueError: if there are no values, one is nan or infinitely good, k is no positive integer, or q is
            out of its range.
    """
    tries = _tries("quantile_of_best", "values", values, larger_is_better)
    if not 0 < q <= 1:
        raise ValueError(f"quantile_of_best: expected q in (0, 1], got {q}.")
    share = q ** (1 / _counts("quantile_of_best", k, len(tries)))
    place = np.ceil(share * len(tries) - 1e-9).astype(int) - 1
    return tries[place] if larger_is_better else -tries[place]


def chance_of(
    values_first: Sequence[float] | np.ndarray,
    values_second: Sequence[float] | np.ndarray,
    k: int | Sequence[int] | np.ndarray,
    *,
    larger_is_better: bool = True,
) -> np.ndarray:
    """Probability that the best of k random tries of one arm beats the best of k of another, ties half.

    Exact for draws with replacement: with F(v) the share of an arm's values that are v or worse, its best of
    k is v or worse with probability F(v)^k.

    Args:
        values_first: score of each try of the first arm, `[n]`, n ≥ 1.
        values_second: of the second arm, `[m]`, m ≥ 1.
        k: number of tries, `[...]`.
        larger_is_better: of scores.

    Returns:
        float64, of the shape of k.

    Raises:
        ValueError: if there are no values, one is nan or infinitely good, or k is no positive integer.
    """
    first = _tries("chance_of", "values_first", values_first, larger_is_better)
    second = _tries("chance_of", "values_second", values_second, larger_is_better)
    k = _counts("chance_of", k, len(first))[..., None]
    values = np.union1d(first, second)

    def reached(tries):
        """Probability that the best is a value or worse, `[..., values + 1]`, 0 before the first."""
        below = np.searchsorted(tries, values, side="right")
        return (np.concatenate([[0], below]) / len(tries)) ** k

    ours, theirs = reached(first), reached(second)
    return (np.diff(ours) * (theirs[..., 1:] + theirs[..., :-1]) / 2).sum(-1)


def _tries(
    function: str, argument: str, values: Sequence[float] | np.ndarray, larger_is_better: bool
) -> np.ndarray:
    """Worst first, turned so that larger is better."""
    numbers = np.asarray(values, np.float64)
    if numbers.ndim != 1 or not len(numbers):
        raise ValueError(f"{function}: expected {argument} [n] with n > 0, got {numbers.shape}.")
    turned = numbers if larger_is_better else -numbers
    bad = np.flatnonzero(~(turned < np.inf))
    if len(bad):
        worst = "-inf" if larger_is_better else "inf"
        raise ValueError(
            f"{function}: expected {argument} to be numbers, {worst} for what diverged, "
            f"got {numbers[bad[0]]} at position {bad[0]}."
        )
    return np.sort(turned)


def _counts(function: str, k: int | Sequence[int] | np.ndarray | None, n: int) -> np.ndarray:
    counts = np.arange(1, n + 1) if k is None else np.asarray(k)
    if counts.dtype.kind not in "iu" or (counts < 1).any():
        raise ValueError(f"{function}: expected k to be positive integers, got {k!r}.")
    return counts
