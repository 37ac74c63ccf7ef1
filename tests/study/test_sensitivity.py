"""What k tries give: against enumeration of all draws, closed forms, scipy, numpy and simulation."""

import itertools

import numpy as np
import pytest
from scipy import stats

from mi203jax.study.sensitivity import chance_of, expected_best, quantile_of_best, spread

pytestmark = pytest.mark.filterwarnings("error")

TIED = [0.5, 0.9, 0.5, 0.7]
OTHER = [0.7, 0.2, 0.9]


def best_of_all_draws(values, k):
    return np.max(list(itertools.product(values, repeat=k)), axis=1)


class TestExpectedBest:
    def test_equals_the_mean_over_all_draws(self):
        found = expected_best(TIED, [1, 2, 3, 5])
        expected = [best_of_all_draws(TIED, k).mean() for k in (1, 2, 3, 5)]
        np.testing.assert_allclose(found, expected, rtol=1e-12)

    def test_of_a_grid(self):
        """Of 1 to n the best of two is (n + 1) (4n − 1) / (6n)."""
        values = np.random.default_rng(0).permutation(30) + 1
        found = expected_best(values)
        assert found.shape == (30,)
        np.testing.assert_allclose(found[:2], [15.5, 31 * 119 / 180], rtol=1e-12)
        assert (np.diff(found) > 0).all()
        assert expected_best(values, 100_000) == pytest.approx(30)
        assert expected_best(values, 7).shape == ()

    def test_smaller_is_better(self):
        found = expected_best(np.negative(TIED), larger_is_better=False)
        np.testing.assert_array_equal(found, -expected_best(TIED))
        assert expected_best([3.0, 1.0], 1, larger_is_better=False) == 2

    def test_of_what_diverged(self):
        assert (expected_best([*TIED, -np.inf]) == -np.inf).all()
        assert (expected_best([1.0, np.inf], larger_is_better=False) == np.inf).all()


class TestQuantileOfBest:
    @pytest.mark.parametrize("q", [0.1, 0.5, 0.75, 1.0])
    def test_equals_that_of_all_draws(self, q):
        values = [-np.inf, *TIED]
        bests = [np.sort(best_of_all_draws(values, k)) for k in (1, 2, 4)]
        expected = [b[int(np.ceil(q * len(b) - 1e-9)) - 1] for b in bests]
        np.testing.assert_array_equal(quantile_of_best(values, [1, 2, 4], q=q), expected)

    def test_smaller_is_better(self):
        found = quantile_of_best([np.inf, 3.0, 1.0], larger_is_better=False)
        assert found.tolist() == [3, 1, 1]  # with probability 1/3, 5/9, 19/27 the best is 1

    def test_reaches_q_despite_rounding(self):
        for i, k in itertools.product(range(1, 31), (1, 2, 3, 8)):
            assert quantile_of_best(np.arange(1, 31), k, q=(i / 30) ** k) == i

    def test_refuses(self):
        for q in (0, 1.1, np.nan):
            with pytest.raises(ValueError, match=rf"q in \(0, 1\], got {q}"):
                quantile_of_best(TIED, q=q)


class TestSpread:
    def test_equals_numpy(self):
        for n in (1, 2, 7, 32):
            values = np.random.default_rng(n).normal(size=n)
            found = spread(values)
            expected = np.quantile(values, [0.5, 0.25, 0.75, 1], method="inverted_cdf")
            np.testing.assert_array_equal(found, expected)
            np.testing.assert_array_equal(spread(-values, larger_is_better=False), -expected)

    def test_counts_what_has_no_score_as_worst(self):
        assert spread([3.0, -np.inf, 1.0, 2.0, -np.inf]) == (1, -np.inf, 2, 3)
        assert spread([np.inf, 1.0, 2.0, 3.0], larger_is_better=False) == (3, np.inf, 2, 1)
        assert spread([-np.inf]) == (-np.inf, -np.inf, -np.inf, -np.inf)


class TestChance:
    @pytest.mark.parametrize("k", [1, 2, 3])
    def test_equals_counting_all_draws(self, k):
        for first, second in ((TIED, OTHER), ([*TIED, -np.inf], [-np.inf, 0.5])):
            a, b = best_of_all_draws(first, k)[:, None], best_of_all_draws(second, k)
            expected = np.mean((a > b) + 0.5 * (a == b))
            assert chance_of(first, second, k) == pytest.approx(expected, rel=1e-12)

    def test_of_one_try_is_the_statistic_of_mann_and_whitney(self):
        a, b = np.random.default_rng(0).integers(0, 20, (2, 30))
        expected = stats.mannwhitneyu(a, b[:25]).statistic / (30 * 25)
        assert chance_of(a, b[:25], 1) == pytest.approx(expected, rel=1e-12)

    def test_equals_simulation(self):
        rng = np.random.default_rng(0)
        a, b = rng.normal(size=32), np.append(rng.normal(0, 0.5, 30), -np.inf)
        bests = [x[rng.integers(0, len(x), (50_000, 5))].max(1) for x in (a, b)]
        won = np.mean(bests[0] > bests[1])
        assert chance_of(a, b, 5) == pytest.approx(won, abs=3 * (0.25 / 50_000) ** 0.5)

    def test_of_swapped_arms_adds_to_one(self):
        k = np.arange(1, 40)
        total = chance_of(TIED, OTHER, k) + chance_of(OTHER, TIED, k)
        np.testing.assert_allclose(total, np.ones(39), rtol=1e-12)
        np.testing.assert_allclose(chance_of(TIED, TIED, k), np.full(39, 0.5), rtol=1e-12)
        turned = chance_of(np.negative(TIED), np.negative(OTHER), k, larger_is_better=False)
        np.testing.assert_array_equal(turned, chance_of(TIED, OTHER, k))
        assert chance_of([2.0], [1.0, 0.0], 3) == 1


@pytest.mark.parametrize(
    "function", [expected_best, quantile_of_best, spread, lambda v, **kw: chance_of(TIED, v, 1, **kw)]
)
def test_refuses_what_is_no_score(function):
    for wrong in ([1.0, np.nan], [1.0, np.inf]):
        with pytest.raises(ValueError, match=f"-inf for what diverged, got {wrong[1]} at position 1"):
            function(wrong)
    with pytest.raises(ValueError, match=r": expected \w+ to be numbers, inf for .*, got -inf at position 0"):
        function([-np.inf, 1.0], larger_is_better=False)
    with pytest.raises(ValueError, match=r"\[n\] with n > 0, got \(0,\)"):
        function([])


@pytest.mark.parametrize("k", [0, 1.5, [1, 0], True])
def test_refuses_what_is_no_number_of_tries(k):
    for function in (expected_best, quantile_of_best, lambda v, k: chance_of(v, OTHER, k)):
        with pytest.raises(ValueError, match="k to be positive integers, got"):
            function(TIED, k)
