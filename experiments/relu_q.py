"""Deep Q-learning by the slide's own objective, alone and with what it drops, beside DQN's.

Slide "Deep reinforcement learning": SGD on relu(r + γ Q(s', a', θ) − Q(s, a, θ)).

    python launch.py --exp=relu_q
"""

from mi203jax.configs import ReluQ
from mi203jax.core.experiment import Experiment

EXPERIMENT = Experiment(
    ReluQ(
        env="Rooms-grid",
        gamma=0.95,
        total_steps=64_000,
        eval_every=3_200,
        num_envs=16,
        learning_starts=1_000,
        replay_size=64_000,
        epsilon_end=0.1,
        exploration_fraction=0.5,
    ),
    "mi203jax.tasks.relu_q:task",
    {"default": ("objective=relu,relu_mean_q,td",)},
)
