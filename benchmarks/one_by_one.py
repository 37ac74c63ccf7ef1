"""What a study would take if its trials were run one by one, beside what it took in compiled groups.

    python -m benchmarks.one_by_one runs/trends/DIR [--sample=6]

Of some programs of each part, drawn at random, two trials are run alone, each by `python launch.py` in a
process of its own, as a loop in a shell would: the first compiles, the second finds the program kept. The
estimate is as many first runs as there are programs, and second ones for all other trials: programs weigh
alike, as if each had as many trials. Its standard error is of the draw of programs, and of few rough itself.
Seconds are from the start of the process until its results are written: such a run's figures, which a study
does not draw, are not counted. What a study takes for tracing and for its own figures is not in its seconds
either.
"""

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import experiments
from benchmarks.measure import machine, table
from mi203jax.core.config import RunConfig
from mi203jax.core.fields import format_value
from mi203jax.core.run_directory import Contents, read_config


def command(experiment: str, c: RunConfig, out: Path) -> list[str]:
    """What runs a configuration alone."""
    found = experiments.get(experiment)
    names = [f.name for f in dataclasses.fields(c)]
    swept = {a.partition("=")[0] for a in found.sweeps.get("default", ())}  # would be swept if not given
    given = [n for n in names if n in swept or getattr(c, n) != getattr(found.config, n)]
    fields = [f"{n}={format_value(getattr(c, n))}" for n in given]
    return [sys.executable, "launch.py", f"--exp={experiment}", *fields, f"--out={out}", "--quiet"]


def alone(experiment: str, c: RunConfig) -> float:
    """Seconds of a run of its own."""
    with tempfile.TemporaryDirectory() as folder:
        out, begun = Path(folder) / "run", time.time()
        # One that diverges ends with status 1.
        subprocess.run(command(experiment, c, out), check=False, capture_output=True)
        return (out / "results.csv").stat().st_mtime - begun


def part(contents: Contents, sample: int) -> np.ndarray:
    """Seconds of a first run, and of one more, of each program that was drawn: `[programs, 2]`."""
    several = [p for p in contents.pieces.values() if len(p) > 1]
    rng = np.random.default_rng(0)
    chosen = rng.choice(len(several), min(sample, len(several)), replace=False)
    return np.array(
        [[alone(contents.experiment, contents.trials[i]) for i in several[k][:2]] for k in chosen]
    )


def estimate(taken: np.ndarray, programs: int, trials: int) -> tuple[float, float]:
    """Seconds of all trials of a part, one by one; and the standard error, nan of one program.

    Args:
        taken: seconds of a first run and of one more, `[n, 2]`, of programs that were drawn.
        programs: how many there are.
        trials: of all of them.
    """
    each = taken @ [programs, trials - programs]
    error = np.std(each, ddof=1) / len(each) ** 0.5 if len(each) > 1 else np.nan
    return float(each.mean()), float(error)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, help="of a finished study")
    parser.add_argument("--sample", type=int, default=6, help="programs of each part that are run")
    asked = parser.parse_args()
    work = json.loads((asked.folder / "study.json").read_text())["work"]
    print(machine())
    rows: list[dict[str, Any]] = []
    for name, done in work.items():
        contents = read_config(asked.folder / "parts" / name, lambda n: experiments.get(n).config)
        taken = part(contents, asked.sample)
        first, second = taken.mean(0)
        seconds, error = estimate(taken, done["programs"], done["trials"])
        rows.append(
            {
                "part": name,
                "trials": f"{done['trials']:,}",
                "programs": f"{done['programs']:,}",
                "took": f"{done['seconds'] / 60:.1f} min",
                "alone: first, second": f"{first:.1f} s, {second:.1f} s",
                "one by one": f"{seconds / 60:.0f} ± {error / 60:.0f} min",
                "ratio": f"{seconds / done['seconds']:.1f} ± {error / done['seconds']:.1f}",
            }
        )
    print(table(rows))


if __name__ == "__main__":
    main()
