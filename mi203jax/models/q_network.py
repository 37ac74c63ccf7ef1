"""Q(s, ·, θ): from what the agent sees to one number for each button."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from mi203jax.nn import conv2d, layer_norm


class LayerNorm(nn.Module):
    """`mi203jax.nn.layer_norm` with its scale and bias."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """`[..., features]` -> the same."""
        scale = self.param("scale", nn.initializers.ones, x.shape[-1:])
        bias = self.param("bias", nn.initializers.zeros, x.shape[-1:])
        return layer_norm(x, scale, bias)


class Conv(nn.Module):
    """`mi203jax.nn.conv2d` with its filters and bias, initialised as He et al. (2015)."""

    filters: int
    size: int = 3

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """`[..., height, width, channels]` -> `[..., height', width', filters]`."""
        shape = (self.size, self.size, x.shape[-1], self.filters)
        w = self.param("w", nn.initializers.he_normal(), shape)
        bias = self.param("bias", nn.initializers.zeros, (self.filters,))
        return conv2d(x, w) + jax.lax.expand_dims(bias, tuple(range(x.ndim - 1)))


class QNetwork(nn.Module):
    """A 3×3 convolution if the observation is an image, then dense layers, then a value an action.

    Attributes:
        num_actions: number of outputs.
        channels: filters of the convolution.
        hidden: widths of the dense layers.
        layer_norm: whether each layer is normalised before its relu.
    """

    num_actions: int
    channels: int = 16
    hidden: tuple[int, ...] = (128,)
    layer_norm: bool = True

    @nn.compact
    def __call__(self, obs: jax.Array) -> jax.Array:
        """`[batch, height, width, channels]` or `[batch, features...]` -> `[batch, actions]`, float32."""
        x = jnp.asarray(obs, jnp.float32)
        if x.ndim == 4:
            x = self._activate(Conv(self.channels)(x))
        x = x.reshape(len(x), -1)
        for width in self.hidden:
            x = self._activate(nn.Dense(width, kernel_init=nn.initializers.he_normal())(x))
        return nn.Dense(self.num_actions)(x)

    def _activate(self, x: jax.Array) -> jax.Array:
        return nn.relu(LayerNorm()(x) if self.layer_norm else x)
