"""The configuration of each task: its fields, their meaning, their limits. Nothing here needs jax."""

from mi203jax.configs.autoencoder import Autoencoder
from mi203jax.configs.bellman import Bellman
from mi203jax.configs.characters import Characters
from mi203jax.configs.deep import Deep
from mi203jax.configs.detection import Detection, SlidingWindow
from mi203jax.configs.dqn import DQN
from mi203jax.configs.feedforward import Feedforward
from mi203jax.configs.gan import GAN
from mi203jax.configs.image_classification import ImageClassification
from mi203jax.configs.lecture import Lecture
from mi203jax.configs.memory import Memory
from mi203jax.configs.mlp_vs_cnn import MlpVsCnn
from mi203jax.configs.optimized import Optimized
from mi203jax.configs.pqn import PQN
from mi203jax.configs.q_learning import QLearning
from mi203jax.configs.recurrent import Recurrent
from mi203jax.configs.relu_q import ReluQ
from mi203jax.configs.rewards import Rewards
from mi203jax.configs.segmentation import Segmentation
from mi203jax.configs.sequences import Sequences
from mi203jax.configs.shortest_path import ShortestPath
from mi203jax.configs.supervised import Supervised
from mi203jax.configs.trends import Trends
from mi203jax.configs.vectors import Vectors

__all__ = [
    "DQN",
    "GAN",
    "PQN",
    "Autoencoder",
    "Bellman",
    "Characters",
    "Deep",
    "Detection",
    "Feedforward",
    "ImageClassification",
    "Lecture",
    "Memory",
    "MlpVsCnn",
    "Optimized",
    "QLearning",
    "Recurrent",
    "ReluQ",
    "Rewards",
    "Segmentation",
    "Sequences",
    "ShortestPath",
    "SlidingWindow",
    "Supervised",
    "Trends",
    "Vectors",
]
