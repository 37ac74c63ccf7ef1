"""How the benchmarks measure and print."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable

import jax


def machine() -> str:
    """Where the figures were made."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    name = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            name = next((line.split(": ")[1].strip() for line in file if line.startswith("model name")), name)
    devices = ", ".join(sorted({d.device_kind for d in jax.devices()}))
    versions = f"Python {platform.python_version()}, jax {jax.__version__}"
    return f"{name}, {cores} cores, devices: {devices}, {versions}"


def seconds(f: Callable[[], object]) -> float:
    """How long a call takes, by the clock, until its result is there."""
    start = time.perf_counter()
    jax.block_until_ready(f())
    return time.perf_counter() - start


def in_turn(fs: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Times each function once a round, in turn, so that a machine that drifts drifts for all alike."""
    times: dict[str, list[float]] = {name: [] for name in fs}
    for _ in range(rounds):
        for name, f in fs.items():
            times[name].append(seconds(f))
    return times


def spread(values: Iterable[float], form: str = ",.0f") -> str:
    """`median (smallest–largest)`."""
    values = sorted(values)
    return f"{statistics.median(values):{form}} ({values[0]:{form}}–{values[-1]:{form}})"


def table(rows: list[dict[str, str]]) -> str:
    """Rows as Markdown."""
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    return "\n".join([*lines, *("| " + " | ".join(r[n] for n in names) + " |" for r in rows)])
