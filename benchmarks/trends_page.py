"""Makes docs/trends.md of docs/recorded/trends.md, a text with blanks, and the records of studies beside it.

    python -m benchmarks.trends_page                                  # after a change of the text
    python -m benchmarks.trends_page full=runs/trends/DIR deep=DIR    # after new runs, whose records it takes

A record, docs/recorded/NAME.json, is the `study.json` of a run; its figures, drawn anew, go to docs/figures
under the names that the text shows, `trends_NAME_FIGURE.png`. Blanks are `{{table NAME [CLAIM …]}}`,
`{{beside NAME NAME …}}` (studies of other seeds), `{{legend NAME}}`, `{{method NAME}}`, `{{work NAME}}`,
`{{gradients NAME}}`, and for numbers within the text
`{{difference NAME CLAIM SETTING [CELL …]}}`, `{{verdict …}}`, `{{first …}}` and `{{second …}}` (mean scores).
"""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import table
from benchmarks.rerun import beside
from mi203jax.core.figures import save_figure
from mi203jax.study.report import LEGEND, Record, markdown, method, results_of, work
from mi203jax.study.result import ArmResult, Result
from mi203jax.tasks.trends import figures_of

DOCS = Path(__file__).parent.parent / "docs"
RECORDED = DOCS / "recorded"


def page(text: str, records: dict[str, Record]) -> str:
    """The text with its blanks filled."""

    def fill(blank: re.Match[str]) -> str:
        kind, name, which = blank[1], blank[2], blank[3].split()
        if kind == "beside":
            return seeds({n: records[n] for n in (name, *which)})
        return filled(kind, records[name], which)

    return re.sub(r"\{\{(\w+) (\w+)(.*?)\}\}", fill, text)


def seeds(records: dict[str, Record]) -> str:
    """Studies that differ in their seeds, beside each other."""
    rows, agreement = beside({_command(record): results_of(record) for record in records.values()})
    return f"{table(rows)}\n\n{agreement}"


def _command(record: Record) -> str:
    """What was typed, but for what all of them have."""
    words = record["provenance"]["command"].split()
    return " ".join(w for w in words if w not in ("python", "launch.py"))


def filled(kind: str, record: Record, which: list[str]) -> str:
    """What stands in place of a blank."""
    whole: dict[str, Callable[[], str]] = {
        "table": lambda: markdown([r for r in results_of(record) if not which or r.claim in which]),
        "legend": lambda: LEGEND,
        "method": lambda: method(record),
        "work": lambda: work(record),
        "gradients": lambda: gradients(record),
    }
    if kind in whole:
        return whole[kind]()
    result = one(record, which)
    if kind == "verdict":
        return result.comparison.verdict
    if kind == "difference":
        c = result.comparison
        return f"{c.difference:+.3f} ({c.low:+.3f} to {c.high:+.3f})"
    return mean({"first": result.first, "second": result.second}[kind])


def mean(arm: ArmResult) -> str:
    """The mean score over seeds."""
    return f"{sum(arm.scores) / len(arm.scores):.3f}"


def one(record: Record, which: list[str]) -> Result:
    """The result of a claim in a setting, and a cell if there are several."""
    claim, setting, *cell = which
    found = [r for r in results_of(record) if (r.claim, r.setting) == (claim, setting)]
    found = [r for r in found if set(cell) <= set(r.cell.split())]
    if len(found) != 1:
        raise ValueError(f"{' '.join(which)} are {len(found)} results: expected one.")
    return found[0]


def gradients(record: Record) -> str:
    """By how much gradients grow a layer on their way back through the deepest networks, beside theory."""
    deepest = max(len(g["norms"]) for g in record["gradients"])
    own = [g for g in record["gradients"] if len(g["norms"]) == deepest]
    kinds = [("none", False), ("batch", False), ("none", True), ("batch", True)]
    names = ["plain", "plain, batch norm", "skips", "skips, batch norm"]
    rows = []
    for initializer in dict.fromkeys(g["initializer"] for g in own):
        found = {(g["normalization"], g["residual"]): g for g in own if g["initializer"] == initializer}
        growths = (_growth(found[kind]) for kind in kinds)
        rows.append({"first weights": f"`{initializer}`"} | dict(zip(names, growths, strict=True)))
    return table(rows)


def _growth(gradient: Record) -> str:
    theory = f" ({gradient['theory']:.3f})" if gradient["theory"] else ""
    if not gradient["growth"]:  # too small for float32 before it reaches the first layer
        return f"vanishes{theory}"
    return f"{gradient['growth']:.3f}{theory}"


def take(name: str, run: Path) -> None:
    """Keeps the record of a run, and the figures that the text shows."""
    record = json.loads((run / "study.json").read_text(encoding="utf-8"))
    origin = record["provenance"]
    words = [w for w in origin["command"].split() if not w.startswith("--out")]  # a folder says nothing
    kept = ("time", "finished", "resumed", "python", "packages", "cores", "devices", "git")
    record["provenance"] = {"command": " ".join(words)} | {k: origin[k] for k in kept if k in origin}
    (RECORDED / f"{name}.json").write_text(json.dumps(record), encoding="utf-8")
    drawn = figures_of(record)
    for figure in re.findall(rf"figures/trends_{name}_(\w+)\.png", text_with_blanks()):
        save_figure(DOCS / "figures" / f"trends_{name}_{figure}", drawn[figure])


def text_with_blanks() -> str:
    """What the page is made of."""
    return (RECORDED / "trends.md").read_text(encoding="utf-8")


def main(arguments: list[str]) -> None:
    """Writes the page."""
    for argument in arguments:
        name, _, folder = argument.partition("=")
        take(name, Path(folder))
    records = {p.stem: json.loads(p.read_text(encoding="utf-8")) for p in RECORDED.glob("*.json")}
    text = page(text_with_blanks(), records)
    (DOCS / "trends.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
