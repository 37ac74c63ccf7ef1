"""How two arms compare over seeds: interval, effect size, verdict.

Seed k is the same in both arms, so what counts is the difference of each pair. Does not import jax.
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

Verdict = Literal["holds", "reversed", "not distinguishable"]

_IN_TAIL = 50  # resamples beyond each end of an interval, at least: the end's level is then known to 14 %
_MOST_RESAMPLES = 10_000_000
_AT_ONCE = 10_000  # resamples: a bound to memory
_TIE = 1e-6  # of the standard deviation: differences of float32 scores that are equal differ by less


class Comparison(NamedTuple):
    """How the first arm compares with the second.

    Attributes:
        difference: mean over seeds, positive where the first arm is better.
        low: end of the interval of `difference`; −∞ where resamples set no limit.
        high: as `low`; ∞ where they set none.
        level: of the interval, after the correction for `looked_at`.
        effect: `effect_size`.
        wins: `share_of_wins`.
        p: two-sided, of no difference, by the resamples of the interval and before any correction: what
            `holm` takes. Unlike a t test's it agrees with the interval: where that leaves 0 out, p is at most
            1 − level, and elsewhere above.
        n: seeds.
        verdict: whether "the first arm is better" holds.
    """

    difference: float
    low: float
    high: float
    level: float
    effect: float
    wins: float
    p: float
    n: int
    verdict: Verdict


def compare(
    first: Sequence[float] | np.ndarray,
    second: Sequence[float] | np.ndarray,
    *,
    larger_is_better: bool = True,
    level: float = 0.95,
    looked_at: int = 1,
) -> Comparison:
    """Whether the first arm is better than the second, by paired scores.

    A comparison that was picked out of `looked_at` by what they showed gets an interval of level
    1 − (1 − level) / looked_at (Bonferroni): the intervals of all would hold at once with probability `level`
    or more, however they depend on each other, so that of the picked one does.

    Args:
        first: scores of the first arm, `[n]`, finite, a seed each.
        second: scores of the second arm, `[n]`, of the same seeds in the same order.
        larger_is_better: of scores.
        level: of the interval, in (0, 1).
        looked_at: how many comparisons were looked at before this one was picked.

    Raises:
        ValueError: if there are fewer than two pairs, scores are not finite or not as many in both arms, or a
            number is out of its range.
    """
    a, b = _numbers("compare", "first", first), _numbers("compare", "second", second)
    if len(a) != len(b):
        raise ValueError(
            f"compare: expected as many scores of both arms, got {len(a)} and {len(b)}: leave seeds out that "
            "are missing in one."
        )
    if not isinstance(looked_at, int) or isinstance(looked_at, bool) or looked_at < 1:
        raise ValueError(f"compare: expected looked_at to be a positive int, got {looked_at!r}.")
    _check_level("compare", level)
    level = 1 - (1 - level) / looked_at
    differences = a - b if larger_is_better else b - a
    count = _enough_resamples("compare", level, 9999)
    low, high, p = (float(v) for v in _bootstrap_t(differences, level, count, seed=0))
    return Comparison(
        float(_moments(differences)[0]),
        low,
        high,
        level,
        effect_size(differences),
        share_of_wins(differences),
        p,
        len(differences),
        verdict(low, high),
    )


def paired_interval(
    differences: Sequence[float] | np.ndarray, level: float = 0.95, resamples: int = 9999, seed: int = 0
) -> tuple[float, float]:
    """Bootstrap interval of the mean difference: bootstrap-t (Efron and Tibshirani 1993, section 12.5).

    With t* = √n (mean* − mean) / sd* of a resample, it is mean − sd/√n · (a high, a low quantile of t*).

    How often it held, in percent of 1,000 simulations (`python -m benchmarks.coverage`), of n = 6 and 12 at
    95 %, and of n = 20 at 99.96 %, the level of one that was picked out of 126: of normal differences 95, 95
    and 99.9, of accuracies on 1,000 examples 95, 95 and 99.8, of exponential ones 93, 95 and 100.0, of
    Student's t with 3 degrees 94, 93 and 100.0, of lognormal ones 89, 92 and 99.6. Percentile, basic and BCa
    intervals of n = 12 held in 80 to 92, and Student's in 85 to 95. Where one run in ten fails wholly it held
    in 47, 71 and 87, and no other of n = 12 in more than 72: often no failure is among the seeds, and nothing
    tells of it.

    Where all differences but a few are equal, or there are fewer than 5 or so, resamples without variance are
    frequent: their t* is infinite, and so may be an end of the interval. Where all are equal it is a point,
    which of few seeds, or of coarse scores, says more than is known.

    Args:
        differences: `[n]`, finite, a seed each.
        level: in (0, 1).
        resamples: at least. More are drawn where fewer than 50 would be beyond an end: 48,000 for a level of
            1 − 0.05 / 24.
        seed: of the resamples; the same one gives the same bits.

    Returns:
        (low, high), around the mean; both are the difference itself where all are equal.

    Raises:
        ValueError: if there are fewer than two differences, one is not finite, or a number is out of its
            range.
    """
    values = _numbers("paired_interval", "differences", differences)
    count = _enough_resamples("paired_interval", level, resamples)
    low, high, _ = _bootstrap_t(values, level, count, seed)
    return float(low), float(high)


def effect_size(differences: Sequence[float] | np.ndarray) -> float:
    """Mean / standard deviation (divisor n − 1) of paired differences: Cohen's d_z (Cohen 1988; Lakens 2013).

    Of few seeds it is too large on average, by a factor of about 1 + 3 / (4n − 8): 1.09 for ten.

    Args:
        differences: `[n]`, finite, a seed each.

    Returns:
        0 if all differences are 0; ±∞ if all are equal otherwise.

    Raises:
        ValueError: if there are fewer than two differences, or one is not finite.
    """
    return float(_over(*_moments(_numbers("effect_size", "differences", differences))))


def share_of_wins(differences: Sequence[float] | np.ndarray) -> float:
    """Share of seeds in which the first arm is better, ties counting half: probability of superiority.

    (Grissom 1994; ties as in Vargha and Delaney 2000; pairs of seeds as in Bouthillier et al. 2021.)

    Args:
        differences: `[n]`, finite, positive where the first arm is better.

    Raises:
        ValueError: if there are fewer than two differences, or one is not finite.
    """
    values = _numbers("share_of_wins", "differences", differences)
    return float(np.mean((np.sign(values) + 1) / 2))


def verdict(low: float, high: float) -> Verdict:
    """Whether "first arm > second" holds, by an interval of the difference.

    An interval that holds 0, or ends there, cannot tell.

    Raises:
        ValueError: if it is no interval.
    """
    if not low <= high:
        raise ValueError(f"verdict: expected low <= high, got {low} and {high}.")
    return "holds" if low > 0 else "reversed" if high < 0 else "not distinguishable"


def holm(p_values: Sequence[float] | np.ndarray) -> np.ndarray:
    """P values corrected for their number, step by step (Holm 1979).

    Rejecting where the corrected one is at most α makes any false rejection with probability α or less,
    however they depend on each other. The i-th smallest of m becomes the maximum over j ≤ i of
    min(1, (m − j + 1) p_j).

    Args:
        p_values: `[m]`, in [0, 1].

    Returns:
        float64, `[m]`, in the order of `p_values`.

    Raises:
        ValueError: if a p value is not in [0, 1].
    """
    p = np.asarray(p_values, np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"holm: expected p_values [m] in [0, 1], got {p.tolist()}.")
    order = np.argsort(p)
    corrected = np.empty_like(p)
    corrected[order] = np.maximum.accumulate(np.minimum(1, np.arange(len(p), 0, -1) * p[order]))
    return corrected


def _bootstrap_t(
    differences: np.ndarray, level: float, resamples: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(low, high, p), each `[...]`, of differences `[..., n]`, which share what is drawn.

    The ends are the j-th smallest and largest of t*, j = ⌊(resamples + 1) (1 − level) / 2⌋, and p counts the
    sample among its resamples (Davison and Hinkley 1997, chapters 4 and 5): so both agree about 0.
    """
    mean, deviation = _moments(differences)
    error = deviation / math.sqrt(differences.shape[-1])
    t = np.sort(_resampled_t(differences, resamples, seed), axis=-1)
    beyond = math.floor((resamples + 1) * (1 - level) / 2 + 1e-9)
    low, high = mean - error * t[..., -beyond], mean - error * t[..., beyond - 1]
    own = _over(mean, error)[..., None]
    rarer = np.minimum((t >= own).sum(-1), (t <= own).sum(-1))
    return low, high, np.minimum(1, 2 * (1 + rarer) / (resamples + 1))


def _resampled_t(differences: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """√n (mean* − mean) / sd* of resamples, `[..., resamples]`; ±∞ where sd* is 0."""
    from scipy import stats  # takes its time

    def moments(x, axis):
        return np.stack([x.mean(axis), x.std(axis, ddof=1)])

    found = stats.bootstrap(
        (differences,),
        moments,
        n_resamples=resamples,
        batch=_AT_ONCE,
        vectorized=True,
        axis=-1,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    mean, deviation = _moments(differences)
    means, deviations = found.bootstrap_distribution
    tiny = np.maximum(_TIE * deviation, _rounding(differences))[..., None]
    away = means - mean[..., None]
    # Rounding makes equal numbers differ a little, and little / little could be anything.
    t = _over(np.where(np.abs(away) > tiny, away, 0), np.where(deviations > tiny, deviations, 0))
    return t * math.sqrt(differences.shape[-1])


def _moments(differences: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation over the last axis; where all are equal, exactly these and 0."""
    equal = np.ptp(differences, axis=-1) <= _rounding(differences)
    mean = np.where(equal, differences[..., 0], differences.mean(-1))
    return mean, np.where(equal, 0, differences.std(-1, ddof=1))


def _rounding(differences: np.ndarray) -> np.ndarray:
    return 1e-12 * np.abs(differences).max(-1)


def _over(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Ratios x / y; where y is 0: 0 of 0, ±∞ of others."""
    infinite = np.where(x == 0, 0, np.copysign(np.inf, x))
    return np.where(y == 0, infinite, x / np.where(y == 0, 1, y))


def _enough_resamples(function: str, level: float, resamples: int) -> int:
    _check_level(function, level)
    if not isinstance(resamples, int) or isinstance(resamples, bool) or resamples < 1:
        raise ValueError(f"{function}: expected resamples to be a positive int, got {resamples!r}.")
    # A bit less, since 1 − level is rounded.
    needed = math.ceil(2 * _IN_TAIL / (1 - level) - 1e-6) - 1
    if needed > _MOST_RESAMPLES:
        most = 1 - 2 * _IN_TAIL / _MOST_RESAMPLES
        raise ValueError(
            f"{function}: expected a level of at most {most}, got {level}, which takes {needed:,} resamples: "
            "look at fewer comparisons."
        )
    return max(resamples, needed)


def _check_level(function: str, level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"{function}: expected a level in (0, 1), as 0.95 for 95 %, got {level}.")


def _numbers(function: str, argument: str, values: Sequence[float] | np.ndarray) -> np.ndarray:
    numbers = np.asarray(values, np.float64)
    if numbers.ndim != 1:
        raise ValueError(f"{function}: expected {argument} of shape [n], got {numbers.shape}.")
    if len(numbers) < 2:
        raise ValueError(
            f"{function}: expected {argument} of two seeds or more, got {len(numbers)}: run more seeds."
        )
    if not np.isfinite(numbers).all():
        bad = int(np.flatnonzero(~np.isfinite(numbers))[0])
        raise ValueError(
            f"{function}: expected finite {argument}, got {numbers[bad]} at position {bad}: give a run that "
            "diverged the score that it is worth."
        )
    return numbers
