"""Deep Q-learning with replay and target network, vectorised (Mnih et al. 2015)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from mi203jax.configs import DQN
from mi203jax.core.parallel import split_batch
from mi203jax.core.task import Mean, Metrics, Task
from mi203jax.rl import replay_add, replay_init, replay_sample, td_error, td_target
from mi203jax.tasks.q_learning import (
    Keys,
    Player,
    Transition,
    environment,
    epsilon,
    evaluate,
    figures,
    init_network,
    optimizer,
    play_step,
    q_values,
    start_playing,
)

PyTree = Any


class Learner(NamedTuple):
    """What learning changes."""

    params: PyTree  # θ
    target: PyTree  # θ⁻, an older θ
    optimizer: optax.OptState


class State(NamedTuple):
    """Everything that the next iteration needs."""

    learner: Learner
    player: Player
    replay: Transition  # leaves [replay_capacity, ...]
    keys: Keys

    @property
    def params(self) -> PyTree:
        """θ, the network that acts."""
        return self.learner.params


def init(c: DQN, data: None, key: jax.Array) -> State:
    """Networks, environments at their start, and an empty replay."""
    del data
    net_key, world_key, run_key, test_key = jax.random.split(key, 4)
    params = init_network(c, net_key)
    obs = jnp.zeros(environment(c).obs.shape, environment(c).obs.dtype)
    example = Transition(obs, jnp.int32(0), jnp.float32(0), jnp.bool(False), obs)
    return State(
        Learner(params, jax.tree.map(jnp.copy, params), optimizer(c, optax.scale_by_adam(), 0).init(params)),
        start_playing(c, world_key),
        replay_init(example, c.replay_capacity),
        Keys(run_key, test_key),
    )


def loss(c: DQN, params: PyTree, target: PyTree, batch: Transition) -> jax.Array:
    """Mean penalty of the TD error over a batch."""
    q_next = q_values(c, target, batch.next_obs)
    q_select = q_values(c, params, batch.next_obs) if c.double_q else None
    goal = td_target(batch.reward, batch.terminated, c.gamma, q_next, q_select)
    error = td_error(q_values(c, params, batch.obs), batch.action, goal)
    if c.loss == "huber":
        return optax.losses.huber_loss(error, delta=c.huber_delta).mean()
    return optax.losses.squared_error(error).mean()


def step(c: DQN, state: State, data: None, t: jax.Array) -> tuple[State, Metrics]:
    """One ε-greedy step of every environment, then `gradient_steps` steps of the optimiser."""
    del data
    play_key, sample_key = jax.random.split(jax.random.fold_in(state.keys.run, t))
    player, played = play_step(c, state.params, state.player, epsilon(c, t), play_key)
    replay = replay_add(state.replay, played.transition, t * c.num_envs)
    learner, losses = jax.lax.cond(
        (t + 1) * c.num_envs >= c.learning_starts,  # unbatched: under vmap too, one branch runs
        lambda: learn(c, state.learner, replay, t, sample_key),
        lambda: (state.learner, Mean(jnp.zeros(()), jnp.zeros(()))),
    )
    metrics = {"loss": losses, "return": played.finished, "epsilon": epsilon(c, t)}
    return State(learner, player, replay, state.keys), metrics


def learn(c: DQN, learner: Learner, replay: Transition, t: jax.Array, key: jax.Array) -> tuple[Learner, Mean]:
    """`gradient_steps` steps on samples of the replay, then, when it is time, a copy to the target."""
    batches = replay_sample(key, replay, (t + 1) * c.num_envs, (c.gradient_steps, c.batch_size))

    opt = optimizer(c, optax.scale_by_adam(), t)

    def descend(carry, batch):
        params, opt_state = carry
        batch = split_batch(batch)
        value, gradient = jax.value_and_grad(lambda p: loss(c, p, learner.target, batch))(params)
        updates, opt_state = opt.update(gradient, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), value

    (params, opt_state), losses = jax.lax.scan(descend, (learner.params, learner.optimizer), batches)
    # Whether a multiple of the period lies among these steps; they may be several at once.
    before = t * c.gradient_steps
    copy = (before + c.gradient_steps) // c.target_period > before // c.target_period
    target = jax.tree.map(lambda new, old: jnp.where(copy, new, old), params, learner.target)
    return Learner(params, target, opt_state), Mean(losses.sum(), jnp.float32(c.gradient_steps))


task = Task(init, step, evaluate, figures, objective="eval/return", best="max")
