"""Checks of arguments that pure functions share, made while they are traced."""

import jax
import jax.numpy as jnp


def scalar(function: str, argument: str, value: float | jax.Array, dtype=jnp.float32) -> jax.Array:
    """A number, which may be traced, as an array `[]` of the dtype.

    Raises:
        ValueError: if it is no scalar.
    """
    if jnp.ndim(value):
        raise ValueError(f"{function}: expected {argument} to be a scalar, got shape {jnp.shape(value)}.")
    return jnp.asarray(value, dtype)


def check_int(function: str, argument: str, value: int, largest: int | None = None) -> None:
    """Refuses what is no int from 1 on.

    Raises:
        ValueError: if it is none, or above `largest`.
    """
    most = value if largest is None else largest
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        limits = "a positive int" if largest is None else f"an int from 1 to {largest}"
        raise ValueError(f"{function}: expected {argument} to be {limits}, got {value!r}.")
