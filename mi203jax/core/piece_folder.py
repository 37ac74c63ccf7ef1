"""The folder of a piece of a run: trials that one process runs as one compiled program.

| file | holds |
|---|---|
| `status.json` | what became of each trial |
| `metrics.jsonl` | a line for each trial and evaluation, appended |
| `checkpoints/` | the whole state |
| `errors.txt` | tracebacks, if something failed |

One process at a time writes in it, so that pieces may run on many machines that share a disk.
Does not import jax, so that a folder that cannot be used is refused at once.
"""

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from mi203jax.core.errors import UsageError
from mi203jax.core.files import append_text, make_folder, read_json, write_text

Record = dict[str, Any]
"""A line of `metrics.jsonl`: trial, step, seconds, and metrics by name (None: not finite)."""

State = Literal["waiting", "running", "done", "diverged", "failed"]


class Status(NamedTuple):
    """What became of a trial."""

    status: State = "waiting"
    step: int = 0  # how far it got
    error: str = ""  # why it stopped, if it did
    objective: float | None = None  # at the last evaluation, if it is finite

    @property
    def is_valid(self) -> bool:
        """Whether the values can be those of a status."""
        named = self.status in get_args(State) and isinstance(self.error, str)
        return named and type(self.step) is int and isinstance(self.objective, float | int | None)

    @property
    def is_final(self) -> bool:
        """Whether a resume leaves the trial alone."""
        return self.status in ("done", "diverged")


class PieceFolder:
    """A piece's folder; made when something is first written."""

    def __init__(self, path: Path, members: Sequence[int]):
        """`members`: the numbers of its trials within the run."""
        self.path = path
        self.members = list(members)
        self.statuses = [Status()] * len(members)

    @property
    def run(self) -> Path:
        """The folder of the run."""
        return self.path.parent.parent

    @property
    def checkpoints(self) -> Path:
        """The folder of its checkpoints."""
        return self.path / "checkpoints"

    @property
    def is_final(self) -> bool:
        """Whether a resume leaves it alone."""
        return all(s.is_final for s in self.statuses)

    def read(self) -> None:
        """Reads what became of the trials.

        Raises:
            UsageError: if that is damaged.
        """
        path = self.path / "status.json"
        if not path.exists():
            return
        found = read_json(path)
        try:
            statuses = [Status(**row) for row in found]
            fits = len(statuses) == len(self.members) and all(s.is_valid for s in statuses)
        except TypeError:
            fits = False
        if not fits:
            raise UsageError(f"{path} is damaged: it does not fit config.json.")
        self.statuses = statuses

    def save_statuses(self) -> None:
        """Writes what became of each trial."""
        make_folder(self.path, self.run)
        rows = ",\n".join(json.dumps(s._asdict()) for s in self.statuses)
        write_text(self.path / "status.json", f"[{rows}]")

    def log_error(self, text: str) -> None:
        """Appends to `errors.txt`."""
        append_text(self.path / "errors.txt", text + "\n")

    def append(self, records: Iterable[Record]) -> None:
        """Appends lines to `metrics.jsonl`, to the disk."""
        lines = "".join(json.dumps(_plain(r), allow_nan=False) + "\n" for r in records)
        append_text(self.path / "metrics.jsonl", lines)

    def records(self) -> list[Record]:
        """The lines of `metrics.jsonl`; a torn last line is left out.

        Raises:
            UsageError: if another line is damaged.
        """
        path, members = self.path / "metrics.jsonl", set(self.members)
        records = read_records(path) if path.exists() else []
        for number, record in enumerate(records, 1):
            if record["trial"] not in members:
                raise UsageError(f"{path}: line {number} is damaged.")
        return records

    def cut(self, step: int) -> list[Record]:
        """Drops what was recorded after `step`, to be computed again; gives what stays."""
        records = self.records()
        kept = [r for r in records if r["step"] <= step]
        if (self.path / "metrics.jsonl").exists():  # also for the sake of a torn last line
            write_text(self.path / "metrics.jsonl", "".join(json.dumps(r) + "\n" for r in kept))
        return kept


def read_records(path: Path) -> list[Record]:
    """The lines of a `metrics.jsonl`; a torn last line is left out.

    Raises:
        UsageError: if another line is damaged.
    """
    records = [_record(line) for line in path.read_bytes().split(b"\n")[:-1]]
    if None in records:
        raise UsageError(f"{path}: line {records.index(None) + 1} is damaged.")
    return [r for r in records if r is not None]


def _record(line: bytes) -> Record | None:
    """A line of `metrics.jsonl`; None if it is damaged."""
    try:
        record = json.loads(line)
        whole, seconds = (record["trial"], record["step"]), record["seconds"]
    except (ValueError, KeyError, TypeError):
        return None
    sound = all(type(n) is int for n in whole) and isinstance(seconds, int | float)
    return record if sound else None


def _plain(record: Record) -> Record:
    """JSON has no NaN and no infinity: null."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in record.items()}
