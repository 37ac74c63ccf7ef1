"""Parallelised Q-learning: the modern form without replay or target network, on the same games.

Slide "Deep reinforcement learning". What stabilises Q-learning here are many environments, layer
normalisation and λ-returns (Gallici et al. 2024).

    python launch.py --exp=pqn
"""

from mi203jax.configs import PQN
from mi203jax.core.experiment import Experiment

EXPERIMENT = Experiment(PQN(), "mi203jax.tasks.pqn:task")
