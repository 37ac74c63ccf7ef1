"""What a user waits for: first answer, first metric, whole runs, and the scores at their end.

    python -m benchmarks.command_line [--seeds=3]

Each run is a process of its own, from a cold start. Seeds from 100 on: the defaults were chosen with
smaller ones.
"""

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import machine, spread, table

LAUNCH = [sys.executable, str(Path(__file__).parent.parent / "launch.py")]


def launch(*arguments: str, cache: Path) -> list[float]:
    """Seconds until each evaluation is printed, the first before any learning, and until the end."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    start, lines = time.perf_counter(), []
    process = subprocess.Popen([*LAUNCH, *arguments], stdout=subprocess.PIPE, text=True, env=environment)
    for line in process.stdout:
        if line.startswith("step"):
            lines.append(time.perf_counter() - start)
    if process.wait():
        raise SystemExit(f"{arguments} failed")
    return [*lines, time.perf_counter() - start]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    seeds = parser.parse_args().seeds
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        listing = [launch("--list", cache=folder)[-1] for _ in range(5)]
        for experiment in ("dqn", "pqn"):
            times, scores = [], []
            for seed in range(100, 100 + seeds):
                out = folder / f"{experiment}-{seed}"
                command = f"--exp={experiment}", f"--seed={seed}", f"--out={out}"
                times.append(launch(*command, cache=folder))
                with open(out / "results.csv", encoding="utf-8") as file:
                    scores.append(float(next(csv.DictReader(file))["eval/return"]))
            rows.append(
                {
                    "command": f"`--exp={experiment}`",
                    "first metric: cold, warm": f"{times[0][0]:.1f} s, {times[-1][0]:.1f} s",
                    "after learning": f"{times[0][1]:.1f} s, {times[-1][1]:.1f} s",
                    "whole run": spread((t[-1] for t in times), ".0f") + " s",
                    "greedy return, mean": f"{statistics.mean(scores):.1f}",
                    "of each seed": ", ".join(f"{s:.1f}" for s in scores),
                }
            )
    print(machine(), f"`--list`: {spread(listing, '.2f')} s", table(rows), sep="\n\n")


if __name__ == "__main__":
    main()
