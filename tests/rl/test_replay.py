"""The replay ring, with entries that say when they were added."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.rl import replay_add, replay_init, replay_sample

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
