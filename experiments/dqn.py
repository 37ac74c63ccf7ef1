"""Deep Q-network with replay and target network, on an Atari-like game.

Slide "Deep reinforcement learning". The agent sees the screen of gymnax's Breakout-MinAtar and
presses left, right or nothing.

    python launch.py --exp=dqn

With a memory, where something is hidden:

    python launch.py --exp=dqn --sweep=memory --seeds=5
"""

from mi203jax.configs import DQN
from mi203jax.core.experiment import Experiment

EXPERIMENT = Experiment(
    DQN(),
    "mi203jax.tasks.dqn:task",
    {
        "games": ("env=Breakout-MinAtar,Asterix-MinAtar,Freeway-MinAtar,SpaceInvaders-MinAtar",),
        "learning_rate": ("learning_rate=log(1e-4,1e-2,5)",),
        "overestimation": ("double_q=false,true",),
        "replay": ("replay_size=1_000,10_000,100_000",),
        "pong": (
            *("env=atari/Pong", "clip_rewards=true", "num_envs=16", "gradient_steps=2", "batch_size=32"),
            *("hidden=(256,)", "learning_rate=2.5e-4", "target_period=500"),
            *("total_steps=1_000_000", "eval_every=50_000", "eval_episodes=4", "eval_epsilon=0.01"),
        ),
        "memory": (
            "env=MemoryChain-bsuite",
            "memory=none,rnn,lstm,gru",
            "memory_size=32",
            "sequence_length=8",
            "hidden=(64,)",
            "num_envs=16",
            "batch_size=64",
            "replay_size=16_000",
            "learning_starts=1_000",
            "total_steps=16_000",
            "eval_every=2_000",
            "eval_episodes=512",
            "play_frames=60",
        ),
    },
)
