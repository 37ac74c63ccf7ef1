"""In which order the examples are visited: a function of a key and of time, with nothing to store."""

import jax
import jax.numpy as jnp
from jax import lax

_ROUNDS = 16


def batch_indices(key: jax.Array, t: jax.Array, batch_size: int, num_examples: int) -> jax.Array:
    """Which examples make batch t.

    The batches read, one after the other, a new permutation of the examples for each epoch, so that
    each example comes once an epoch, also where a batch begins in one epoch and ends in the next.

    Args:
        key: PRNG key of the order.
        t: number of the batch, from 0, int32; t · batch_size < 2³¹.
        batch_size: examples in a batch, at most `num_examples`.
        num_examples: examples in the set.

    Returns:
        Indices `[batch_size]`, int32.

    Raises:
        ValueError: if a batch is larger than the set.
    """
    if not 0 < batch_size <= num_examples:
        raise ValueError(f"batch_indices: expected 0 < batch_size <= {num_examples}, got {batch_size}.")
    epoch, first = _epoch_and_position(t, batch_size, num_examples)
    position = first + jnp.arange(batch_size, dtype=jnp.int32)
    here, next_one = (
        permuted(jax.random.fold_in(key, e), position % num_examples, num_examples)
        for e in (epoch, epoch + 1)
    )
    return jnp.where(position < num_examples, here, next_one)


def _epoch_and_position(t: jax.Array, batch_size: int, num_examples: int) -> tuple[jax.Array, jax.Array]:
    start = jnp.asarray(t, jnp.int32) * batch_size
    return start // num_examples, start % num_examples


def permuted(key: jax.Array, index: jax.Array, n: int) -> jax.Array:
    """Where a pseudorandom permutation of 0 … n − 1 puts an index, without making the permutation.

    A Feistel network on the smallest power of two that holds n, walked until it lands below n (Black &
    Rogaway 2002, "Ciphers with arbitrary finite domains"). Its cost is that of the indices asked for,
    whatever n; a sort of all n would be paid at each call, or kept in the state of every trial.

    Args:
        key: PRNG key of the permutation.
        index: integers in [0, n), `[...]`.
        n: length, at most 2³¹ − 1.

    Returns:
        Integers in [0, n), `[...]`, int32; distinct for distinct indices.
    """
    low_bits = max(1, (n - 1).bit_length() // 2)
    high_bits = max(1, (n - 1).bit_length() - low_bits)
    keys = jax.random.bits(key, (_ROUNDS,), jnp.uint32)

    def encipher(x: jax.Array) -> jax.Array:
        # The halves swap their sizes with their places, so that any number of bits will do.
        sizes = (high_bits, low_bits)
        left, right = x >> sizes[1], x & _mask(sizes[1])
        for r in range(_ROUNDS):
            left, right = right, left ^ (_mix(right ^ keys[r]) & _mask(sizes[r % 2]))
        return (left << sizes[1]) | right

    def walk(x: jax.Array) -> jax.Array:
        return jnp.where(x < n, x, encipher(x))

    start = encipher(index.astype(jnp.uint32))
    return lax.while_loop(lambda x: (x >= n).any(), walk, start).astype(jnp.int32)


def _mask(bits: int) -> jax.Array:
    return jnp.uint32((1 << bits) - 1)


def _mix(x: jax.Array) -> jax.Array:
    """The finaliser of MurmurHash3 (Appleby, public domain): each bit of x reaches each of the result."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
    return x ^ (x >> 16)
