"""Normalisation of activations (slide "Batch normalisation")."""

import jax
import jax.numpy as jnp
from jax import lax


def layer_norm(x: jax.Array, scale: jax.Array, bias: jax.Array, *, epsilon: float = 1e-6) -> jax.Array:
    """Centres and reduces each example over its last axis (Ba et al. 2016).

    What batch normalisation does over the batch, this does over the features of one example, so that
    it works for any batch size and needs no running statistics.

    Args:
        x: `[..., features]`, floating.
        scale: γ, `[features]`.
        bias: β, `[features]`.
        epsilon: added to the variance (of divisor `features`) before its square root.

    Returns:
        γ · (x − mean) / √(variance + ε) + β, of the shape and dtype of `x`.

    Raises:
        ValueError: if `scale` or `bias` is not of shape `[features]`.
    """
    _check("layer_norm", x, scale=scale, bias=bias)
    centred = x - x.mean(-1, keepdims=True)
    variance = (centred * centred).mean(-1, keepdims=True)
    return centred * lax.rsqrt(variance + epsilon) * _wide(scale, x) + _wide(bias, x)


def batch_norm(
    x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon=1e-5
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Centres and reduces each feature over the batch (slide "Batch normalisation"; training).

    y = γ · (x − mean) / √(variance + ε) + β (Ioffe & Szegedy 2015), with the mean and the variance (of
    divisor n) over the n values that a feature has in the batch: every axis but the last.

    The gradient is written out, since it takes fewer passes over `x` than the automatic one. So this
    works under `vmap` and reverse mode, and `jax.jvp` refuses it.

    Args:
        x: `[..., features]`, floating.
        scale: γ, `[features]`, of the dtype of `x`.
        bias: β, `[features]`, of the dtype of `x`.
        epsilon: ε, a scalar.

    Returns:
        y, of the shape and dtype of `x`; the mean and the variance, `[features]`, through which no
        gradient flows: they are for `update_running`.

    Raises:
        ValueError: if `scale` or `bias` is not of shape `[features]`, or `x` is not floating.
    """
    _check("batch_norm", x, scale=scale, bias=bias)
    return _batch_norm(x, scale, bias, epsilon)


@jax.custom_vjp
def _batch_norm(x, scale, bias, epsilon):
    return _batch_norm_forward(x, scale, bias, epsilon)[0]


def _batch_norm_forward(x, scale, bias, epsilon):
    axes = tuple(range(x.ndim - 1))
    mean = x.mean(axes)
    centred = x - _wide(mean, x)
    var = (centred * centred).mean(axes)
    inverse = lax.rsqrt(var + epsilon)
    y = centred * _wide(inverse * scale, x) + _wide(bias, x)
    return (y, mean, var), (x, scale, mean, inverse)


def _batch_norm_backward(kept, cotangents):
    x, scale, mean, inverse = kept
    dy, n, axes = cotangents[0], x.size // x.shape[-1], tuple(range(x.ndim - 1))
    centred = x - _wide(mean, x)
    dbias = dy.sum(axes)
    dscale = (dy * centred).sum(axes) * inverse
    # What the mean and the variance take away: the parts of dy along 1 and along the normalised x.
    along = _wide(dbias / n, x) + centred * _wide(inverse * dscale / n, x)
    return (dy - along) * _wide(inverse * scale, x), dscale, dbias, None


_batch_norm.defvjp(_batch_norm_forward, _batch_norm_backward)


def batch_norm_inference(
    x: jax.Array, scale: jax.Array, bias: jax.Array, mean: jax.Array, var: jax.Array, epsilon=1e-5
) -> jax.Array:
    """Batch normalisation by given statistics: an affine map of each feature (evaluation).

    Args:
        x: `[..., features]`, floating.
        scale: γ, `[features]`.
        bias: β, `[features]`.
        mean: running estimate, `[features]`; see `update_running`.
        var: running estimate, `[features]`.
        epsilon: ε, a scalar, as in training.

    Returns:
        γ · (x − mean) / √(var + ε) + β, of the shape and dtype of `x`.

    Raises:
        ValueError: if a parameter is not of shape `[features]`, or `x` is not floating.
    """
    _check("batch_norm_inference", x, scale=scale, bias=bias, mean=mean, var=var)
    return (x - _wide(mean, x)) * _wide(scale * lax.rsqrt(var + epsilon), x) + _wide(bias, x)


def update_running(
    running: tuple[jax.Array, jax.Array], batch: tuple[jax.Array, jax.Array], n: int, momentum=0.1
) -> tuple[jax.Array, jax.Array]:
    """Draws the running mean and variance towards a batch's (slide: "an approximation of mean and variance").

    running ← (1 − m) · running + m · batch: the momentum m is the weight of the *batch*, as in PyTorch
    (elsewhere it is often the weight of the past). The batch's variance enters without bias, times
    n / (n − 1), as in PyTorch.

    Args:
        running: mean and variance so far, each `[features]`; begin with 0 and 1.
        batch: mean and variance (of divisor n) that `batch_norm` returned, each `[features]`.
        n: how many values of a feature they were taken over: batch × height × width. One value says
            nothing of the variance and enters as it is, 0.
        momentum: m in [0, 1], a scalar.

    Returns:
        The new mean and variance, each `[features]`.

    Raises:
        ValueError: if n is not positive.
    """
    if n < 1:
        raise ValueError(f"update_running: expected n of at least 1, got {n}.")
    mean, var = batch
    unbiased = var * (n / max(n - 1, 1))
    return tuple((1 - momentum) * r + momentum * b for r, b in zip(running, (mean, unbiased), strict=True))


def _wide(parameter: jax.Array, x: jax.Array) -> jax.Array:
    """`[features]` with the leading axes of `x`."""
    return lax.expand_dims(parameter, tuple(range(x.ndim - 1)))


def _check(function: str, x: jax.Array, **parameters: jax.Array) -> None:
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(f"{function}: expected floating x, got {x.dtype}.")
    for name, parameter in parameters.items():
        if x.ndim == 0 or parameter.shape != x.shape[-1:]:
            raise ValueError(f"{function}: expected {name} of shape {x.shape[-1:]}, got {parameter.shape}.")
