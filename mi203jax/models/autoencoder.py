"""From an image to a code of a few numbers, and back (slide "Classification → autoencoder")."""

import math
from typing import Any, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from mi203jax.codes import sample_gaussian
from mi203jax.models.convolutional import Convolutional
from mi203jax.models.layers import Conv, Dropout
from mi203jax.nn import avg_pool, max_pool


class Encoder(Convolutional):
    """Stages of convolutions, each halved, and dense layers, to `outputs` numbers.

    Attributes (besides those of `Convolutional`):
        hidden: widths of the dense layers.
        pooling: what halves: pooling, or none, and then the stride of a stage's last convolution.
    """

    hidden: tuple[int, ...] = ()
    pooling: Literal["max", "avg", "none"] = "max"

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """`[batch, height, width, channels]`, float32 -> `[batch, outputs]`."""
        for filters in self.channels:
            x = self.stage(x, filters, train, 2 if self.pooling == "none" else 1)
            if self.pooling != "none":
                x = max_pool(x) if self.pooling == "max" else avg_pool(x)
        x = x.reshape(len(x), -1)
        for width in self.hidden:
            x = self.hidden_layer(x, width, train)
        return self.scores(x, train)


class Decoder(Convolutional):
    """An encoder backwards: dense layers, then stages, each doubled, to an image of `shape`.

    Attributes (besides those of `Convolutional`; `outputs` are the channels of the image):
        shape: height and width of the image, multiples of 2 to the number of stages.
        hidden: widths of the dense layers, from the code on.
    """

    shape: tuple[int, int] = (28, 28)
    hidden: tuple[int, ...] = ()

    @nn.compact
    def __call__(self, code: jax.Array, train: bool = False) -> jax.Array:
        """`[batch, code]`, float32 -> `[batch, height, width, outputs]`, any numbers."""
        x = code
        for width in self.hidden:
            x = self.hidden_layer(x, width, train)
        height, width = (n // 2 ** len(self.channels) for n in self.shape)
        if not self.channels:
            pixels = self.scores(x, train, math.prod((height, width, self.outputs)))
            return pixels.reshape(-1, height, width, self.outputs)
        x = self.hidden_layer(x, height * width * self.channels[0], train)
        x = x.reshape(-1, height, width, self.channels[0])
        for filters in self.channels:
            x = self.stage(x, filters, train).repeat(2, 1).repeat(2, 2)
        return Conv(self.outputs, self.kernel_init, True, self.spectral, 3, 1, "SAME")(x, train)


class Coded(NamedTuple):
    """What an auto-encoder makes of images."""

    image: jax.Array  # the image again, in [0, 1], [batch, height, width, channels]
    code: jax.Array  # what it is made of, [batch, code]
    log_variance: jax.Array  # of a variational code, [batch, code]; else empty, [batch, 0]


class AutoEncoder(nn.Module):
    """Predicts its input, from a code that does not hold all of it.

    Attributes:
        encoder: to twice as many numbers where the code is variational: means, then logarithms of variances.
        decoder: from the code to the image's logits.
        variational: draw the code from the Gaussian that the encoder says, in training (Kingma & Welling).
        bounded: numbers of the code lie in (0, 1).
        dropout: part of the code that is dropped in training; may be traced; None: no dropout.
    """

    encoder: nn.Module
    decoder: nn.Module
    variational: bool = False
    bounded: bool = False
    dropout: Any = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> Coded:
        """`[batch, height, width, channels]`, float32 -> `Coded`."""
        code = self.encoder(x, train)
        code, log_variance = jnp.split(code, (code.shape[1] // (2 if self.variational else 1),), 1)
        if self.bounded:
            code = nn.sigmoid(code)
        drawn = code
        if train and self.variational:
            drawn = sample_gaussian(self.make_rng("dropout"), code, log_variance)
        if self.dropout is not None:
            drawn = Dropout(self.dropout)(drawn, train)
        return Coded(self.decode(drawn, train), code, log_variance)

    def decode(self, code: jax.Array, train: bool = False) -> jax.Array:
        """`[batch, code]` -> images `[batch, height, width, channels]`, in [0, 1]."""
        return nn.sigmoid(self.decoder(code, train))
