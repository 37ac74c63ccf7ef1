"""Replay: a ring of past transitions from which learning samples (Lin 1992; Mnih et al. 2015).

The position in the ring is an argument, not state: the loop's clock gives it, the same for all
trials, so that under `vmap` an insertion stays one contiguous copy.
"""

from typing import TypeVar

import jax
import jax.numpy as jnp

T = TypeVar("T")


def replay_init(example: T, capacity: int) -> T:
    """An empty ring.

    Args:
        example: a pytree of arrays or `jax.ShapeDtypeStruct`: one transition, without batch axis.
        capacity: how many it holds.

    Returns:
        The same tree, each leaf `[capacity, ...]`, zeros.
    """
    return jax.tree.map(lambda x: jnp.zeros((capacity, *x.shape), x.dtype), example)


def replay_add(ring: T, batch: T, added) -> T:
    """Writes a batch over the oldest transitions.

    Args:
        ring: leaves `[capacity, ...]`; the capacity must be a multiple of the batch.
        batch: leaves `[n, ...]`, of the same dtypes.
        added: transitions added before, a multiple of n.

    Returns:
        The ring, after which `added + n` were added.

    Raises:
        ValueError: if the capacity is not a multiple of the batch.
    """
    capacity, n = (jax.tree.leaves(t)[0].shape[0] for t in (ring, batch))
    if capacity % n:
        raise ValueError(f"replay_add: capacity {capacity} is not a multiple of the batch of {n}.")
    at = added % capacity
    return jax.tree.map(lambda r, b: jax.lax.dynamic_update_slice_in_dim(r, b, at, 0), ring, batch)


def replay_sample(key: jax.Array, ring: T, added, shape: tuple[int, ...]) -> T:
    """Draws uniformly, with replacement, among the transitions that are there.

    Args:
        key: PRNG key.
        ring: leaves `[capacity, ...]`.
        added: transitions added so far, at least 1.
        shape: shape of the sample.

    Returns:
        The same tree, leaves `[*shape, ...]`.
    """
    capacity = jax.tree.leaves(ring)[0].shape[0]
    index = jax.random.randint(key, shape, 0, jnp.minimum(added, capacity))
    return jax.tree.map(lambda r: r[index], ring)
