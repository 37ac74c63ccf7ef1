"""How much memory a group of trials needs, before it runs, and how much there is."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jax.extend import core as jax_core

SHARE = 0.8
"""The part of the free memory that a group may take."""


class Need(NamedTuple):
    """What a group of trials takes, in bytes: of the machine, or of each GPU."""

    trials: int  # that share the memory
    places: int  # memories like it: 1 machine, or as many GPUs as there are
    in_turn: bool  # whether one of them at a time is worked on
    shared: int  # data, whatever the number of trials
    kept: int  # states of all trials
    total: int  # while they learn
    copies: int = 1  # of the states while a checkpoint is written: 2, where these are in the host's memory

    @property
    def most(self) -> int:
        """What all trials take, while they learn or while a checkpoint is written."""
        return max(self.total, self.shared + self.copies * self.kept)

    @property
    def of_one(self) -> float:
        """What one trial takes alone."""
        kept = self.kept / self.trials
        if self.in_turn:
            learning = self.total - self.kept + kept
        else:
            learning = self.shared + (self.total - self.shared) / self.trials
        return max(learning, self.shared + self.copies * kept)

    def at_most(self, limit: int) -> int:
        """The largest number of trials that stay under the limit; at least 1."""
        kept = self.kept / self.trials
        if self.in_turn:
            room, each = limit - self.total + self.kept, kept
        else:
            room, each = limit - self.shared, (self.total - self.shared) / self.trials
        written = (limit - self.shared) // max(1.0, self.copies * kept)
        return self.places * max(1, int(min(room // max(1.0, each), written)))


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory did not suffice."""
    of_device = isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)
    return of_device or isinstance(error, MemoryError)


def available() -> int:
    """Bytes that are free: on the first GPU, if there is one, else in this machine or container."""
    device = jax.local_devices()[0]
    statistics = device.memory_stats() if device.platform != "cpu" else None
    if statistics and "bytes_limit" in statistics:
        return statistics["bytes_limit"] - statistics.get("bytes_in_use", 0)
    return available_to_host()


def available_to_host() -> int:
    """Bytes that are free in this machine or container, whatever its GPUs have."""
    free = [_meminfo(), *_cgroup()]
    return min((f for f in free if f is not None), default=1 << 62)


def _meminfo() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return None  # not Linux: whoever runs there cuts by hand


def _cgroup() -> Iterable[int | None]:
    """What the container still allows, by version 2 and 1 of Linux's control groups."""
    root = Path("/sys/fs/cgroup")
    for limit, used, parts in (
        ("memory.max", "memory.current", "memory.stat"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
    ):
        try:
            told = dict(line.split() for line in (root / parts).read_text().splitlines())
            # Files that were read some time ago count as used, and give way.
            in_use = int((root / used).read_text()) - int(told.get("inactive_file", 0))
            yield int((root / limit).read_text()) - in_use
        except (OSError, ValueError):
            yield None


def in_words(number: float) -> str:
    """`2.3e9` -> "2.3 gigabytes"."""
    gigabytes = number / 1e9
    return f"{gigabytes:,.0f} gigabytes" if gigabytes >= 100 else f"{gigabytes:.3g} gigabytes"


def size(tree: Any) -> int:
    """Bytes of arrays, or of their shapes and dtypes."""
    return sum(_bytes(x) for x in jax.tree.leaves(tree))


def _bytes(x: Any) -> int:
    # A key of jax.random is of two words.
    itemsize = 8 if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key) else x.dtype.itemsize
    return math.prod(x.shape) * itemsize


def peak(f: Any, *args: Any) -> int:
    """Bytes alive at most while a function is computed, its arguments and results counted.

    Walks through what the function is traced to, operation by operation, each value alive from where it is
    computed to where it is last used. Compilers fuse operations, so that this is an upper bound in general;
    what a library needs inside one operation (a convolution's patches, say) is not seen.
    """
    return _peak(jax.make_jaxpr(f)(*args).jaxpr)


def _peak(jaxpr: Any) -> int:
    last: dict[Any, int] = {}  # variable -> the operation that uses it last
    for i, equation in enumerate(jaxpr.eqns):
        last |= {v: i for v in equation.invars if isinstance(v, jax_core.Var)}
    last |= {v: len(jaxpr.eqns) for v in jaxpr.outvars if isinstance(v, jax_core.Var)}
    alive = {v: _bytes(v.aval) for v in (*jaxpr.constvars, *jaxpr.invars)}
    now = most = sum(alive.values())
    for i, equation in enumerate(jaxpr.eqns):
        made = {v: _bytes(v.aval) for v in equation.outvars}
        inside = max(map(_within, _inner(equation)), default=0)
        if equation.primitive.name == "shard_map" and jax.default_backend() == "cpu":
            inside *= equation.params["mesh"].size  # all devices in one memory
        most = max(most, now + max(inside, sum(made.values())))
        alive |= made
        now += sum(made.values())
        for v in {*(v for v in equation.invars if isinstance(v, jax_core.Var)), *made}:
            if last.get(v, -1) <= i and v in alive:
                now -= alive.pop(v)
    return most


def _within(jaxpr: Any) -> int:
    """What a loop's or a function's body needs besides its arguments, which its caller holds."""
    return max(0, _peak(jaxpr) - sum(_bytes(v.aval) for v in jaxpr.invars))


def _inner(equation: Any) -> Iterable[Any]:
    for value in equation.params.values():
        for one in value if isinstance(value, tuple | list) else (value,):
            if isinstance(one, jax_core.ClosedJaxpr):
                yield one.jaxpr
            elif isinstance(one, jax_core.Jaxpr):
                yield one
