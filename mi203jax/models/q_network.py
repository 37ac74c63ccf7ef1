"""Q(s, ·, θ): from what the agent sees to one number for each button."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from mi203jax.models.layers import Conv, LayerNorm


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
