"""The configuration of each task: its fields, their meaning, their limits. Nothing here needs jax."""

from mi203jax.configs.dqn import DQN
from mi203jax.configs.pqn import PQN
from mi203jax.configs.q_learning import QLearning

__all__ = ["DQN", "PQN", "QLearning"]
