"""A layer of LSTM, forwards and backwards, beside PyTorch's and flax's; and the memory of the backward pass.

    python -m benchmarks.recurrent

Needs PyTorch (extra `test`). Batch 64, 100 steps, 128 inputs, 128 units; the loss is the mean square of all
outputs. Two ways: one call after another, and steps of SGD, of which ours are one compiled loop.
"""

import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import torch

from benchmarks.measure import in_turn, machine, spread, table
from mi203jax.nn import init_cell, lstm_cell, unroll

BATCH, TIME, HIDDEN = 64, 100, 128
STEPS, ROUNDS = 20, 15  # of SGD in a measurement; measurements
LENGTHS = (100, 400, 1_600, 6_400, 10_000)


def flax_layer() -> tuple[Callable, dict]:
    """Flax's layer of LSTM and its parameters."""
    layer = nn.RNN(nn.OptimizedLSTMCell(HIDDEN))
    params = layer.init(jax.random.key(1), jnp.zeros((BATCH, TIME, HIDDEN)))
    return layer.apply, params


def jax_calls(read: Callable, params: dict, xs: jax.Array) -> tuple[Callable, Callable]:
    """A call for the gradients, and STEPS of SGD in a compiled loop."""

    def loss(params):
        return jnp.square(read(params, xs)).mean()

    @jax.jit
    def descend(params):
        def step(params, _):
            gradient = jax.grad(loss)(params)
            return jax.tree.map(lambda p, g: p - 1e-3 * g, params, gradient), None

        return jax.lax.scan(step, params, None, STEPS)[0]

    one = jax.jit(jax.grad(loss))
    jax.block_until_ready((one(params), descend(params)))
    return lambda: one(params), lambda: descend(params)


def torch_calls(xs: jax.Array) -> tuple[Callable, Callable]:
    """The same of PyTorch."""
    layer = torch.nn.LSTM(HIDDEN, HIDDEN, batch_first=True)
    x = torch.tensor(jax.device_get(xs))
    optimizer = torch.optim.SGD(layer.parameters(), lr=1e-3)

    def one() -> None:
        optimizer.zero_grad()
        layer(x)[0].square().mean().backward()

    def descend() -> None:
        for _ in range(STEPS):
            one()
            optimizer.step()

    descend()
    return one, descend


def speed() -> list[dict[str, str]]:
    """A row for each library: milliseconds a step, and how many times ours it is."""
    xs = jax.random.normal(jax.random.key(0), (BATCH, TIME, HIDDEN))
    ours = init_cell(lstm_cell, jax.random.key(1), HIDDEN, HIDDEN)
    both = {
        "mi203jax": jax_calls(lambda p, x: unroll(lstm_cell, p, x)[0], ours, xs),
        "PyTorch": torch_calls(xs),
        "flax": jax_calls(*flax_layer(), xs),
    }
    names = ("gradients, a call", "a step of SGD, in a loop")
    rows = [{"LSTM, forwards and backwards": name} for name in both]
    for name, calls in zip(names, zip(*both.values(), strict=True), strict=True):
        per = STEPS if "loop" in name else 1
        times = in_turn(dict(zip(both, calls, strict=True)), ROUNDS * (1 if per > 1 else 10))
        for row, ts in zip(rows, times.values(), strict=True):
            ratios = [t / mine for t, mine in zip(ts, times["mi203jax"], strict=True)]
            row[f"{name}, ms"] = spread((1e3 * t / per for t in ts), ".1f")
            row[f"{name}: by ours"] = spread(ratios, ".2f")
    return rows


def temporary_bytes(time: int, checkpoint: int | None) -> int:
    """Memory of the gradient of a loss of the last state, besides arguments and results; one signal."""
    params = init_cell(lstm_cell, jax.random.key(1), 1, HIDDEN)

    def loss(params, xs):
        return unroll(lstm_cell, params, xs, checkpoint=checkpoint)[1].h.sum()

    compiled = jax.jit(jax.grad(loss)).lower(params, jnp.zeros((time, 1))).compile()
    return compiled.memory_analysis().temp_size_in_bytes


def memory() -> list[dict[str, str]]:
    """A row for each length: memory with all states kept, and with √T of them."""
    rows, before = [], None
    for time in LENGTHS:
        kept, root = temporary_bytes(time, None), temporary_bytes(time, math.isqrt(time))
        growth = "" if before is None else f"{root / before[1]:.2f} ({math.sqrt(time / before[0]):.2f})"
        rows.append(
            {
                "steps": f"{time:,}",
                "all kept, KiB": f"{kept / 1024:,.0f}",
                "checkpoint=√T, KiB": f"{root / 1024:,.0f}",
                "growth (of √T)": growth,
            }
        )
        before = time, root
    return rows


def main() -> None:
    """Prints both tables."""
    print(machine(), f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads", sep=", ")
    print(f"\n{table(speed())}\n\n{table(memory())}")


if __name__ == "__main__":
    main()
