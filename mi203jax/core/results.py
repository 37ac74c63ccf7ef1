"""What came of each trial, as a table."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from mi203jax.core.config import RunConfig, format_value
from mi203jax.core.run_directory import Record, Status, write_text
from mi203jax.core.trials import varied_fields

Row = dict[str, Any]


def results(
    trials: Sequence[RunConfig],
    statuses: Sequence[Status],
    records: Sequence[Record],
    objective: str,
    best: Literal["max", "min"],
) -> list[Row]:
    """A row a trial, in the order of the trials.

    Columns: trial, status, the fields that vary (the seed always), step, seconds, the last value of
    each metric, the best value of the objective (`best/…`), and the error of a trial that failed.
    """
    fields = varied_fields(trials)
    fields = fields if "seed" in fields else [*fields, "seed"]
    lines: dict[int, list[Record]] = {}
    for record in records:
        lines.setdefault(record["trial"], []).append(record)
    names = sorted({n for r in records for n in r if "/" in n}, key=lambda n: (n != objective, n))
    rows = []
    for i, (c, status) in enumerate(zip(trials, statuses, strict=True)):
        own = lines.get(i, [])
        last: Record = own[-1] if own else {"step": status.step}
        values = [r[objective] for r in own if r.get(objective) is not None]
        row: Row = {"trial": i, "status": status.status}
        row |= {n: format_value(getattr(c, n)) for n in fields}
        row |= {"step": last["step"], "seconds": last.get("seconds")}
        row |= {n: last.get(n) for n in names}
        row[f"best/{objective}"] = (max if best == "max" else min)(values) if values else None
        rows.append(row | {"error": status.error})
    return rows


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Writes the rows under a line of names, as a whole."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def ranked(rows: Sequence[Row], objective: str, best: Literal["max", "min"]) -> list[Row]:
    """The rows, best final objective first; trials that have none, or did not end well, last."""
    sign = -1 if best == "max" else 1

    def rank(row: Row) -> tuple[bool, float]:
        value = row.get(objective)
        if value is None or row["status"] in ("diverged", "failed"):
            return True, 0.0
        return False, sign * value

    return sorted(rows, key=rank)
