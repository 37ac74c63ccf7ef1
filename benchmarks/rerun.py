"""Whether studies agree: the same one run again, or others that differ in their seed alone.

    python -m benchmarks.rerun runs/trends/DIR runs/trends/DIR [DIR ...]

Beside the first study's difference of each comparison stand the others', each with its interval and verdict.
A study that is run again must have the same scores to the last bit; one of another seed shares no draw, no
first weights and no order of examples with it. Differences of two such studies agree where an interval of the
difference between them holds 0: if seeds alone set them apart, 95 in 100 do.
"""

import argparse
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.measure import table
from mi203jax.core.trials import counted
from mi203jax.study.figures import names, place
from mi203jax.study.report import results_of
from mi203jax.study.result import Result
from mi203jax.study.statistics import Comparison


def cell(result: Result) -> str:
    """Difference, interval and verdict in short."""
    c = result.comparison
    short = {"holds": "holds", "reversed": "reversed", "not distinguishable": "?"}[c.verdict]
    return f"{c.difference:+.3f} ({c.low:+.3f} to {c.high:+.3f}) {short}"


def agree(a: Comparison, b: Comparison) -> bool:
    """Whether the interval of the difference of two independent differences holds 0.

    Its ends are made of the ends of both, which need not be as far from their middle (Zou and Donner 2008,
    "Construction of confidence limits about effect measures: a general approach"): for a > b the lower one is
    a − b − √((a − low of a)² + (high of b − b)²).
    """
    above, below = (a, b) if a.difference >= b.difference else (b, a)
    apart = above.difference - below.difference
    return apart <= math.hypot(above.difference - above.low, below.high - below.difference)


def beside(studies: Mapping[str, Sequence[Result]]) -> tuple[list[dict[str, str]], str]:
    """A row for each comparison, a column for each study; and in words how many agree.

    Args:
        studies: the name of each -> its results.
    """
    by_key = {n: {(r.claim, r.setting, r.cell): r for r in found} for n, found in studies.items()}
    words = names(r for found in studies.values() for r in found)
    rows, whole = [], []
    for key in dict.fromkeys(key for found in by_key.values() for key in found):
        own = {n: found.get(key) for n, found in by_key.items()}
        there = [r for r in own.values() if r]
        rows.append(
            {"claim": f"{words[key[0]]}, {place(there[0])}"}
            | {n: cell(r) if r else "–" for n, r in own.items()}
        )
        if len(there) == len(studies):
            whole.append([r.comparison for r in there])
    return rows, agreement(whole, missing=len(rows) - len(whole))


def agreement(compared: Sequence[Sequence[Comparison]], missing: int) -> str:
    """In how many comparisons studies agree.

    Args:
        compared: of each comparison that all studies have, what each found.
        missing: comparisons that one of them does not have.
    """
    verdicts = [{c.verdict for c in own} for own in compared]
    changed, opposed = sum(len(v) > 1 for v in verdicts), sum({"holds", "reversed"} <= v for v in verdicts)
    pairs = [pair for own in compared for pair in itertools.combinations(own, 2)]
    lost = f" {counted(missing, 'comparison')} missing in a study." if missing else ""
    close = sum(itertools.starmap(agree, pairs))
    return (
        f"Of {counted(len(compared), 'verdict')} {changed} differ, {opposed} of them in sign. Of "
        f"{counted(len(pairs), 'pair')} of differences {close} agree within their intervals.{lost}"
    )


def main() -> None:
    """Prints a row a comparison, and how many agree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", help="of finished studies")
    folders = parser.parse_args().folders
    studies = {
        str(f): results_of(json.loads((f / "study.json").read_text(encoding="utf-8"))) for f in folders
    }
    rows, words = beside(studies)
    print(table(rows))
    first, *others = studies
    for name in others:
        same = studies[name] == studies[first]
        print(f"\n{name}: {'the same to the last bit' if same else 'other scores'}")
    print(f"\n{words}")


if __name__ == "__main__":
    main()
