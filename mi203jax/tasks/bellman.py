"""Q* of a finite game by every method that knows its rules, and from samples (slide "Cas fini")."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mi203jax.configs import Bellman
from mi203jax.core.errors import UsageError
from mi203jax.core.task import Figure, Metrics, Task
from mi203jax.rl import (
    FiniteMDP,
    Learner,
    double_q_learning,
    from_gymnasium,
    grid_world,
    linear_decay,
    linear_program,
    policy_iteration,
    q_learning,
    sarsa,
    start_learning,
    value_iteration,
)
from mi203jax.rl.bellman import difference
from mi203jax.rl.games import MAPS
from mi203jax.tasks.bellman_figures import error_of, figures_of

LEARNERS: dict[str, Callable[..., Learner]] = {
    "q_learning": q_learning,
    "sarsa": sarsa,
    "double_q_learning": double_q_learning,
}
TABLES = {"frozen_lake": "FrozenLake-v1", "cliff_walking": "CliffWalking-v1", "taxi": "Taxi-v4"}


class Game(NamedTuple):
    """A game, and what is to be found."""

    mdp: FiniteMDP
    q_star: Any  # [S, A], float64 of numpy
    planned: dict[str, Any]  # largest |Q − Q*| of the other methods that know the rules


class State(NamedTuple):
    """What each method has learned from samples, and how wrong it was after each call."""

    learners: dict[str, Learner]
    errors: jax.Array  # largest |Q − Q*| of each method, [calls, methods]; NaN: not yet
    key: jax.Array


def rules(c: Bellman) -> FiniteMDP:
    """The rules of the game."""
    if c.game in MAPS:
        return grid_world(MAPS[c.game], c.score, c.slip, c.gamma).mdp
    if c.game in TABLES:
        import gymnasium

        return from_gymnasium(gymnasium.make(TABLES[c.game]), c.gamma)
    return random_rules(c.states, c.actions, c.gamma)


def random_rules(states: int, actions: int, gamma: float) -> FiniteMDP:
    """Rules by chance, always the same: five successors of each action, rewards from 0 to 1."""
    draws = np.random.default_rng(0)
    shape = states, actions, 5
    probability = draws.dirichlet(np.ones(shape[2]), shape[:2])
    reward = draws.random((states, actions))
    return FiniteMDP(probability, reward, gamma, None, draws.integers(0, states, shape))


def data(c: Bellman) -> Game:
    """The game, with Q* by policy iteration, which solves linear equations: exact up to rounding.

    With what the linear program and value iteration find too, so that they stand in the results.

    Raises:
        UsageError: if γ is 1 and the game need not end.
    """
    mdp = rules(c)
    try:
        with jax.enable_x64(True):
            q_star = np.asarray(policy_iteration(mdp).q)
            found = {
                "linear_program": linear_program(mdp).q,
                "per_successor": linear_program(mdp, "per_successor").q,
                "value_iteration": value_iteration(mdp, 1e-9).q,
            }
        planned = {name: np.float32(error_of(q, q_star)) for name, q in found.items()}
        return Game(mdp, q_star, planned)
    except ValueError as error:
        raise UsageError(f"game={c.game}, gamma={c.gamma:g}: {error}") from None


def init(c: Bellman, data: Game, key: jax.Array) -> State:
    """Q = 0, before the first sample."""
    key, start_key = jax.random.split(key)
    learners = {
        name: start_learning(start_key, data.mdp, tables=1 + (name == "double_q_learning"))
        for name in LEARNERS
    }
    return State(learners, jnp.full((c.num_iterations, len(LEARNERS)), jnp.nan), key)


def step(c: Bellman, state: State, data: Game, t: jax.Array) -> tuple[State, Metrics]:
    """`samples` samples for each method, with the same random numbers."""
    progress = jnp.asarray(t, jnp.float32) / c.num_iterations
    epsilon = linear_decay(c.epsilon_start, c.epsilon_end, 1.0, progress)
    rates = c.samples, c.step_size, epsilon
    learners = {
        name: learn(state.key, data.mdp, *rates, power=c.power, learner=state.learners[name])
        for name, learn in LEARNERS.items()
    }
    errors = jnp.stack([largest_error(data, learners[name].q) for name in LEARNERS])
    return State(learners, state.errors.at[t].set(errors), state.key), {"epsilon": epsilon}


def largest_error(data: Game, q: jax.Array) -> jax.Array:
    """The largest |Q − Q*| of a state in which the game goes on."""
    return jnp.abs(difference(q, jnp.asarray(data.q_star, q.dtype))).max()


def evaluate(c: Bellman, state: State, data: Game) -> Metrics:
    """How wrong each method is: the largest |Q − Q*|."""
    del c
    learnt = {name: largest_error(data, learner.q) for name, learner in state.learners.items()}
    return {f"{name}_error": jnp.asarray(error) for name, error in {**data.planned, **learnt}.items()}


def figures(c: Bellman, state: State, data: Game) -> dict[str, Figure]:
    """The table of all methods, how each comes nearer, and Q* on the map."""
    again = {
        name: functools.partial(learn, state.key, data.mdp, c.total_steps, c.step_size, 0.5, power=c.power)
        for name, learn in LEARNERS.items()
    }
    return figures_of(c, data.mdp, data.q_star, state.learners, np.asarray(state.errors), again)


task = Task(
    init,
    step,
    evaluate,
    figures,
    data,
    objective="eval/q_learning_error",
    beside=("eval/sarsa_error", "eval/double_q_learning_error"),
)
