"""The folder of a run: what is written where, so that nothing is lost and anyone can read it.

| file | holds |
|---|---|
| `config.json` | the experiment and the configuration of every trial, complete |
| `provenance.json` | versions, device, git commit, command line |
| `status.json` | what became of each trial |
| `metrics.jsonl` | a line for each trial and evaluation, appended |
| `checkpoints/` | the whole state of each group of trials |
| `results.csv` | a row for each trial |
| `figures/` | PNG and GIF |

Each file but `metrics.jsonl` is replaced as a whole; of `metrics.jsonl` a torn last line is ignored.
"""

import datetime
import itertools
import json
import math
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import filelock

from mi203jax import __version__
from mi203jax.core.config import RunConfig, from_dict, to_dict
from mi203jax.core.errors import UsageError
from mi203jax.core.trials import varied_fields

Record = dict[str, Any]
"""A line of `metrics.jsonl`: trial, step, seconds, and metrics by name (None: nothing measured)."""


class Status(NamedTuple):
    """What became of a trial."""

    status: Literal["waiting", "running", "done", "diverged", "failed"] = "waiting"
    step: int = 0  # how far it got
    error: str = ""  # why it stopped, if it did

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
        where = Path(path) if path else None
        try:
            if where is None:
                where = _fresh(Path("runs") / experiment)
            else:
                where.mkdir(parents=True, exist_ok=True)
                if any(where.iterdir()):
                    what = "holds a run already" if (where / "config.json").exists() else "is not empty"
                    raise UsageError(f"--out={path} {what}: expected a new or empty folder.")
            run = cls(where, experiment, trials)
        except OSError as error:
            raise UsageError(f"--out={where} cannot be written: {error.strerror or error}.") from None
        run._write_config(provenance)
        return run

    @classmethod
    def open(cls, path: str, read_experiment: Callable[[str], type[RunConfig]]) -> "RunDirectory":
        """The folder of a run that was begun.

        Args:
            path: the folder.
            read_experiment: name -> the class of its configurations.

        Raises:
            UsageError: if there is no run in it, or not one that this version can go on with.
        """
        where = Path(path)
        if not where.is_dir():
            raise UsageError(f"--resume={path}: there is no such folder.")
        if not (where / "config.json").is_file():
            raise UsageError(f"--resume={path}: no run in this folder (config.json is missing).")
        config = _read_json(where / "config.json")
        try:
            if config["version"] != __version__:
                raise UsageError(
                    f"it was begun by mi203jax {config['version']}, this is {__version__}: go on with "
                    "that one."
                )
            kind = read_experiment(config["experiment"])
            trials = [from_dict(kind, config["config"] | changes) for changes in config["trials"]]
        except UsageError as error:
            raise UsageError(f"{where / 'config.json'}: {error}") from None
        except (KeyError, TypeError) as error:
            raise UsageError(f"{where / 'config.json'} is damaged: {error!r}.") from None
        try:
            run = cls(where, config["experiment"], trials)
        except OSError as error:
            raise UsageError(f"--resume={path} cannot be written: {error.strerror or error}.") from None
        try:
            run._read_statuses()
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
        _write(self.path / "config.json", json.dumps(config, indent=2))  # last: now it holds a run

    def _read_statuses(self) -> None:
        rows = _read_json(self.path / "status.json")
        try:
            self.statuses = [Status(**row) for row in rows]
            if len(rows) != len(self.trials):
                raise ValueError(len(rows))
        except (TypeError, ValueError):
            file = self.path / "status.json"
            raise UsageError(f"{file} is damaged: it does not fit config.json.") from None

    # ---- going on ----

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to run."""
        return all(s.is_final for s in self.statuses) and (self.path / "results.csv").exists()

    def provenance(self) -> dict[str, Any]:
        """What `provenance.json` holds.

        Raises:
            UsageError: if it is damaged.
        """
        found = _read_json(self.path / "provenance.json")
        if not isinstance(found, dict):
            raise UsageError(f"{self.path / 'provenance.json'} is damaged.")
        return found

    def save_provenance(self, provenance: dict[str, Any]) -> None:
        """Writes where the run came from."""
        _write(self.path / "provenance.json", json.dumps(provenance, indent=2))

    def save_statuses(self) -> None:
        """Writes what became of each trial."""
        _write(self.path / "status.json", json.dumps([s._asdict() for s in self.statuses], indent=1))

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
        lines = path.read_text(encoding="utf-8").split("\n") if path.exists() else []
        records = []
        for number, line in enumerate(lines[:-1], 1):
            try:
                record = json.loads(line)
                record["trial"], record["step"], record["seconds"]
            except (ValueError, KeyError, TypeError):
                raise UsageError(f"{path}: line {number} is damaged.") from None
            records.append(record)
        return records

    def cut(self, trials: Iterable[int], step: int) -> list[Record]:
        """Drops what these trials recorded after `step`, to be computed again; gives what stays."""
        trials = set(trials)
        kept = [r for r in self.records() if r["trial"] not in trials or r["step"] <= step]
        lines = "".join(json.dumps(r) + "\n" for r in kept)
        _write(self.path / "metrics.jsonl", lines)
        return kept


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


def _plain(record: Record) -> Record:
    """JSON has no NaN and no infinity: null."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in record.items()}


def _write(path: Path, text: str) -> None:
    """Replaces a file as a whole: a reader sees the old one or the new one."""
    temporary = path.with_name(f".{path.name}.part")
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} is damaged: {error}.") from None
