"""The course's layers with the parameters and states that they need, as flax modules."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from mi203jax.nn import (
    batch_norm,
    batch_norm_inference,
    conv2d,
    dropout,
    init_spectral,
    layer_norm,
    spectral_norm,
    update_running,
)

Initializer = Callable[..., jax.Array]
"""(key, shape, dtype) -> array."""


def along_last(parameter: jax.Array, ndim: int) -> jax.Array:
    """A parameter `[features]` with leading axes, so that it meets an array of `ndim` axes."""
    return lax.expand_dims(parameter, tuple(range(ndim - 1)))


class _Linear(nn.Module):
    """A linear layer's weights and bias.

    Attributes:
        features: number of outputs.
        kernel_init: initialises the weights; the bias begins at 0.
        use_bias: whether there is a bias.
        spectral: divide the weights by their largest singular value.
    """

    features: int
    kernel_init: Initializer = nn.initializers.he_normal()
    use_bias: bool = True
    spectral: bool = False

    def _weights(self, shape: tuple[int, ...], train: bool) -> jax.Array:
        w = self.param("w", self.kernel_init, shape)
        if not self.spectral:
            return w
        u = self.variable("spectral", "u", lambda: init_spectral(self.make_rng("params"), shape[-1]))
        sigma, new_u = spectral_norm(w, u.value)
        if train and not self.is_initializing():
            u.value = new_u
        return w / jnp.maximum(sigma, 1e-12)  # weights of zero stay so

    def _biased(self, x: jax.Array) -> jax.Array:
        if not self.use_bias:
            return x
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return x + along_last(bias, x.ndim)


class Conv(_Linear):
    """`mi203jax.nn.conv2d` with its filters and bias.

    Attributes:
        size: height and width of the filters.
        stride: step between positions.
        padding: see `conv2d`.
    """

    size: int = 3
    stride: int = 1
    padding: Any = "VALID"

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """`[..., height, width, channels]` -> `[..., height', width', features]`."""
        w = self._weights((self.size, self.size, x.shape[-1], self.features), train)
        return self._biased(conv2d(x, w, stride=self.stride, padding=self.padding))


class Dense(_Linear):
    """A matrix product with its weights and bias."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """`[..., inputs]` -> `[..., features]`."""
        return self._biased(x @ self._weights((x.shape[-1], self.features), train))


class LayerNorm(nn.Module):
    """`mi203jax.nn.layer_norm` with its scale and bias."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """`[..., features]` -> the same."""
        scale = self.param("scale", nn.initializers.ones, x.shape[-1:])
        bias = self.param("bias", nn.initializers.zeros, x.shape[-1:])
        return layer_norm(x, scale, bias)


class BatchNorm(nn.Module):
    """`mi203jax.nn.batch_norm` with its scale, bias and running estimates.

    Attributes:
        momentum: weight of a batch in the running estimates.
    """

    momentum: float = 0.1

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """`[..., features]` -> the same, by the batch's statistics if `train`, else by the running ones."""
        features = x.shape[-1:]
        scale = self.param("scale", nn.initializers.ones, features)
        bias = self.param("bias", nn.initializers.zeros, features)
        mean = self.variable("batch_stats", "mean", jnp.zeros, features)
        var = self.variable("batch_stats", "var", jnp.ones, features)
        if not train:
            return batch_norm_inference(x, scale, bias, mean.value, var.value)
        y, batch_mean, batch_var = batch_norm(x, scale, bias)
        if not self.is_initializing():
            mean.value, var.value = update_running(
                (mean.value, var.value), (batch_mean, batch_var), x.size // x.shape[-1], self.momentum
            )
        return y


class Dropout(nn.Module):
    """`mi203jax.nn.dropout` with keys from the stream "dropout"."""

    rate: Any  # in [0, 1); may be traced

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """`[...]` -> the same."""
        return dropout(self.make_rng("dropout"), x, self.rate) if train else x
