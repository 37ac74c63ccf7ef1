"""Makes docs/trends.md of docs/recorded/trends.md, a text with blanks, and the records of studies beside it.

    python -m benchmarks.trends_page                                  # after a change of the text
    python -m benchmarks.trends_page full=runs/trends/DIR deep=DIR    # after new runs, whose records it takes

A record, docs/recorded/NAME.json, is the `study.json` of a run; its figures, drawn anew, go to docs/figures
under the names that the text shows, `trends_NAME_FIGURE.png`. Blanks are

- of a record: `{{table NAME [CLAIM …]}}`, `{{legend NAME}}`, `{{method NAME}}`, `{{work NAME}}`,
  `{{gradients NAME}}`, `{{microseconds NAME}}`, and within the text `{{minutes NAME}}` (from the first part's
  begin to the last one's end), `{{draws NAME}}` and `{{seeds NAME}}` (that judged);
- of several: `{{beside NAME NAME …}}` (studies of other seeds), `{{reversed NAME NAME …}}` (all of their
  comparisons that are reversed, p corrected for all);
- of a result: `{{difference NAME CLAIM SETTING [CELL …]}}`, `{{verdict …}}`, `{{p …}}`, `{{first …}}` and
  `{{second …}}` (mean scores);
- of a setting: `{{guess SETTING}}` (what a run that diverged counts as).
"""

import json
import re
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from benchmarks.measure import table
from benchmarks.rerun import beside
from mi203jax.configs.claims import SETTINGS
from mi203jax.core.figures import save_figure
from mi203jax.study.report import LEGEND, Record, markdown, mean, method, results_of, verdict, work
from mi203jax.study.result import Result, corrected
from mi203jax.tasks.trends import figures_of

DOCS = Path(__file__).parent.parent / "docs"
RECORDED = DOCS / "recorded"

Records = Mapping[str, Record]


def page(text: str, records: Records) -> str:
    """The text with its blanks filled.

    Raises:
        ValueError: for a blank of no known kind, or one that no result or several fit.
        KeyError: for a record or a setting that is not there.
    """

    def fill(blank: re.Match[str]) -> str:
        kind, name, *which = blank[1].split()
        if kind == "guess":
            return f"{SETTINGS[name].diverged:.3f}"
        if kind in OF_SEVERAL:
            return OF_SEVERAL[kind]({n: records[n] for n in (name, *which)})
        if kind in OF_RECORD:
            return OF_RECORD[kind](records[name], which)
        if kind in OF_RESULT:
            return OF_RESULT[kind](*one(records[name], which))
        raise ValueError(
            f"{blank[0]}: expected one of guess, {', '.join([*OF_SEVERAL, *OF_RECORD, *OF_RESULT])}."
        )

    return re.sub(r"\{\{(\w+ .*?)\}\}", fill, text)


def one(record: Record, which: list[str]) -> tuple[Result, float]:
    """The result of a claim in a setting, and a cell if there are several; and its corrected p."""
    claim, setting, *cell = which
    results = results_of(record)
    found = [
        (r, p)
        for r, p in zip(results, corrected(results), strict=True)
        if (r.claim, r.setting) == (claim, setting) and set(cell) <= set(r.cell.split())
    ]
    if len(found) != 1:
        raise ValueError(f"{' '.join(which)} are {len(found)} results: expected one.")
    return found[0]


def comparisons(record: Record, claims: list[str]) -> str:
    """The table of a record, or its rows of some claims."""
    results = results_of(record)
    return markdown([r for r in results if not claims or r.claim in claims], results)


def seeds(records: Records) -> str:
    """Studies that differ in their seeds, beside each other."""
    rows, agreement = beside({_command(record): results_of(record) for record in records.values()})
    return f"{table(rows)}\n\n{agreement}"


def _command(record: Record) -> str:
    """What was typed, but for what all of them have."""
    words = record["provenance"]["command"].split()
    return " ".join(w for w in words if w not in ("python", "launch.py"))


def reversed_of(records: Records) -> str:
    """All comparisons of several records that are reversed, p corrected for the number of all."""
    results = [r for record in records.values() for r in results_of(record)]
    return markdown([r for r in results if r.comparison.verdict == "reversed"], results)


def minutes(record: Record) -> str:
    """From the begin of the first part to the end of the last, by the clock."""
    ends = [[datetime.fromisoformat(p[n]) for p in record["work"].values()] for n in ("begun", "finished")]
    return f"{(max(ends[1]) - min(ends[0])).total_seconds() / 60:.0f}"


def microseconds(record: Record) -> str:
    """What an example takes in batches of each size, by setting."""
    of = record["microseconds"]
    rows = [{"µs an example": f"`{n}`"} | {f"batches of {b}": f"{t:g}" for b, t in of[n].items()} for n in of]
    return table(rows)


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
        row = {"first weights": f"`{initializer}`"} | dict(zip(names, growths, strict=True))
        rows.append(row | {"the same, all layers and the last half": _in_all(found[kinds[-1]])})
    return table(rows)


def _growth(gradient: Record) -> str:
    theory = f" ({gradient['theory']:.3f})" if gradient["theory"] else ""
    if not gradient["growth"]:  # too small for float32 before it reaches the first layer
        return f"vanishes{theory}"
    return f"{gradient['growth']:.3f}{theory}"


def _in_all(gradient: Record) -> str:
    norms = gradient["norms"]
    return f"{norms[0] / norms[-1]:.3g}, {norms[len(norms) // 2] / norms[-1]:.3g}"


OF_RECORD: dict[str, Callable[[Record, list[str]], str]] = {
    "table": comparisons,
    "legend": lambda record, _: LEGEND,
    "method": lambda record, _: method(record),
    "work": lambda record, _: work(record),
    "gradients": lambda record, _: gradients(record),
    "microseconds": lambda record, _: microseconds(record),
    "minutes": lambda record, _: minutes(record),
    "draws": lambda record, _: str(record["effort"]["draws"]),
    "seeds": lambda record, _: str(record["effort"]["judging_seeds"]),
}
OF_SEVERAL: dict[str, Callable[[Records], str]] = {"beside": seeds, "reversed": reversed_of}
OF_RESULT: dict[str, Callable[[Result, float], str]] = {
    "difference": lambda result, _: difference(result),
    "verdict": verdict,
    "p": lambda _, p: f"{p:.2g}",
    "first": lambda result, _: mean(result.first),
    "second": lambda result, _: mean(result.second),
}


def difference(result: Result) -> str:
    """By how much the first arm is better, and the interval."""
    c = result.comparison
    return f"{c.difference:+.3f} ({c.low:+.3f} to {c.high:+.3f})"


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
