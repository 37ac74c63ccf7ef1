"""Schedules of the learning rate: the part of a run that is done -> a factor in [0, 1].

Pure functions, whose arguments may be traced; optax's schedules take a count of steps instead.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from mi203jax.core.errors import did_you_mean

Scalar = float | jax.Array

FIRST = 1 / 25
"""Where a warm-up starts."""


def constant(progress: Scalar) -> jax.Array:
    """1, at any progress."""
    return jnp.ones_like(progress)


def linear(progress: Scalar) -> jax.Array:
    """From 1 to 0: 1 − p, p in [0, 1) being the part of the run that is done."""
    return jnp.asarray(1.0 - progress)


def cosine(progress: Scalar) -> jax.Array:
    """From 1 to 0, level at both ends: (1 + cos πp) / 2 (Loshchilov and Hutter 2017)."""
    return 0.5 * (1.0 + jnp.cos(jnp.pi * progress))


def step(progress: Scalar) -> jax.Array:
    """1, from half of the run on 0.1, from three quarters on 0.01."""
    return jnp.where(progress < 0.5, 1.0, jnp.where(progress < 0.75, 0.1, 0.01))


def one_cycle(progress: Scalar, warmup: Scalar = 0.25) -> jax.Array:
    """From 1/25 to 1 in a straight line during the warm-up, then as `cosine` to 0 (after Smith 2018).

    Args:
        progress: part of the run that is done, in [0, 1).
        warmup: part of the run in which the factor rises, in [0, 1).

    Returns:
        The factor on the learning rate, of the shape of `progress`.
    """
    return _after_warmup(cosine, progress, warmup)


_SHAPES = {"constant": constant, "linear": linear, "cosine": cosine, "one_cycle": cosine, "step": step}
SCHEDULES = tuple(_SHAPES)


def schedule(name: str, progress: Scalar, warmup: Scalar = 0.0) -> jax.Array:
    """The factor in [0, 1] on the learning rate, by the schedule's name.

    Any schedule can follow a warm-up, a straight line from 1/25 to 1; it then takes up what is left of
    the run. So "one_cycle" is what "cosine" is with that warm-up.

    Args:
        name: one of `SCHEDULES`.
        progress: part of the run that is done, in [0, 1).
        warmup: part of the run in which the factor rises, in [0, 1).

    Returns:
        The factor, of the shape of `progress`.

    Raises:
        ValueError: if there is no schedule of that name.
    """
    if name not in _SHAPES:
        raise ValueError(f"schedule: unknown schedule {name!r}. {did_you_mean(name, SCHEDULES)}")
    return _after_warmup(_SHAPES[name], progress, warmup)


def _after_warmup(shape: Callable[[Any], jax.Array], progress: Scalar, warmup: Scalar) -> jax.Array:
    # Without a warm-up its branch is not taken, but must be finite, or its gradient is none.
    rise = FIRST + (1.0 - FIRST) * progress / jnp.maximum(warmup, 1e-6)
    rest = jnp.maximum(progress - warmup, 0.0) / (1.0 - warmup)
    return jnp.where(progress < warmup, rise, shape(rest))
