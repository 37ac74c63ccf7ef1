"""Networks: flax modules composed of `mi203jax.nn`."""

from mi203jax.models.classifier import Classifier
from mi203jax.models.q_network import QNetwork

__all__ = ["Classifier", "QNetwork"]
