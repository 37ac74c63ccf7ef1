"""Makes docs/trends.md of docs/recorded/trends.md, a text with blanks, and the records of studies beside it.

    python -m benchmarks.trends_page

A record, docs/recorded/NAME.json, is the `study.json` of a run. Blanks are `{{table NAME}}`, `{{legend}}`, `{{method
NAME}}`, `{{work NAME}}` and, for numbers within the text, `{{difference NAME CLAIM SETTING [CELL …]}}`,
`{{verdict …}}` and `{{first …}}`, `{{second …}}` (mean scores).
"""

import json
import re
from pathlib import Path

from mi203jax.study.report import Record, markdown, method, results_of, work
from mi203jax.study.result import Result

DOCS = Path(__file__).parent.parent / "docs"


def page(text: str, records: dict[str, Record]) -> str:
    """The text with its blanks filled."""
    return re.sub(r"\{\{(\w+) (\S+)(.*?)\}\}", lambda m: filled(m[1], records[m[2]], m[3].split()), text)


def filled(kind: str, record: Record, which: list[str]) -> str:
    """What stands in place of a blank."""
    if kind == "table":
        chosen = [r for r in results_of(record) if not which or r.claim in which]
        return markdown(chosen)
    if kind in ("method", "work"):
        return {"method": method, "work": work}[kind](record)
    result = one(record, which)
    if kind == "verdict":
        return result.comparison.verdict
    if kind == "difference":
        c = result.comparison
        return f"{c.difference:+.3f} ({c.low:+.3f} to {c.high:+.3f})"
    arm = {"first": result.first, "second": result.second}[kind]
    return f"{sum(arm.scores) / len(arm.scores):.3f}"


def one(record: Record, which: list[str]) -> Result:
    """The result of a claim in a setting, and a cell if there are several."""
    claim, setting, *cell = which
    found = [r for r in results_of(record) if (r.claim, r.setting) == (claim, setting)]
    found = [r for r in found if set(cell) <= set(r.cell.split())]
    if len(found) != 1:
        raise ValueError(f"{' '.join(which)} are {len(found)} results: expected one.")
    return found[0]


def main() -> None:
    """Writes the page."""
    recorded = DOCS / "recorded"
    records = {p.stem: json.loads(p.read_text(encoding="utf-8")) for p in recorded.glob("*.json")}
    text = page((recorded / "trends.md").read_text(encoding="utf-8"), records)
    (DOCS / "trends.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
