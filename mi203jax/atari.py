"""Names and screens of ale-py's Atari games. Does not import jax: a mistake is answered at once."""

import difflib
import functools
import re
from collections.abc import Iterable

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

MAX_EMULATORS = 512
"""Side by side, at most: each takes a tenth of a second to be made, in which no signal is obeyed."""

FOR_TWO = {"combat", "joust", "maze_craze", "warlords"}
"""ROMs that one cannot play alone: ale-py ends the process that loads one."""

SPELLINGS = re.compile(r"(ale/|atari/)?(\w*?)(-ram)?(NoFrameskip|Deterministic)?(-v\d+)?", re.IGNORECASE)
"""What gymnasium calls games: "ALE/Pong-v5", "PongNoFrameskip-v4", "Pong-ramDeterministic-v0"."""


@functools.cache
def games() -> dict[str, str]:
    """The ROM of each game, "space_invaders" of "SpaceInvaders".

    Raises:
        UsageError: if ale-py is not installed.
    """
    require("ale_py", "env=atari/GAME", "atari")
    roms = require("ale_py.roms", "env=atari/GAME", "atari").get_all_rom_ids()
    return {rom.title().replace("_", ""): rom for rom in sorted({*roms} - FOR_TWO)}  # as in gymnasium


def rom_of(game: str) -> str:
    """The ROM of a game.

    Raises:
        UsageError: if there is no such game, with the nearest name, or ale-py is not installed.
    """
    known = games()
    if game not in known:
        raise UsageError(f"Unknown env={PREFIX}{game}. {which_is_meant(PREFIX + game)}")
    return known[game]


def which_is_meant(env: str, others: Iterable[str] = ()) -> str:
    """What to say after an unknown name: the Atari game that is so spelled elsewhere, or the nearest name.

    Args:
        env: what the user typed.
        others: names of environments that are no Atari games.

    Returns:
        A sentence or two.

    Raises:
        UsageError: if it is no other than an Atari game, and ale-py is not installed.
    """
    of_atari = env.lower().startswith(("ale/", PREFIX))
    known = {name.lower(): PREFIX + name for name in (games() if of_atari else _games_or_none())}
    spelled = SPELLINGS.fullmatch(env)
    game = spelled[2].lower().replace("_", "") if spelled else ""
    buttons = game.removesuffix("continuous")
    if game not in known and buttons in known:
        name = known[buttons].removeprefix(PREFIX)
        return f"{name}Continuous has continuous actions: expected buttons, as of env={PREFIX}{name}."
    near = difflib.get_close_matches(game, known, n=1, cutoff=0.5 if of_atari else 1.0)
    others = sorted(known.values() if of_atari else others)
    same = [name for name in others if name.lower().startswith(f"{env.lower()}-")]
    if near and same:
        return f"Did you mean {same[0]!r}? The real Atari game is {known[near[0]]!r}."
    if near:
        return f"Did you mean {known[near[0]]!r}?"
    if of_atari:
        return did_you_mean("", others)  # all of them
    return f"{did_you_mean(env, others)} Real Atari games are named as 'atari/Pong'."


def _games_or_none() -> Iterable[str]:
    """Names of games; none without ale-py."""
    try:
        return games()
    except UsageError:
        return ()
