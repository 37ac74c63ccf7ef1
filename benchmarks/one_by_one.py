"""What a study would take if its trials were run one by one, beside what it took in compiled groups.

    python -m benchmarks.one_by_one runs/trends/DIR [--sample=12]

Trials are drawn from each part of the study and run alone, each by `python launch.py` in a process of its
own with compiled programs kept, as a loop in a shell would; their mean times the number of trials is the
estimate.
"""

import argparse
import dataclasses
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import experiments
from benchmarks.measure import machine, table
from mi203jax.core.config import RunConfig, format_value
from mi203jax.core.run_directory import Contents, read_config


def command(experiment: str, c: RunConfig, out: Path) -> list[str]:
    """What runs a configuration alone."""
    default = experiments.get(experiment).config
    names = (f.name for f in dataclasses.fields(c))
    given = [f"{n}={format_value(getattr(c, n))}" for n in names if getattr(c, n) != getattr(default, n)]
    return [sys.executable, "launch.py", f"--exp={experiment}", *given, f"--out={out}", "--quiet"]


def alone(experiment: str, c: RunConfig) -> float:
    """Seconds of a run of its own."""
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        subprocess.run(command(experiment, c, Path(folder) / "run"), check=True, capture_output=True)
        return time.perf_counter() - begun


def part(contents: Contents, sample: int) -> list[float]:
    """Seconds of some of its trials, drawn evenly from its programs."""
    rng = np.random.default_rng(0)
    chosen = rng.choice(len(contents.trials), min(sample, len(contents.trials)), replace=False)
    return [alone(contents.experiment, contents.trials[i]) for i in chosen]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, help="of a finished study")
    parser.add_argument("--sample", type=int, default=12, help="trials of each part that are run")
    asked = parser.parse_args()
    work = json.loads((asked.folder / "study.json").read_text())["work"]
    print(machine())
    rows: list[dict[str, Any]] = []
    for name, done in work.items():
        contents = read_config(asked.folder / "parts" / name, lambda n: experiments.get(n).config)
        taken = part(contents, asked.sample)
        estimate = statistics.mean(taken) * done["trials"]
        spread = statistics.stdev(taken) / len(taken) ** 0.5 * done["trials"]
        rows.append(
            {
                "part": name,
                "trials": f"{done['trials']:,}",
                "programs": f"{done['programs']:,}",
                "took": f"{done['seconds'] / 60:.1f} min",
                "one by one": f"{estimate / 60:.0f} ± {2 * spread / 60:.0f} min",
                "ratio": f"{estimate / done['seconds']:.1f}",
            }
        )
    print(table(rows))


if __name__ == "__main__":
    main()
