"""Networks that read signals step by step (slide "Réseau récurrent")."""

from typing import Any, Literal

import flax.linen as nn
import jax

from mi203jax.models.layers import Dense, Dropout
from mi203jax.nn import CELLS, attention_output, init_cell, last_output, mean_output, unroll_stack
from mi203jax.nn.initializers import xavier
from mi203jax.sequences import Sequences

Pooling = Literal["last", "mean", "attention"]


class Recurrent(nn.Module):
    """Layers of recurrent cells, each of which reads the outputs of the one below.

    Attributes:
        cell: rnn, lstm or gru.
        hidden: units of a layer, in each direction.
        layers: number of layers.
        bidirectional: whether each layer also reads from the end, by a cell of its own.
        forget_bias: see `mi203jax.nn.init_cell`; may be traced.
        checkpoint: see `mi203jax.nn.unroll`; 0: everything is kept.
    """

    cell: str
    hidden: int
    layers: int = 1
    bidirectional: bool = False
    forget_bias: Any = 1.0
    checkpoint: int = 0

    @nn.compact
    def __call__(
        self, xs: jax.Array, lengths: jax.Array | None = None, states: Any = None
    ) -> tuple[jax.Array, list[Any]]:
        """Reads signals, from the states in which the layers are, or from the beginning.

        Args:
            xs: `[..., time, inputs]`.
            lengths: `[...]`; None: all as long as the array.
            states: of each layer; None: zeros.

        Returns:
            Outputs `[..., time, features]` and the layers' states at the end.
        """
        cell = CELLS[self.cell]
        stack, inputs = [], xs.shape[-1]
        for number in range(self.layers):
            if self.bidirectional:
                ways = (self._layer(f"{way}{number}", inputs) for way in ("forward", "backward"))
                stack.append(tuple(ways))
            else:
                stack.append(self._layer(f"layer{number}", inputs))
            inputs = self.hidden * (2 if self.bidirectional else 1)
        return unroll_stack(cell, stack, xs, lengths, states, checkpoint=self.checkpoint or None)

    def _layer(self, name: str, inputs: int) -> Any:
        def init(key):
            return init_cell(CELLS[self.cell], key, inputs, self.hidden, self.forget_bias)

        return self.param(name, init)


class SequenceClassifier(nn.Module):
    """Recurrent layers, one vector of each signal, then scores.

    Attributes:
        outputs: number of scores.
        recurrent: the layers.
        pooling: how the outputs of all moments become one vector: the last, their mean, or their mean
            weighted by attention, whose scores are a small network's of each output (Bahdanau et al. 2015).
        dropout: part of that vector that is dropped while training; may be traced.
    """

    outputs: int
    recurrent: Recurrent
    pooling: Pooling = "last"
    dropout: Any = 0.0

    @nn.compact
    def __call__(self, x: Sequences, train: bool = False) -> jax.Array:
        """Values `[batch, time, inputs]` of lengths `[batch]` -> scores `[batch, outputs]`.

        The weights of attention are kept in the collection "features", `[batch, time]`, and the outputs of
        the layers, `[batch, time, features]`, for whoever makes it mutable.
        """
        values, lengths = x
        outputs, _ = self.recurrent(values, lengths)
        self.sow("features", "outputs", outputs)
        if self.pooling == "attention":
            hidden = nn.tanh(Dense(outputs.shape[-1], kernel_init=xavier())(outputs))
            scores = Dense(1, kernel_init=xavier(), use_bias=False)(hidden)[..., 0]
            self.sow("features", "attention", scores)
            vector = attention_output(outputs, scores, lengths)
        else:
            vector = {"last": last_output, "mean": mean_output}[self.pooling](outputs, lengths)
        vector = Dropout(self.dropout)(vector, train)
        return Dense(self.outputs, kernel_init=xavier())(vector)
