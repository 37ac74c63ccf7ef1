"""Environments that play side by side, behind one interface (slide "Agent").

gymnax's environments are pure functions, one episode at a time; here they are batched, their step is
a named tuple, and what ended an episode, its rules or a time limit, is told apart. Games on a map, of which
Q* can be computed, are played in the same way.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import gymnax
import jax
import jax.numpy as jnp
import numpy as np

from mi203jax.rl.games import GOAL, HOLE, MAPS, MOVE_NAMES, WALL, GridWorld, grid_world
from mi203jax.rl.tabular import simulate

PyTree = Any
MINATAR_ACTIONS = ("no-op", "left", "up", "right", "down", "fire")
ACTIONS = {
    "CartPole-v1": ("push left", "push right"),
    "Acrobot-v1": ("torque -1", "no torque", "torque +1"),
    "MountainCar-v0": ("push left", "no push", "push right"),
    "Catch-bsuite": ("left", "stay", "right"),
    "FourRooms-misc": ("up", "right", "down", "left"),
    "FrozenLake-misc": ("left", "down", "right", "up"),
}


class TimeStep(NamedTuple):
    """What n environments answer to n actions."""

    obs: jax.Array  # [n, ...], of the next episode where this one ended
    reward: jax.Array  # [n], float32
    terminated: jax.Array  # [n], bool: ended by the rules; nothing comes after
    truncated: jax.Array  # [n], bool: cut by a time limit; the future still has a value
    final_obs: jax.Array  # [n, ...], the true successor, also where the episode ended

    @property
    def done(self) -> jax.Array:
        """Whether the episode ended, for either reason, `[n]`, bool."""
        return self.terminated | self.truncated


class Environment(NamedTuple):
    """`reset` and `step` of any number of environments side by side."""

    name: str
    reset: Callable[[jax.Array, int], tuple[PyTree, jax.Array]]  # key, n -> state, obs [n, ...]
    step: Callable[[jax.Array, PyTree, jax.Array], tuple[PyTree, TimeStep]]  # key, state, action [n]
    num_actions: int
    action_names: tuple[str, ...]
    time_limit: int  # steps after which an episode is cut
    obs: jax.ShapeDtypeStruct  # one observation


GRID_SLIPS = {"Rooms-grid": 0.0, "SlipperyRooms-grid": 0.2}
"""Games on the map "rooms", and how often a move goes astray."""
GRID_TIME_LIMIT = 100
SEEN = (WALL, GOAL, HOLE, "treasure", "player")
TREASURE, PLAYER = 3, 4
"""What each plane of the screen of such a game shows."""


@functools.cache
def make(name: str) -> Environment:
    """An environment with discrete actions by its name: gymnax's, or one of `GRID_SLIPS`.

    Observations of MinAtar are given as bool, which is what they are: an eighth of the memory.

    Raises:
        ValueError: if there is no such environment, or its actions are not discrete.
    """
    if name in GRID_SLIPS:
        return from_grid_world(grid_game(name), name, GRID_TIME_LIMIT)
    # Its constructor makes arrays: under a trace they would leak.
    with jax.ensure_compile_time_eval():
        env, params = gymnax.make(name)
    space = env.action_space(params)
    if not isinstance(space, gymnax.environments.spaces.Discrete):
        raise ValueError("its actions are continuous, expected discrete ones")
    is_minatar = name.endswith("-MinAtar")

    def observe(obs):
        return obs.astype(bool) if is_minatar else jnp.asarray(obs, jnp.float32)

    def reset(key, n):
        obs, state = jax.vmap(env.reset, (0, None))(jax.random.split(key, n), params)
        return state, observe(obs)

    def step(key, state, action):
        keys = jax.random.split(key, len(action))
        obs, state, reward, terminated, truncated, info = jax.vmap(env.step, (0, 0, 0, None))(
            keys, state, action, params
        )
        final = observe(info["final_observation"])
        reward = jnp.asarray(reward, jnp.float32)
        return state, TimeStep(observe(obs), reward, terminated.astype(bool), truncated.astype(bool), final)

    num_actions = int(space.n)
    names = ACTIONS.get(name, tuple(f"action {i}" for i in range(num_actions)))
    if is_minatar:
        names = tuple(MINATAR_ACTIONS[i] for i in np.asarray(env.action_set))
    one = jax.eval_shape(lambda key: reset(key, 1)[1][0], jax.random.key(0))
    return Environment(name, reset, step, num_actions, names, int(params.max_steps_in_episode), one)


def grid_game(name: str) -> GridWorld:
    """The game on a map that an environment of `GRID_SLIPS` plays."""
    return grid_world(MAPS["rooms"], slip=GRID_SLIPS[name])


def from_grid_world(game: GridWorld, name: str, time_limit: int) -> Environment:
    """A game on a map that is played without knowing its rules: one sees the map, and where one is.

    Args:
        game: the game, with its rewards.
        name: what it is called.
        time_limit: steps after which an episode is cut.

    Returns:
        Its observations are `see_grid`'s; its state is the game's, with the step of the episode.
    """
    seen = see_grid(game)  # of numpy: made under a trace, an array of jax would leak

    def begin(key, n):
        return jax.random.choice(key, len(game.start), (n,), p=jnp.asarray(game.start)).astype(jnp.int32)

    def reset(key, n):
        state = begin(key, n)
        return (state, jnp.zeros(n, jnp.int32)), jnp.asarray(seen)[state]

    def step(key, state, action):
        move_key, start_key = jax.random.split(key)
        after, reward, terminated = simulate(move_key, game.mdp, state[0], action)
        time = state[1] + 1
        truncated = ~terminated & (time >= time_limit)
        done = terminated | truncated
        now = jnp.where(done, begin(start_key, len(after)), after)
        state = now, jnp.where(done, 0, time)
        return state, TimeStep(
            jnp.asarray(seen)[now], reward, terminated, truncated, jnp.asarray(seen)[after]
        )

    one = jax.ShapeDtypeStruct(seen.shape[1:], seen.dtype)
    return Environment(name, reset, step, game.mdp.num_actions, MOVE_NAMES, time_limit, one)


def see_grid(game: GridWorld) -> np.ndarray:
    """The screen in each state: walls, goals, holes, treasures left and the player.

    Returns:
        `[S, height, width, 5]`, bool: a plane for each of these.
    """
    seen = np.zeros((len(game.position), *game.cells.shape, 5), bool)
    for plane, kind in enumerate(SEEN[:3]):
        seen[..., plane] = game.cells == kind
    for i, place in enumerate(game.treasures):
        seen[:, *place, TREASURE] = ~game.taken[:, i]
    seen[np.arange(len(seen)), *game.position.T, PLAYER] = True
    return seen


Policy = Callable[[jax.Array, PyTree, jax.Array], tuple[jax.Array, PyTree]]
"""(key, memory, observations `[n, ...]`) -> actions `[n]`, memory."""


def play_episodes(
    env: Environment, policy: Policy, key: jax.Array, n: int, memory: PyTree = ()
) -> tuple[jax.Array, jax.Array]:
    """Plays n episodes side by side, each to its end.

    Args:
        env: the environment.
        policy: how to act, and what to remember from one step to the next.
        key: PRNG key of starts, moves and policy.
        n: number of episodes.
        memory: what the policy remembers at first, leaves `[n, ...]`; (): nothing, ever.

    Returns:
        The episodes' undiscounted returns, `[n]`, float32, and their lengths in steps, `[n]`, int32.
    """
    start_key, run_key = jax.random.split(key)
    state, obs = env.reset(start_key, n)

    def playing(carry):
        return carry.alive.any()

    def play(carry):
        policy_key, world_key = jax.random.split(jax.random.fold_in(run_key, carry.t))
        action, memory = policy(policy_key, carry.memory, carry.obs)
        state, step = env.step(world_key, carry.state, action)
        # Only the first episode counts: the memory need not be reset after it.
        return _Playing(
            carry.t + 1,
            state,
            step.obs,
            memory,
            carry.alive & ~step.done,
            carry.returns + jnp.where(carry.alive, step.reward, 0.0),
            carry.lengths + carry.alive,
        )

    nothing = jnp.zeros(n), jnp.zeros(n, jnp.int32)
    start = _Playing(0, state, obs, memory, jnp.ones(n, bool), *nothing)
    end = jax.lax.while_loop(playing, play, start)
    return end.returns, end.lengths


class _Playing(NamedTuple):
    t: Any
    state: PyTree
    obs: jax.Array
    memory: PyTree
    alive: jax.Array  # [n]: the first episode is still going on
    returns: jax.Array
    lengths: jax.Array
