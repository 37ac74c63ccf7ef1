"""Comparisons of two arms: against scipy, R's published example, enumeration, and coverage by simulation."""

import itertools

import numpy as np
import pytest
from scipy import stats

from mi203jax.study.statistics import (
    _bootstrap_t,
    _enough_resamples,
    compare,
    effect_size,
    holm,
    paired_interval,
    share_of_wins,
    verdict,
)

pytestmark = pytest.mark.filterwarnings("error")

RNG = np.random.default_rng(0)
FIRST, SECOND = RNG.normal(0.9, 0.03, 12), RNG.normal(0.88, 0.02, 12)
DIFFERENCES = FIRST - SECOND


def resampled_t(differences, resamples):
    """t of resamples by scipy's t test, each against the mean of the sample; sorted."""

    def t(x, axis):
        return stats.ttest_1samp(x, differences.mean(), axis=axis).statistic

    rng = np.random.default_rng(0)
    found = stats.bootstrap((differences,), t, n_resamples=resamples, method="percentile", rng=rng)
    return np.sort(found.bootstrap_distribution)


class TestInterval:
    def test_is_of_t_of_resamples(self):
        t, error = resampled_t(DIFFERENCES, 9999), stats.sem(DIFFERENCES)
        # 250 of 9,999 are at or beyond each end of 95 %.
        expected = DIFFERENCES.mean() - error * t[[-250, 249]]
        np.testing.assert_allclose(paired_interval(DIFFERENCES), expected, rtol=1e-9)

    @pytest.mark.parametrize(("n", "level"), [(6, 0.95), (20, 1 - 0.05 / 5)])
    def test_holds_as_often_of_few_seeds_and_at_a_corrected_level(self, n, level):
        """Of normal differences, within 3 standard deviations of a binomial."""
        number = 400
        samples = np.random.default_rng(0).standard_normal((number, n))
        count = _enough_resamples("f", level, 1999)
        parts = [_bootstrap_t(part, level, count, seed) for seed, part in enumerate(np.split(samples, 20))]
        low, high, _ = (np.concatenate(x) for x in zip(*parts, strict=True))
        margin = 3 * (level * (1 - level) / number) ** 0.5
        assert np.mean((low <= 0) & (high >= 0)) == pytest.approx(level, abs=margin)

    @pytest.mark.parametrize("kind", ["normal", "exponential"])
    def test_holds_as_often_as_it_says(self, kind):
        """At n = 10, within 3 standard deviations of a binomial; for others see benchmarks/coverage.py."""
        number, mean = 1000, {"normal": 0, "exponential": 1}[kind]
        samples = getattr(np.random.default_rng(0), f"standard_{kind}")((number, 10))
        parts = [_bootstrap_t(part, 0.95, 1999, seed) for seed, part in enumerate(np.split(samples, 20))]
        low, high, p = (np.concatenate(x) for x in zip(*parts, strict=True))
        expected = {"normal": 0.95, "exponential": 0.94}[kind]
        margin = 3 * (expected * (1 - expected) / number) ** 0.5
        assert np.mean((low <= mean) & (mean <= high)) == pytest.approx(expected, abs=margin)
        if kind == "normal":
            assert np.mean(p <= 0.1) == pytest.approx(0.1, abs=3 * (0.09 / number) ** 0.5)
            np.testing.assert_array_equal(p <= 1 - 0.95, (low > 0) | (high < 0))
        else:
            student = stats.ttest_1samp(samples, mean, axis=1).pvalue >= 0.05
            assert student.mean() < expected - margin

    def test_is_the_same_each_time(self):
        assert paired_interval(DIFFERENCES) == paired_interval(list(DIFFERENCES))
        other = paired_interval(DIFFERENCES, seed=1)
        assert other != paired_interval(DIFFERENCES)
        np.testing.assert_allclose(other, paired_interval(DIFFERENCES), atol=0.1 * np.ptp(other))

    def test_turns_moves_and_grows_with_the_differences(self):
        low, high = paired_interval(DIFFERENCES)
        assert paired_interval(-DIFFERENCES) == (-high, -low)
        np.testing.assert_allclose(paired_interval(1e6 * DIFFERENCES), (1e6 * low, 1e6 * high))
        np.testing.assert_allclose(paired_interval(DIFFERENCES + 7), (low + 7, high + 7))

    def test_draws_more_where_the_level_asks_for_it(self):
        level = 1 - 0.05 / 24
        assert _enough_resamples("f", 0.95, 9999) == 9999
        assert _enough_resamples("f", 0.95, 10) == 1999
        assert _enough_resamples("f", level, 9999) == 47_999
        low, high = paired_interval(DIFFERENCES, level)
        assert low < paired_interval(DIFFERENCES)[0] < paired_interval(DIFFERENCES)[1] < high
        t = np.sort(resampled_t(DIFFERENCES, 200_000))  # others than are drawn in slices
        expected = DIFFERENCES.mean() - stats.sem(DIFFERENCES) * np.quantile(t, [1 - 0.025 / 24, 0.025 / 24])
        np.testing.assert_allclose((low, high), expected, atol=0.1 * np.ptp(expected))

    def test_of_equal_differences_is_these(self):
        assert paired_interval([0.1] * 3) == (0.1, 0.1)
        assert paired_interval([-0.1] * 7) == (-0.1, -0.1)
        assert paired_interval([0.0, 0.0]) == (0.0, 0.0)
        assert 0.3 - 0.2 != 0.1
        assert paired_interval([0.3 - 0.2, 0.1, 0.1] * 3) == (0.3 - 0.2, 0.3 - 0.2)

    def test_has_no_end_where_resamples_show_none(self):
        """Of ten, nine equal: a third of the resamples have no variance, and all lie below the mean."""
        low, high = paired_interval([0.0] * 9 + [0.5])
        assert high == np.inf
        assert -0.05 < low < 0
        assert paired_interval([0.3 - 0.2, 0.1, 0.1] * 3 + [0.5])[1] == np.inf
        of_float32 = np.float32([0.26, 0.51, 0.91] * 3 + [0.9]) - np.float32([0.25, 0.5, 0.9] * 3 + [0.4])
        assert len(set(of_float32.tolist())) > 2
        assert paired_interval(of_float32)[1] == np.inf
        assert paired_interval([1.0, 2.0]) == (-np.inf, np.inf)

    def test_refuses(self):
        with pytest.raises(ValueError, match=r"differences of two seeds or more, got 1: run more seeds"):
            paired_interval([1.0])
        with pytest.raises(ValueError, match=r"level in \(0, 1\).*got 95"):
            paired_interval(DIFFERENCES, 95)
        with pytest.raises(ValueError, match=r"level of at most 0.99999, got 0.999999"):
            paired_interval(DIFFERENCES, 0.999999)
        with pytest.raises(ValueError, match="resamples to be a positive int, got 0"):
            paired_interval(DIFFERENCES, resamples=0)
        with pytest.raises(ValueError, match="finite differences, got inf at position 1"):
            paired_interval([1.0, np.inf])
        with pytest.raises(ValueError, match=r"shape \[n\], got \(1, 12\)"):
            paired_interval(DIFFERENCES[None])


class TestP:
    def test_is_that_of_all_resamples(self):
        """Of four differences there are 256, equally probable."""
        x = np.array([0.3, 1.0, 1.9, 2.1])
        resamples = np.array(list(itertools.product(x, repeat=4)))
        resamples = resamples[np.ptp(resamples, axis=1) > 0]  # the others' t is infinite
        t = stats.ttest_1samp(resamples, x.mean(), axis=1).statistic
        own = stats.ttest_1samp(x, 0).statistic
        above = (np.sum(t >= own) + np.sum(x > x.mean())) / 256
        p = compare(x, np.zeros(4)).p
        assert 0.05 < above < 0.2
        assert p == pytest.approx(2 * above, abs=2 * 3 * (above * (1 - above) / 9999) ** 0.5)

    def test_is_near_the_t_test_of_many_normal_seeds(self):
        rng = np.random.default_rng(1)
        for shift in (0.0, 0.1, 0.2):
            a, b = rng.normal(shift, 1, 300), rng.normal(size=300)
            assert compare(a, b).p == pytest.approx(stats.ttest_rel(a, b).pvalue, abs=0.03)


def test_effect_size():
    t = stats.ttest_rel(FIRST, SECOND).statistic
    assert effect_size(DIFFERENCES) == pytest.approx(t / 12**0.5, rel=1e-12)
    assert [effect_size([d] * 3) for d in (0.1, 0.0, -0.1)] == [np.inf, 0, -np.inf]


def test_share_of_wins():
    assert share_of_wins([1.0, 0.0, -1.0, 2.0]) == 0.625
    assert share_of_wins([-1.0, -2.0]) == 0
    wins = stats.binomtest(int((FIRST > SECOND).sum()), 12).statistic
    assert share_of_wins(DIFFERENCES) == pytest.approx(wins)


def test_verdict():
    assert verdict(0.1, np.inf) == "holds"
    assert verdict(-0.2, -0.1) == "reversed"
    for low, high in ((-1, 1), (0, 1), (-1, 0), (0, 0), (-np.inf, np.inf)):
        assert verdict(low, high) == "not distinguishable"
    for low, high in ((1, 0), (np.nan, 1)):
        with pytest.raises(ValueError, match="low <= high, got"):
            verdict(low, high)


class TestCompare:
    def test_is_of_its_parts(self):
        found = compare(list(FIRST), list(SECOND), level=0.9)
        assert (found.low, found.high) == paired_interval(DIFFERENCES, 0.9)
        assert found.difference == pytest.approx(FIRST.mean() - SECOND.mean())
        assert (found.effect, found.wins) == (effect_size(DIFFERENCES), share_of_wins(DIFFERENCES))
        assert (found.n, found.level, found.verdict) == (12, 0.9, verdict(found.low, found.high))

    def test_swapped_arms_turn_everything(self):
        found, swapped = compare(FIRST + 1, SECOND), compare(SECOND, FIRST + 1)
        for name in ("difference", "effect"):
            assert getattr(swapped, name) == -getattr(found, name)
        assert (swapped.low, swapped.high) == (-found.high, -found.low)
        assert swapped.wins == pytest.approx(1 - found.wins)
        assert (found.verdict, swapped.verdict) == ("holds", "reversed")
        assert swapped.p == found.p < 0.05
        assert compare(FIRST + 1, SECOND, larger_is_better=False) == swapped

    def test_looks_cost(self):
        once, often = (compare(FIRST, SECOND + 0.02, looked_at=k) for k in (1, 24))
        assert often.level == pytest.approx(1 - 0.05 / 24)
        assert (often.low, often.high) == paired_interval(FIRST - (SECOND + 0.02), 1 - 0.05 / 24)
        assert often.low < once.low < once.difference == often.difference < once.high < often.high

    def test_of_equal_arms(self):
        found = compare(FIRST, FIRST)
        assert found[:3] == (0, 0, 0)
        assert (found.effect, found.wins, found.p, found.verdict) == (0, 0.5, 1, "not distinguishable")
        found = compare(np.ones(10), np.zeros(10))
        assert (*found[:3], found.effect, found.verdict) == (1, 1, 1, np.inf, "holds")
        assert found.p == 2 / 10_000

    def test_refuses(self):
        with pytest.raises(ValueError, match="as many scores of both arms, got 12 and 11"):
            compare(FIRST, SECOND[:-1])
        with pytest.raises(ValueError, match="finite second, got nan at position 2"):
            compare([1, 2, 3], [1, 2, np.nan])
        with pytest.raises(ValueError, match="first of two seeds or more, got 1"):
            compare([1], [2])
        for looked_at in (0, 1.5, True):
            with pytest.raises(ValueError, match=f"looked_at to be a positive int, got {looked_at}"):
                compare(FIRST, SECOND, looked_at=looked_at)
        for level in (0, 1, np.nan):
            with pytest.raises(ValueError, match=rf"level in \(0, 1\), as 0.95 for 95 %, got {level}"):
                compare(FIRST, SECOND, level=level)


class TestHolm:
    def test_equals_r(self):
        """`pairwise.t.test(airquality$Ozone, airquality$Month)` of R's help, by "bonf" and by "holm".

        Ten p values, of which both corrections make four 1.
        """
        bonferroni = [0.00029, 0.00019, 0.10225, 0.08312, 0.00697, 0.00485]
        expected = [0.00026, 0.00019, 0.05113, 0.04987, 0.00488, 0.00388]
        found = holm([*np.array(bonferroni) / 10, 1, 1, 1, 1])
        np.testing.assert_allclose(found, [*expected, 1, 1, 1, 1], atol=1e-5)

    def test_equals_closed_testing(self):
        """A hypothesis is rejected if every intersection that it is in is, each by Bonferroni."""
        rng = np.random.default_rng(0)
        for p in (rng.random(5) ** 3, rng.random(5) / 20, np.round(rng.random(5), 1), np.full(4, 0.02)):
            places = range(len(p))
            subsets = [s for r in places for s in itertools.combinations(places, r + 1)]
            expected = [max(min(1, len(s) * p[list(s)].min()) for s in subsets if i in s) for i in places]
            np.testing.assert_allclose(holm(p), expected, rtol=1e-12)

    def test_of_few(self):
        assert holm([0.03]).tolist() == [0.03]
        assert holm([]).shape == (0,)
        for wrong in ([0.1, 1.1], [-0.1], [np.nan], [[0.1]]):
            with pytest.raises(ValueError, match=r"p_values \[m\] in \[0, 1\], got"):
                holm(wrong)
