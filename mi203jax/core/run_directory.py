"""The folder of a run: what is written where, so that nothing is lost and anyone can read it.

| file | holds |
|---|---|
| `config.json` | the experiment, what was asked for, the configuration of every trial, its pieces |
| `provenance.json` | versions, device, git commit, command line; when the run was finished |
| `pieces/N/` | trials that run together: statuses, metrics, checkpoints (`mi203jax.core.piece_folder`) |
| `results.csv` | a row for each trial |
| `figures/` | PNG and GIF |

Each JSON file names the run and carries a checksum (`mi203jax.core.documents`); `provenance.json` has those
of what was written for readers. So nothing is read that is not as it was written.

Does not import jax, so that a folder that cannot be used is refused at once.
"""

import contextlib
import datetime
import itertools
import os
import secrets
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import filelock

from mi203jax.core.config import BaseConfig, from_dict, to_dict
from mi203jax.core.documents import interpreting, read_document, write_document
from mi203jax.core.errors import UsageError
from mi203jax.core.files import is_leftover, lock, remove_folder, remove_leftovers
from mi203jax.core.outputs import FILES, PROVENANCE, noting, read_provenance
from mi203jax.core.piece_folder import PieceFolder, Status, by_trial
from mi203jax.core.trials import Sweep, varied_fields


class RunDirectory:
    """A run's folder, locked against other processes until `close`."""

    def __init__(self, path: Path, run_id: str, experiment: str, sweep: Sweep, held: filelock.FileLock):
        """`held`: the lock on the folder."""
        self.path = path
        self.run_id = run_id
        self.experiment = experiment
        self.sweep = sweep
        self.trials: list[Any] = []
        self.pieces: list[PieceFolder] = []
        self.lost: list[PieceFolder] = []
        """Pieces whose folder is not there: their trials begin anew."""
        self._lock = held

    def close(self) -> None:
        """Lets other processes in."""
        self._lock.release()

    @property
    def statuses(self) -> list[Status]:
        """What became of each trial."""
        return by_trial(self.pieces)

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
            run = cls(where, secrets.token_hex(8), experiment, sweep, lock(where))
            with contextlib.ExitStack() as undone:
                undone.callback(run.close)
                check_new(path)  # another process may have been faster
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
        with contextlib.ExitStack() as undone:
            try:
                held = lock(where)  # first: who held it may just have divided a piece
            except OSError as error:
                raise UsageError(f"--resume={path} cannot be written: {error.strerror or error}.") from None
            undone.callback(held.release)
            found = read_config(where, config_of)
            run = cls(where, found.run_id, found.experiment, found.sweep, held)
            run.trials = found.trials
            run.provenance()
            run.pieces = found.piece_folders(where)
            run.lost = [piece for piece in run.pieces if not piece.read()]
            for piece in run.pieces:
                piece.check()
            undone.pop_all()
        return run

    def add(self, trials: Sequence[BaseConfig], pieces: Sequence[Sequence[int]]) -> list[PieceFolder]:
        """Adds trials, which run in these pieces: numbers within `trials`. Gives the pieces' folders."""
        before = len(self.trials)
        self.trials += trials
        new = self._new([before + i for i in members] for members in pieces)
        self.pieces += new
        self._write_config()
        return new

    def divide(self, piece: PieceFolder, parts: Iterable[list[int]]) -> list[PieceFolder]:
        """Puts pieces of these trials in the place of one, whose trials begin anew. Gives their folders."""
        new, place = self._new(parts), self.pieces.index(piece)
        self.pieces[place : place + 1] = new
        self._write_config()
        remove_folder(piece.path)
        return new

    def remove_others(self) -> None:
        """Removes what processes that died left: folders of pieces that do not count, files half written."""
        own = {piece.path for piece in self.pieces}
        for folder in {*self.path.glob("pieces/*")} - own:
            if folder.name.isdecimal():  # any other is the user's
                remove_folder(folder)
        for place in ("pieces", "figures"):
            remove_leftovers(self.path / place)

    def _new(self, parts: Iterable[list[int]]) -> list[PieceFolder]:
        """Folders of pieces, which `config.json` does not tell of yet.

        From now on each has a file: one that is not there is one that was lost.
        """
        first = max((piece.number for piece in self.pieces), default=-1) + 1
        new = [piece_folder(self.path, i, members, self.run_id) for i, members in enumerate(parts, first)]
        for piece in new:
            piece.save_statuses()
        return new

    def _write_config(self) -> None:
        base, varied = to_dict(self.trials[0]), varied_fields(self.trials)
        config = {
            "experiment": self.experiment,
            "sweep": {n: v for n, v in self.sweep._asdict().items() if n != "base"},
            "config": base,
            "trials": [{n: v for n, v in to_dict(c).items() if n in varied} for c in self.trials],
            "pieces": {piece.number: piece.members for piece in self.pieces},
        }
        write_document(self.path / "config.json", self.run_id, config)

    # ---- going on ----

    def note(self, files: Iterable[Path]) -> None:
        """Notes what was written for readers, beside what is noted."""
        found = self.provenance()
        self.save_provenance(found | noting(self.path, files, found))

    def finish(self, files: Iterable[Path]) -> None:
        """Notes what was written for readers, and that the run is finished, if no trial is left to run."""
        is_whole = all(piece.is_final for piece in self.pieces)
        ended = {"finished": now()} if is_whole else {}
        self.save_provenance(self.provenance() | noting(self.path, files) | ended)

    def forget_files(self) -> None:
        """Notes that what was written for readers is to be written anew."""
        provenance = self.provenance()
        if FILES in provenance:
            self.save_provenance({n: v for n, v in provenance.items() if n != FILES})

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to run."""
        return "finished" in self.provenance() and not self.lost

    def provenance(self) -> dict[str, Any]:
        """What `provenance.json` holds.

        Raises:
            UsageError: if it is damaged.
        """
        return read_provenance(self.path, self.run_id)

    def save_provenance(self, provenance: dict[str, Any]) -> None:
        """Writes where the run came from."""
        write_document(self.path / PROVENANCE, self.run_id, provenance)


def now() -> str:
    """The time, with its zone, to the second."""
    return datetime.datetime.now().astimezone().isoformat(timespec="seconds")


LEFTOVERS = {".lock", "provenance.json", "pieces"}


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
    if any(p.name in ("metrics.jsonl", "checkpoints") for p in where.glob("pieces/*/*")):
        raise UsageError(f"--out={path} holds what a run recorded: expected a new or empty folder.")
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
    if not (where / "config.json").exists():
        raise UsageError(f"{asked}: no run in this folder (config.json is missing).")


class Contents(NamedTuple):
    """What `config.json` says."""

    run_id: str
    experiment: str
    sweep: Sweep
    trials: list[Any]
    pieces: dict[int, list[int]]  # number -> trials

    def piece_folders(self, where: Path) -> list[PieceFolder]:
        """The folders of the pieces of the run in this folder; none is looked into."""
        return [piece_folder(where, i, members, self.run_id) for i, members in self.pieces.items()]


def piece_folder(run: Path, number: int, members: Sequence[int], run_id: str) -> PieceFolder:
    """The folder of a piece of a run."""
    return PieceFolder(run / "pieces" / str(number), members, run_id)


def read_config(where: Path, config_of: Callable[[str], BaseConfig]) -> Contents:
    """What the `config.json` of a run says.

    Args:
        where: the run's folder.
        config_of: name of an experiment -> its configuration.

    Raises:
        UsageError: if it is damaged, or another version's.
    """
    path = where / "config.json"
    found = read_document(path)
    with interpreting(path):
        base = config_of(found["experiment"])
        sweep = Sweep.of(base, found["sweep"])
        trials = [from_dict(type(base), found["config"] | changes) for changes in found["trials"]]
        pieces = {int(number): members for number, members in found["pieces"].items()}
        if not trials or sorted(itertools.chain(*pieces.values())) != list(range(len(trials))):
            raise ValueError("its pieces do not hold each trial once")
        return Contents(found["run"], found["experiment"], sweep, trials, pieces)
