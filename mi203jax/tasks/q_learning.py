"""What the value-based agents share: network, memory, optimiser, acting, evaluation, figures."""

from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax

from mi203jax.atari import JUDGED_AT_RANDOM, MAX_FRAMES, PREFIX
from mi203jax.configs import DQN, QLearning
from mi203jax.core.errors import UsageError
from mi203jax.core.parallel import split_batch
from mi203jax.core.task import Figure, Mean, Metrics
from mi203jax.metrics.atari import REFERENCE, human_normalized
from mi203jax.models import QNetwork, RecurrentQNetwork
from mi203jax.models.q_network import reset_memory
from mi203jax.nn import CELLS, zero_state
from mi203jax.rl import Environment, Rules, epsilon_greedy, linear_decay, make, play_episodes
from mi203jax.tasks.play import animate

PyTree = Any


class Player(NamedTuple):
    """Environments under way."""

    env: PyTree  # state of the environments, [num_envs, ...]
    obs: jax.Array  # [num_envs, ...]
    returns: jax.Array  # [num_envs], of the episodes under way, undiscounted
    memory: PyTree = ()  # of the agent, [num_envs, memory_size]; (): it has none
    start: jax.Array | None = None  # [num_envs], bool: obs is an episode's first; None: nobody needs to know


class Keys(NamedTuple):
    """Separate streams of random numbers, so that none depends on how often another is used."""

    run: jax.Array  # iteration t draws from fold_in(run, t)
    test: jax.Array  # the evaluation's episodes: the same ones each time, never trained on


def environment(c: QLearning, purpose: str = "training") -> Environment:
    """The environment of the configuration, for what it is to serve: see `mi203jax.rl.make`.

    Raises:
        UsageError: if it cannot be made: its actions are continuous, or it needs a file that cannot be
            had, as MNISTBandit-bsuite does offline.
    """
    try:
        if c.is_atari:
            rules = Rules(c.sticky, c.frame_skip, c.noops, c.fire_reset, c.life_loss, c.max_frames)
            return make(c.env, rules, purpose)
        return make(c.env)  # one serves all
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(
            f"env={c.env} cannot be made: {error}. Choose another, such as Breakout-MinAtar."
        ) from None


def network(c: QLearning) -> QNetwork:
    """The network of the configuration, without its parameters."""
    shape = environment(c).num_actions, c.channels, c.hidden, c.layer_norm, c.is_atari
    if isinstance(c, DQN) and c.has_memory:
        return RecurrentQNetwork(*shape, c.memory, c.memory_size)
    return QNetwork(*shape)


def q_values(c: QLearning, params: PyTree, obs: jax.Array) -> jax.Array:
    """Q(s, ·, θ) of a network without memory: `[n, ...]` -> `[n, actions]`."""
    return cast(jax.Array, network(c).apply(params, obs))


def q_sequence(
    c: QLearning, params: PyTree, memory: PyTree, obs: jax.Array, done: jax.Array
) -> tuple[jax.Array, PyTree]:
    """Q of sequences, by a network with memory: see `RecurrentQNetwork`."""
    return cast(tuple[jax.Array, PyTree], network(c).apply(params, obs, memory, done))


def act(c: QLearning, params: PyTree, memory: PyTree, obs: jax.Array) -> tuple[jax.Array, PyTree]:
    """Q(s, ·, θ) by any network, given what it remembers, and what it remembers afterwards.

    Args:
        c: the configuration.
        params: θ.
        memory: leaves `[n, memory_size]`; () without memory.
        obs: `[n, ...]`.

    Returns:
        The values, `[n, actions]`, and the memory, of the same shape.
    """
    if not isinstance(network(c), RecurrentQNetwork):
        return q_values(c, params, obs), ()
    q, memory = q_sequence(c, params, memory, obs[:, None], jnp.zeros((len(obs), 1), bool))
    return q[:, 0], jax.tree.map(lambda m: m[:, 0], memory)


def empty_memory(c: QLearning, n: int) -> PyTree:
    """What n agents remember before they have seen anything: zeros; () without memory."""
    net = network(c)
    return zero_state(CELLS[net.cell], (n,), net.memory_size) if isinstance(net, RecurrentQNetwork) else ()


def init_network(c: QLearning, key: jax.Array) -> PyTree:
    """Parameters θ."""
    net, obs = network(c), environment(c).obs
    first = jnp.zeros((1, *obs.shape), obs.dtype)
    if isinstance(net, RecurrentQNetwork):
        return net.init(key, first[None], empty_memory(c, 1), jnp.zeros((1, 1), bool))
    return net.init(key, first)


def weighted_mean(values: jax.Array, weight: jax.Array | None) -> jax.Array:
    """The mean of `[n]` by `Transition.weight`."""
    return values.mean() if weight is None else (weight * values).sum() / jnp.maximum(weight.sum(), 1.0)


def progress(c: QLearning, t) -> jax.Array:
    """The part of the run that is done before iteration t, in [0, 1)."""
    return jnp.asarray(t, jnp.float32) / c.num_iterations


def epsilon(c: QLearning, t) -> jax.Array:
    """The probability of a random action in iteration t."""
    return linear_decay(c.epsilon_start, c.epsilon_end, c.exploration_fraction, progress(c, t))


def judging_epsilon(c: QLearning):
    """The probability of a random action while the agent is judged, and in its GIF."""
    return jnp.maximum(c.eval_epsilon, JUDGED_AT_RANDOM) if c.is_atari else c.eval_epsilon


def start_playing(c: QLearning, key: jax.Array) -> Player:
    """The first observation of each environment, and nothing remembered."""
    env, obs = environment(c).reset(key, c.num_envs)
    start = jnp.ones(c.num_envs, bool) if c.is_atari else None
    return Player(env, obs, jnp.zeros(c.num_envs), empty_memory(c, c.num_envs), start)


class Transition(NamedTuple):
    """What learning uses of a step of each environment."""

    obs: jax.Array  # [n, ...]
    action: jax.Array  # [n], int32
    reward: jax.Array  # [n], float32, what is learned from
    terminated: jax.Array  # [n], bool
    next_obs: jax.Array  # [n, ...], the true successor
    weight: jax.Array | None = None  # [n], 0 where this is none, and not to be learned from; None: 1


class Played(NamedTuple):
    """A step of each environment, with what only acting needs to know."""

    transition: Transition
    truncated: jax.Array  # [n], bool: cut by the time limit
    q: jax.Array  # [n, actions], what the agent thought
    finished: Mean  # returns of the episodes that ended


def play_step(c: QLearning, params: PyTree, player: Player, eps, key: jax.Array) -> tuple[Player, Played]:
    """One ε-greedy step of every environment."""
    action_key, world_key = jax.random.split(key)
    player = split_batch(player)
    q, memory = act(c, params, player.memory, player.obs)
    action = epsilon_greedy(action_key, q, eps)
    env, step = environment(c).step(world_key, player.env, action)
    returns = player.returns + step.reward
    if step.began is not None:  # also where a resumed run lost an episode on the way
        returns = jnp.where(step.began, 0.0, returns)
    finished = Mean(jnp.where(step.done, returns, 0.0).sum(), step.done.sum())
    reward = step.reward if c.score == "dense" else jnp.where(step.done, returns, 0.0)
    if c.clip_rewards:
        reward = jnp.clip(reward, -1.0, 1.0)
    stop = step.terminated if step.life_lost is None else step.terminated | step.life_lost
    weight = None if step.began is None else (~step.began).astype(jnp.float32)
    transition = Transition(player.obs, action, reward, stop, step.final_obs, weight)
    returns = jnp.where(step.done, 0.0, returns)
    player = Player(env, step.obs, returns, reset_memory(memory, step.done), step.began)
    return player, Played(transition, step.truncated, q, finished)


def optimizer(c: QLearning, scale: optax.GradientTransformation, t) -> optax.GradientTransformation:
    """Clips the gradient's global norm, applies `scale`, and steps downhill, less far as time goes by."""
    # Built anew in each step from the traced configuration: only its state lasts.
    size = c.learning_rate * (1.0 - c.decay * progress(c, t))
    return optax.chain(optax.clip_by_global_norm(c.max_grad_norm), scale, optax.scale(-size))


def evaluate(c: QLearning, state: Any, data: None) -> Metrics:
    """Greedy episodes, but for `judging_epsilon`, each from start to end, in environments of their own.

    Of Atari's games with known scores of chance and a person, the mean return on that scale too, in percent;
    but not where they are cut earlier than the games of those scores were.
    """
    del data

    def greedy(key, memory, obs):
        q, memory = act(c, state.params, memory, obs)
        return epsilon_greedy(key, q, judging_epsilon(c)), memory

    n = c.eval_episodes
    env = environment(c, "evaluation")
    returns, lengths = play_episodes(env, greedy, state.keys.test, n, empty_memory(c, n))
    length = lengths.mean(dtype=jnp.float32)
    metrics: Metrics = {"return": returns.mean(), "return_std": returns.std(), "length": length}
    game = c.env.removeprefix(PREFIX)
    if c.is_atari and game in REFERENCE and c.max_frames >= MAX_FRAMES:
        metrics["human_normalized"] = human_normalized(game, returns.mean())
    return metrics


def figures(c: QLearning, state: Any, data: None) -> dict[str, Figure]:
    """The trained agent at play, frame by frame."""
    del data
    env = environment(c, "evaluation")

    @jax.jit
    def play(params, key):
        start_key, run_key = jax.random.split(key)
        world, obs = env.reset(start_key, 1)

        def step(carry, key):
            world, obs, memory = carry
            q, memory = act(c, params, memory, obs)
            action = epsilon_greedy(jax.random.fold_in(key, 1), q, judging_epsilon(c))
            world, step = env.step(key, world, action)
            seen = obs[0, -1] if c.is_atari else obs[0]  # the newest screen
            played = {"q": q, "action": action, "reward": step.reward, "done": step.done}
            frame = {"obs": seen, **jax.tree.map(lambda x: x[0], played)}
            return (world, step.obs, reset_memory(memory, step.done)), frame

        start = world, obs, empty_memory(c, 1)
        return jax.lax.scan(step, start, jax.random.split(run_key, c.play_frames))[1]

    return {"play": animate(jax.device_get(play(state.params, state.keys.test)), c.env, env.action_names)}
