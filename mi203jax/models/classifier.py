"""DL(x, θ): from a vector or an image to a score, or one for each class."""

from typing import Literal

import flax.linen as nn
import jax

from mi203jax.models.convolutional import Convolutional
from mi203jax.models.stack import Stack
from mi203jax.nn import avg_pool, max_pool

Pooling = Literal["max", "avg", "stride", "none"]
Head = Literal["flatten", "avg", "max"]

LAYER_OPTIONS = ("normalization", "dropout", "use_dropout", "spectral", "kernel_init", "slope")
"""Fields of `Convolutional` that every layer has."""


class Classifier(Convolutional):
    """Stages of convolutions, each followed by pooling, then dense layers; without stages, an MLP.

    Slides "Rappel" (K₁ filters + relu + … + 1 filter), "Convolution", "Pooling", "Batch normalisation".

    Attributes (besides those of `Convolutional`):
        pooling: what halves height and width after a stage; "stride": its last convolution does.
        head: how positions become a vector: "flatten" keeps them all, "avg" and "max" pool over them.
        hidden: widths of the dense layers.
        depth: number of further ones, a `Stack` as wide as the last of `hidden`.
        residual: whether each of these is added to what it gets.
    """

    channels: tuple[int, ...] = (32, 64)
    pooling: Pooling = "max"
    head: Head = "flatten"
    hidden: tuple[int, ...] = ()
    depth: int = 0
    residual: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """`[batch, ...]`, float32 -> scores `[batch, outputs]`.

        What each stage computes is kept in the collection "features", `[batch, height, width, channels]`,
        and what the last layer gets, `[batch, inputs]`, for whoever makes it mutable.

        Raises:
            ValueError: if there is depth, and no `hidden` that says how wide.
        """
        for number, filters in enumerate(self.channels):
            x = self.stage(x, filters, train, 2 if self.pooling == "stride" else 1)
            self.sow("features", f"stage{number}", x)
            if self.pooling in ("max", "avg"):
                x = max_pool(x) if self.pooling == "max" else avg_pool(x)
        if x.ndim == 4 and self.channels and self.head != "flatten":
            x = x.mean((1, 2)) if self.head == "avg" else x.max((1, 2))
        x = x.reshape(len(x), -1)
        for width in self.hidden:
            x = self.hidden_layer(x, width, train)
        if self.depth:
            x = self._stack()(x, train)
        self.sow("features", "last", x)
        return self.scores(x, train)

    def _stack(self) -> Stack:
        if not self.hidden:
            raise ValueError(f"Classifier: expected widths of hidden layers before depth={self.depth} more.")
        options = {name: getattr(self, name) for name in LAYER_OPTIONS}
        return Stack(self.hidden[-1], depth=self.depth, residual=self.residual, name="stack", **options)
