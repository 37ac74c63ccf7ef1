"""Many equal hidden layers, one after the other, in a program as long as that of one."""

import flax.linen as nn
import jax

from mi203jax.models.convolutional import Convolutional

STACKED = ("params", "batch_stats", "spectral", "perturbations")
"""What each layer has for itself."""


class Stack(Convolutional):
    """`depth` hidden layers of one width: a dense layer, then normalisation and relu, or x + that.

    Slide "Batch normalisation": "the same dynamics at each layer". A loop over the layers is compiled, not
    each of them. Parameters and states have a leading axis: the weights are `[depth, width, width]`, and
    those of each layer begin by its own key.

    Attributes (besides those of `Convolutional`):
        outputs: the width.
        depth: number of layers, at least 1.
        residual: whether each layer's result is added to what the layer gets.
    """

    depth: int = 1
    residual: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """`[..., width]` -> the same.

        What each layer hands on can be nudged by the collection "perturbations", `[depth, ..., width]`: the
        gradient by the nudge is that by the layer's output.

        Raises:
            ValueError: if x has another width.
        """
        if x.shape[-1] != self.outputs:
            raise ValueError(f"Stack: expected x of width {self.outputs}, got shape {x.shape}.")

        def layer(stack: Stack, x: jax.Array, _: None) -> tuple[jax.Array, None]:
            y = stack.hidden_layer(x, stack.outputs, train)
            return stack.perturb("output", x + y if stack.residual else y), None

        layers = nn.scan(
            layer,
            variable_axes=dict.fromkeys(STACKED, 0),
            split_rngs={"params": True, "dropout": True},
            length=self.depth,
        )
        return layers(self, x, None)[0]
