"""Parallelised Q-learning: the modern form without replay or target network, on the same games.

Slide "Deep reinforcement learning". What stabilises Q-learning here are many environments, layer
normalisation and λ-returns (Gallici et al. 2024).

    python launch.py --exp=pqn
"""

from mi203jax.configs import PQN
from mi203jax.core.experiment import Experiment

EXPERIMENT = Experiment(
    PQN(),
    "mi203jax.tasks.pqn:task",
    {
        "games": ("env=Breakout-MinAtar,Asterix-MinAtar,Freeway-MinAtar,SpaceInvaders-MinAtar",),
        "lambda": ("lambda_=lin(0,1,5)",),
        "layer_norm": ("layer_norm=false,true", "learning_rate=1e-4,5e-4,2e-3"),
        "pong": (
            *("env=atari/Pong", "clip_rewards=true", "num_envs=16", "minibatches=4", "hidden=(256,)"),
            *("total_steps=1_000_000", "eval_every=50_000", "eval_episodes=4", "eval_epsilon=0.01"),
        ),
        "learning_rate": ("learning_rate=log(1e-4,1e-2,5)",),
    },
)
