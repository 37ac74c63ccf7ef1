"""Standardised data (slide "Optimisation: prétraitement, données centrées réduites")."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

Standardization = Literal["none", "channel", "feature"]


class Statistics(NamedTuple):
    """What standardising subtracts and divides by; both broadcast to an example, float32."""

    mean: jax.Array
    deviation: jax.Array  # 1 where the examples do not vary


def fit_statistics(examples: jax.Array, kind: Standardization = "feature") -> Statistics:
    """Mean and standard deviation over training examples.

    Args:
        examples: `[examples, ...]`, of any number type.
        kind: "feature": of each number of an example by itself, as on the slide; "channel": of the last
            axis, over all positions, as is usual for images; "none": leave the data as they are.

    Returns:
        Statistics for `standardize`. What is constant over the examples has deviation 1: it is centred,
        and nothing is divided by zero.

    Raises:
        ValueError: if there is no example, or `kind` is another.
    """
    if examples.ndim == 0 or not len(examples):
        raise ValueError(f"fit_statistics: expected examples, got shape {examples.shape}.")
    if kind == "none":
        return Statistics(jnp.zeros(()), jnp.ones(()))
    if kind not in ("channel", "feature"):
        raise ValueError(f"fit_statistics: kind={kind!r}: expected none, channel or feature.")
    axes = 0 if kind == "feature" else tuple(range(examples.ndim - 1))
    x = jnp.asarray(examples, jnp.float32)
    mean = x.mean(axes)
    deviation = x.std(axes)
    varies = x.max(axes) > x.min(axes)  # rounding may leave a constant some deviation
    return Statistics(mean, jnp.where(varies, deviation, 1.0))


def standardize(x: jax.Array, statistics: Statistics) -> jax.Array:
    """Centres and reduces: (x − mean) / deviation.

    Args:
        x: `[..., *feature shape]`, of any number type.
        statistics: of the training examples, by `fit_statistics`.

    Returns:
        Of the shape of `x`, float32: mean 0 and variance 1 over the training examples.
    """
    mean, deviation = (lax.expand_dims(s, tuple(range(x.ndim - s.ndim))) for s in statistics)
    return (jnp.asarray(x, jnp.float32) - mean) / deviation
