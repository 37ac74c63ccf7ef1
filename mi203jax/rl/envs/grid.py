"""Games on a map, of which Q* can be computed, played without knowing their rules."""

import jax
import jax.numpy as jnp
import numpy as np

from mi203jax.rl.envs.interface import Environment, TimeStep
from mi203jax.rl.games import GOAL, HOLE, MAPS, MOVE_NAMES, WALL, GridWorld, grid_world
from mi203jax.rl.tabular import simulate

GRID_SLIPS = {"Rooms-grid": 0.0, "SlipperyRooms-grid": 0.2}
"""Games on the map "rooms", and how often a move goes astray."""
GRID_TIME_LIMIT = 100
SEEN = (WALL, GOAL, HOLE, "treasure", "player")
TREASURE, PLAYER = 3, 4
"""What each plane of the screen of such a game shows."""


def make_grid(name: str) -> Environment:
    """One of `GRID_SLIPS`."""
    return from_grid_world(grid_game(name), name, GRID_TIME_LIMIT)


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
