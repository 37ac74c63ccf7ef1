"""Deep Q-learning by the slide's objective, in the loop of DQN (slide "Deep reinforcement learning")."""

import dataclasses
import functools
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np

from mi203jax.configs import ReluQ
from mi203jax.configs.q_learning import GRIDS
from mi203jax.core.task import Figure, Metrics, Task
from mi203jax.rl import FiniteMDP, grid_game, relu_bellman_loss, see_grid, value_iteration
from mi203jax.rl.envs.grid import PLAYER
from mi203jax.rl.finite_mdp import successors
from mi203jax.tasks import dqn, q_learning
from mi203jax.tasks.q_learning import Transition, progress, q_values
from mi203jax.tasks.q_map import q_on_map

PyTree = Any
LONGEST = 1000
"""Steps after which what is still met no longer counts: γ^1000."""


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
        known = solved(c)
        difference, live = q_on_grid(c, state) - known.q_star, ~jnp.asarray(known.mdp.terminal)[:, None]
        metrics["q_error"] = jnp.abs(difference).mean(where=live)
        metrics["q_bias"] = difference.mean(where=live)
        if known.mdp.transition.shape[2] == 1:  # where chance decides, no weight gives Q*
            metrics["exact_weight"] = exact_weight(known, sampled(c, state))
    return metrics


class Known(NamedTuple):
    """A game on a map, whose Q* can be computed."""

    mdp: FiniteMDP
    q_star: jax.Array  # [S, A]


def solved(c: ReluQ) -> Known:
    """The game on a map, with the trial's γ, and its Q*."""
    mdp = dataclasses.replace(grid_game(c.env).mdp, discount=c.gamma)
    return Known(mdp, value_iteration(mdp, 1e-4).q)


def q_on_grid(c: ReluQ, state: dqn.State) -> jax.Array:
    """Q(s, a, θ) in every state of the map, `[S, A]`."""
    return q_values(c, state.params, jnp.asarray(see_grid(grid_game(c.env))))


def sampled(c: ReluQ, state: dqn.State) -> jax.Array:
    """The part of the replay that each (s, a) makes up, `[S, A]`; 0 before it holds anything."""
    game, replay = grid_game(c.env), cast(Transition, state.replay)  # a memory is refused
    of_cell = np.zeros(game.cells.size, np.int32)
    of_cell[np.ravel_multi_index(tuple(game.position.T), game.cells.shape)] = np.arange(len(game.position))
    place = replay.obs[..., PLAYER].reshape(len(replay.action), -1)
    pair = jnp.asarray(of_cell)[place.argmax(1)] * game.mdp.num_actions + replay.action
    size = game.mdp.num_states * game.mdp.num_actions
    counts = jnp.zeros(size).at[pair].add(place.any(1).astype(jnp.float32))  # of what is not there: nothing
    return (counts / jnp.maximum(1, counts.sum())).reshape(-1, game.mdp.num_actions)


def exact_weight(known: Known, sampled: jax.Array) -> jax.Array:
    """The weight of the mean of Q up to which the linear program's penalty is exact (`relu_bellman_loss`).

    A larger one gains more by lowering some Q(s, a), and all those that lead to it, than its constraint
    costs: how often (s, a) is sampled, over how often it is met, discounted, by the best actions after the
    samples.

    Args:
        known: the game, in which nothing is left to chance.
        sampled: the part of the samples that are of (s, a), `[S, A]`.

    Returns:
        A scalar; 0 if a best action that is met was never sampled, or nothing was.
    """
    after, best = jnp.asarray(successors(known.mdp)), known.q_star.argmax(1)
    probability = jnp.asarray(known.mdp.transition, jnp.float32)
    goes_on = ~jnp.asarray(known.mdp.terminal)[after] * probability * known.mdp.discount

    def flow(_, met):
        arriving = jnp.zeros(known.mdp.num_states).at[after].add(goes_on * met[..., None])
        return sampled.at[jnp.arange(len(best)), best].add(arriving)

    met = jax.lax.fori_loop(0, LONGEST, flow, sampled)
    ratio = jnp.where(met > 0, sampled / jnp.where(met > 0, met, 1), 1.0)  # never above 1
    return jnp.where(sampled.any(), ratio.min(), 0.0)


def figures(c: ReluQ, state: dqn.State, data: None) -> dict[str, Figure]:
    """The agent at play; and, on a map, what it believes beside Q*."""
    drawn = q_learning.figures(c, state, data)
    if c.env not in GRIDS:
        return drawn
    known = solved(c)
    tables = {"Q*": np.asarray(known.q_star), f"{c.objective}: Q(s, a, θ)": np.asarray(q_on_grid(c, state))}
    return {**drawn, "q": q_on_map(tables, ~np.asarray(known.mdp.terminal), grid_game(c.env))}


CURVES = "eval/q_error", "eval/q_bias", "eval/q_start", "eval/exact_weight"
task = Task(init, step, evaluate, figures, objective="eval/return", best="max", curves=CURVES)
