"""The replay ring, with entries that say when they were added."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.rl import replay_add, replay_init, replay_sample, replay_sample_sequences

pytestmark = pytest.mark.usefixtures("strict")


def filled(capacity, batch, batches):
    """A ring whose entry number n holds n."""
    ring = replay_init(
        {"n": jax.ShapeDtypeStruct((), jnp.int32), "x": jax.ShapeDtypeStruct((2,), bool)}, capacity
    )
    for i in range(batches):
        n = jnp.arange(i * batch, (i + 1) * batch)
        ring = replay_add(ring, {"n": n, "x": jnp.stack([n % 2 == 0, n % 3 == 0], -1)}, i * batch)
    return ring


def test_holds_the_newest():
    assert sorted(filled(12, 4, 2)["n"].tolist()) == [0, 0, 0, 0, *range(8)]
    assert sorted(filled(12, 4, 7)["n"].tolist()) == list(range(16, 28))


def test_entries_stay_together():
    ring = filled(12, 4, 7)
    np.testing.assert_array_equal(ring["x"][:, 0], ring["n"] % 2 == 0)
    np.testing.assert_array_equal(ring["x"][:, 1], ring["n"] % 3 == 0)


@pytest.mark.parametrize(("batches", "expected"), [(1, range(4)), (2, range(8)), (7, range(16, 28))])
def test_samples_uniformly_what_is_there(batches, expected):
    n = 20_000
    sample = replay_sample(jax.random.key(1), filled(12, 4, batches), batches * 4, (n // 4, 4))["n"]
    assert sample.shape == (n // 4, 4)
    values, counts = np.unique(sample, return_counts=True)
    assert values.tolist() == list(expected)
    p = 1 / len(expected)
    assert np.abs(counts / n - p).max() < 5 * np.sqrt(p * (1 - p) / n)


def test_under_vmap_and_jit():
    rings = jax.tree.map(lambda x: jnp.stack([x, x + x]), {"n": filled(8, 4, 2)["n"]})
    batch = {"n": jnp.arange(8).reshape(2, 4)}
    both = jax.jit(jax.vmap(replay_add, (0, 0, None)))(rings, batch, 4)
    for i in range(2):
        alone = replay_add({"n": rings["n"][i]}, {"n": batch["n"][i]}, 4)
        np.testing.assert_array_equal(both["n"][i], alone["n"])


def test_capacity_must_be_whole_batches():
    with pytest.raises(ValueError, match="capacity 10 is not a multiple of the batch of 4"):
        replay_add(replay_init(jnp.zeros(()), 10), jnp.zeros(4), 0)


def played(num_envs, held, steps):
    """A ring of `held` steps of each environment after `steps` of them: whose it is, and which step."""
    ring = replay_init({n: jax.ShapeDtypeStruct((), jnp.int32) for n in ("env", "time")}, held * num_envs)
    for t in range(steps):
        batch = {"env": jnp.arange(num_envs), "time": jnp.full(num_envs, t)}
        ring = replay_add(ring, batch, t * num_envs)
    return ring


class TestSequences:
    @pytest.mark.parametrize(("steps", "length"), [(3, 3), (5, 3), (7, 3), (9, 3), (14, 3), (16, 7), (9, 1)])
    def test_are_of_one_environment_and_uniform(self, steps, length):
        """However full the ring of 7 steps is, and wherever it is being written."""
        num_envs, n = 4, 20_000
        ring = played(num_envs, 7, steps)
        sample = replay_sample_sequences(
            jax.random.key(1), ring, steps * num_envs, (n // 4, 4), length, num_envs
        )
        assert sample["env"].shape == (n // 4, 4, length)
        env, time = (np.asarray(sample[name]).reshape(n, length) for name in ("env", "time"))
        assert (env == env[:, :1]).all()
        assert (np.diff(time) == 1).all()
        first, counts = np.unique(np.stack([env[:, 0], time[:, 0]], -1), axis=0, return_counts=True)
        starts = range(max(0, steps - 7), steps - length + 1)
        assert first.tolist() == [[e, t] for e in range(num_envs) for t in starts]
        p = 1 / len(first)
        assert np.abs(counts / n - p).max() < 5 * np.sqrt(p * (1 - p) / n)

    def test_under_vmap_and_jit(self):
        """Trials draw for themselves, at a time that is the same for all."""
        rings = jax.tree.map(lambda x: jnp.stack([x, x + 100]), played(4, 7, 9))
        keys = jax.random.split(jax.random.key(2), 2)

        def sample(key, ring, added):
            return replay_sample_sequences(key, ring, added, (5,), 3, 4)

        both = jax.jit(jax.vmap(sample, (0, 0, None)))(keys, rings, 36)
        for i in range(2):
            alone = sample(keys[i], jax.tree.map(lambda x, i=i: x[i], rings), 36)
            jax.tree.map(lambda b, a, i=i: np.testing.assert_array_equal(b[i], a), both, alone)

    def test_late_in_a_long_run(self):
        """Counters near the largest that a run may have do not overflow."""
        ring = jnp.arange(28)
        late = 2_000_000_000 // 28 * 28
        sample = replay_sample_sequences(jax.random.key(3), ring, late, (1000,), 7, 4)
        assert (sample[:, 0] < 4).all()
        assert (jnp.diff(sample) == 4).all()

    @pytest.mark.parametrize(("held", "length"), [(30, 3), (28, 8)])
    def test_must_fit(self, held, length):
        with pytest.raises(
            ValueError, match=f"multiple of 4 environments and at least {length} times.*got {held}"
        ):
            replay_sample_sequences(jax.random.key(0), jnp.zeros(held), held, (2,), length, 4)
