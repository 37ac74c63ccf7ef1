"""Tables of a report: of what fields were set to, of arms, and of trials."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mi203jax.core.fields import describe, format_value
from mi203jax.core.html_report.markup import Safe, join, tag
from mi203jax.core.html_report.reading import Run
from mi203jax.core.results import Row, arm_rows
from mi203jax.core.trials import varied_fields

MOST_ROWS = 200
LISTED = 6
"""Values of a field that are told one by one."""

VERDICTS = {True: "not distinguishable", False: "worse", None: "too few seeds to tell"}
"""Whether a setting is as good as the best, in the words of the screen."""


def shown(value: Any) -> str:
    """A value as a reader wants it: four digits of a number, a dash for none."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.4g}" if math.isfinite(value) else str(value)
    if type(value) is int:
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    return str(value)


def fact_list(facts: Mapping[str, str]) -> Safe:
    """Names above large values."""
    return tag("dl", *[tag("div", tag("dt", n), tag("dd", v)) for n, v in facts.items()], class_="facts")


def table(caption: str, names: Sequence[str], rows: Sequence[Sequence[Any]], sortable: bool = True) -> Safe:
    """A table that scrolls within itself, whose columns sort by a click on their names.

    Args:
        caption: what it holds.
        names: of the columns.
        rows: values and `Safe` elements.
        sortable: whether it is worth it.
    """
    head = join(_header(n, [row[i] for row in rows], sortable) for i, n in enumerate(names))
    body = join(tag("tr", *[_cell(n, v) for n, v in zip(names, row, strict=True)]) for row in rows)
    content = (tag("caption", caption), tag("thead", tag("tr", head)), tag("tbody", body))
    inner = tag("table", *content, class_="sortable" if sortable else None)
    # What scrolls must be reached by the keyboard too.
    return tag("div", inner, class_="scroll", tabindex="0", role="region", aria_label=caption)


def _header(name: str, values: Sequence[Any], sortable: bool) -> Safe:
    numbers = all(isinstance(v, int | float | None) for v in values)
    inner = tag("button", name, type="button") if sortable else name
    return tag("th", inner, scope="col", class_="number" if numbers else None)


def _cell(name: str, value: Any) -> Safe:
    if isinstance(value, Safe):
        return tag("td", value)
    text = shown(value)
    if isinstance(value, int | float):
        exact = str(value) if str(value) != text else None
        return tag("td", text, class_="number", data_value=exact, title=exact)
    if name == "status":
        return tag("td", tag("span", text, class_=f"status {text}"), data_value=text)
    return tag("td", text, data_value="" if value is None else None)


# ---- of a run ----


def trial_table(run: Run, most: int = MOST_ROWS) -> list[Safe]:
    """A row a trial, the best first, and a line that says how many are not there."""
    if not run.rows:
        return [tag("p", "No trial has results yet.", class_="note")]
    names = [n for n in run.rows[0] if n != "error" or any(row[n] for row in run.rows)]
    # What was running when its process ended says so still.
    ends = {"running": "stopped"} if run.state == "stopped" else {}
    told = [row | {"status": ends.get(row["status"], row["status"])} for row in run.rows[:most]]
    rows = [[row[n] for n in names] for row in told]
    found = [table("Trials, the best first" if run.objective else "Trials", names, rows)]
    if len(run.rows) > most:
        where = tag("code", str(run.path / "results.csv"))
        text = f"The best {most:,} of {len(run.rows):,} trials are shown; all of them are in "
        found.append(tag("p", text, where, ".", class_="note"))
    return found


def best_arms(run: Run) -> list[Row]:
    """A row an arm, the best mean first; see `mi203jax.core.results.arm_rows`."""
    rows = sorted(run.rows, key=lambda row: row["trial"])
    if not run.objective or [row["trial"] for row in rows] != list(range(len(run.trials))):
        return []
    return arm_rows(run.trials, rows, run.objective, run.best)


def arm_table(run: Run, arms: Sequence[Row], most: int = MOST_ROWS) -> list[Safe]:
    """What the seeds of each setting come to together; nothing where each has but one."""
    if len(run.trials) < 2 or all(row["seeds"] < 2 for row in arms):
        return []
    fields = list(arms[0])[: list(arms[0]).index("seeds")]
    names = [*fields, "seeds", f"mean of {run.objective}", "95 % from", "to", "against the best", "lost"]
    rows = [
        [*(row[n] for n in [*fields, "seeds", "mean", "low", "high"]), _against(row, arms[0]), row["lost"]]
        for row in arms[:most]
    ]
    text = (
        "Intervals of the mean by Student's t. Against the best: a paired t test over seeds, 5 %; "
        "what few seeds do not distinguish may differ much all the same. "
        "With many settings some differences are found by chance: confirm on new seeds."
    )
    return [table("Settings, the best mean first", names, rows), tag("p", text, class_="note")]


def _against(row: Row, best: Row) -> str | None:
    if row["mean"] is None:
        return None
    return "best" if row is best else VERDICTS[row["tie"]]


def field_values(run: Run) -> dict[str, str]:
    """Every field and its value, or its values in the trials, as one would type them."""
    varied, first = varied_fields(run.trials), run.trials[0]
    return {
        row["field"]: _values(run, row["field"]) if row["field"] in varied else row["value"]
        for row in describe(first)
    }


def _values(run: Run, name: str) -> str:
    values = list(dict.fromkeys(getattr(c, name) for c in run.trials))
    if len(values) <= LISTED:
        return ", ".join(map(format_value, values))
    if all(isinstance(v, int | float) for v in values):
        return f"{format_value(min(values))} … {format_value(max(values))} ({len(values):,} values)"
    return f"{len(values):,} values"


def changed_fields(run: Run) -> list[str]:
    """The fields that are not at the experiment's defaults."""
    defaults = {row["field"]: row["value"] for row in describe(run.experiment.config)}
    return [n for n, text in field_values(run).items() if text != defaults[n]]


def field_table(run: Run, names: Sequence[str], caption: str) -> Safe:
    """Value, default and meaning of these fields."""
    values, rows = field_values(run), []
    for row in describe(run.experiment.config):
        if row["field"] in names:
            own = [tag("code", text) for text in (row["field"], values[row["field"]], row["value"])]
            rows.append([*own, row["meaning"]])
    return table(caption, ["field", "value", "default", "meaning"], rows, sortable=False)


def trial_count(run: Run) -> int:
    """How many trials a run has, or the parts of a series together."""
    return sum(trial_count(part) for part in run.parts) or len(run.trials)
