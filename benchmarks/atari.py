"""Real Atari: how much of ale-py's own speed is kept by a random policy in a scan, and by PQN that learns.

    python -m benchmarks.atari [--envs=16] [--channels=32] [--hidden=512]

A step is an agent's: four frames. With a GPU, `--envs=128` is the figure to compare. Each of the three plays
at least 2,048 steps a round, in whole iterations; speeds are of the steps that it plays.
"""

import argparse
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from ale_py.vector_env import AtariVectorEnv

from benchmarks.measure import in_turn, machine, spread, table
from mi203jax.configs import PQN
from mi203jax.core.loop import Group
from mi203jax.core.machine import cores
from mi203jax.rl import Rules
from mi203jax.rl.envs.ale import make_atari
from mi203jax.tasks.pqn import task

GAME, STEPS, ROUNDS = "Breakout", 2048, 15


class Played(NamedTuple):
    """What is timed: a call plays so many steps, of all environments together."""

    call: Callable[[], object]
    steps: int


def iterations(steps: int) -> int:
    """Of so many steps, for a round."""
    return -(-STEPS // steps)


def by_hand(n: int) -> Played:
    """ale-py stepped from Python, by actions that were drawn before."""
    rules = Rules()
    games = AtariVectorEnv(
        GAME.lower(),
        n,
        repeat_action_probability=rules.sticky,
        frameskip=rules.frame_skip,
        num_threads=min(n, cores()),
        reward_clipping=False,
    )
    actions = np.random.default_rng(0).integers(0, 4, (iterations(n), n)).astype(np.int32)
    games.reset(seed=0)

    def play() -> object:
        for action in actions:
            games.step(action)
        return ()

    return Played(play, actions.size)


def in_a_scan(n: int) -> Played:
    """A random policy and the environment in one compiled scan."""
    env = make_atari(f"atari/{GAME}", purpose="random")  # emulators of its own, which PQN does not play with

    @jax.jit
    def play(state, key):
        def step(state, key):
            action = jax.random.randint(key, (n,), 0, env.num_actions)
            state, seen = env.step(key, state, action)
            return state, (seen.obs[:, -1, 0, 0], seen.reward)

        return jax.lax.scan(step, state, jax.random.split(key, iterations(n)))

    state, _ = jax.jit(env.reset, static_argnums=1)(jax.random.key(0), n)

    def go_on() -> object:
        nonlocal state  # the emulators go on, and an older one would begin anew
        state, seen = play(state, jax.random.key(1))
        return seen

    return Played(go_on, iterations(n) * n)


def learning(n: int, channels: int, hidden: int) -> Played:
    """PQN with phases of 32 steps, as by default, and steps of 128 transitions."""
    size = {"num_envs": n, "num_steps": 32, "minibatches": max(1, n // 4)}
    net = {"channels": channels, "hidden": (hidden,)}
    long = {"total_steps": 2 * 10**9, "eval_every": 2 * 10**9}
    # It is judged before the first step: at random, since who never presses "fire" waits for the time limit.
    c = PQN(env=f"atari/{GAME}", **size, **net, **long, eval_episodes=1, eval_epsilon=1.0)
    count = iterations(c.steps_per_iteration)
    progress = Group(task, [c], None).run(lambda: count)
    next(progress)
    return Played(lambda: next(progress).carry, count * c.steps_per_iteration)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser()
    for flag, default in (("envs", 16), ("channels", 32), ("hidden", 512)):
        parser.add_argument(f"--{flag}", type=int, default=default)
    asked = parser.parse_args()
    net = f"{asked.channels}, {2 * asked.channels}, {2 * asked.channels} filters, {asked.hidden} units"
    played = {
        "ale-py, from Python": by_hand(asked.envs),
        "random policy in a scan": in_a_scan(asked.envs),
        f"PQN, {net}": learning(asked.envs, asked.channels, asked.hidden),
    }
    calls = {name: p.call for name, p in played.items()}
    for call in calls.values():
        jax.block_until_ready(call())  # compiles
    times = in_turn(calls, ROUNDS)
    print(machine(), "\n")
    speeds = {name: [played[name].steps / t for t in took] for name, took in times.items()}
    own = speeds["ale-py, from Python"]
    rows = [
        {
            f"{GAME}, {asked.envs} environments": name,
            "agent steps/s": spread(speed),
            "of ale-py's": spread((v / a for v, a in zip(speed, own, strict=True)), ".0%"),
        }
        for name, speed in speeds.items()
    ]
    print(table(rows))


if __name__ == "__main__":
    main()
