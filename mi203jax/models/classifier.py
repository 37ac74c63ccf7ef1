"""DL(x, θ): from a vector or an image to a score, or one for each class."""

from typing import Any, Literal

import flax.linen as nn
import jax

from mi203jax.models.layers import BatchNorm, Conv, Dense, Dropout, Initializer, LayerNorm
from mi203jax.nn import avg_pool, max_pool

Pooling = Literal["max", "avg", "stride", "none"]
Normalization = Literal["none", "batch", "layer"]
Head = Literal["flatten", "avg", "max"]


class Classifier(nn.Module):
    """Stages of convolutions, each followed by pooling, then dense layers; without stages, an MLP.

    Slides "Rappel" (K₁ filters + relu + … + 1 filter), "Convolution", "Pooling", "Batch normalisation".

    Attributes:
        outputs: number of scores.
        channels: filters of each stage; empty: the input is one vector.
        convs: 3×3 convolutions in a stage, each followed by normalisation and relu.
        pooling: what halves height and width after a stage; "stride": its last convolution does.
        head: how positions become a vector: "flatten" keeps them all, "avg" and "max" pool over them.
        hidden: widths of the dense layers.
        normalization: before each relu.
        dropout: rate before each dense layer; may be traced.
        use_dropout: whether there is dropout at all.
        spectral: divide the weights of each layer by their largest singular value.
        kernel_init: initialises the weights.
    """

    outputs: int
    channels: tuple[int, ...] = (32, 64)
    convs: int = 2
    pooling: Pooling = "max"
    head: Head = "flatten"
    hidden: tuple[int, ...] = ()
    normalization: Normalization = "batch"
    dropout: Any = 0.0
    use_dropout: bool = False
    spectral: bool = False
    kernel_init: Initializer = nn.initializers.he_normal()

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """`[batch, ...]`, float32 -> scores `[batch, outputs]`.

        What each stage computes is kept in the collection "features", `[batch, height, width, channels]`,
        for whoever makes it mutable.
        """
        for number, filters in enumerate(self.channels):
            x = self._stage(x, filters, train, number)
        if x.ndim == 4 and self.channels and self.head != "flatten":
            x = x.mean((1, 2)) if self.head == "avg" else x.max((1, 2))
        x = x.reshape(len(x), -1)
        for width in self.hidden:
            x = Dense(width, self.kernel_init, not self._normalizes, self.spectral)(
                self._drop(x, train), train
            )
            x = nn.relu(self._normalize(x, train))
        return Dense(self.outputs, self.kernel_init, spectral=self.spectral)(self._drop(x, train), train)

    def _stage(self, x: jax.Array, filters: int, train: bool, number: int) -> jax.Array:
        for i in range(self.convs):
            stride = 2 if self.pooling == "stride" and i == self.convs - 1 else 1
            conv = Conv(filters, self.kernel_init, not self._normalizes, self.spectral, 3, stride, "SAME")
            x = nn.relu(self._normalize(conv(x, train), train))
        self.sow("features", f"stage{number}", x)
        if self.pooling in ("max", "avg"):
            x = max_pool(x) if self.pooling == "max" else avg_pool(x)
        return x

    @property
    def _normalizes(self) -> bool:
        return self.normalization != "none"

    def _normalize(self, x: jax.Array, train: bool) -> jax.Array:
        if self.normalization == "batch":
            return BatchNorm()(x, train)
        return LayerNorm()(x) if self.normalization == "layer" else x

    def _drop(self, x: jax.Array, train: bool) -> jax.Array:
        return Dropout(self.dropout)(x, train) if self.use_dropout else x
