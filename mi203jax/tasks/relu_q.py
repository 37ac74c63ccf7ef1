"""Deep Q-learning by the slide's objective, in the loop of DQN (slide "Deep reinforcement learning")."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mi203jax.configs import ReluQ
from mi203jax.configs.q_learning import GRIDS
from mi203jax.core.task import Figure, Metrics, Task
from mi203jax.rl import grid_game, relu_bellman_loss, see_grid, value_iteration
from mi203jax.tasks import dqn, q_learning
from mi203jax.tasks.q_learning import Transition, progress, q_values
from mi203jax.tasks.q_map import q_on_map

PyTree = Any


def init(c: ReluQ, data: None, key: jax.Array) -> dqn.State:
    """As DQN begins, with every Q shifted by `initial_q`."""
    state = dqn.init(c, data, key)

    def shifted(params):
        last = max(params["params"], key=_number_of_dense)
        layer = params["params"][last]
        layer = {**layer, "bias": layer["bias"] + c.initial_q}
        return {"params": {**params["params"], last: layer}}

    learner = state.learner._replace(params=shifted(state.params), target=shifted(state.learner.target))
    return state._replace(learner=learner)


def _number_of_dense(name: str) -> int:
    return int(name.removeprefix("Dense_")) if name.startswith("Dense_") else -1


def loss(c: ReluQ, params: PyTree, target: PyTree, batch: Transition, weight: jax.Array) -> jax.Array:
    """The mean of the slide's objective over a batch of transitions."""
    q = jnp.take_along_axis(q_values(c, params, batch.obs), batch.action[:, None], 1)
    q_next = q_values(c, params if c.next_q == "online" else target, batch.next_obs)
    q_next = jnp.where(batch.terminated[:, None], 0.0, q_next)
    if c.next_action == "best":
        q_next = q_next.max(1, keepdims=True)
    return relu_bellman_loss(q, batch.reward[:, None], q_next, c.gamma, weight).mean()


def mean_q_weight(c: ReluQ, t: jax.Array) -> jax.Array:
    """The weight of the mean of Q in iteration t, 0 where the objective has none."""
    if c.objective == "relu":
        return jnp.zeros(())
    return c.mean_q * (1.0 + (c.mean_q_ratio - 1.0) * progress(c, t))


def step(c: ReluQ, state: dqn.State, data: None, t: jax.Array) -> tuple[dqn.State, Metrics]:
    """DQN's step, with the objective that is asked for."""
    if c.objective == "td":
        return dqn.step(c, state, data, t)
    return dqn.step(c, state, data, t, functools.partial(loss, weight=mean_q_weight(c, t)))


def evaluate(c: ReluQ, state: dqn.State, data: None) -> Metrics:
    """Greedy episodes; what is expected of their beginnings; and, on a map, the distance to Q*."""
    metrics = q_learning.evaluate(c, state, data)
    _, obs = q_learning.environment(c).reset(state.keys.test, c.eval_episodes)
    metrics["q_start"] = q_values(c, state.params, obs).max(1).mean()
    if c.env in GRIDS:
        difference, live = against_q_star(c, state)
        size = live.sum() * difference.shape[1]
        metrics["q_error"] = jnp.abs(difference).sum(where=live[:, None]) / size
        metrics["q_bias"] = difference.sum(where=live[:, None]) / size
    return metrics


def against_q_star(c: ReluQ, state: dqn.State) -> tuple[jax.Array, jax.Array]:
    """Q(·, ·, θ) − Q*, `[S, A]`, and in which states the game goes on, `[S]`, bool."""
    game = grid_game(c.env)
    mdp = dataclasses.replace(game.mdp, discount=c.gamma)
    difference = q_values(c, state.params, jnp.asarray(see_grid(game))) - value_iteration(mdp, 1e-4).q
    return difference, ~jnp.asarray(mdp.terminal)


def figures(c: ReluQ, state: dqn.State, data: None) -> dict[str, Figure]:
    """The agent at play; and, on a map, what it believes beside Q*."""
    drawn = q_learning.figures(c, state, data)
    if c.env not in GRIDS:
        return drawn
    game, (difference, live) = grid_game(c.env), against_q_star(c, state)
    q = np.asarray(q_values(c, state.params, jnp.asarray(see_grid(game))))
    q_star = q - np.asarray(difference)
    return {**drawn, "q": q_on_map({"Q*": q_star, f"{c.objective}: Q(s, a, θ)": q}, np.asarray(live), game)}


CURVES = "eval/q_error", "eval/q_bias", "eval/q_start"
task = Task(init, step, evaluate, figures, objective="eval/return", best="max", curves=CURVES)
