"""Our replay ring beside flashbax's, adding 64 Breakout transitions and drawing 2 × 128, in a scan.

    python -m benchmarks.replay        (extra `bench`)

One trial, then eight under `vmap`, where flashbax's position, which is state, becomes a batched index.
"""

import functools
from importlib.metadata import version

import flashbax
import jax
import jax.numpy as jnp

from benchmarks.measure import in_turn, machine, spread, table
from mi203jax.rl import replay_add, replay_init, replay_sample

CAPACITY, ENVS, DRAWN, LENGTH, ROUNDS = 64 * 1562, 64, (2, 128), 500, 5


def transition(key, n):
    obs = jax.random.bernoulli(key, 0.1, (n, 10, 10, 4))
    return {
        "obs": obs,
        "next_obs": obs,
        "action": jnp.zeros(n, jnp.int32),
        "reward": jnp.ones(n),
        "end": obs[:, 0, 0, 0],
    }


def scan(add_and_sample, state, key):
    """LENGTH times: add a batch, draw a sample, use it."""
    batch = transition(key, ENVS)

    def step(carry, t):
        state, used = carry
        state, sample = add_and_sample(state, batch, jax.random.fold_in(key, t), t)
        return (state, used + sample["reward"].sum() + sample["obs"].sum()), None

    return jax.lax.scan(step, (state, 0.0), jnp.arange(LENGTH))[0]


def ours(state, batch, key, t):
    state = replay_add(state, batch, t * ENVS)
    return state, replay_sample(key, state, (t + 1) * ENVS, DRAWN)


BUFFER = flashbax.make_item_buffer(
    max_length=CAPACITY, min_length=1, sample_batch_size=DRAWN[0] * DRAWN[1], add_batches=True
)


def theirs(state, batch, key, t):
    del t  # kept in the state
    state = BUFFER.add(state, batch)
    return state, BUFFER.sample(state, key).experience


def measured(f, make, trials):
    """A function that goes on from where it was, its state donated."""
    keys = jax.random.split(jax.random.key(0), trials)
    run = jax.jit(jax.vmap(functools.partial(scan, f)), donate_argnums=0)
    held = [jax.vmap(lambda _: make())(jnp.arange(trials))]

    def go_on():
        held[0], used = run(held[0], keys)
        return used

    go_on()
    return go_on


def main():
    example = jax.tree.map(lambda x: x[0], transition(jax.random.key(0), 1))
    rows = []
    for trials in (1, 8):
        times = in_turn(
            {
                "mi203jax": measured(ours, lambda: replay_init(example, CAPACITY), trials),
                "flashbax": measured(theirs, lambda: BUFFER.init(example), trials),
            },
            ROUNDS,
        )
        for name, ts in times.items():
            rows.append(
                {
                    "replay": name,
                    "trials": str(trials),
                    "µs an iteration": spread(t / LENGTH * 1e6 for t in ts),
                }
            )
    print(f"{machine()}, flashbax {version('flashbax')}", table(rows), sep="\n\n")


if __name__ == "__main__":
    main()
