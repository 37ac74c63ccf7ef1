"""Dropout (slide "Mais aussi")."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax


def dropout(
    key: jax.Array, x: jax.Array, rate: jax.Array | float, *, shared_axes: Sequence[int] = ()
) -> jax.Array:
    """Sets entries to 0 with the probability `rate`, and enlarges the others so that the mean is x.

    The probability is rounded to a multiple of 2⁻¹⁶, less than 1. What is kept is divided by the rounded
    probability of being kept, so the expectation is x exactly. With `rate` 0 the result is x.

    Args:
        key: random key.
        x: `[...]`, floating.
        rate: the probability of being dropped, in [0, 1), a scalar that may be traced.
        shared_axes: axes along which all entries are dropped or kept together: for an image
            `[..., height, width, channels]`, (-3, -2) drops whole channels (Tompson et al. 2015).

    Returns:
        Of the shape and dtype of `x`.

    Raises:
        ValueError: if `x` is not floating, `rate` is no scalar, or `x` has no such axis.

    Source: Srivastava et al. 2014; enlarged in training instead of shrunk in use.
    """
    if not jnp.issubdtype(x.dtype, jnp.floating) or jnp.ndim(rate) != 0:
        raise ValueError(
            f"dropout: expected a floating x and a scalar rate, got {x.dtype} and shape {jnp.shape(rate)}."
        )
    if not all(-x.ndim <= axis < x.ndim for axis in shared_axes):
        raise ValueError(f"dropout: expected shared_axes of x {x.shape}, got {tuple(shared_axes)}.")
    shared = {axis % x.ndim for axis in shared_axes}
    shape = tuple(1 if axis in shared else size for axis, size in enumerate(x.shape))
    kept = jnp.clip(jnp.round((1.0 - jnp.asarray(rate, jnp.float32)) * 2.0**16), 1.0, 2.0**16)
    mask = _bits16(key, shape).astype(jnp.float32) < kept
    return jnp.where(mask, x * (2.0**16 / kept).astype(x.dtype), jnp.zeros_like(x))


def _bits16(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Uniform integers below 2¹⁶, of the given shape, uint16."""
    # Two from each 32-bit word, since `jax.random.bits` makes a word for each number however short.
    size = math.prod(shape)
    words = jax.random.bits(key, ((size + 1) // 2,), jnp.uint32)
    return lax.bitcast_convert_type(words, jnp.uint16).reshape(-1)[:size].reshape(shape)
