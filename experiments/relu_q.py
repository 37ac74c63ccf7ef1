"""Deep Q-learning by the slide's own objective, alone and with what it drops, beside DQN's.

Slide "Deep reinforcement learning": SGD on relu(r + γ Q(s', a', θ) − Q(s, a, θ)).

    python launch.py --exp=relu_q

The same with a target network, which makes it work, and on other games:

    python launch.py --exp=relu_q --sweep=target
    python launch.py --exp=relu_q --sweep=cartpole
    python launch.py --exp=relu_q --sweep=minatar objective=relu_mean_q next_q=target mean_q=0.2
"""

from mi203jax.configs import ReluQ
from mi203jax.core.experiment import Experiment

EXPERIMENT = Experiment(
    ReluQ(
        env="Rooms-grid",
        gamma=0.95,
        total_steps=64_000,
        eval_every=6_400,
        num_envs=16,
        learning_starts=1_000,
        replay_size=64_000,
        epsilon_end=0.1,
        exploration_fraction=0.5,
    ),
    "mi203jax.tasks.relu_q:task",
    {
        "default": ("objective=relu,relu_mean_q,td",),
        "target": ("objective=relu,relu_mean_q,td", "next_q=target", "mean_q=0.2"),
        "initial_q": ("objective=relu,td", "initial_q=0,200"),
        "weight": (
            "objective=relu_mean_q",
            "next_q=online,target",
            "mean_q=0.5,0.2,0.1,0.05,0.02,0.01,0.005,0.002,0.001",
            "mean_q_ratio=0,1",
        ),
        "cartpole": (
            "env=CartPole-v1",
            "gamma=0.99",
            "objective=relu,relu_mean_q,td",
            "next_q=target",
            "mean_q=0.5",
            "hidden=(64,64)",
            "total_steps=96_000",
            "eval_every=9_600",
            "learning_rate=5e-4",
            "decay=0",
            "target_period=100",
            "gradient_steps=1",
            "epsilon_end=0.02",
            "exploration_fraction=0.1",
        ),
        "minatar": (
            "env=Breakout-MinAtar",
            "gamma=0.99",
            "objective=td",
            "num_envs=64",
            "total_steps=512_000",
            "eval_every=51_200",
            "learning_starts=5_000",
            "replay_size=100_000",
            "epsilon_end=0.02",
            "exploration_fraction=0.1",
        ),
    },
)
