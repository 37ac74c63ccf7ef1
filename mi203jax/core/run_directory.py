"""The folder of a run: what is written where, so that nothing is lost and anyone can read it.

| file | holds |
|---|---|
| `config.json` | the experiment and the configuration of every trial, complete |
| `provenance.json` | versions, device, git commit, command line |
| `status.json` | what became of each trial, and whether the run is finished |
| `metrics.jsonl` | a line for each trial and evaluation, appended |
| `checkpoints/` | the whole state of each group of trials |
| `results.csv` | a row for each trial |
| `figures/` | PNG and GIF |
| `errors.txt` | tracebacks, if something failed |

Each file but `metrics.jsonl` is replaced as a whole; of `metrics.jsonl` a torn last line is ignored.
Does not import jax, so that a folder that cannot be used is refused at once.
"""

import datetime
import itertools
import json
import math
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import filelock

from mi203jax import __version__
from mi203jax.core.config import RunConfig, from_dict, to_dict
from mi203jax.core.errors import UsageError
from mi203jax.core.trials import varied_fields

Record = dict[str, Any]
"""A line of `metrics.jsonl`: trial, step, seconds, and metrics by name (None: not finite)."""

State = Literal["waiting", "running", "done", "diverged", "failed"]


class Status(NamedTuple):
    """What became of a trial."""

    status: State = "waiting"
    step: int = 0  # how far it got
    error: str = ""  # why it stopped, if it did

    @property
    def is_valid(self) -> bool:
        """Whether the values can be those of a status."""
        return self.status in get_args(State) and type(self.step) is int and isinstance(self.error, str)

    @property
    def is_final(self) -> bool:
        """Whether a resume leaves the trial alone."""
        return self.status in ("done", "diverged")


class RunDirectory:
    """A run's folder, locked against other processes until `close`."""

    def __init__(self, path: Path, experiment: str, trials: Sequence[RunConfig]):
        self.path = path
        self.experiment = experiment
        self.trials = list(trials)
        self.statuses = [Status()] * len(trials)
        self.is_finished = False
        self._lock = filelock.FileLock(path / ".lock")
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            raise UsageError(f"{path} is in use by another process: wait until it ends.") from None

    def close(self) -> None:
        """Lets other processes in."""
        self._lock.release()

    # ---- beginning and finding again ----

    @classmethod
    def create(
        cls, path: str | None, experiment: str, trials: Sequence[RunConfig], provenance: dict[str, Any]
    ) -> "RunDirectory":
        """A new folder: `path`, or one named by experiment and time under `runs/`.

        Raises:
            UsageError: if the folder is not empty or cannot be written.
        """
        check_new(path)
        where = Path(path).expanduser() if path else Path("runs") / experiment
        try:
            if path:
                where.mkdir(parents=True, exist_ok=True)
            else:
                where = _fresh(where)
            run = cls(where, experiment, trials)
            run._write_config(provenance)
        except OSError as error:
            named = f"--out={path}" if path else where
            raise UsageError(f"{named} cannot be written: {error.strerror or error}.") from None
        return run

    @classmethod
    def open(cls, path: str, class_of: Callable[[str], type[RunConfig]]) -> "RunDirectory":
        """The folder of a run that is to go on; every file but the checkpoints is checked.

        Args:
            path: the folder.
            class_of: name of an experiment -> class of its configurations.

        Raises:
            UsageError: if there is no run in it, or a finished or damaged one, or another version's.
        """
        where = Path(path).expanduser()
        if not where.is_dir():
            raise UsageError(f"--resume={path}: there is no such folder.")
        if not (where / "config.json").is_file():
            raise UsageError(f"--resume={path}: no run in this folder (config.json is missing).")
        experiment, trials = _read_config(where / "config.json", class_of)
        try:
            run = cls(where, experiment, trials)
        except OSError as error:
            raise UsageError(f"--resume={path} cannot be written: {error.strerror or error}.") from None
        try:
            run._read_statuses()
            run.records()
            run.provenance()
            if run.is_finished:
                file = where / "results.csv"
                raise UsageError(f"--resume={path}: this run is finished; its results are in {file}.")
        except UsageError:
            run.close()
            raise
        return run

    def _write_config(self, provenance: dict[str, Any]) -> None:
        base, varied = to_dict(self.trials[0]), varied_fields(self.trials)
        trials = [{n: v for n, v in to_dict(c).items() if n in varied} for c in self.trials]
        config = {"version": __version__, "experiment": self.experiment, "config": base, "trials": trials}
        self.save_provenance(provenance)
        self.save_statuses()
        write_text(self.path / "config.json", json.dumps(config, indent=2))  # last: now it holds a run

    def _read_statuses(self) -> None:
        found = _read_json(self.path / "status.json")
        try:
            self.is_finished = found["finished"] is True
            self.statuses = [Status(**row) for row in found["trials"]]
            fits = len(self.statuses) == len(self.trials) and all(s.is_valid for s in self.statuses)
        except (TypeError, KeyError):
            fits = False
        if not fits:
            raise UsageError(f"{self.path / 'status.json'} is damaged: it does not fit config.json.")

    # ---- going on ----

    def save_statuses(self) -> None:
        """Writes what became of each trial."""
        trials = [s._asdict() for s in self.statuses]
        status = {"finished": self.is_finished, "trials": trials}
        write_text(self.path / "status.json", json.dumps(status, indent=1))

    def finish(self) -> None:
        """Marks the run as finished, if no trial is left to run."""
        self.is_finished = all(s.is_final for s in self.statuses)
        self.save_statuses()

    def provenance(self) -> dict[str, Any]:
        """What `provenance.json` holds.

        Raises:
            UsageError: if it is damaged.
        """
        found = _read_json(self.path / "provenance.json")
        resumed = found.get("resumed", []) if isinstance(found, dict) else None
        if not isinstance(resumed, list) or not isinstance(found.get("packages"), dict):
            raise UsageError(f"{self.path / 'provenance.json'} is damaged.")
        return found

    def save_provenance(self, provenance: dict[str, Any]) -> None:
        """Writes where the run came from."""
        write_text(self.path / "provenance.json", json.dumps(provenance, indent=2))

    def log_error(self, text: str) -> None:
        """Appends to `errors.txt`."""
        with open(self.path / "errors.txt", "a", encoding="utf-8") as file:
            file.write(text + "\n")

    def append(self, records: Iterable[Record]) -> None:
        """Appends lines to `metrics.jsonl`, to the disk."""
        lines = "".join(json.dumps(_plain(r), allow_nan=False) + "\n" for r in records)
        with open(self.path / "metrics.jsonl", "a", encoding="utf-8") as file:
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())

    def records(self) -> list[Record]:
        """The lines of `metrics.jsonl`; a torn last line is left out.

        Raises:
            UsageError: if another line is damaged.
        """
        path = self.path / "metrics.jsonl"
        lines = path.read_bytes().split(b"\n") if path.exists() else []
        records = [_record(line, len(self.trials)) for line in lines[:-1]]
        if None in records:
            raise UsageError(f"{path}: line {records.index(None) + 1} is damaged.")
        return [r for r in records if r is not None]

    def cut(self, trials: Iterable[int], step: int) -> list[Record]:
        """Drops what these trials recorded after `step`, to be computed again; gives what stays."""
        trials = set(trials)
        kept = [r for r in self.records() if r["trial"] not in trials or r["step"] <= step]
        write_text(self.path / "metrics.jsonl", "".join(json.dumps(r) + "\n" for r in kept))
        return kept


LEFTOVERS = {".lock", "provenance.json", "status.json"}
LEFTOVERS |= {f".{name}.part" for name in ("provenance.json", "status.json", "config.json")}


def check_new(path: str | None) -> None:
    """Whether a run can begin in this folder; None is a folder that will be found.

    Raises:
        UsageError: if it is not empty (but for what a run that died in its first moment left), or no
            folder can be made there.
    """
    if path is None:
        return
    where = Path(path).expanduser()
    try:
        inside = {p.name for p in where.iterdir()} if where.exists() else set()
    except OSError as error:
        raise UsageError(f"--out={path} cannot be written: {error.strerror or error}.") from None
    if inside - LEFTOVERS:
        what = "holds a run already" if "config.json" in inside else "is not empty"
        raise UsageError(f"--out={path} {what}: expected a new or empty folder.")
    parent = next(p for p in [where, *where.absolute().parents] if p.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise UsageError(f"--out={path} cannot be written: {parent} does not allow it.")


def _fresh(parent: Path) -> Path:
    """A folder that did not exist, named by the time; two runs of one second get two."""
    parent.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    for suffix in itertools.chain([""], (f"-{i}" for i in itertools.count(2))):
        try:
            (parent / f"{now}{suffix}").mkdir()
        except FileExistsError:
            continue
        return parent / f"{now}{suffix}"
    raise AssertionError("unreachable")


def _read_config(path: Path, class_of: Callable[[str], type[RunConfig]]) -> tuple[str, list[RunConfig]]:
    config = _read_json(path)
    try:
        if config["version"] != __version__:
            raise UsageError(
                f"it was begun by mi203jax {config['version']}, this is {__version__}: go on with that one."
            )
        kind = class_of(config["experiment"])
        trials = [from_dict(kind, config["config"] | changes) for changes in config["trials"]]
        if not trials:
            raise UsageError("it has no trial.")
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is damaged: {error!r}.") from None
    return config["experiment"], trials


def _record(line: bytes, trials: int) -> Record | None:
    """A line of `metrics.jsonl`; None if it is damaged."""
    try:
        record = json.loads(line)
        whole, seconds = (record["trial"], record["step"]), record["seconds"]
    except (ValueError, KeyError, TypeError):
        return None
    if not all(type(n) is int for n in whole) or not isinstance(seconds, int | float):
        return None
    return record if 0 <= whole[0] < trials else None


def _plain(record: Record) -> Record:
    """JSON has no NaN and no infinity: null."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in record.items()}


def write_text(path: Path, text: str) -> None:
    """Replaces a file as a whole: a reader sees the old one or the new one."""
    temporary = path.with_name(f".{path.name}.part")
    with open(temporary, "w", newline="", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} is damaged: {error}.") from None
