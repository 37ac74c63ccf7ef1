"""Problems of memory: read by hand, and their baselines by Monte Carlo."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.data.feed import Feed
from mi203jax.data.remembering import (
    MEAN_PREDICTOR,
    Made,
    adding_problem,
    copy_baseline,
    copy_task,
)

pytestmark = pytest.mark.usefixtures("strict")

N = 4_000


@functools.cache
def adding(length):
    made = jax.jit(adding_problem, static_argnums=(1, 2))(jax.random.key(3), N, length)
    return np.asarray(made["inputs"]), np.asarray(made["target"])


@functools.cache
def copying(length, symbols, alphabet):
    made = jax.jit(copy_task, static_argnums=(1, 2, 3, 4))(jax.random.key(3), N, length, symbols, alphabet)
    return np.asarray(made["inputs"]), np.asarray(made["target"])


class TestAdding:
    @pytest.mark.parametrize("length", [2, 3, 9, 20])
    def test_a_mark_in_each_half_anywhere(self, length):
        inputs, target = adding(length)
        assert (inputs.shape, inputs.dtype, target.dtype) == ((N, length, 2), np.float32, np.float32)
        marks = inputs[..., 1]
        assert set(np.unique(marks)) <= {0, 1}
        half = length // 2
        for part in (marks[:, :half], marks[:, half:]):
            np.testing.assert_array_equal(part.sum(1), 1)
            often = part.mean(0)  # of a binomial: five standard deviations
            p = 1 / part.shape[1]
            assert np.abs(often - p).max() <= 5 * (p * (1 - p) / N) ** 0.5

    def test_both_marks_are_drawn_apart(self):
        marks = adding(9)[0][..., 1]
        together = np.histogram2d(marks[:, :4].argmax(1), marks[:, 4:].argmax(1), (4, 5))[0] / N
        assert np.abs(together - 1 / 20).max() < 5 * (1 / 20 / N) ** 0.5

    def test_the_target_is_the_marked_sum(self):
        inputs, target = adding(9)
        for example, sum_ in zip(inputs[:50], target, strict=False):
            first, second = np.flatnonzero(example[:, 1])
            assert sum_ == pytest.approx(float(example[first, 0]) + float(example[second, 0]), rel=1e-6)

    def test_values_are_uniform(self):
        values = adding(20)[0][..., 0]
        assert 0 <= values.min() < values.max() < 1
        deciles = np.histogram(values, 10, (0, 1))[0] / values.size
        assert np.abs(deciles - 0.1).max() < 5 * (0.1 * 0.9 / values.size) ** 0.5
        assert abs(np.corrcoef(values[:, 0], values[:, 1])[0, 1]) < 5 / N**0.5

    def test_baselines(self):
        """Of who answers 1, and of who sees the second number alone; (Σ - 1)² has deviation √(7/180)."""
        inputs, target = adding(9)
        second = (inputs[:, 4:, 0] * inputs[:, 4:, 1]).sum(1)
        tolerance = 5 * (7 / 180 / N) ** 0.5
        assert np.mean((target - 1) ** 2) == pytest.approx(MEAN_PREDICTOR, abs=tolerance)
        assert np.mean((target - second - 0.5) ** 2) == pytest.approx(1 / 12, abs=tolerance)

    @pytest.mark.parametrize(
        ("sizes", "message"),
        [
            ((0, 5), "expected batch to be a positive int, got 0"),
            ((4, 2.5), "expected length to be a positive int, got 2.5"),
            ((4, 1), "expected a length of at least 2, for two marks, got 1"),
        ],
    )
    def test_bad_sizes(self, key, sizes, message):
        with pytest.raises(ValueError, match=f"adding_problem: {message}"):
            adding_problem(key, *sizes)


class TestCopy:
    @pytest.mark.parametrize(("length", "symbols", "alphabet"), [(1, 1, 2), (6, 3, 4), (2, 5, 8)])
    def test_symbols_wait_delimiter_recall(self, length, symbols, alphabet):
        inputs, target = copying(length, symbols, alphabet)
        blank, delimiter = alphabet, alphabet + 1
        assert inputs.shape == target.shape == (N, length + 2 * symbols)
        assert inputs.dtype == target.dtype == np.int32
        shown = inputs[:, :symbols]
        after = [blank] * (length - 1) + [delimiter] + [blank] * symbols
        np.testing.assert_array_equal(inputs[:, symbols:], np.tile(after, (N, 1)))
        np.testing.assert_array_equal(target[:, : length + symbols], blank)
        np.testing.assert_array_equal(target[:, length + symbols :], shown)
        often = np.stack([(shown == symbol).mean(0) for symbol in range(alphabet)])
        assert np.abs(often - 1 / alphabet).max() < 5 * (1 / alphabet / N) ** 0.5

    def test_example_of_the_paper(self):
        """Ten symbols of eight, T = 100: 120 steps, the delimiter at step 110 (Arjovsky et al. 2016)."""
        made = copy_task(jax.random.key(0), 2, 100)
        assert made["inputs"].shape == (2, 120)
        assert (made["inputs"] == 9).argmax(1).tolist() == [109, 109]

    def test_baseline_of_who_knows_the_time_alone(self):
        """The best answer at each step is how often each symbol is right there."""
        _, target = copying(6, 3, 4)
        often = np.stack([(target == k).mean(0) for k in range(5)])
        cost = -np.where(often > 0, often * np.log(np.maximum(often, 1e-30)), 0).sum(0).mean()
        assert cost == pytest.approx(copy_baseline(6, 3, 4), rel=2e-3)
        assert copy_baseline(100) == pytest.approx(10 * np.log(8) / 120)

    @pytest.mark.parametrize(
        ("sizes", "message"),
        [
            ((0, 5, 1, 2), "expected batch to be a positive int, got 0"),
            ((4, 0, 1, 2), "expected length to be a positive int, got 0"),
            ((4, 5, 0, 2), "expected symbols to be a positive int, got 0"),
            ((4, 5, 1, 1.5), "expected alphabet to be a positive int, got 1.5"),
        ],
    )
    def test_bad_sizes(self, key, sizes, message):
        with pytest.raises(ValueError, match=f"copy_task: {message}"):
            copy_task(key, *sizes)


class TestMade:
    made = Made(lambda key, batch: copy_task(key, batch, 3))

    def test_is_a_feed_without_arrays(self):
        assert isinstance(self.made, Feed)
        assert jax.tree.leaves(self.made) == []

    def test_none_comes_twice(self, key):
        make = jax.jit(self.made.batch, static_argnums=2)
        batches = [make(key, jnp.int32(t), 50)["inputs"][:, :10] for t in range(4)]
        batches.append(make(jax.random.key(1), jnp.int32(0), 50)["inputs"][:, :10])
        assert len({row.tobytes() for b in batches for row in np.asarray(b)}) == 5 * 50
        np.testing.assert_array_equal(make(key, jnp.int32(2), 50)["inputs"][:, :10], batches[2])
