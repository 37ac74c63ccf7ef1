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
import itertools
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from mi203jax.core.documents import interpreting, read_document, write_document
from mi203jax.core.errors import Damaged, UsageError
from mi203jax.core.files import append_text, make_folder, open_file, sync, truncate
from mi203jax.core.recorded import Record

CHUNK = 1 << 20
"""Bytes that are read at once."""

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

    size: int = 0  # bytes
    sha256: str = hashlib.sha256().hexdigest()


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
        self._is_on_disk = True

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

    @property
    def remedy(self) -> str:
        """What to do where a file in it is not as it was written."""
        return f"Delete {self.path}, and --resume begins its trials anew."

    def damaged(self, what: str) -> Damaged:
        """What to tell of such a file."""
        return Damaged(f"{what}.", self.remedy)

    def read(self) -> bool:
        """Reads what became of the trials; gives whether the folder was there.

        Raises:
            UsageError: if what it holds is damaged.
        """
        if not self.path.exists():
            return False
        path = self.path / "status.json"
        found = read_document(path, self.run_id, self.remedy)
        with interpreting(path):
            members = found["members"]
            self.statuses = [Status(**row) for row in found["trials"]]
            self.checkpoint = found["checkpoint"]
            self.written = Written(**found["metrics"])
        if members != self.members:
            raise self.damaged(f"{path} is of another piece")
        return True

    def save_statuses(self) -> None:
        """Writes what became of each trial."""
        make_folder(self.path, self.run)
        self.sync()
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
        """Appends lines to `metrics.jsonl`; `sync` brings them to the disk."""
        lines = "".join(json.dumps(_plain(r), allow_nan=False) + "\n" for r in records)
        append_text(self.metrics, lines, after=self.written.size)
        self._hash.update(lines.encode())
        self.written = Written(self.written.size + len(lines.encode()), self._hash.hexdigest())
        self._is_on_disk = False

    def sync(self) -> None:
        """Brings what was appended to the disk, before a file tells of it."""
        if not self._is_on_disk:
            sync(self.metrics)
        self._is_on_disk = True

    def check(self, written: Written | None = None, told_by: str = "status.json") -> Any:
        """Whether `metrics.jsonl` begins with what was written, as a file tells; gives the hash of that.

        Args:
            written: the beginning; None: of the statuses.
            told_by: the file.

        Raises:
            UsageError: if it does not.
        """
        written, found = written or self.written, hashlib.sha256()
        try:
            with open_file(self.metrics) as file:
                for size in _chunks(written.size):
                    found.update(file.read(size))
        except FileNotFoundError:
            if written.size:
                raise self.damaged(f"{self.metrics} is missing, of which {told_by} tells") from None
        except (IsADirectoryError, NotADirectoryError) as error:
            raise self.damaged(f"{self.metrics} is damaged: {error.strerror}") from None
        except OSError as error:
            raise UsageError(f"{self.metrics} cannot be read: {error.strerror or error}.") from None
        if found.hexdigest() != written.sha256:
            raise self.damaged(f"{self.metrics} is damaged: it is not what {told_by} tells of")
        return found

    def rewind(self, written: Written) -> Iterator[Record]:
        """Takes nothing but this beginning of `metrics.jsonl` for written; gives its lines.

        `save_statuses` tells so, after which `cut` drops the others.

        Raises:
            UsageError: if it is not what is there.
        """
        self._hash, self.written = self.check(written, "a checkpoint"), written
        return self._lines(written.size)

    def cut(self) -> None:
        """Drops what stands in `metrics.jsonl` after what counts as written."""
        if self.metrics.exists():
            truncate(self.metrics, self.written.size)

    def records(self) -> Iterator[Record]:
        """The lines of `metrics.jsonl`, also those that were written since `read`; not a torn last one.

        Raises:
            UsageError: if the file is damaged; before the first is given.
        """
        self.check()
        return self._lines(self.written.size if self.is_final else None)

    def _lines(self, size: int | None) -> Iterator[Record]:
        """Lines up to so many bytes; None: up to the first that is torn."""
        if not self.metrics.exists():
            return
        members = set(self.members)
        with open(self.metrics, "rb") as file:
            while (size is None or file.tell() < size) and (line := file.readline()):
                record = _record(line)
                if record is None or record["trial"] not in members:
                    break
                yield record


def by_trial(pieces: Iterable[PieceFolder]) -> list[Status]:
    """What became of each trial of a run, in their order."""
    found = {i: s for piece in pieces for i, s in zip(piece.members, piece.statuses, strict=True)}
    return [found[i] for i in sorted(found)]


def _chunks(size: int) -> Iterator[int]:
    """Sizes of parts that make up so many bytes."""
    whole, rest = divmod(size, CHUNK)
    return itertools.chain(itertools.repeat(CHUNK, whole), [rest])


def _record(line: bytes) -> Record | None:
    """A line of `metrics.jsonl`; None if it is torn."""
    if not line.endswith(b"\n"):
        return None
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
