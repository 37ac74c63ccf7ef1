"""PQN on Breakout-MinAtar: steps a second, beside the same code on XLA's convolution, and the limit.

    python -m benchmarks.pqn

The limit is the rate at which this machine does the matrix products of that size, as if nothing else
were to do: playing, targets, layer norms, gathers, the optimiser.
"""

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks.measure import in_turn, machine, seconds, spread, table
from mi203jax.configs import PQN
from mi203jax.core.loop import Group
from mi203jax.models import q_network
from mi203jax.tasks.pqn import task

ITERATIONS = 12  # in a measurement
ROUNDS = 5


def xla_convolution(x, w):
    return lax.conv_general_dilated(x, w, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def trainer(convolution):
    """A function that goes on training for ITERATIONS, and how long its first call took."""
    q_network.conv2d = convolution
    steps = ITERATIONS * PQN().steps_per_iteration
    config = PQN(total_steps=10**9, eval_every=steps, eval_episodes=1)
    progress = Group(task, [config], None).run(lambda: ITERATIONS)
    next(progress)
    first = seconds(lambda: next(progress).carry)
    return (lambda: next(progress).carry), first


def product_rate(rows: int, inner: int, columns: int, repeats: int) -> float:
    """FLOP a second of products of that size, one after another in a compiled scan."""
    x, w = jnp.ones((rows, inner)), jnp.full((inner, columns), 1e-3)

    @jax.jit
    def products(x, w):
        # Each product's input depends on the one before, so that none is left out.
        return lax.scan(lambda s, _: ((x * s @ w)[0, 0], None), 1.0, None, length=repeats)[0]

    seconds(lambda: products(x, w))
    return repeats * 2 * rows * inner * columns / min(seconds(lambda: products(x, w)) for _ in range(9))


def least_seconds(c: PQN) -> tuple[float, str]:
    """Time that the network's products alone need for one environment step, and what it is made of."""
    passes = 1 + 2 / c.num_steps + 3 * c.epochs  # acting, the phase's last values; forward, two backward
    parts = {
        "convolution, 8192×36 by 36×16": (8192, 36, 16, 200),
        "dense, 128×1024 by 1024×128": (128, 1024, 128, 200),
    }
    total, words = 0.0, []
    for name, shape in parts.items():
        rate, flop = product_rate(*shape), passes * 2 * shape[0] * shape[1] * shape[2] / 128
        total += flop / rate
        words.append(f"{name}: {flop / 1e6:.2f} MFLOP a step at {rate / 1e9:.0f} GFLOP/s")
    return total, "; ".join(words)


def main():
    ours, first = trainer(q_network.conv2d)
    xla, xla_first = trainer(xla_convolution)
    times = in_turn({"mi203jax": ours, "the same on lax.conv": xla}, ROUNDS)
    c, steps = PQN(), ITERATIONS * PQN().steps_per_iteration
    rows = [
        {
            "PQN, 128 environments × 32 steps": n,
            "steps/s": spread(steps / t for t in ts),
            "first call": f"{s:.1f} s",
        }
        for (n, ts), s in zip(times.items(), (first, xla_first), strict=True)
    ]
    ratios = [b / a for a, b in zip(*times.values(), strict=True)]
    least, words = least_seconds(c)
    print(machine(), table(rows), sep="\n\n")
    print(f"\nratio: {spread(ratios, '.2f')}")
    reached = least * steps / min(times["mi203jax"])
    print(f"{words}: at most {1 / least:,.0f} steps/s, of which {reached:.0%} are reached")


if __name__ == "__main__":
    main()
