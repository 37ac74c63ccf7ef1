"""Names and screens of ale-py's Atari games. Does not import jax: a mistake is answered at once."""

import functools

from mi203jax.core.errors import UsageError, did_you_mean
from mi203jax.core.extras import require

PREFIX = "atari/"
"""What names of environments begin with that are real Atari games."""

FRAMES = 4
"""Screens that one sees at a time."""


@functools.cache
def games() -> dict[str, str]:
    """The ROM of each game, "space_invaders" of "SpaceInvaders".

    Raises:
        UsageError: if ale-py is not installed.
    """
    roms = require("ale_py.roms", "env=atari/GAME", "atari").get_all_rom_ids()
    return {rom.title().replace("_", ""): rom for rom in sorted(roms)}  # as gymnasium registers them


def rom_of(game: str) -> str:
    """The ROM of a game.

    Raises:
        UsageError: if there is no such game, with the nearest names, or ale-py is not installed.
    """
    known = games()
    if game.removesuffix("Continuous") in known.keys() - {game}:
        raise UsageError(
            f"env=atari/{game} has continuous actions: expected buttons, as of "
            f"env=atari/{game.removesuffix('Continuous')}."
        )
    if game not in known:
        raise UsageError(f"Unknown env=atari/{game}. {did_you_mean(game, known)}")
    return known[game]
