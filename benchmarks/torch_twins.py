"""What the benchmarks of whole tasks share: a task's own loop, and twins of it in PyTorch.

A twin is the same computation as one writes it in PyTorch. It begins with the task's weights, and `compare`
times it only if its first losses are the task's.
"""

import functools
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

from benchmarks.measure import in_turn, machine, seconds, spread, table
from mi203jax.core.config import RunConfig
from mi203jax.core.loop import advance, start
from mi203jax.core.task import PyTree, Task

CHECKED, STEPS, ROUNDS = 5, 10, 9  # steps whose losses must agree; steps in a measurement; measurements
LAYOUTS = {"eager": torch.contiguous_format, "eager, channels last": torch.channels_last}

Twin = Callable[..., torch.Tensor]
"""So many steps -> their losses `[steps, losses]`; without a number, STEPS."""


class Ours:
    """The iterations of one trial of a task, by the loop that all runs have."""

    def __init__(self, task: Task, c: RunConfig, data: PyTree, key: jax.Array):
        carry = jax.jit(functools.partial(start, task))(c, data, key)
        self.carry = jax.tree.map(jnp.copy, carry)  # which is donated, and may share arrays with the data
        lowered = jax.jit(functools.partial(advance, task), donate_argnums=1).lower(c, carry, data, 0, 1)
        began = time.perf_counter()
        self._advance = lowered.compile()
        self.compile_s = time.perf_counter() - began
        self._c, self._data, self._t = c, data, 0

    def __call__(self, steps: int = STEPS) -> PyTree:
        """The sums of the task's metrics after so many further steps."""
        self.carry = self._advance(self._c, self.carry, self._data, self._t, steps)
        self._t += steps
        return self.carry.sums

    def losses(self, names: tuple[str, ...], steps: int) -> np.ndarray:
        """What the task says of each of the next steps, `[steps, names]`, when nothing was asked before."""
        sums = [[float(s[n].total) for n in names] for s in (self(1) for _ in range(steps))]
        return np.diff(np.array(sums), axis=0, prepend=0.0)


def compare(ours: Ours, make: Callable[[torch.memory_format, bool], Twin], names: tuple[str, ...]) -> None:
    """Times a task beside its twins and prints it.

    Args:
        ours: before its first step.
        make: (layout, whether it is compiled) -> a twin before its first step.
        names: the losses of the twin, by their names in the task's metrics.

    Raises:
        AssertionError: if the first losses of a twin are others.
    """
    first = ours.losses(names, CHECKED)
    sides: dict[str, Any] = {"mi203jax": ours}
    for name, layout in LAYOUTS.items():
        sides[f"torch {name}"] = make(layout, False)
        agree(sides[f"torch {name}"](CHECKED), first)
    eager, compile_s = list(sides)[1:], {"mi203jax": ours.compile_s}
    for kind, layout in LAYOUTS.items():
        name, losses = f"torch compiled{kind.removeprefix('eager')}", []

        def begun(layout=layout, name=name, losses=losses) -> Twin:
            twin, began = make(layout, True), time.perf_counter()
            losses.append(twin(CHECKED))
            compile_s[name] = time.perf_counter() - began
            return twin

        if twin := compiled_or_none(begun):
            agree(losses[0], first)
            sides[name] = twin
    times = in_turn(sides, ROUNDS)
    best = min(eager, key=lambda n: statistics.median(times[n]))
    ratio = spread((b / a for a, b in zip(times["mi203jax"], times[best], strict=True)), ".2f")
    print(f"{ratio} times as fast as {best}\n")
    print(table([row(n, ts, compile_s.get(n)) for n, ts in times.items()]))


def row(name: str, times: list[float], compile_s: float | None) -> dict[str, str]:
    """Of the table; what compiles during its first steps has these in its seconds."""
    return {
        "step": name,
        "ms": spread((t / STEPS * 1e3 for t in times), ".1f"),
        "compiled in, s": "" if compile_s is None else f"{compile_s:.1f}",
    }


def agree(theirs: torch.Tensor, ours: np.ndarray) -> None:
    """Raises AssertionError unless both are the same losses, up to rounding and what it grows to."""
    np.testing.assert_allclose(theirs.numpy(), ours, rtol=1e-3)


def compiled_or_none(make: Callable[[], Twin]) -> Twin | None:
    """torch.compile needs a compiler for C++."""
    try:
        theirs = make()
        seconds(theirs)
    except Exception as error:
        print(f"torch.compile: {type(error).__name__}: {str(error).splitlines()[0]}\n")
        return None
    return theirs


def print_machine() -> None:
    """Where the figures were made, with torch's version and threads."""
    print(f"{machine()}, torch {torch.__version__} with {torch.get_num_threads()} threads\n")


def count(params: PyTree) -> int:
    """Numbers in a tree."""
    return sum(p.size for p in jax.tree.leaves(params))


def conv(of: dict[str, np.ndarray], **options: Any) -> torch.nn.Conv2d:
    """A convolution with a layer's "w" `[Δheight, Δwidth, channels, filters]` and "bias", if it has one."""
    w = of["w"]
    layer = torch.nn.Conv2d(w.shape[2], w.shape[3], w.shape[:2], bias="bias" in of, **options)
    return _filled(layer, w.transpose(3, 2, 0, 1), of.get("bias"))


def dense(of: dict[str, np.ndarray]) -> torch.nn.Linear:
    """A dense layer with a layer's "w" `[inputs, outputs]` and "bias", if it has one."""
    return _filled(torch.nn.Linear(*of["w"].shape, bias="bias" in of), of["w"].T, of.get("bias"))


def _filled(layer: Any, weight: np.ndarray, bias: np.ndarray | None) -> Any:
    layer.weight.data.copy_(torch.from_numpy(np.array(weight)))
    if bias is not None:
        layer.bias.data.copy_(torch.from_numpy(np.array(bias)))
    return layer


def channels_first(images: Any, layout: torch.memory_format) -> torch.Tensor:
    """Images `[n, height, width, channels]` as PyTorch has them, `[n, channels, height, width]`."""
    return torch.from_numpy(np.array(images).transpose(0, 3, 1, 2).copy()).to(memory_format=layout)
