"""What came of each trial, and of each arm of a sweep, as tables.

An arm is the trials that differ in their seed alone.
"""

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mi203jax.core.config import BaseConfig
from mi203jax.core.documents import interpreting, read_document
from mi203jax.core.errors import Damaged, UsageError
from mi203jax.core.fields import format_value
from mi203jax.core.files import write_text
from mi203jax.core.outputs import FILES, read_provenance
from mi203jax.core.piece_folder import Status
from mi203jax.core.recorded import Best, Record, Recorded
from mi203jax.core.run_directory import check_run, piece_folder
from mi203jax.core.trials import arms, varied_fields

Row = dict[str, Any]


def results(trials: Sequence[BaseConfig], statuses: Sequence[Status], recorded: Recorded) -> list[Row]:
    """A row a trial, in the order of the trials.

    Columns: trial, status, the fields that vary (the seed always), step, seconds, the last value of
    each metric, the best value of the objective (`best/…`), and the error of a trial that failed.
    """
    fields = varied_fields(trials)
    fields = fields if "seed" in fields else [*fields, "seed"]
    objective = recorded.objective
    names = sorted(recorded.names, key=lambda n: (n != objective, n))
    rows = []
    for i, (c, status) in enumerate(zip(trials, statuses, strict=True)):
        last = recorded.last.get(i, {"step": status.step})
        row: Row = {"trial": i, "status": status.status}
        row |= {n: format_value(getattr(c, n)) for n in fields}
        row |= {"step": last["step"], "seconds": last.get("seconds")}
        row |= {n: last.get(n) for n in names}
        row[f"best/{objective}"] = recorded.best.get(i)
        rows.append(row | {"error": status.error})
    return rows


def fields_in(row: Mapping[str, Any]) -> list[str]:
    """The fields of a row that `results` made; none in what stands for a trial that never began."""
    names = list(row)
    return names[names.index("status") + 1 : names.index("step")] if "step" in names else []


def arm_rows(trials: Sequence[BaseConfig], rows: Sequence[Row], objective: str, best: Best) -> list[Row]:
    """A row an arm, the best mean first.

    Columns: the fields that vary, `seeds` (trials that ended well), `lost` (that did not), `mean` of the
    objective over seeds, `low` and `high` (95 % interval of the mean by Student's t), and `tie`: whether
    the arm is not distinguishable from the first (paired t test over seeds, 5 %); None where too few seeds
    tell. With many arms some differences are found by chance: confirm on new seeds.

    Args:
        trials: the configurations.
        rows: what `results` gave, in the same order.
        objective: the metric that is compared.
        best: whether a larger or a smaller one is better.
    """
    fields = [n for n in varied_fields(trials) if n != "seed"]
    found = []
    for members in arms(trials):
        ended = [i for i in members if rows[i]["status"] == "done" and rows[i].get(objective) is not None]
        by_seed = {trials[i].seed: rows[i][objective] for i in ended}
        low, high = t_interval(list(by_seed.values()))
        mean = float(np.mean(list(by_seed.values()))) if by_seed else None
        row: Row = {n: format_value(getattr(trials[members[0]], n)) for n in fields}
        row |= {
            "seeds": len(by_seed),
            "lost": sum(rows[i]["status"] in ("failed", "diverged") for i in members),
        }
        found.append(row | {"mean": mean, "low": low, "high": high, "by_seed": by_seed})
    sign = -1 if best == "max" else 1
    found.sort(key=lambda r: (r["mean"] is None, sign * (r["mean"] or 0.0)))
    first = found[0].get("by_seed", {})
    return [{**row, "tie": _is_tie(first, row.pop("by_seed"))} for row in found]


def t_interval(values: Sequence[float]) -> tuple[float | None, float | None]:
    """The 95 % interval of the mean by Student's t; None of fewer than two values."""
    if len(values) < 2:
        return None, None
    from scipy import stats  # takes its time

    if np.ptp(values) == 0.0:
        return float(values[0]), float(values[0])
    interval = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    return float(interval.low), float(interval.high)


def _is_tie(first: dict[int, float], other: dict[int, float]) -> bool | None:
    seeds = sorted(first.keys() & other.keys())
    if len(seeds) < 2:
        return None
    from scipy import stats

    a, b = ([values[s] for s in seeds] for values in (first, other))
    if np.ptp(np.subtract(a, b)) == 0.0:
        return a == b
    return bool(stats.ttest_rel(a, b).pvalue >= 0.05)


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Writes the rows under a line of names, as a whole."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def ranked(rows: Sequence[Row], objective: str, best: Best) -> list[Row]:
    """The rows, best final objective first; trials that have none, or did not end well, last."""
    sign = -1 if best == "max" else 1

    def rank(row: Row) -> tuple[bool, float]:
        value = row.get(objective)
        if value is None or row["status"] in ("diverged", "failed"):
            return True, 0.0
        return False, sign * value

    return sorted(rows, key=rank)


def load_results(path: str | Path) -> Any:
    """The results of a run as a `pandas.DataFrame`, a row a trial (`results.csv`).

    Args:
        path: the run's folder.

    Raises:
        UsageError: if the run has no table, or one that is damaged.
    """
    import pandas as pd

    file = Path(path).expanduser() / "results.csv"
    check_run(file.parent, str(path))
    run = read_document(file.parent / "config.json")["run"]
    noted = read_provenance(file.parent, run).get(FILES, {})
    if file.name not in noted:
        raise UsageError(
            f"{path} has no table: a run writes it at its end, a series in each of parts/; "
            "load_metrics gives what was recorded until now."
        )
    text = file.read_bytes() if file.is_file() else b""
    if hashlib.sha256(text).hexdigest() != noted[file.name]:
        raise UsageError(f"{file} is not what was written; load_metrics gives what was recorded.")
    return pd.read_csv(io.BytesIO(text))


def load_metrics(path: str | Path) -> Any:
    """Everything that a run recorded as a `pandas.DataFrame`, a row for each trial and evaluation.

    Beside the metrics stand the fields in which the trials differ.

    Args:
        path: the run's folder; the run may still be going on.

    Raises:
        UsageError: if there is nothing, or what there is is damaged.
    """
    import pandas as pd

    folder = Path(path).expanduser()
    check_run(folder, str(path))
    found, records = read_document(folder / "config.json"), list[Record]()
    with interpreting(folder / "config.json"):
        pieces = [piece_folder(folder, int(n), own, found["run"]) for n, own in found["pieces"].items()]
    for piece in pieces:
        if not piece.read():
            raise Damaged(f"{piece.path} is missing.", f"--resume={path} begins its trials anew.")
        records += piece.records()
    if not records:
        raise UsageError(f"{path} has no metrics yet: wait for the first evaluation.")
    varied = pd.DataFrame(found["trials"])
    metrics = pd.DataFrame(records).sort_values(["trial", "step"], ignore_index=True)
    return metrics.join(varied, on="trial")
