"""What convolutional networks share: the choices of each layer, and stages of convolutions."""

from typing import Any, Literal

import flax.linen as nn
import jax

from mi203jax.models.layers import BatchNorm, Conv, Dense, Dropout, Initializer, LayerNorm

Normalization = Literal["none", "batch", "layer"]


class Convolutional(nn.Module):
    """The fields and parts of a network of convolutions. Not a network itself.

    Attributes:
        outputs: number of scores.
        channels: filters of each stage, of which each has half the height and width of the one before.
        convs: 3×3 convolutions in a stage, each followed by normalisation and relu.
        normalization: before each relu.
        dropout: rate before each dense layer; may be traced.
        use_dropout: whether there is dropout at all.
        spectral: divide the weights of each layer by their largest singular value.
        kernel_init: initialises the weights.
        slope: of the relu below 0; 0 is the relu itself.
    """

    outputs: int
    channels: tuple[int, ...] = (16, 32, 64)
    convs: int = 2
    normalization: Normalization = "batch"
    dropout: Any = 0.0
    use_dropout: bool = False
    spectral: bool = False
    kernel_init: Initializer = nn.initializers.he_normal()
    slope: float = 0.0

    def stage(self, x: jax.Array, filters: int, train: bool, last_stride: int = 1) -> jax.Array:
        """`convs` convolutions that keep height and width, but for the stride of the last."""
        for i in range(self.convs):
            stride = last_stride if i == self.convs - 1 else 1
            conv = Conv(filters, self.kernel_init, not self._normalizes, self.spectral, 3, stride, "SAME")
            x = self._activate(self._normalize(conv(x, train), train))
        return x

    def hidden_layer(self, x: jax.Array, width: int, train: bool) -> jax.Array:
        """A dense layer, then normalisation and relu: `[..., inputs]` -> `[..., width]`."""
        dense = Dense(width, self.kernel_init, not self._normalizes, self.spectral)
        return self._activate(self._normalize(dense(self._drop(x, train), train), train))

    def scores(self, x: jax.Array, train: bool, outputs: int | None = None) -> jax.Array:
        """The last dense layer, at each position by itself: `[..., inputs]` -> `[..., outputs]`."""
        dense = Dense(outputs or self.outputs, self.kernel_init, spectral=self.spectral)
        return dense(self._drop(x, train), train)

    @property
    def _normalizes(self) -> bool:
        return self.normalization != "none"

    def _activate(self, x: jax.Array) -> jax.Array:
        return nn.leaky_relu(x, self.slope) if self.slope else nn.relu(x)

    def _normalize(self, x: jax.Array, train: bool) -> jax.Array:
        if self.normalization == "batch":
            return BatchNorm()(x, train)
        return LayerNorm()(x) if self.normalization == "layer" else x

    def _drop(self, x: jax.Array, train: bool) -> jax.Array:
        return Dropout(self.dropout)(x, train) if self.use_dropout else x
