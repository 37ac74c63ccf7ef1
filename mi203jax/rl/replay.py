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


def replay_sample_sequences(
    key: jax.Array, ring: T, added, shape: tuple[int, ...], length: int, num_envs: int
) -> T:
    """Draws sequences of successive steps of one environment, uniformly among all that are there whole.

    No sequence crosses the place where the ring is written, where the newest step is followed by the oldest.
    It may cross the end of an episode.

    Args:
        key: PRNG key.
        ring: leaves `[capacity, ...]`, to which a step of all environments was added at a time, in their
            order: entry τ · num_envs + e, modulo the capacity, is environment e's step τ.
        added: transitions added so far, a multiple of num_envs, at least length · num_envs.
        shape: shape of the sample.
        length: steps of a sequence.
        num_envs: environments.

    Returns:
        The same tree, leaves `[*shape, length, ...]`.

    Raises:
        ValueError: if the capacity is not a multiple of the environments, or holds no such sequence.
    """
    capacity = jax.tree.leaves(ring)[0].shape[0]
    if capacity % num_envs or capacity < length * num_envs:
        raise ValueError(
            f"replay_sample_sequences: expected a capacity that is a multiple of {num_envs} environments and "
            f"at least {length} times as large, got {capacity}."
        )
    held = jnp.minimum(added, capacity)
    start = jax.random.randint(key, shape, 0, held - (length - 1) * num_envs)
    index = (added - held + jnp.add.outer(start, num_envs * jnp.arange(length))) % capacity
    return jax.tree.map(lambda r: r[index], ring)
