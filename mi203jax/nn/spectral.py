"""Spectral norm (slide "Mais aussi")."""

import jax
import jax.numpy as jnp
from jax import lax


def init_spectral(key: jax.Array, out: int) -> jax.Array:
    """A random unit vector, with which the power iteration of `spectral_norm` begins.

    Args:
        key: random key.
        out: size of the weights' last axis.

    Returns:
        `[out]`, float32.
    """
    u = jax.random.normal(key, (out,), jnp.float32)
    return u / jnp.linalg.norm(u)


def spectral_norm(w: jax.Array, u: jax.Array, *, iterations: int = 1) -> tuple[jax.Array, jax.Array]:
    """The largest singular value σ of the weights, estimated by power iteration.

    With W the weights as a matrix `[prod(leading axes), out]`, an iteration is v ← W u / ‖W u‖,
    u ← Wᵀ v / ‖Wᵀ v‖, and σ = vᵀ W u. The layer uses w / σ, so that it stretches no input by more than
    1 (a convolution: approximately). The weights change little in a step of training, so one iteration
    a step is enough, from the u of the step before.

    Args:
        w: weights, `[..., out]` with at least two axes, floating.
        u: the state, `[out]`, of the dtype of `w`: at first that of `init_spectral`.
        iterations: number of iterations, at least 1.

    Returns:
        σ, `[]`, whose gradient flows through W alone, not through u and v; and the new u. If W u = 0, so
        that no direction is known, σ is 0 and u stays as it was.

    Raises:
        ValueError: if shapes or dtypes do not fit, or there is no iteration.

    Source: Miyato et al. 2018.
    """
    if w.ndim < 2 or u.shape != w.shape[-1:]:
        raise ValueError(f"spectral_norm: expected w [..., out] and u [out], got {w.shape} and {u.shape}.")
    if w.dtype != u.dtype or not jnp.issubdtype(w.dtype, jnp.floating):
        raise ValueError(f"spectral_norm: expected one floating dtype, got {w.dtype} and {u.dtype}.")
    if iterations < 1:
        raise ValueError(f"spectral_norm: expected iterations of at least 1, got {iterations}.")
    matrix = w.reshape(-1, w.shape[-1])
    fixed, u = lax.stop_gradient((matrix, u))

    def iterate(_, vectors):
        u, _ = vectors
        v = _unit(fixed @ u, jnp.zeros_like(fixed[:, 0]))
        return _unit(v @ fixed, u), v

    u, v = lax.fori_loop(0, iterations, iterate, (u, jnp.zeros_like(fixed[:, 0])))
    return v @ matrix @ u, u


def _unit(x: jax.Array, otherwise: jax.Array) -> jax.Array:
    """The unit vector x / ‖x‖, or `otherwise` if x is 0."""
    norm = jnp.linalg.norm(x)
    return jnp.where(norm > 0, x / norm, otherwise)
