"""Networks: flax modules composed of `mi203jax.nn`."""

from mi203jax.models.autoencoder import AutoEncoder, Coded, Decoder, Encoder
from mi203jax.models.classifier import Classifier
from mi203jax.models.dense_prediction import CenterMaps, CenterNet, FullyConvolutional, UNet
from mi203jax.models.q_network import QNetwork, RecurrentQNetwork
from mi203jax.models.recurrent import Recurrent, SequenceClassifier
from mi203jax.models.stack import Stack

__all__ = [
    "AutoEncoder",
    "CenterMaps",
    "CenterNet",
    "Classifier",
    "Coded",
    "Decoder",
    "Encoder",
    "FullyConvolutional",
    "QNetwork",
    "Recurrent",
    "RecurrentQNetwork",
    "SequenceClassifier",
    "Stack",
    "UNet",
]
