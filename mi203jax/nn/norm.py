"""Normalisation of activations (slide "Batch normalisation")."""

import jax
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
    if scale.shape != x.shape[-1:] or bias.shape != x.shape[-1:]:
        raise ValueError(
            f"layer_norm: expected scale and bias of shape {x.shape[-1:]}, got {scale.shape} and "
            f"{bias.shape}."
        )
    centred = x - x.mean(-1, keepdims=True)
    variance = (centred * centred).mean(-1, keepdims=True)
    scale, bias = (lax.expand_dims(p, tuple(range(x.ndim - 1))) for p in (scale, bias))
    return centred * lax.rsqrt(variance + epsilon) * scale + bias
