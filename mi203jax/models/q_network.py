"""Q(s, ·, θ): from what the agent sees, and perhaps remembers, to one number for each button."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from mi203jax.models.layers import Conv, LayerNorm
from mi203jax.nn import CELLS, init_cell

PyTree = Any
STRIDE = 4
"""Of the first convolution of screens, in pixels."""


class QNetwork(nn.Module):
    """Convolutions if the observation is an image, then dense layers, then a value an action.

    Attributes:
        num_actions: number of outputs.
        channels: filters of the first convolution.
        hidden: widths of the dense layers.
        layer_norm: whether each layer is normalised before its relu.
        screens: whether images are real screens, which get the three convolutions of Mnih et al. (2015), with
            twice as many filters in the second and the third; with `channels=32` and `hidden=(512,)` it is
            their network. Other images get one of 3×3.
    """

    num_actions: int
    channels: int = 16
    hidden: tuple[int, ...] = (128,)
    layer_norm: bool = True
    screens: bool = False

    @nn.compact
    def __call__(self, obs: jax.Array) -> jax.Array:
        """Observations -> `[batch, actions]`, float32.

        Args:
            obs: `[batch, height, width, channels]` or `[batch, features...]`; screens are
                `[batch, frames, height, width]`, uint8.
        """
        x = self._features(obs)  # first: layers get their names in the order in which they are made
        return nn.Dense(self.num_actions)(x)

    def _features(self, obs: jax.Array) -> jax.Array:
        x = jnp.asarray(blocks(obs, STRIDE) if self.screens else obs, jnp.float32)
        if self.screens:
            # The first is of 8×8 pixels with stride 4, written as one of 2×2 blocks.
            x = x / 255.0
            for filters, size, stride in ((1, 2, 1), (2, 4, 2), (2, 3, 1)):
                x = self._activate(Conv(filters * self.channels, size=size, stride=stride)(x))
        elif x.ndim == 4:
            x = self._activate(Conv(self.channels)(x))
        x = x.reshape(len(x), -1)
        for width in self.hidden:
            x = self._activate(nn.Dense(width, kernel_init=nn.initializers.he_normal())(x))
        return x

    def _activate(self, x: jax.Array) -> jax.Array:
        return nn.relu(LayerNorm()(x) if self.layer_norm else x)


def blocks(obs: jax.Array, size: int) -> jax.Array:
    """Screens whose positions are blocks of size × size pixels; moving bytes is cheaper than moving floats.

    `[n, frames, height, width]` -> `[n, height / size, width / size, frames · size²]`, of the same dtype.
    """
    n, frames, height, width = obs.shape
    x = obs.reshape(n, frames, height // size, size, width // size, size)
    return x.transpose(0, 2, 4, 3, 5, 1).reshape(n, height // size, width // size, -1)


class RecurrentQNetwork(QNetwork):
    """The same with a recurrent cell between the dense layers and the values (Hausknecht & Stone 2015).

    Attributes:
        cell: "rnn", "lstm" or "gru".
        memory_size: units of the cell.
    """

    cell: str = "gru"
    memory_size: int = 64

    @nn.compact
    def __call__(  # type: ignore[override]
        self, obs: jax.Array, memory: PyTree, done: jax.Array
    ) -> tuple[jax.Array, PyTree]:
        """Reads sequences of observations.

        Args:
            obs: `[batch, time, height, width, channels]` or `[batch, time, features...]`.
            memory: the cell's state before the first of them, leaves `[batch, memory_size]`.
            done: whether an episode ended with the step that follows the observation: after that the memory
                begins anew, `[batch, time]`, bool.

        Returns:
            The values, `[batch, time, actions]`; and the memory after each observation, before it is
            reset, leaves `[batch, time, memory_size]`.
        """
        cell = CELLS[self.cell]
        x = self._features(obs.reshape(-1, *obs.shape[2:])).reshape(*done.shape, -1)
        params = self.param("cell", lambda key: init_cell(cell, key, x.shape[-1], self.memory_size))

        def read(memory, now):
            x, done = now
            seen = cell(params, memory, x)
            return reset_memory(seen, done), seen

        _, seen = jax.lax.scan(read, memory, (x.swapaxes(0, 1), done.T))
        seen = jax.tree.map(lambda m: m.swapaxes(0, 1), seen)
        return nn.Dense(self.num_actions)(seen.h), seen


def reset_memory(memory: PyTree, done: jax.Array) -> PyTree:
    """Zeros where an episode ended: leaves `[batch, units]`, done `[batch]`."""
    return jax.tree.map(lambda m: jnp.where(done[:, None], jnp.zeros_like(m), m), memory)
