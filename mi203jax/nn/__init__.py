"""The course's layers as pure functions."""

from mi203jax.nn import initializers
from mi203jax.nn.conv import conv2d
from mi203jax.nn.dropout import dropout
from mi203jax.nn.norm import batch_norm, batch_norm_inference, layer_norm, update_running
from mi203jax.nn.pool import avg_pool, max_pool
from mi203jax.nn.receptive_field import receptive_field, receptive_field_of
from mi203jax.nn.spectral import init_spectral, spectral_norm

__all__ = [
    "avg_pool",
    "batch_norm",
    "batch_norm_inference",
    "conv2d",
    "dropout",
    "init_spectral",
    "initializers",
    "layer_norm",
    "max_pool",
    "receptive_field",
    "receptive_field_of",
    "spectral_norm",
    "update_running",
]
