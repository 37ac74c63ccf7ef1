"""Standardised data (slide "Optimisation: prétraitement, données centrées réduites")."""

import functools
import math
from typing import Literal, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jax import lax

Standardization = Literal["none", "vector", "feature", "channel"]
SLICE = 1000
"""Examples that are floating numbers at once."""


class Statistics(NamedTuple):
    """What standardising subtracts and divides by; both broadcast to an example, float32."""

    mean: jax.Array
    deviation: jax.Array  # 1 where the examples do not vary


class Examples(Protocol):
    """An array `[examples, ...]`, or what gives slices of one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole."""

    def __getitem__(self, where: slice, /) -> jax.Array:
        """Some of the examples."""


def fit_statistics(examples: Examples, kind: Standardization = "feature") -> Statistics:
    """Mean and standard deviation over training examples.

    Args:
        examples: `[examples, ...]`, of any number type: an array, or anything that gives slices of one.
        kind: "vector": as on the slide, Σx = 0 and Σ⟨x|x⟩ = 1 in the mean of the examples: each number is
            centred by itself, and all are divided by one deviation, the root of the mean of ⟨x|x⟩;
            "feature": each number has a deviation of its own; "channel": of the last axis, over all
            positions, as is usual for images; "none": leave the data as they are.

    Returns:
        Statistics for `standardize`. What is constant over the examples has deviation 1: it is centred,
        and nothing is divided by zero.

    Raises:
        ValueError: if there is no example, or `kind` is another.
    """
    if not examples.shape or not examples.shape[0]:
        raise ValueError(f"fit_statistics: expected examples, got shape {examples.shape}.")
    if kind == "none":
        return Statistics(jnp.zeros(()), jnp.ones(()))
    if kind not in ("vector", "feature", "channel"):
        raise ValueError(f"fit_statistics: kind={kind!r}: expected none, vector, feature or channel.")
    slices = (examples[i : i + SLICE] for i in range(0, examples.shape[0], SLICE))
    moments = functools.reduce(_together, (_moments(s, kind) for s in slices))
    return _of_vectors(moments) if kind == "vector" else _statistics(moments)


class _Moments(NamedTuple):
    """What can be summed up slice by slice."""

    number: float
    mean: jax.Array
    squares: jax.Array  # sum of squared distances from the mean
    low: jax.Array
    high: jax.Array


def _moments(examples: jax.Array, kind: Standardization) -> _Moments:
    axes = tuple(range(examples.ndim - 1)) if kind == "channel" else (0,)
    x = jnp.asarray(examples, jnp.float32)
    count = float(math.prod(x.shape[a] for a in axes))
    return _Moments(count, x.mean(axes), x.var(axes) * count, x.min(axes), x.max(axes))


def _together(a: _Moments, b: _Moments) -> _Moments:
    """The moments of two slices as one (Chan, Golub & LeVeque 1979)."""
    count, apart = a.number + b.number, b.mean - a.mean
    mean = a.mean + apart * (b.number / count)
    squares = a.squares + b.squares + jnp.square(apart) * (a.number * b.number / count)
    return _Moments(count, mean, squares, jnp.minimum(a.low, b.low), jnp.maximum(a.high, b.high))


def _statistics(moments: _Moments) -> Statistics:
    varies = moments.high > moments.low  # rounding may leave a constant some deviation
    return Statistics(moments.mean, jnp.where(varies, jnp.sqrt(moments.squares / moments.number), 1.0))


def _of_vectors(moments: _Moments) -> Statistics:
    varies = (moments.high > moments.low).any()
    return Statistics(moments.mean, jnp.where(varies, jnp.sqrt(moments.squares.sum() / moments.number), 1.0))


def standardize(x: jax.Array, statistics: Statistics) -> jax.Array:
    """Centres and reduces: (x − mean) / deviation.

    Args:
        x: `[..., *feature shape]`, of any number type.
        statistics: of the training examples, by `fit_statistics`.

    Returns:
        Of the shape of `x`, float32: mean 0 and, but for "vector", variance 1 over the training examples.
    """
    mean, deviation = (lax.expand_dims(s, tuple(range(x.ndim - s.ndim))) for s in statistics)
    return (jnp.asarray(x, jnp.float32) - mean) / deviation
