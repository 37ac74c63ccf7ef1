"""Fields of every network that reads signals step by step."""

from typing import Literal

from mi203jax.configs.optimized import Optimized
from mi203jax.core.config import config, static, traced

Cell = Literal["rnn", "lstm", "gru"]


@config
class Recurrent(Optimized):
    """Layers of recurrent cells."""

    cell: Cell = static("gru", "what remembers")
    hidden: int = static(64, "units of a layer, in each direction", "[1, 100000]")
    layers: int = static(1, "layers, each of which reads the one below", "[1, 100]")
    forget_bias: float = traced(
        1.0, "first bias of the gate that keeps the past: LSTM's forget, GRU's update", "(-inf, inf)"
    )
    clip_norm: float = traced(1.0, "global norm at which gradients are clipped; 0: never", "[0, inf)")
    checkpoint: int = static(
        0, "steps between states kept for the backward pass, others come again; 0: keep all", "[0, inf)"
    )
