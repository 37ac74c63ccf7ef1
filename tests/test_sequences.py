"""Signals of several lengths: masks and padding by hand, and what is refused, with the message that says where."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.sequences import bucket, check_lengths, pad_sequences, padded_part, time_mask

pytestmark = pytest.mark.usefixtures("strict")


class TestTimeMask:
    @pytest.mark.parametrize("dtype", [np.int32, np.uint8, np.int64])
    def test_is_true_within_signals(self, dtype):
        mask = time_mask(np.array([[3, 1], [4, 2]], dtype), 4)
        assert mask.dtype == jnp.bool
        np.testing.assert_array_equal(
            mask,
            np.array([[[1, 1, 1, 0], [1, 0, 0, 0]], [[1, 1, 1, 1], [1, 1, 0, 0]]], bool),
        )

    def test_of_one_signal_and_of_arrays_longer_than_a_small_integer_counts(self):
        np.testing.assert_array_equal(time_mask(2, 3), [True, True, False])
        assert time_mask(np.array([200], np.uint8), 1000).sum() == 200

    def test_traced_lengths_beyond_the_limits(self):
        mask = jax.jit(time_mask, static_argnums=1)(jnp.array([-1, 0, 9]), 2)
        np.testing.assert_array_equal(mask, [[False, False], [False, False], [True, True]])


class TestCheckLengths:
    @pytest.mark.parametrize(
        "lengths", [np.array([1, 5], np.int64), jnp.array([5, 1]), np.array([3, 3], np.uint8)]
    )
    def test_lengths_that_are_right(self, lengths):
        check_lengths("f", lengths, (2,), 5)

    def test_of_one_signal(self):
        check_lengths("f", 5, (), 5)
        with pytest.raises(ValueError, match=r"^f: expected lengths from 1 to 5, got 6\.$"):
            check_lengths("f", 6, (), 5)

    @pytest.mark.parametrize(
        ("lengths", "message"),
        [
            ([1, 0], "expected lengths from 1 to 5, got 0 at 1."),
            ([6, 7], "expected lengths from 1 to 5, got 6 at 0."),
            ([1, -2], "expected lengths from 1 to 5, got -2 at 1."),
            ([1.0, 2.0], "expected lengths that are integers, got float64."),
            ([True, True], "expected lengths that are integers, got bool."),
            ([1, 2, 3], "expected lengths of shape (2,), got (3,)."),
            ([[1, 2]], "expected lengths of shape (2,), got (1, 2)."),
            (2, "expected lengths of shape (2,), got ()."),
        ],
    )
    def test_lengths_that_cannot_be(self, lengths, message):
        with pytest.raises(ValueError, match=f"^some_name: {re.escape(message)}$"):
            check_lengths("some_name", np.array(lengths), (2,), 5)

    def test_says_where_among_many(self):
        lengths = np.ones((2, 3), int)
        lengths[1, 2] = 9
        with pytest.raises(ValueError, match=r"got 9 at \(1, 2\)\."):
            check_lengths("f", lengths, (2, 3), 5)

    def test_of_traced_lengths_shape_and_dtype_alone(self):
        def check(lengths):
            check_lengths("f", lengths, (2,), 5)
            return lengths

        np.testing.assert_array_equal(jax.jit(check)(jnp.array([0, 99])), [0, 99])
        with pytest.raises(ValueError, match="of shape"):
            jax.jit(check)(jnp.array([1]))
        with pytest.raises(ValueError, match="that are integers, got float32"):
            jax.jit(check)(jnp.array([1.0, 2.0]))


class TestPadSequences:
    def test_zeros_from_the_ends_on(self):
        a, b = np.arange(1.0, 7.0, dtype=np.float32).reshape(3, 2), np.full((1, 2), 9, np.float32)
        values, lengths = pad_sequences([a, b], 4)
        np.testing.assert_array_equal(
            values, [[[1, 2], [3, 4], [5, 6], [0, 0]], [[9, 9], [0, 0], [0, 0], [0, 0]]]
        )
        np.testing.assert_array_equal(lengths, [3, 1])
        assert (values.dtype, lengths.dtype) == (np.float32, np.int32)

    def test_the_array_is_as_long_as_the_longest(self):
        values, lengths = pad_sequences([[1, 2], [3, 4, 5], [6]])
        np.testing.assert_array_equal(values, [[1, 2, 0], [3, 4, 5], [6, 0, 0]])
        np.testing.assert_array_equal(lengths, [2, 3, 1])

    def test_other_axes_stay(self):
        signals = [np.ones((n, 2, 3)) for n in (1, 4)]
        assert pad_sequences(signals).values.shape == (2, 4, 2, 3)
        assert pad_sequences(np.ones((5, 4, 2))).values.shape == (5, 4, 2)

    @pytest.mark.parametrize(
        ("dtypes", "common"),
        [
            ((np.int8, np.int8), np.int8),
            ((bool, bool), bool),
            ((np.int32, np.float32), np.float64),
            ((np.uint8, np.float32), np.float32),
        ],
    )
    def test_dtypes(self, dtypes, common):
        assert pad_sequences([np.ones(2, d) for d in dtypes]).values.dtype == common

    @pytest.mark.parametrize(
        ("signals", "message"),
        [
            ([], "expected at least one signal."),
            ([[1.0], []], "signal 1 has shape (0,): expected a length of 1 or more."),
            ([[1.0], 2.0], "signal 1 has shape (): expected a length of 1 or more."),
            ([np.ones((2, 3)), np.ones((4, 3)), np.ones((2, 4))],
             "signal 2 has channels of shape (4,), signal 0 (3,): expected the same of all."),
            ([np.ones((2, 1)), np.ones(2)], "signal 1 has channels of shape (), signal 0 (1,)"),
            (["abc", "de"], "signal 0 is <U3: expected numbers."),
            ([[1.0], ["a", "b"]], "signal 1 is <U1: expected numbers."),
            ([[1.0], [None]], "signal 1 is object: expected numbers."),
            ([[1.0], [[1, 2], [3]]], "signal 1 is no array: "),
            ([[1.0, 2.0], [0.0, 1.0, np.nan, np.nan]], "signal 1 holds NaN, first seen at its step 2."),
            ([[1.0, 2.0], [0.0, -np.inf]], "signal 1 holds infinity, first seen at its step 1."),
            ([[0.0, np.inf, np.nan]], "signal 0 holds infinity, first seen at its step 1."),
            ([[[0.0, 1.0], [np.inf, np.nan]]], "signal 0 holds NaN, first seen at its step 1."),
        ],
    )  # fmt: skip
    def test_signals_that_cannot_be(self, signals, message):
        with pytest.raises(ValueError, match=f"^pad_sequences: {re.escape(message)}"):
            pad_sequences(signals)

    def test_signals_longer_than_the_array(self):
        signals = [np.ones(n) for n in (2, 5, 6)]
        with pytest.raises(ValueError, match=r"pad_sequences: signal 1 is longer than time=4: it has 5\."):
            pad_sequences(signals, 4)
        assert pad_sequences(signals, 6).values.shape == (3, 6)

    @pytest.mark.parametrize("time", [0, -1, 2.0, True])
    def test_time_that_cannot_be(self, time):
        with pytest.raises(
            ValueError, match=f"pad_sequences: expected time to be a positive int, got {time}"
        ):
            pad_sequences([[1.0]], time)


class TestBucket:
    lengths = np.array([7, 1, 5, 9, 3, 9, 2])

    def test_the_shortest_first_each_as_long_as_its_longest(self):
        buckets = bucket(self.lengths, 3)
        assert [b.time for b in buckets] == [3, 7, 9]
        for ours, expected in zip(buckets, ([1, 4, 6], [0, 2], [3, 5]), strict=True):
            np.testing.assert_array_equal(ours.signals, expected)

    def test_waste(self):
        # 36 moments in arrays of 3 · 3 + 2 · 7 + 2 · 9 = 41, or of 7 · 9 = 63.
        assert padded_part(self.lengths, bucket(self.lengths, 3)) == pytest.approx(1 - 36 / 41)
        assert padded_part(self.lengths, bucket(self.lengths, 1)) == pytest.approx(1 - 36 / 63)
        assert padded_part([2, 5], bucket([2, 5], 2)) == 0

    @pytest.mark.parametrize(
        ("lengths", "buckets", "message"),
        [
            ([3, 2], 3, r"bucket: expected lengths of 3 signals or more, got \(2,\)"),
            ([[3, 2]], 1, r"bucket: expected lengths of 1 signals or more, got \(1, 2\)"),
            ([], 1, r"bucket: expected lengths of 1 signals or more, got \(0,\)"),
            ([3, 0], 1, "bucket: expected lengths from 1 to 3, got 0 at 1"),
            ([3.0, 2.0], 1, "bucket: expected lengths that are integers"),
            ([3, 2], 0, "bucket: expected buckets to be a positive int, got 0"),
        ],
    )
    def test_lengths_that_cannot_be(self, lengths, buckets, message):
        with pytest.raises(ValueError, match=message):
            bucket(lengths, buckets)
