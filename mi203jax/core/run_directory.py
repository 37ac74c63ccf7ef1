"""The folder of a run: what is written where, so that nothing is lost and anyone can read it.

| file | holds |
|---|---|
| `config.json` | the experiment, what was asked for, the configuration of every trial, its pieces |
| `provenance.json` | versions, device, git commit, command line; when the run was finished |
| `pieces/N/` | trials that run together: statuses, metrics, checkpoints (`mi203jax.core.piece_folder`) |
| `results.csv` | a row for each trial |
| `figures/` | PNG and GIF |

Does not import jax, so that a folder that cannot be used is refused at once.
"""

import contextlib
import datetime
import itertools
import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mi203jax import __version__
from mi203jax.core.config import BaseConfig, from_dict, to_dict
from mi203jax.core.errors import UsageError
from mi203jax.core.files import is_leftover, lock, read_json, write_text
from mi203jax.core.piece_folder import PieceFolder, Record, Status
from mi203jax.core.trials import Sweep, varied_fields


class RunDirectory:
    """A run's folder, locked against other processes until `close`."""

    def __init__(self, path: Path, experiment: str, sweep: Sweep):
        self.path = path
        self.experiment = experiment
        self.sweep = sweep
        self.trials: list[Any] = []
        self.pieces: list[PieceFolder] = []
        self._lock = lock(path)

    def close(self) -> None:
        """Lets other processes in."""
        self._lock.release()

    @property
    def statuses(self) -> list[Status]:
        """What became of each trial."""
        found = {i: s for piece in self.pieces for i, s in zip(piece.members, piece.statuses, strict=True)}
        return [found[i] for i in range(len(self.trials))]

    def records(self) -> list[Record]:
        """The lines of every `metrics.jsonl`, piece by piece.

        Raises:
            UsageError: if one is damaged.
        """
        return [record for piece in self.pieces for record in piece.records()]

    # ---- beginning and finding again ----

    @classmethod
    def create(
        cls, path: str | None, experiment: str, sweep: Sweep, provenance: dict[str, Any]
    ) -> "RunDirectory":
        """A new folder: `path`, or one named by experiment and time under `runs/`. It has no trial yet.

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
            run = cls(where, experiment, sweep)
            with contextlib.ExitStack() as undone:
                undone.callback(run.close)
                run.save_provenance(provenance)
                undone.pop_all()
        except OSError as error:
            named = f"--out={path}" if path else where
            raise UsageError(f"{named} cannot be written: {error.strerror or error}.") from None
        return run

    @classmethod
    def open(cls, path: str, config_of: Callable[[str], BaseConfig]) -> "RunDirectory":
        """The folder of a run that is to go on: as `read`, but a finished run is refused."""
        run = cls.read(path, config_of)
        if run.is_finished:
            raise run.refusal(path)
        return run

    def refusal(self, path: str) -> UsageError:
        """Closes the folder of a finished run, and says why it does not go on; `path` as it was typed."""
        self.close()
        return UsageError(f"--resume={path}: this run is finished; its results are in {self.path}.")

    @classmethod
    def read(cls, path: str, config_of: Callable[[str], BaseConfig]) -> "RunDirectory":
        """The folder of a run; every file but the checkpoints is checked.

        Args:
            path: the folder.
            config_of: name of an experiment -> its configuration.

        Raises:
            UsageError: if there is no run in it, or a damaged one, or another version's.
        """
        where = Path(path).expanduser()
        check_run(where, f"--resume={path}")
        found = read_config(where, config_of)
        try:
            run = cls(where, found.experiment, found.sweep)
        except OSError as error:
            raise UsageError(f"--resume={path} cannot be written: {error.strerror or error}.") from None
        run.trials = found.trials
        try:
            for members in found.pieces:
                run._piece(members).read()
            run.records()
            run.provenance()
        except UsageError:
            run.close()
            raise
        return run

    def add(self, trials: Sequence[BaseConfig], pieces: Sequence[Sequence[int]]) -> list[PieceFolder]:
        """Adds trials, which run in these pieces: numbers within `trials`. Gives the pieces' folders."""
        before = len(self.trials)
        self.trials += trials
        new = [self._piece(before + i for i in members) for members in pieces]
        self._write_config()
        return new

    def _piece(self, members: Iterable[int]) -> PieceFolder:
        piece = PieceFolder(self.path / "pieces" / str(len(self.pieces)), list(members))
        self.pieces.append(piece)
        return piece

    def _write_config(self) -> None:
        base, varied = to_dict(self.trials[0]), varied_fields(self.trials)
        config = {
            "version": __version__,
            "experiment": self.experiment,
            "sweep": {n: v for n, v in self.sweep._asdict().items() if n != "base"},
            "config": base,
            "trials": [{n: v for n, v in to_dict(c).items() if n in varied} for c in self.trials],
            "pieces": [piece.members for piece in self.pieces],
        }
        write_text(self.path / "config.json", json.dumps(config, indent=1))

    # ---- going on ----

    def finish(self) -> None:
        """Marks the run as finished, if no trial is left to run."""
        if all(piece.is_final for piece in self.pieces):
            self.save_provenance(self.provenance() | {"finished": now()})

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to run."""
        return "finished" in self.provenance()

    def provenance(self) -> dict[str, Any]:
        """What `provenance.json` holds.

        Raises:
            UsageError: if it is damaged.
        """
        return read_provenance(self.path / "provenance.json")

    def save_provenance(self, provenance: dict[str, Any]) -> None:
        """Writes where the run came from."""
        write_text(self.path / "provenance.json", json.dumps(provenance, indent=2))


def read_provenance(path: Path) -> dict[str, Any]:
    """Where a run came from.

    Raises:
        UsageError: if the file is missing or damaged.
    """
    if not path.exists():
        raise UsageError(f"{path} is missing: expected where the run came from, beside its config.json.")
    found = read_json(path)
    again = found.get("resumed", []) if isinstance(found, dict) else None
    if not isinstance(again, list) or not isinstance(found.get("packages"), dict):
        raise UsageError(f"{path} is damaged.")
    if not all(isinstance(begun, dict) for begun in again):
        raise UsageError(f"{path} is damaged: 'resumed' holds something else than what is noted of a resume.")
    return found


def now() -> str:
    """The time, with its zone, to the second."""
    return datetime.datetime.now().astimezone().isoformat(timespec="seconds")


LEFTOVERS = {".lock", "provenance.json"}


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
    if any(name not in LEFTOVERS and not is_leftover(name) for name in inside):
        what = "holds a run already" if "config.json" in inside else "is not empty"
        raise UsageError(f"--out={path} {what}: expected a new or empty folder.")
    parent = next(p for p in [where, *where.absolute().parents] if p.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise UsageError(f"--out={path} cannot be written: {parent} does not allow it.")


def _fresh(parent: Path) -> Path:
    """A folder that did not exist, named by the time; two runs of one second get two."""
    parent.mkdir(parents=True, exist_ok=True)
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    for suffix in itertools.chain([""], (f"-{i}" for i in itertools.count(2))):
        try:
            (parent / f"{stamp}{suffix}").mkdir()
        except FileExistsError:
            continue
        return parent / f"{stamp}{suffix}"
    raise AssertionError("unreachable")


def check_run(where: Path, asked: str) -> None:
    """Whether there is a run in this folder.

    Args:
        where: the folder.
        asked: what the user typed, such as "--resume=runs/x".

    Raises:
        UsageError: if there is none.
    """
    if where.exists() and not where.is_dir():
        raise UsageError(f"{asked}: this is a file, expected the folder of a run.")
    if not where.is_dir():
        raise UsageError(f"{asked}: there is no such folder.")
    if not (where / "config.json").is_file():
        raise UsageError(f"{asked}: no run in this folder (config.json is missing).")


class Contents(NamedTuple):
    """What `config.json` says."""

    experiment: str
    sweep: Sweep
    trials: list[Any]
    pieces: list[list[int]]


def read_config(where: Path, config_of: Callable[[str], BaseConfig]) -> Contents:
    """What the `config.json` of a run says.

    Args:
        where: the run's folder.
        config_of: name of an experiment -> its configuration.

    Raises:
        UsageError: if it is damaged, or another version's.
    """
    path = where / "config.json"
    found = read_json(path)
    try:
        if found["version"] != __version__:
            raise UsageError(
                f"it was begun by mi203jax {found['version']}, this is {__version__}: go on with that one."
            )
        base = config_of(found["experiment"])
        asked: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in found["sweep"].items()}
        trials = [from_dict(type(base), found["config"] | changes) for changes in found["trials"]]
        pieces = [list(piece) for piece in found["pieces"]]
        if not trials or sorted(itertools.chain(*pieces)) != list(range(len(trials))):
            raise UsageError("it is damaged: the pieces are not those of the trials.")
        return Contents(found["experiment"], Sweep(base, **asked), trials, pieces)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    except KeyError as error:
        raise UsageError(f"{path} is damaged, or another program's: it has no {error}.") from None
    except (TypeError, AttributeError) as error:
        raise UsageError(f"{path} is damaged, or another program's: {error}.") from None
