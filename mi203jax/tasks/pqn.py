"""Parallelised Q-learning: no replay, no target network (Gallici et al. 2024)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from mi203jax.configs import PQN
from mi203jax.configs.pqn import check_num_steps
from mi203jax.core.parallel import split_batch
from mi203jax.core.task import Mean, Metrics, Task
from mi203jax.rl import lambda_returns, td_error
from mi203jax.tasks.q_learning import (
    Keys,
    Player,
    environment,
    epsilon,
    evaluate,
    figures,
    init_network,
    optimizer,
    play_step,
    q_values,
    start_playing,
    weighted_mean,
)

PyTree = Any


class State(NamedTuple):
    """Everything that the next iteration needs."""

    params: PyTree  # θ
    optimizer: optax.OptState
    player: Player
    keys: Keys


class Phase(NamedTuple):
    """What an iteration learns from."""

    obs: jax.Array  # [n, ...]
    action: jax.Array  # [n], int32
    target: jax.Array  # [n], λ-returns
    weight: jax.Array | None  # [n], as `Transition.weight`


def init(c: PQN, data: None, key: jax.Array) -> State:
    """A network, and environments at their start."""
    del data
    check_num_steps(c.num_steps, c.env, environment(c).time_limit)
    net_key, world_key, run_key, test_key = jax.random.split(key, 4)
    params = init_network(c, net_key)
    return State(
        params,
        optimizer(c, optax.scale_by_radam(), 0).init(params),
        start_playing(c, world_key),
        Keys(run_key, test_key),
    )


def step(c: PQN, state: State, data: None, t: jax.Array) -> tuple[State, Metrics]:
    """`num_steps` ε-greedy steps of every environment, then `epochs` passes over them."""
    del data
    play_key, shuffle_key = jax.random.split(jax.random.fold_in(state.keys.run, t))
    player, phase, finished = collect(c, state, epsilon(c, t), play_key)
    opt = optimizer(c, optax.scale_by_radam(), t)

    def descend(carry, index):
        params, opt_state = carry
        batch = split_batch(jax.tree.map(lambda x: x[index], phase))
        value, gradient = jax.value_and_grad(lambda p: loss(c, p, batch))(params)
        updates, opt_state = opt.update(gradient, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), value

    def epoch(carry, key):
        order = jax.random.permutation(key, len(phase.target)).reshape(c.minibatches, -1)
        return jax.lax.scan(descend, carry, order)

    carry = state.params, state.optimizer
    (params, opt_state), losses = jax.lax.scan(epoch, carry, jax.random.split(shuffle_key, c.epochs))
    metrics = {"loss": losses.mean(), "return": finished, "epsilon": epsilon(c, t)}
    return State(params, opt_state, player, state.keys), metrics


def loss(c: PQN, params: PyTree, batch: Phase) -> jax.Array:
    """Half the mean squared distance of Q(s, a) to its λ-return."""
    error = td_error(q_values(c, params, batch.obs), batch.action, batch.target)
    return weighted_mean(optax.losses.l2_loss(error), batch.weight)


def collect(c: PQN, state: State, eps, key: jax.Array) -> tuple[Player, Phase, Mean]:
    """Plays `num_steps` in each environment and gives every step its λ-return."""

    def play(carry, key):
        player, cut = carry
        player, played = play_step(c, state.params, player, eps, key)
        # An episode is no shorter than a phase, so a time limit cuts each environment at most once in
        # it: one slot an environment keeps the observation at the cut, whose value is needed below.
        is_cut = jax.lax.expand_dims(played.truncated, range(1, cut.ndim))
        obs, action, reward, terminated, next_obs, weight = played.transition
        kept = obs, action, reward, terminated, weight, played.truncated, played.q.max(-1), played.finished
        return (player, jnp.where(is_cut, next_obs, cut)), kept

    start = state.player, jnp.zeros_like(state.player.obs)
    (player, cut), steps = jax.lax.scan(play, start, jax.random.split(key, c.num_steps))
    obs, action, reward, terminated, weight, truncated, q_max, finished = steps
    q_after, q_cut = (q_values(c, state.params, o).max(-1) for o in (player.obs, cut))
    q_next = jnp.where(truncated, q_cut, jnp.concatenate([q_max[1:], q_after[None]]))
    target = lambda_returns(reward, terminated, truncated, q_next, c.gamma, c.lambda_)
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), Phase(obs, action, target, weight))
    return player, flat, Mean(finished.total.sum(), finished.weight.sum())


task = Task(init, step, evaluate, figures, objective="eval/return", best="max")
