"""Real Atari games inside a compiled program (slide "Exemple Atari"), by the Arcade Learning Environment.

The emulators are stepped by a custom call of XLA's, and their state lives outside of JAX. So they cannot be
put under `jax.vmap`; and a program that is resumed, in another process or in this one, finds them gone, or
elsewhere: its episodes begin anew.
"""

import functools
import itertools
import secrets
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import io_callback

from mi203jax.arguments import check_int
from mi203jax.atari import EMULATOR_BYTES, FRAMES, MAX_EMULATORS, MAX_FRAMES, PREFIX, rom_of
from mi203jax.core.errors import UsageError
from mi203jax.core.machine import cores
from mi203jax.core.memory import available_to_host
from mi203jax.rl.envs.interface import Environment, TimeStep

SIDE = 84
"""Height and width of a screen as one sees it."""

BUTTONS = {"NOOP": "nothing", "UP": "up", "DOWN": "down", "LEFT": "left", "RIGHT": "right", "FIRE": "fire"}


class Rules(NamedTuple):
    """How a game is played.

    Attributes:
        sticky: probability that the emulator repeats the action before, in each of its frames: 0.25 by
            Machado et al. (2018), "Revisiting the Arcade Learning Environment".
        frame_skip: frames of the emulator in a step, of which the action is held.
        noops: more than the single frames without action, drawn uniformly from 0 on, after which an episode
            begins: 30 are those of Mnih et al. (2015).
        fire_reset: whether the last of these presses "fire", or the only one where none was drawn. So does
            ale-py, also in games where "fire" starts nothing; Machado et al. do not.
        life_loss: whether learning takes the loss of a life for the end; the game goes on. Some games, as
            Pong, have no lives: it changes nothing there.
        max_frames: after which an episode is cut: half an hour of play.
    """

    sticky: float = 0.25
    frame_skip: int = 4
    noops: int = 30
    fire_reset: bool = True
    life_loss: bool = False
    max_frames: int = MAX_FRAMES


LIMITS = {"sticky": (0, 1), "frame_skip": (1, 100), "noops": (0, 1000), "max_frames": (1, 2**31 - 1)}
"""Least and greatest of the rules that are numbers, as in `mi203jax.configs.QLearning`."""


class Emulated(NamedTuple):
    """What JAX knows of the emulators."""

    session: jax.Array  # int32, of the process and the emulators that it made
    turn: jax.Array  # int32, of all their resets and steps: the last one, or the state is an old one
    over: jax.Array  # [n], bool: the episode ended, and the next step begins another one
    lives: jax.Array  # [n], int32


STANDARD = Rules()


def make_atari(name: str, rules: Rules = STANDARD, purpose: str = "training") -> Environment:
    """A game of the Arcade Learning Environment.

    Its observations are the last four screens, `[4, 84, 84]`, uint8, in grey, the newest one last, zeros
    before the episode's first. The step after an episode's end plays no action: it gives the first
    observation of the next, and says so (`TimeStep.began`). A state that is not the emulators' last one
    begins anew likewise, all of its environments in one step.

    Its actions are of any integer dtype: one below 0 presses the first button, one above the last the last.
    Its `reset` takes from 1 to `MAX_EMULATORS` environments. Both raise ValueError where they are traced.

    Args:
        name: "atari/Breakout", say: see `mi203jax.atari.games`.
        rules: how it is played.
        purpose: emulators are shared by all that have the same name, rules, number and purpose: only one of
            them may be under way.

    Raises:
        ValueError: if a rule is outside of `LIMITS`, or of another type.
        UsageError: if there is no such game, or ale-py is not installed.
    """
    rules = _checked(rules)
    rom = rom_of(name.removeprefix(PREFIX))
    actions = _buttons(rom)
    emulators = functools.partial(_emulators, rom, rules, purpose)

    def reset(key: jax.Array, n: int) -> tuple[Emulated, jax.Array]:
        check_int(f"reset of {name}", "n", n, MAX_EMULATORS)
        emulator = emulators(n)
        seeds = jax.random.randint(key, (n,), 0, np.iinfo(np.int32).max)
        turn = emulator.next_turn((seeds >= 0).all())
        obs, lives = emulator.reset(seeds)
        return Emulated(jnp.int32(emulator.session), turn, jnp.zeros(n, bool), lives), obs

    def step(key: jax.Array, state: Emulated, action: jax.Array) -> tuple[Emulated, TimeStep]:
        n = len(state.lives)
        pressed = _pressed(name, action, n, len(actions))
        emulator = emulators(n)
        turn = emulator.next_turn((state.lives >= 0).all() & (state.turn >= 0))

        def go_on():
            obs, reward, terminated, truncated, lives = emulator.step(pressed)
            lost = (lives < state.lives) & ~state.over & rules.life_loss
            after = Emulated(state.session, turn, terminated | truncated, lives)
            reward = reward.astype(jnp.float32)
            return after, TimeStep(obs, reward, terminated, truncated, obs, state.over, lost)

        def begin_anew():
            after, obs = reset(key, n)
            no = jnp.zeros(n, bool)
            return after, TimeStep(obs, jnp.zeros(n), no, no, obs, ~no, no)

        is_last = (state.session == emulator.session) & (state.turn == turn - 1)
        return jax.lax.cond(is_last, go_on, begin_anew)

    shape = jax.ShapeDtypeStruct((FRAMES, SIDE, SIDE), jnp.uint8)
    limit = -(-rules.max_frames // rules.frame_skip)
    return Environment(name, reset, step, len(actions), actions, limit, shape)


def _checked(rules: Rules) -> Rules:
    """The rules, their numbers Python's own."""
    whole, real = (int, np.integer), (int, float, np.integer, np.floating)
    for name, (low, high) in LIMITS.items():
        value = getattr(rules, name)
        kinds, what = (real, "number") if name == "sticky" else (whole, "whole number")
        if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
            raise ValueError(f"Rules: expected {name} to be a {what} in [{low}, {high}], got {value!r}.")
    for name in ("fire_reset", "life_loss"):
        if not isinstance(getattr(rules, name), bool):
            raise ValueError(f"Rules: expected {name} to be True or False, got {getattr(rules, name)!r}.")
    return Rules(
        float(rules.sticky),
        int(rules.frame_skip),
        int(rules.noops),
        rules.fire_reset,
        rules.life_loss,
        int(rules.max_frames),
    )


def _pressed(name: str, action: jax.Array, n: int, num_actions: int) -> jax.Array:
    """Buttons `[n]`, int32: from one that the game does not have ale-py never returns."""
    action = jnp.asarray(action)
    if action.shape != (n,) or not jnp.issubdtype(action.dtype, jnp.integer):
        raise ValueError(
            f"step of {name}: expected actions of shape ({n},) and an integer dtype, "
            f"got {action.shape}, {action.dtype}."
        )
    return jnp.clip(action, 0, num_actions - 1).astype(jnp.int32)


class _Emulators(NamedTuple):
    reset: Callable[..., Any]  # seeds [n] -> obs, lives
    step: Callable[..., Any]  # actions [n] -> obs, reward, terminated, truncated, lives
    next_turn: Callable[..., Any]  # a bool that is true once it is its turn -> int32, one more at each call
    session: int  # that a state of another process does not have


@functools.cache
def _emulators(rom: str, rules: Rules, purpose: str, n: int) -> _Emulators:
    """Emulators side by side, stepped by no more threads than there are cores."""
    from ale_py.vector_env import AtariVectorEnv

    del purpose  # a part of what they are found by
    size, free = n * EMULATOR_BYTES, available_to_host()
    if size > free:
        raise UsageError(
            f"{n:,} emulators take about {size / 1e9:.3g} gigabytes, {free / 1e9:.3g} are free: "
            f"expected at most {free // EMULATOR_BYTES:,} (num_envs, eval_episodes)."
        )
    games = AtariVectorEnv(
        rom,
        n,
        num_threads=min(n, cores()),
        repeat_action_probability=rules.sticky,
        frameskip=rules.frame_skip,
        noop_max=rules.noops,
        use_fire_reset=rules.fire_reset,
        max_num_frames_per_episode=rules.max_frames,
        reward_clipping=False,
        stack_num=FRAMES,
        img_height=SIDE,
        img_width=SIDE,
    )
    # Their constants are made now: under a trace they would leak.
    with jax.ensure_compile_time_eval():
        handle, xla_reset, xla_step = games.xla()
    handle = np.asarray(handle)

    def reset(seeds):
        _, (obs, info) = xla_reset(handle, seeds)
        return obs, info["lives"]

    def step(action):
        _, (obs, reward, terminated, truncated, info) = xla_step(handle, action)
        return obs, reward, terminated, truncated, info["lives"]

    # ale-py counts frames alone, which say neither that another episode began nor that another was reset.
    turns = itertools.count()

    def count():
        return io_callback(lambda: np.int32(next(turns)), jax.ShapeDtypeStruct((), jnp.int32))

    def next_turn(is_due):
        # `is_due` is always true, and says when: to give it to the callback would take a tenth of a step.
        return jax.lax.cond(is_due, count, lambda: jnp.int32(0))

    return _Emulators(_alone(reset), _alone(step), _alone(next_turn), secrets.randbelow(2**31))


def _alone(f: Callable) -> Callable:
    """The function, which says why it cannot be put under `jax.vmap`."""
    guarded = jax.custom_batching.custom_vmap(f)

    @guarded.def_vmap
    def _refuse(axis_size, in_batched, *args):
        raise UsageError(
            "Atari's emulators cannot be put under jax.vmap, since their state lives outside of JAX: train "
            "seeds in turn, as the launcher does, or with jax.lax.map."
        )

    return guarded


@functools.cache
def _buttons(rom: str) -> tuple[str, ...]:
    """What each action presses: "up fire", say."""
    from ale_py.vector_env import AtariVectorEnv

    names = [a.name for a in AtariVectorEnv(rom, 1).ale.get_action_set()]
    return tuple(_words(name) for name in names)


def _words(action: str) -> str:
    """Of UPRIGHTFIRE: "up right fire"."""
    words = []
    while action:
        button = next(b for b in BUTTONS if action.startswith(b))
        words.append(BUTTONS[button])
        action = action.removeprefix(button)
    return " ".join(words)
