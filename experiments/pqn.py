"""Parallelised Q-learning: the modern form without replay or target network, on the same games.

Slide "Deep reinforcement learning". What stabilises Q-learning here are many environments, layer
normalisation and λ-returns (Gallici et al. 2024).

    python launch.py --exp=pqn

On real Atari games (`--sweep=pong`, `--sweep=breakout`):

    python launch.py --exp=pqn --sweep=pong
"""

from mi203jax.configs import PQN
from mi203jax.core.experiment import Experiment

# λ and the step size are the authors'.
ATARI = (
    *("num_envs=16", "num_steps=64", "minibatches=16", "hidden=(256,)", "learning_rate=2.5e-4", "decay=0"),
    *("epsilon_end=0.01", "total_steps=1_400_000"),
    *("eval_every=100_000", "eval_episodes=4", "eval_epsilon=0.01"),
)

EXPERIMENT = Experiment(
    PQN(),
    "mi203jax.tasks.pqn:task",
    {
        "games": ("env=Breakout-MinAtar,Asterix-MinAtar,Freeway-MinAtar,SpaceInvaders-MinAtar",),
        "lambda": ("lambda_=lin(0,1,5)",),
        "layer_norm": ("layer_norm=false,true", "learning_rate=1e-4,5e-4,2e-3"),
        "pong": ("env=atari/Pong", *ATARI),
        "breakout": ("env=atari/Breakout", "clip_rewards=true", *ATARI),
        "learning_rate": ("learning_rate=log(1e-4,1e-2,5)",),
    },
)
