"""Reinforcement learning as pure functions (slides "Deep reinforcement learning")."""

from mi203jax.rl.bellman import bellman_operator, bellman_residual, greedy_policy, policy_value
from mi203jax.rl.envs import (
    Environment,
    Rules,
    TimeStep,
    from_grid_world,
    grid_game,
    make,
    play_episodes,
    see_grid,
)
from mi203jax.rl.exploration import epsilon_greedy, linear_decay
from mi203jax.rl.finite_mdp import FiniteMDP, from_sparse
from mi203jax.rl.frame_replay import FrameStep, StackedTransition, frame_replay_sample
from mi203jax.rl.games import GridWorld, from_graph, from_gymnasium, grid_world
from mi203jax.rl.linear_program import LinearProgram, linear_program
from mi203jax.rl.planning import Solution, policy_iteration, value_iteration
from mi203jax.rl.replay import replay_add, replay_init, replay_sample, replay_sample_sequences
from mi203jax.rl.shortest_path import shortest_path_distances
from mi203jax.rl.tabular import Learner, double_q_learning, q_learning, sarsa, simulate, start_learning
from mi203jax.rl.targets import lambda_returns, relu_bellman_loss, td_error, td_target

__all__ = [
    "Environment",
    "FiniteMDP",
    "FrameStep",
    "GridWorld",
    "Learner",
    "LinearProgram",
    "Rules",
    "Solution",
    "StackedTransition",
    "TimeStep",
    "bellman_operator",
    "bellman_residual",
    "double_q_learning",
    "epsilon_greedy",
    "frame_replay_sample",
    "from_graph",
    "from_grid_world",
    "from_gymnasium",
    "from_sparse",
    "greedy_policy",
    "grid_game",
    "grid_world",
    "lambda_returns",
    "linear_decay",
    "linear_program",
    "make",
    "play_episodes",
    "policy_iteration",
    "policy_value",
    "q_learning",
    "relu_bellman_loss",
    "replay_add",
    "replay_init",
    "replay_sample",
    "replay_sample_sequences",
    "sarsa",
    "see_grid",
    "shortest_path_distances",
    "simulate",
    "start_learning",
    "td_error",
    "td_target",
    "value_iteration",
]
