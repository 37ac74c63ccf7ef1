"""From a classifier of images to one of every place (slides "Classification → segmentation", "→ détection").

`FullyConvolutional` classifies places of the last, coarse stage. `UNet` brings the fine stages back in.
`CenterNet` is a U-Net that stops before it is back at the size of the image, and says how large things are.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from mi203jax.models.convolutional import Convolutional
from mi203jax.nn import max_pool

PRIOR = -2.19
"""Logit of the probability 0.1 with which heat maps begin, since nearly all places hold no centre."""


class FullyConvolutional(Convolutional):
    """A classifier without flattening: scores of each place of the last stage, enlarged by interpolation.

    Source: Long et al. 2015 (FCN-32s: without its skips, and with a fixed bilinear enlargement).
    """

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """`[batch, height, width, channels]`, float32 -> scores `[batch, height, width, outputs]`."""
        shape = x.shape[:3]
        for number, filters in enumerate(self.channels):
            x = self.stage(max_pool(x) if number else x, filters, train)
        return jax.image.resize(self.scores(x, train), (*shape, self.outputs), "linear")


class _DownAndUp(Convolutional):
    """The stages of a U-Net."""

    def down_and_up(self, x: jax.Array, train: bool, stride: int) -> jax.Array:
        """`[batch, height, width, channels]` -> what the last stage has at cells of `stride` pixels."""
        skips = []
        for number, filters in enumerate(self.channels):
            x = self.stage(max_pool(x) if number else x, filters, train)
            skips.append(x)
        for number in reversed(range(stride.bit_length() - 1, len(skips) - 1)):
            beside = jnp.concatenate([_doubled(x), skips[number]], -1)
            x = self.stage(beside, self.channels[number], train)
        return x


class UNet(_DownAndUp):
    """Stages down to a coarse one, and up again, each beside what the way down had at its size.

    Source: Ronneberger et al. 2015 (with padded convolutions, and copies of pixels to enlarge).
    """

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """`[batch, height, width, channels]`, float32 -> scores `[batch, height, width, outputs]`.

        Height and width must be multiples of 2 to the number of stages less one.
        """
        return self.scores(self.down_and_up(x, train, 1), train)


class CenterMaps(NamedTuple):
    """What a centre detector says of each cell of an image, `[batch, height', width', …]`."""

    heat: jax.Array
    """`[…, classes]`: logits of there being the centre of an object."""
    offset: jax.Array
    """`[…, 2]`: where in the cell it is, (dy, dx) in cells."""
    size: jax.Array
    """`[…, 2]`: (height, width) of the object's box, in pixels, positive."""


class CenterNet(_DownAndUp):
    """A U-Net up to cells of `stride` pixels, which scores each for centres and says how large things are.

    Source: Zhou et al. 2019.

    Attributes (besides those of `Convolutional`; `outputs` are the classes):
        stride: pixels for each cell: a power of 2, at most that of the coarsest stage.
    """

    stride: int = 4

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> CenterMaps:
        """`[batch, height, width, channels]`, float32 -> the maps, `[batch, height / stride, …]`.

        Height and width must be multiples of 2 to the number of stages less one.
        """
        maps = self.scores(self.down_and_up(x, train, self.stride), train, self.outputs + 4)
        heat, offset, size = jnp.split(maps, (self.outputs, self.outputs + 2), -1)
        return CenterMaps(heat + PRIOR, offset, self.stride * nn.softplus(size))


def _doubled(x: jax.Array) -> jax.Array:
    """Each pixel as 2×2 of it."""
    return x.repeat(2, 1).repeat(2, 2)
