"""Whether studies agree: the same one run again, or others that differ in their seed alone.

    python -m benchmarks.rerun runs/trends/DIR runs/trends/DIR [DIR ...]

Beside the first study's difference of each comparison stand the others', each with its interval and verdict.
A study that is run again must have the same scores to the last bit; one of another seed shares no draw, no
first weights and no order of examples with it.
"""

import argparse
import json
from pathlib import Path

from benchmarks.measure import table
from mi203jax.study.figures import names, place
from mi203jax.study.report import results_of
from mi203jax.study.result import Result


def cell(result: Result) -> str:
    """Difference, interval and verdict in short."""
    c = result.comparison
    short = {"holds": "holds", "reversed": "reversed", "not distinguishable": "?"}[c.verdict]
    return f"{c.difference:+.3f} ({c.low:+.3f} to {c.high:+.3f}) {short}"


def main() -> None:
    """Prints a row a comparison, and how many agree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", help="of finished studies")
    folders = parser.parse_args().folders
    studies = [results_of(json.loads((f / "study.json").read_text(encoding="utf-8"))) for f in folders]
    words = names(studies[0])
    by_place = [{(r.claim, r.setting, r.cell): r for r in found} for found in studies]
    rows, opposed, changed = [], 0, 0
    for key, first in by_place[0].items():
        own = [first, *(found.get(key) for found in by_place[1:])]
        verdicts = {r.comparison.verdict for r in own if r}
        opposed += {"holds", "reversed"} <= verdicts
        changed += len(verdicts) > 1
        row = {"claim": f"{words[first.claim]}, {place(first)}"}
        rows.append(row | {str(f): cell(r) if r else "–" for f, r in zip(folders, own, strict=True)})
    print(table(rows))
    for folder, found in zip(folders[1:], by_place[1:], strict=True):
        print(f"\n{folder}: {'the same to the last bit' if found == by_place[0] else 'other scores'}")
    print(f"\nof {len(rows)} verdicts {changed} differ, {opposed} of them in sign")


if __name__ == "__main__":
    main()
