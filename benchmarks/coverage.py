"""How often intervals of a mean hold it, by simulation: why `paired_interval` is a bootstrap-t.

    python -m benchmarks.coverage [--number=1000] [--quick]

In percent of samples of n differences, at 95 % beside other methods, and at the level of one comparison that
was picked out of 126. Such a table is itself uncertain: of 1,000 samples, 95 % by ±1.4 in 19 of 20 cases.
"""

import argparse
from collections.abc import Callable

import numpy as np
from scipy import stats

from benchmarks.measure import machine, table
from mi203jax.study.statistics import _bootstrap_t, _enough_resamples

Sampler = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]

PICKED = 1 - 0.05 / 126
RESAMPLES = 9_999
AT_ONCE = 20
"""Samples that share what is drawn."""


def accuracies(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Differences of two accuracies on 1,000 examples."""
    return (rng.binomial(1_000, 0.95, size) - rng.binomial(1_000, 0.93, size)) / 1_000


def failures(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Normal differences; one in ten runs fails wholly, and loses by 0.85."""
    return np.where(rng.random(size) < 0.1, -0.85, rng.normal(0.02, 0.01, size))


DIFFERENCES: dict[str, tuple[Sampler, float]] = {
    "normal": (lambda rng, size: rng.normal(size=size), 0.0),
    "accuracies on 1,000 examples": (accuracies, 0.02),
    "exponential": (lambda rng, size: rng.exponential(size=size), 1.0),
    "Student's t, 3 degrees": (lambda rng, size: rng.standard_t(3, size), 0.0),
    "lognormal": (lambda rng, size: rng.lognormal(size=size), float(np.exp(0.5))),
    "one in ten fails": (failures, 0.9 * 0.02 - 0.1 * 0.85),
}
"""How differences are drawn, and their mean."""

OTHERS = ("percentile", "basic", "BCa")


def held(differences: np.ndarray, level: float) -> np.ndarray:
    """Whether the bootstrap-t interval of each sample holds 0, `[m]`.

    Many resamples are drawn only where an interval of 95 % leaves 0 out: a wider one holds what it holds.

    Args:
        differences: `[m, n]`, their mean subtracted.
        level: of the interval.
    """
    found = []
    for seed, part in enumerate(np.array_split(differences, -(-len(differences) // AT_ONCE))):
        inside = _holds(part, min(level, 0.95), seed)
        outside = np.flatnonzero(~inside)
        if level > 0.95 and len(outside):
            inside[outside] = _holds(part[outside], level, seed)
        found.append(inside)
    return np.concatenate(found)


def _holds(differences: np.ndarray, level: float, seed: int) -> np.ndarray:
    resamples = _enough_resamples("coverage", level, RESAMPLES)
    low, high, _ = _bootstrap_t(differences, level, resamples, seed)
    return (low <= 0) & (high >= 0)


def students(differences: np.ndarray) -> np.ndarray:
    """Whether Student's interval of 95 % holds 0, `[m]`."""
    return stats.ttest_1samp(differences, 0, axis=1).pvalue >= 0.05


def by_scipy(differences: np.ndarray, method: str) -> np.ndarray:
    """Whether scipy's bootstrap interval of 95 % holds 0, `[m]`; one that is nan holds nothing."""
    found = []
    for seed, part in enumerate(np.array_split(differences, -(-len(differences) // AT_ONCE))):
        rng = np.random.default_rng(seed)
        interval = stats.bootstrap(
            (part,), np.mean, n_resamples=RESAMPLES, axis=-1, method=method, vectorized=True, rng=rng
        ).confidence_interval
        found.append((interval.low <= 0) & (interval.high >= 0))
    return np.concatenate(found)


def row(name: str, number: int) -> dict[str, str]:
    """How often each interval of such differences holds their mean."""
    draw, mean = DIFFERENCES[name]
    samples = {n: draw(np.random.default_rng(n), (number, n)) - mean for n in (6, 12, 20)}
    shares = {f"n = {n}": held(samples[n], 0.95) for n in (6, 12)}
    shares |= {"n = 12, Student's": students(samples[12])}
    shares |= {f"n = 12, {method}": by_scipy(samples[12], method) for method in OTHERS}
    shares |= {f"n = 20, {100 * PICKED:.2f} %": held(samples[20], PICKED)}
    digits = {label: 1 + ("n = 20" in label) for label in shares}
    return {"differences": name} | {n: f"{100 * s.mean():.{digits[n]}f}" for n, s in shares.items()}


def main() -> None:
    """Simulates and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--number", type=int, default=1_000, help="samples of each kind")
    parser.add_argument("--quick", action="store_true", help="a tenth of them")
    asked = parser.parse_args()
    number = asked.number // 10 if asked.quick else asked.number
    print(machine())
    print(table([row(name, number) for name in DIFFERENCES]))


if __name__ == "__main__":
    main()
