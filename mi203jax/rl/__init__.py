"""Reinforcement learning as pure functions (slides "Deep reinforcement learning")."""

from mi203jax.rl.bellman import bellman_operator, bellman_residual, greedy_policy, policy_value
from mi203jax.rl.environments import Environment, TimeStep, make, play_episodes
from mi203jax.rl.exploration import epsilon_greedy, linear_decay
from mi203jax.rl.finite_mdp import FiniteMDP, from_sparse
from mi203jax.rl.games import GridWorld, from_graph, from_gymnasium, grid_world
from mi203jax.rl.linear_program import LinearProgram, linear_program
from mi203jax.rl.planning import Solution, policy_iteration, value_iteration
from mi203jax.rl.replay import replay_add, replay_init, replay_sample, replay_sample_sequences
from mi203jax.rl.shortest_path import shortest_path_distances
from mi203jax.rl.targets import lambda_returns, td_error, td_target

__all__ = [
    "Environment",
    "FiniteMDP",
    "GridWorld",
    "LinearProgram",
    "Solution",
    "TimeStep",
    "bellman_operator",
    "bellman_residual",
    "epsilon_greedy",
    "from_graph",
    "from_gymnasium",
    "from_sparse",
    "greedy_policy",
    "grid_world",
    "lambda_returns",
    "linear_decay",
    "linear_program",
    "make",
    "play_episodes",
    "policy_iteration",
    "policy_value",
    "replay_add",
    "replay_init",
    "replay_sample",
    "replay_sample_sequences",
    "shortest_path_distances",
    "td_error",
    "td_target",
    "value_iteration",
]
