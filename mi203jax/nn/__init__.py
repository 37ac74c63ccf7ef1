"""The course's layers as pure functions."""

from mi203jax.nn import initializers
from mi203jax.nn.cells import (
    CELLS,
    HiddenState,
    LSTMState,
    from_torch,
    gate_names,
    gru_cell,
    init_cell,
    lstm_cell,
    num_parameters,
    rnn_cell,
    zero_state,
)
from mi203jax.nn.conv import conv2d
from mi203jax.nn.dropout import dropout
from mi203jax.nn.gradient_flow import state_gradients
from mi203jax.nn.norm import batch_norm, batch_norm_inference, layer_norm, update_running
from mi203jax.nn.pool import avg_pool, max_pool
from mi203jax.nn.receptive_field import receptive_field, receptive_field_of
from mi203jax.nn.recurrent import (
    attention_output,
    last_output,
    mean_output,
    unroll,
    unroll_bidirectional,
    unroll_gates,
    unroll_stack,
)
from mi203jax.nn.spectral import init_spectral, spectral_norm

__all__ = [
    "CELLS",
    "HiddenState",
    "LSTMState",
    "attention_output",
    "avg_pool",
    "batch_norm",
    "batch_norm_inference",
    "conv2d",
    "dropout",
    "from_torch",
    "gate_names",
    "gru_cell",
    "init_cell",
    "init_spectral",
    "initializers",
    "last_output",
    "layer_norm",
    "lstm_cell",
    "max_pool",
    "mean_output",
    "num_parameters",
    "receptive_field",
    "receptive_field_of",
    "rnn_cell",
    "spectral_norm",
    "state_gradients",
    "unroll",
    "unroll_bidirectional",
    "unroll_gates",
    "unroll_stack",
    "update_running",
    "zero_state",
]
