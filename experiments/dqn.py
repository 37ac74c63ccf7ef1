"""Deep Q-network with replay and target network, on an Atari-like game.

Slide "Deep reinforcement learning". The agent sees the screen of gymnax's Breakout-MinAtar and
presses left, right or nothing.

    python launch.py --exp=dqn
"""

from typing import TYPE_CHECKING

from mi203jax.configs import DQN
from mi203jax.core.experiment import Experiment

if TYPE_CHECKING:
    from mi203jax.core.task import Task


def _task() -> "Task":
    from mi203jax.tasks.dqn import task

    return task


EXPERIMENT = Experiment(DQN(), _task)
