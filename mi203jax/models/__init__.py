"""Networks: flax modules composed of `mi203jax.nn`."""

from mi203jax.models.classifier import Classifier
from mi203jax.models.dense_prediction import CenterMaps, CenterNet, FullyConvolutional, UNet
from mi203jax.models.q_network import QNetwork

__all__ = ["CenterMaps", "CenterNet", "Classifier", "FullyConvolutional", "QNetwork", "UNet"]
