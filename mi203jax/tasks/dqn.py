"""Deep Q-learning with replay and target network, vectorised (Mnih et al. 2015), with memory if asked."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from mi203jax.atari import FRAMES
from mi203jax.configs import DQN
from mi203jax.core.parallel import split_batch
from mi203jax.core.task import Mean, Metrics, Task
from mi203jax.rl import (
    FrameStep,
    frame_replay_sample,
    replay_add,
    replay_init,
    replay_sample,
    replay_sample_sequences,
    td_error,
    td_target,
)
from mi203jax.tasks.q_learning import (
    Keys,
    Played,
    Player,
    Transition,
    act,
    empty_memory,
    environment,
    epsilon,
    evaluate,
    figures,
    init_network,
    optimizer,
    play_step,
    q_sequence,
    q_values,
    start_playing,
    weighted_mean,
)

PyTree = Any


class Learner(NamedTuple):
    """What learning changes."""

    params: PyTree  # θ
    target: PyTree  # θ⁻, an older θ
    optimizer: optax.OptState


class Moment(NamedTuple):
    """What a network with memory needs beside the transition to learn from it."""

    transition: Transition
    done: jax.Array  # [...], bool: the episode ended, for either reason
    memory: PyTree  # [..., memory_size], before the step, when it was played


Entry = Transition | Moment | FrameStep
"""What the replay keeps of a step: of real Atari games one screen, of which it makes four when it samples."""


class State(NamedTuple):
    """Everything that the next iteration needs."""

    learner: Learner
    player: Player
    replay: Entry  # leaves [replay_capacity, ...]
    keys: Keys

    @property
    def params(self) -> PyTree:
        """θ, the network that acts."""
        return self.learner.params


def init(c: DQN, data: Any, key: jax.Array) -> State:
    """Networks, environments at their start, and an empty replay."""
    del data
    net_key, world_key, run_key, test_key = jax.random.split(key, 4)
    params = init_network(c, net_key)
    return State(
        Learner(params, jax.tree.map(jnp.copy, params), optimizer(c, optax.scale_by_adam(), 0).init(params)),
        start_playing(c, world_key),
        replay_init(example(c), c.replay_capacity),
        Keys(run_key, test_key),
    )


def example(c: DQN) -> Entry:
    """An entry of the replay, without batch axis."""
    obs = jnp.zeros(environment(c).obs.shape, environment(c).obs.dtype)
    if c.is_atari:
        return FrameStep(obs[-1], jnp.int32(0), jnp.float32(0), jnp.bool(False), jnp.bool(False))
    transition = Transition(obs, jnp.int32(0), jnp.float32(0), jnp.bool(False), obs)
    if not c.has_memory:
        return transition
    return Moment(transition, jnp.bool(False), jax.tree.map(lambda m: m[0], empty_memory(c, 1)))


def entries(c: DQN, before: Player, played: Played) -> Entry:
    """What the replay keeps of a step of each environment."""
    if before.start is not None:
        obs, action, reward, terminated, *_ = played.transition
        return FrameStep(obs[:, -1], action, reward, terminated, before.start)
    if not c.has_memory:
        return played.transition
    return Moment(played.transition, played.transition.terminated | played.truncated, before.memory)


def loss(c: DQN, params: PyTree, target: PyTree, batch: Transition | Moment) -> jax.Array:
    """Mean penalty of the TD error over a batch of transitions, or of sequences after their burn-in."""
    q, q_select = values(c, params, batch)
    _, q_next = values(c, target, batch)
    learnt: PyTree = batch, q, q_select, q_next
    if isinstance(batch, Moment):
        learnt = jax.tree.map(lambda x: x[:, c.burn_in :], (batch.transition, q, q_select, q_next))
    step, q, q_select, q_next = learnt
    goal = td_target(step.reward, step.terminated, c.gamma, q_next, q_select if c.double_q else None)
    error = td_error(q, step.action, goal)
    if c.loss == "huber":
        return weighted_mean(optax.losses.huber_loss(error, delta=c.huber_delta), step.weight)
    return weighted_mean(optax.losses.squared_error(error), step.weight)


def values(c: DQN, params: PyTree, batch: Transition | Moment) -> tuple[jax.Array, jax.Array]:
    """Q(s, ·) and Q(s', ·) of each step, `[..., actions]`, s' being the true successor.

    With memory, a network reads a sequence from the state that was stored at its start, and each s' with
    what it then remembers: of the same episode, also where that was cut.
    """
    if isinstance(batch, Transition):
        return q_values(c, params, batch.obs), q_values(c, params, batch.next_obs)
    first = jax.tree.map(lambda m: m[:, 0], batch.memory)
    q, memory = q_sequence(c, params, first, batch.transition.obs, batch.done)
    merged = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), (memory, batch.transition.next_obs))
    return q, act(c, params, *merged)[0].reshape(q.shape)


Loss = Callable[[Any, PyTree, PyTree, Any], jax.Array]
"""(configuration, θ, θ⁻, batch) -> a scalar."""


def step(c: DQN, state: State, data: Any, t: jax.Array, loss: Loss = loss) -> tuple[State, Metrics]:
    """One ε-greedy step of every environment, then `gradient_steps` steps of the optimiser."""
    del data
    play_key, sample_key = jax.random.split(jax.random.fold_in(state.keys.run, t))
    player, played = play_step(c, state.params, state.player, epsilon(c, t), play_key)
    replay = replay_add(state.replay, entries(c, state.player, played), t * c.num_envs)
    learner, losses = jax.lax.cond(
        (t + 1) * c.num_envs >= c.learning_starts,  # unbatched: under vmap too, one branch runs
        lambda: learn(c, state.learner, replay, t, sample_key, loss),
        lambda: (state.learner, Mean(jnp.zeros(()), jnp.zeros(()))),
    )
    metrics = {"loss": losses, "return": played.finished, "epsilon": epsilon(c, t)}
    return State(learner, player, replay, state.keys), metrics


def learn(
    c: DQN, learner: Learner, replay: Entry, t: jax.Array, key: jax.Array, loss: Loss = loss
) -> tuple[Learner, Mean]:
    """`gradient_steps` steps on samples of the replay, then, when it is time, a copy to the target."""
    batches = sample(c, key, replay, (t + 1) * c.num_envs)
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


def sample(c: DQN, key: jax.Array, replay: Entry, added) -> Transition | Moment:
    """Batches for each gradient step: transitions, or sequences of them."""
    if isinstance(replay, FrameStep):
        shape = c.gradient_steps, c.batch_size
        return Transition(*frame_replay_sample(key, replay, added, shape, FRAMES, c.num_envs))
    if not c.has_memory:
        return replay_sample(key, replay, added, (c.gradient_steps, c.batch_size))
    shape = c.gradient_steps, c.sequences
    return replay_sample_sequences(key, replay, added, shape, c.sequence_length, c.num_envs)


task = Task(init, step, evaluate, figures, objective="eval/return", best="max")
