"""Whether studies agree: the same one run again, or others that differ in their seed alone.

    python -m benchmarks.rerun runs/trends/DIR runs/trends/DIR [DIR ...]

Beside the first study's difference of each comparison stand the others', each with its interval and verdict.
A study that is run again must have the same scores to the last bit; one of another seed shares no draw, no
first weights and no order of examples with it.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
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


def beside(studies: Mapping[str, Sequence[Result]]) -> tuple[list[dict[str, str]], str]:
    """A row for each comparison of the first study, a column for each study; and how many verdicts agree.

    Args:
        studies: the name of each -> its results.
    """
    (first, *_), words = studies.values(), names(next(iter(studies.values())))
    by_place = {n: {(r.claim, r.setting, r.cell): r for r in found} for n, found in studies.items()}
    rows, opposed, changed = [], 0, 0
    for one in first:
        own = {n: found.get((one.claim, one.setting, one.cell)) for n, found in by_place.items()}
        verdicts = {r.comparison.verdict for r in own.values() if r}
        opposed += {"holds", "reversed"} <= verdicts
        changed += len(verdicts) > 1
        row = {"claim": f"{words[one.claim]}, {place(one)}"}
        rows.append(row | {n: cell(r) if r else "–" for n, r in own.items()})
    return rows, f"Of {len(rows)} verdicts {changed} differ, {opposed} of them in sign."


def main() -> None:
    """Prints a row a comparison, and how many agree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", help="of finished studies")
    folders = parser.parse_args().folders
    studies = {
        str(f): results_of(json.loads((f / "study.json").read_text(encoding="utf-8"))) for f in folders
    }
    rows, agreement = beside(studies)
    print(table(rows))
    first, *others = studies
    for name in others:
        same = studies[name] == studies[first]
        print(f"\n{name}: {'the same to the last bit' if same else 'other scores'}")
    print(f"\n{agreement}")


if __name__ == "__main__":
    main()
