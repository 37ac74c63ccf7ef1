"""Deep Q-network with replay and target network, on an Atari-like game.

Slide "Deep reinforcement learning". The agent sees the screen of gymnax's Breakout-MinAtar and
presses left, right or nothing.

    python launch.py --exp=dqn

With a memory, where something is hidden:

    python launch.py --exp=dqn --sweep=memory --seeds=5

On real Atari games (`--sweep=pong`, `--sweep=breakout`):

    python launch.py --exp=dqn --sweep=pong --checkpoint-every=600
"""

from mi203jax.configs import DQN
from mi203jax.core.experiment import Experiment

ATARI = (
    *("num_envs=16", "gradient_steps=1", "batch_size=32", "hidden=(256,)", "learning_rate=2e-4", "decay=0"),
    *("target_period=250", "learning_starts=10_000", "epsilon_end=0.01"),
    *("total_steps=700_000", "eval_every=100_000", "eval_episodes=4", "eval_epsilon=0.01"),
)

EXPERIMENT = Experiment(
    DQN(),
    "mi203jax.tasks.dqn:task",
    {
        "games": ("env=Breakout-MinAtar,Asterix-MinAtar,Freeway-MinAtar,SpaceInvaders-MinAtar",),
        "learning_rate": ("learning_rate=log(1e-4,1e-2,5)",),
        "overestimation": ("double_q=false,true",),
        "replay": ("replay_size=1_000,10_000,100_000",),
        "pong": ("env=atari/Pong", *ATARI),
        "breakout": ("env=atari/Breakout", "clip_rewards=true", *ATARI),
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
