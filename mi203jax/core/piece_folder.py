"""The folder of a piece of a run: trials that one process runs as one compiled program.

| file | holds |
|---|---|
| `status.json` | what became of each trial, and how much was written |
| `metrics.jsonl` | a line for each trial and evaluation, appended |
| `checkpoints/` | the whole state |
| `errors.txt` | tracebacks, if something failed |

One process at a time writes in it, so that pieces may run on many machines that share a disk.
Does not import jax, so that a folder that cannot be used is refused at once.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from mi203jax.core.documents import read_document, write_document
from mi203jax.core.errors import UsageError
from mi203jax.core.files import append_text, make_folder, truncate

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
    def is_final(self) -> bool:
        """Whether a resume leaves the trial alone."""
        return self.status in ("done", "diverged")


class Written(NamedTuple):
    """The beginning of `metrics.jsonl` that was written at some time."""

    size: int = 0
    sha256: str = hashlib.sha256().hexdigest()

    @classmethod
    def of(cls, data: bytes) -> "Written":
        """This beginning."""
        return cls(len(data), hashlib.sha256(data).hexdigest())


class PieceFolder:
    """A piece's folder; made when something is first written."""

    def __init__(self, path: Path, members: Sequence[int], run_id: str):
        """`members`: the numbers of its trials within the run, which `run_id` tells from others."""
        self.path = path
        self.members = list(members)
        self.run_id = run_id
        self.statuses = [Status()] * len(members)
        self.checkpoint: int | None = None
        """Iterations of the newest checkpoint that was complete when the statuses were saved."""
        self.written = Written()
        self._hash = hashlib.sha256()  # of what was written, where this process appends

    @property
    def run(self) -> Path:
        """The folder of the run."""
        return self.path.parent.parent

    @property
    def number(self) -> int:
        """Which piece of the run it is."""
        return int(self.path.name)

    @property
    def checkpoints(self) -> Path:
        """The folder of its checkpoints."""
        return self.path / "checkpoints"

    @property
    def metrics(self) -> Path:
        """What was recorded."""
        return self.path / "metrics.jsonl"

    @property
    def is_final(self) -> bool:
        """Whether a resume leaves it alone."""
        return all(s.is_final for s in self.statuses)

    def damaged(self, what: str) -> UsageError:
        """What to tell of a file in it that is not as it was written, and what to do."""
        return UsageError(f"{what.rstrip('.')}. Delete {self.path}, and --resume begins its trials anew.")

    def read(self) -> bool:
        """Reads what became of the trials; gives whether the folder was there.

        Raises:
            UsageError: if what it holds is damaged.
        """
        if not self.path.exists():
            return False
        path = self.path / "status.json"
        try:
            found = read_document(path, self.run_id)
        except UsageError as error:
            raise self.damaged(str(error)) from None
        if found["members"] != self.members:
            raise self.damaged(f"{path} is of another piece")
        self.statuses = [Status(**row) for row in found["trials"]]
        self.checkpoint = found["checkpoint"]
        self.written = Written(**found["metrics"])
        return True

    def save_statuses(self) -> None:
        """Writes what became of each trial."""
        make_folder(self.path, self.run)
        contents = {
            "members": self.members,
            "trials": [s._asdict() for s in self.statuses],
            "checkpoint": self.checkpoint,
            "metrics": self.written._asdict(),
        }
        write_document(self.path / "status.json", self.run_id, contents)

    def log_error(self, text: str) -> None:
        """Appends to `errors.txt`."""
        append_text(self.path / "errors.txt", text + "\n")

    def append(self, records: Iterable[Record]) -> None:
        """Appends lines to `metrics.jsonl`, to the disk."""
        lines = "".join(json.dumps(_plain(r), allow_nan=False) + "\n" for r in records)
        append_text(self.metrics, lines)
        self._hash.update(lines.encode())
        self.written = Written(self.written.size + len(lines.encode()), self._hash.hexdigest())

    def beginning(self, written: Written, told_by: str) -> bytes:
        """The beginning of `metrics.jsonl` that was written, as a file tells.

        Raises:
            UsageError: if it is not what is there.
        """
        try:
            with open(self.metrics, "rb") as file:
                data = file.read(written.size)
        except FileNotFoundError:
            data = b""
        except OSError as error:
            raise UsageError(f"{self.metrics} cannot be read: {error.strerror or error}.") from None
        if Written.of(data) != written:
            how = "is missing" if not self.metrics.exists() else "is damaged"
            raise self.damaged(f"{self.metrics} {how}: {told_by} tells of {written.size:,} other bytes")
        return data

    def rewind(self, written: Written) -> list[Record]:
        """Takes nothing but this beginning of `metrics.jsonl` for written; gives its lines.

        `save_statuses` tells so, after which `cut` drops the others.

        Raises:
            UsageError: if it is not what is there.
        """
        data = self.beginning(written, "a checkpoint")
        self.written, self._hash = written, hashlib.sha256(data)
        return self._parse(data)

    def cut(self) -> None:
        """Drops what stands in `metrics.jsonl` after what counts as written."""
        if self.metrics.exists():
            truncate(self.metrics, self.written.size)

    def records(self) -> list[Record]:
        """The lines of `metrics.jsonl`, also those that were written since `read`; not a torn last one.

        Raises:
            UsageError: if the file is damaged.
        """
        records = self._parse(self.beginning(self.written, "status.json"))
        if self.is_final or not self.metrics.exists():
            return records
        with open(self.metrics, "rb") as file:
            file.seek(self.written.size)
            return records + self._parse(file.read())

    def _parse(self, lines: bytes) -> list[Record]:
        """Lines of `metrics.jsonl`, up to the first that is torn."""
        records, members = [], set(self.members)
        for line in lines.split(b"\n")[:-1]:
            record = _record(line)
            if record is None or record["trial"] not in members:
                break
            records.append(record)
        return records


def _record(line: bytes) -> Record | None:
    """A line of `metrics.jsonl`; None if it is torn."""
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
