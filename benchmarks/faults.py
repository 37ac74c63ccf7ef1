"""What runs survive, and how large they may be: the long form of `tests/faults`.

    python -m benchmarks.faults kill [--moments=50] [--seed=0]
    python -m benchmarks.faults load [--figure=PATH]

`kill`: `kill -9` at random moments of a run, of a sweep of several programs, and of their resumes, with
a checkpoint every half second; what is recorded, and the parameters, are compared bit for bit with those
of a run that nothing disturbed. `load`: seconds, memory and bytes of sweeps of ever more trials, and of
runs of ever more logged steps.
"""

import argparse
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

import experiments
from benchmarks.measure import machine, table
from mi203jax.core.loop import Group
from mi203jax.core.outputs import PROVENANCE
from mi203jax.core.piece import Options, Piece
from mi203jax.core.plan import program
from mi203jax.core.results import load_metrics
from mi203jax.core.run_directory import read_config

ROOT = Path(__file__).parent.parent
LAUNCH = [sys.executable, str(ROOT / "launch.py")]

RUNS = {
    "run": ("--exp=vectors", "total_steps=256_000", "eval_every=6_400"),
    "sweep": ("--exp=vectors", "total_steps=128_000", "hidden=(8,),(16,)", "learning_rate=0.001,0.01"),
}
"""What is killed; a resume of a resume of each is, too."""

TRIALS = (10, 100, 1_000, 10_000)
STEPS = (1_000, 10_000, 100_000, 1_000_000)


# ---- kill -9 ----


def start(*arguments: str) -> subprocess.Popen:
    """A run in a process of its own."""
    command = [*LAUNCH, *arguments, "--quiet"]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen) -> None:
    """Waits for a run that nothing disturbs."""
    _, errors = process.communicate()
    if process.returncode:
        raise SystemExit(f"{typed(process)} failed: {errors}")


def typed(process: subprocess.Popen) -> str:
    return " ".join(map(str, process.args))  # type: ignore[arg-type]


def kill(process: subprocess.Popen, after: float, sees: Callable[[], bool]) -> bool:
    """Kills a run after so many seconds, as soon as one sees something; gives whether it was still there."""
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        while process.poll() is None and not sees():
            time.sleep(0.0005)
        is_alive = process.poll() is None
        process.kill()
        return is_alive
    finally:
        process.communicate()
    return False


def is_saving(folder: Path) -> bool:
    """Whether a checkpoint is being written."""
    return any(folder.glob("pieces/*/checkpoints/*.orbax-checkpoint-tmp*"))


def outcome(folder: Path) -> tuple[list[Any], list[bytes]]:
    """What a run recorded, without wall times, and the parameters at the end of each of its programs."""
    found = read_config(folder, lambda name: experiments.get(name).config)
    task = experiments.get(found.experiment).load_task()
    lines, leaves = [], []
    for piece in found.piece_folders(folder):
        piece.read()
        lines += [{n: v for n, v in record.items() if n != "seconds"} for record in piece.records()]
        configs = [found.trials[i] for i in piece.members]

        def group(configs: Any = configs) -> Group:
            return program(task, configs, Options())

        saved = Piece(piece, configs, group, task.objective, Options()).restore()
        assert saved is not None
        leaves += [_bytes(x) for x in jax.tree.leaves(saved.carry)]
    return lines, leaves


def _bytes(x: jax.Array) -> bytes:
    is_key = jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(x) if is_key else x).tobytes()


def again(folder: Path) -> subprocess.Popen | None:
    """Goes on with a run; None if it is finished, or was not there yet."""
    if not (folder / "config.json").exists():
        return None
    if "finished" in json.loads((folder / PROVENANCE).read_text()):
        return None
    return start(f"--resume={folder}", "--checkpoint-every=0.5")


def survive(asked: tuple[str, ...], folder: Path, moments: list[float]) -> Counter:
    """Runs, killed at each moment after its start or resume, every second time in the next checkpoint.

    Returns:
        How often it was met when its folder was there, and of these while a checkpoint was written.
    """
    met: Counter = Counter()
    for number, moment in enumerate(moments):
        process = again(folder) or start(*asked, f"--out={folder}", "--checkpoint-every=0.5")
        aimed = number % 2 == 1
        alive = kill(process, moment, functools.partial(is_saving, folder) if aimed else lambda: True)
        if alive and (folder / "config.json").exists():
            met.update({"all": 1, "saving": int(is_saving(folder))})
    while not (folder / "config.json").exists():
        finished(start(*asked, f"--out={folder}", "--checkpoint-every=0.5"))
    if process := again(folder):
        finished(process)
    return met


def killed(moments: int, seed: int) -> None:
    """Prints how often runs were killed, and whether they came to the same bits."""
    generator, rows = np.random.default_rng(seed), []
    with tempfile.TemporaryDirectory() as scratch:
        for name, asked in RUNS.items():
            whole, folder = Path(scratch, f"{name}-whole"), Path(scratch, name)
            finished(start(*asked, f"--out={folder}"))  # compiled for the others
            begun = time.monotonic()
            finished(start(*asked, f"--out={whole}"))
            seconds, expected = time.monotonic() - begun, outcome(whole)
            met, runs = Counter(), 0
            while met["all"] < moments // len(RUNS):
                shutil.rmtree(folder)
                met += survive(asked, folder, list(generator.uniform(0.0, seconds, 2 + runs % 3)))
                runs += 1
                if outcome(folder) != expected:
                    raise SystemExit(f"{name}: another outcome than that of the run that nothing disturbed")
                print(f"{name}: {met['all']} kills in {runs} runs, the same bits", flush=True)
            rows.append(
                {
                    "command": f"`{' '.join(asked)}`",
                    "undisturbed": f"{seconds:.1f} s",
                    "runs": f"{runs}",
                    "`kill -9`": f"{met['all']}",
                    "while a checkpoint was written": f"{met['saving']}",
                    "metrics and parameters": "the same bits",
                }
            )
    print(table(rows))


# ---- load ----


def measured(folder: Path, *arguments: str) -> dict[str, float]:
    """Seconds, most memory and size of a run in a process of its own, and the seconds to read its metrics."""
    begun = time.monotonic()
    process = start(*arguments, f"--out={folder}", "--yes")
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{typed(process)} failed: {process.stderr.read()}")  # type: ignore[union-attr]
    seconds = time.monotonic() - begun
    size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    begun = time.monotonic()
    return {
        "seconds": seconds,
        "memory": usage.ru_maxrss * 1024,
        "size": size,
        "lines": len(load_metrics(folder)),
        "reading": time.monotonic() - begun,
    }


def load(figure: Path | None) -> None:
    """Prints how seconds and memory grow with trials and with logged steps."""
    small = ("--exp=vectors", "hidden=(4,)", "frames=2", "num_examples=32", "batch_size=1")
    asked = {
        "trials": {n: (*small, "total_steps=640", "eval_every=64", f"--seeds={n}") for n in TRIALS},
        "logged steps": {n: (*small, f"total_steps={n}", "eval_every=1") for n in STEPS},
    }
    found: dict[str, dict[int, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for what, runs in asked.items():
            found[what] = {}
            for number, arguments in runs.items():
                found[what][number] = measured(Path(scratch, f"{what}-{number}"), *arguments)
                shutil.rmtree(Path(scratch, f"{what}-{number}"))
                print(f"{number:,} {what}: {found[what][number]}", file=sys.stderr, flush=True)
    print(table([row_of(what, n, values) for what, own in found.items() for n, values in own.items()]))
    if figure:
        draw(found, figure)


def row_of(what: str, number: int, values: dict[str, float]) -> dict[str, str]:
    return {
        "": f"{number:,} {what}",
        "whole command": f"{values['seconds']:,.1f} s",
        "most memory": f"{values['memory'] / 1e6:,.0f} MB",
        "its folder": f"{values['size'] / 1e6:,.1f} MB",
        "lines of metrics": f"{values['lines']:,.0f}",
        "`load_metrics`": f"{values['reading']:.2f} s",
    }


def draw(found: dict[str, dict[int, dict[str, float]]], path: Path) -> None:
    """Seconds and memory against the number of trials, and of logged steps."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.2), layout="constrained")
    shown = (("seconds", 1.0, "seconds of the whole command"), ("memory", 1e-6, "most memory, MB"))
    for axes, (name, unit, words) in zip(figure.subplots(1, 2), shown, strict=True):
        for (what, own), mark in zip(found.items(), "os", strict=True):
            axes.loglog(list(own), [unit * values[name] for values in own.values()], f"{mark}-", label=what)
        axes.set(xlabel="number", ylabel=words, ylim=(1, None))
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("part", choices=("kill", "load"))
    parser.add_argument("--moments", type=int, default=50, help="at which runs are killed")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--figure", type=Path, help="where the curve of the load is drawn")
    asked = parser.parse_args()
    print(f"{machine()}\n", flush=True)
    killed(asked.moments, asked.seed) if asked.part == "kill" else load(asked.figure)


if __name__ == "__main__":
    main()
