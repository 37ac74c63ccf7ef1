"""Sweeps beside one run after another: how much a compiled program for all trials saves, and costs.

    python -m benchmarks.sweep             everything, about half an hour on two cores
    python -m benchmarks.sweep vectors images pqn overhead many ray registry

Runs one after another are runs of the same loop in this process, with a compilation each, or with the one
compiled program for all. A user who starts a command for each waits longer still, for imports and figures.
"""

import contextlib
import csv
import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax

import experiments
from benchmarks.measure import machine, spread, table
from mi203jax.core import parallel
from mi203jax.core.checkpoint import Checkpoints
from mi203jax.core.interruption import Interruption
from mi203jax.core.loop import Group
from mi203jax.core.machine import cores
from mi203jax.core.parallel import choose_layout
from mi203jax.core.piece import Options
from mi203jax.core.piece_folder import PieceFolder
from mi203jax.core.session import begin
from mi203jax.core.trials import Sweep

ROOT = Path(__file__).parents[1]
SHORT = {"vectors": 128_000, "dqn": 20_000, "pqn": 4 * 4096}  # steps; others: 2,000


def seeds(config, count):
    return [dataclasses.replace(config, seed=s) for s in range(count)]


def train(task, configs, layout=None, fresh=True):
    """Seconds of a whole group, from tracing to its last bit; without compilation if not fresh."""
    if fresh:
        jax.clear_caches()
    start = time.perf_counter()
    group = Group(task, configs, task.shared_data(configs[0]), layout)
    finish(group)
    if not fresh:
        start = time.perf_counter()
        finish(group)
    return time.perf_counter() - start


def finish(group):
    *_, last = group.run(lambda: 1 << 30)
    jax.block_until_ready(last.carry)


def beside_one_by_one(name, config, count, rounds=3):
    """A sweep against the same trials one after another: a row of the table."""
    task = experiments.get(name).load_task()
    configs = seeds(config, count)
    whole, bare, each, once = [], [], [], []
    for _ in range(rounds):
        whole.append(train(task, configs))
        bare.append(train(task, configs, fresh=False))
        each.append(count * train(task, configs[:1]))
        once.append(count * train(task, configs[:1], fresh=False))
    layout = choose_layout(task.on_cpu, count)
    return {
        "trials": f"{count} × {name}, {config.total_steps:,} steps",
        "layout": layout.words(count),
        "sweep with, without compilation, s": f"{spread(whole, '.1f')}, {spread(bare, '.1f')}",
        "against runs compiled each": spread((e / w for e, w in zip(each, whole, strict=True)), ".1f"),
        "against runs of one program": spread((o / b for o, b in zip(once, bare, strict=True)), ".2f"),
    }


def vectors():
    """64 trials of the smallest experiment, as it is and with the smallest network."""
    config = dataclasses.replace(experiments.get("vectors").config, total_steps=320_000, eval_every=32_000)
    return [beside_one_by_one("vectors", c, 64) for c in (config, dataclasses.replace(config, hidden=(4,)))]


def images():
    """16 convolutional networks."""
    base = experiments.get("image_classification").config
    return [beside_one_by_one("image_classification", dataclasses.replace(base, total_steps=8_000), 16)]


def pqn():
    """16 seeds of PQN on MinAtar."""
    base = experiments.get("pqn").config
    return [
        beside_one_by_one("pqn", dataclasses.replace(base, total_steps=12 * 4096, eval_every=12 * 4096), 16)
    ]


def registry():
    """Every experiment that is not made of others, with few trials and many: never slower than one by one."""
    rows = []
    for name in experiments.names():
        experiment, steps = experiments.get(name), SHORT.get(name, 2_000)
        if not experiment.series:
            config = dataclasses.replace(experiment.config, total_steps=steps, eval_every=steps)
            rows += [beside_one_by_one(name, config, count, 1) for count in (2, 8)]
    return rows


def overhead():
    """The part of a run that goes into records, statuses and checkpoints, 12 times as often as by default."""
    rows = []
    for name, steps in (("vectors", 1_280_000), ("dqn", 128_000)):
        experiment = experiments.get(name)
        config = dataclasses.replace(experiment.config, total_steps=steps, eval_every=steps // 10)
        spent: dict[str, float] = {}
        quiet = Options(quiet=True, checkpoint_every=5.0)
        with (
            tempfile.TemporaryDirectory() as folder,
            Interruption() as interruption,
            contextlib.ExitStack() as timers,
        ):
            for owner, method in (
                (PieceFolder, "append"),
                (PieceFolder, "save_statuses"),
                (Checkpoints, "save"),
            ):
                timers.enter_context(timed(owner, method, spent))
            start = time.perf_counter()
            begin(name, experiment, Sweep(config, seeds=4), folder, quiet, interruption)
            whole = time.perf_counter() - start
        parts = {f"{method}, s": f"{seconds:.2f}" for method, seconds in spent.items()}
        share = f"{100 * sum(spent.values()) / whole:.1f} %"
        rows.append(
            {"run": f"4 × {name}, {steps:,} steps", "whole, s": f"{whole:.1f}", **parts, "share": share}
        )
    return rows


@contextlib.contextmanager
def timed(owner, method, spent):
    """Adds up the seconds that a method takes."""
    plain = getattr(owner, method)
    spent[method] = 0.0

    def timing(*args):
        start = time.perf_counter()
        try:
            return plain(*args)
        finally:
            spent[method] += time.perf_counter() - start

    setattr(owner, method, timing)
    try:
        yield
    finally:
        setattr(owner, method, plain)


def many():
    """2,000 tiny trials by the command line: memory and the time to read the results."""
    rows = []
    for count in (20, 200, 2_000):
        with tempfile.TemporaryDirectory() as folder:
            fields = ["hidden=(4,)", "total_steps=64_000", "eval_every=6_400", "frames=2", f"--seeds={count}"]
            command = [
                sys.executable,
                "launch.py",
                "--exp=vectors",
                *fields,
                "--yes",
                "--quiet",
                f"--out={folder}/run",
            ]
            start = time.perf_counter()
            process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
            _, _, usage = os.wait4(process.pid, 0)
            whole = time.perf_counter() - start
            start = time.perf_counter()
            with open(f"{folder}/run/results.csv", encoding="utf-8") as file:
                assert len(list(csv.DictReader(file))) == count
            read = time.perf_counter() - start
        rows.append(
            {
                "trials": f"{count:,} × vectors, 4 units",
                "whole command, s": f"{whole:.1f}",
                "most memory, MB": f"{usage.ru_maxrss / 1024:,.0f}",
                "results.csv read in, ms": f"{read * 1e3:.1f}",
            }
        )
    return rows


def ray():
    """Pieces that use a core each, by one worker of Ray's and by two."""
    from mi203jax.core.ray_engine import RayEngine

    name = "image_classification"
    experiment = experiments.get(name)
    config = dataclasses.replace(experiment.config, total_steps=16_000)
    bare = experiment._replace(config=config)
    rows = []
    for workers in (1, 2):
        with (
            tempfile.TemporaryDirectory() as folder,
            Interruption() as interruption,
            RayEngine(cpus=2 / workers) as engine,
        ):
            engine.threads, engine.workers = 1, 2  # the same pieces and threads, one or two at once
            start = time.perf_counter()
            begin(name, bare, Sweep(config, seeds=4), folder, Options(quiet=True), interruption, engine)
            rows.append({"workers": str(workers), "4 trials, s": f"{time.perf_counter() - start:.1f}"})
    return rows


PARTS = {f.__name__: f for f in (vectors, images, pqn, registry, overhead, many, ray)}


def main():
    parallel.use_cpu_devices(cores())
    jax.config.update("jax_enable_compilation_cache", False)
    print(f"{machine()}\n", flush=True)
    for name in sys.argv[1:] or PARTS:
        print(f"{name}: {PARTS[name].__doc__}\n")
        print(table(PARTS[name]()), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
