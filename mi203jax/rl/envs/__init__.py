"""Environments that play side by side, behind one interface (slide "Agent")."""

import functools

from mi203jax.atari import PREFIX
from mi203jax.rl.envs.ale import STANDARD, Rules, make_atari
from mi203jax.rl.envs.from_gymnax import make_gymnax
from mi203jax.rl.envs.grid import GRID_SLIPS, from_grid_world, grid_game, make_grid, see_grid
from mi203jax.rl.envs.interface import Environment, TimeStep, play_episodes

__all__ = [
    "Environment",
    "Rules",
    "TimeStep",
    "from_grid_world",
    "grid_game",
    "make",
    "play_episodes",
    "see_grid",
]


@functools.cache
def make(name: str, rules: Rules = STANDARD, purpose: str = "training") -> Environment:
    """An environment with discrete actions by its name.

    Args:
        name: gymnax's, "Breakout-MinAtar"; a game on a map, "Rooms-grid"; or an Atari game, "atari/Pong".
        rules: of Atari games alone.
        purpose: of Atari games alone: see `mi203jax.rl.envs.ale.make_atari`.

    Raises:
        ValueError: if there is no such environment, or its actions are not discrete.
        UsageError: if there is no such Atari game, or ale-py is not installed.
    """
    if name.startswith(PREFIX):
        return make_atari(name, rules, purpose)
    return make_grid(name) if name in GRID_SLIPS else make_gymnax(name)
