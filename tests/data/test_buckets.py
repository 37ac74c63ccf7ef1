"""Buckets: which batches they give, and how little of these is padding."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from mi203jax.data.buckets import in_buckets
from mi203jax.data.feed import Resident, with_batch
from mi203jax.sequences import bucket

LENGTHS = np.array([5, 1, 9, 3, 9, 2, 7, 4, 6, 8, 3])
ARRAYS = {
    "sequence": jnp.asarray(np.arange(11)[:, None, None] + np.zeros((11, 9, 2)), jnp.float32),
    "sequence_length": jnp.asarray(LENGTHS, jnp.int32),
    "index": jnp.arange(11),
}


FEED = in_buckets(ARRAYS, "sequence", bucket(LENGTHS, 3))


@jax.jit
def read(t, key=0):
    """Which two examples a step gets, how long its array is, and whether what belongs together stayed so."""

    def of(batch):
        same = (batch["sequence"] == batch["index"][:, None, None]).all()
        return batch["index"], jnp.int32(batch["sequence"].shape[1]), same

    return with_batch(FEED, of, jax.random.key(key), t, 2)


class TestBuckets:
    def test_arrays_are_no_longer_than_their_longest_signal(self):
        assert [a["sequence"].shape for a in FEED.arrays] == [(4, 3, 2), (4, 7, 2), (3, 9, 2)]

    def test_each_bucket_comes_once_a_round_in_an_order_that_changes(self):
        times = np.array([int(read(t)[1]) for t in range(60)]).reshape(20, 3)
        assert (np.sort(times, 1) == [3, 7, 9]).all()
        assert len({tuple(row) for row in times.tolist()}) == 6

    def test_batches_are_of_one_bucket_and_each_example_comes_once_an_epoch(self):
        seen = []
        for t in range(2 * 3):  # two batches of each bucket of four
            index, time, same = read(t)
            assert same
            assert (LENGTHS[np.asarray(index)] <= int(time)).all()
            seen += np.asarray(index).tolist()
        assert {i for i in seen if LENGTHS[i] < 8} == {i for i in range(11) if LENGTHS[i] < 8}
        assert len([i for i in seen if LENGTHS[i] < 8]) == 8

    def test_the_key_decides_the_examples_but_not_the_bucket(self):
        times = {int(read(5, key=k)[1]) for k in range(8)}
        examples = {tuple(np.asarray(read(5, key=k)[0]).tolist()) for k in range(8)}
        assert len(times) == 1
        assert len(examples) > 1

    def test_one_bucket_runs_a_step_also_side_by_side(self):
        """A batched choice would run all and select."""

        def f(keys, t):
            read = functools.partial(FEED.with_batch, lambda b: b["sequence"].sum(), t=t, batch_size=2)
            return jax.vmap(lambda key: read(key=key))(keys)

        text = str(jax.make_jaxpr(f)(jax.random.split(jax.random.key(0), 4), jnp.int32(0)))
        assert text.count("branches=") == 1

    def test_other_feeds_give_their_batch(self):
        key = jax.random.key(3)
        resident = Resident(ARRAYS)
        found = with_batch(resident, lambda b: b["index"], key, jnp.int32(4), 3)
        np.testing.assert_array_equal(found, resident.batch(key, jnp.int32(4), 3)["index"])
