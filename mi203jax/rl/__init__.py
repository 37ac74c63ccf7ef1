"""Reinforcement learning as pure functions (slides "Deep reinforcement learning")."""

from mi203jax.rl.environments import Environment, TimeStep, make, play_episodes
from mi203jax.rl.exploration import epsilon_greedy, linear_decay
from mi203jax.rl.replay import replay_add, replay_init, replay_sample, replay_sample_sequences
from mi203jax.rl.targets import lambda_returns, td_error, td_target

__all__ = [
    "Environment",
    "TimeStep",
    "epsilon_greedy",
    "lambda_returns",
    "linear_decay",
    "make",
    "play_episodes",
    "replay_add",
    "replay_init",
    "replay_sample",
    "replay_sample_sequences",
    "td_error",
    "td_target",
]
