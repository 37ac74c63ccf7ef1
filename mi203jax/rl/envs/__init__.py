"""Environments that play side by side, behind one interface (slide "Agent")."""

import functools

from mi203jax.atari import PREFIX, which_is_meant
from mi203jax.core.errors import UsageError
from mi203jax.rl.envs.ale import STANDARD, Rules, make_atari
from mi203jax.rl.envs.from_gymnax import gymnax, make_gymnax
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
        rules: of Atari games alone: of others, only the standard ones are taken.
        purpose: of Atari games alone: see `mi203jax.rl.envs.ale.make_atari`.

    Raises:
        ValueError: if a rule is outside of its limits, or not of Atari, or the actions are not discrete.
        UsageError: if there is no such environment, or ale-py is not installed.
    """
    if name.startswith(PREFIX):
        return make_atari(name, rules, purpose)
    known = {*GRID_SLIPS, *gymnax.registered_envs}
    if name not in known:
        raise UsageError(f"Unknown environment {name!r}. {which_is_meant(name, known)}")
    if rules != STANDARD:
        raise ValueError(f"make: rules are of Atari games, such as 'atari/Pong': {name!r} takes none.")
    return make_grid(name) if name in GRID_SLIPS else make_gymnax(name)
