"""Names and screens of ale-py's Atari games. Does not import jax: a mistake is answered at once."""

import functools
import re

from mi203jax.core.errors import UsageError, did_you_mean
from mi203jax.core.extras import require

PREFIX = "atari/"
"""What names of environments begin with that are real Atari games."""

FRAMES = 4
"""Screens that one sees at a time."""

MAX_FRAMES = 108_000
"""After which an episode is cut, if nothing else is asked for: half an hour of play."""

JUDGED_AT_RANDOM = 0.01
"""The least probability of a random action while an agent is judged.

A greedy one that never presses "fire" would wait for `MAX_FRAMES`.
"""

EMULATOR_BYTES = 3_000_000
"""That an emulator may take: of 48 of Breakout each took 1.6 MB of a process, with what it shows."""


def standard_name(env: str) -> str | None:
    """What gymnasium's "ALE/Pong-v5" or "Atari/Pong" is called here, "atari/Pong"; None: no Atari game."""
    named = re.fullmatch(r"(?:ale|atari)/(\w+?)(?:-v\d+)?", env, re.IGNORECASE)
    return PREFIX + named[1] if named else None


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
