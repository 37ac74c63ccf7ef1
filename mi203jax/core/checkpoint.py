"""Checkpoints by orbax: the whole state of a piece's trials, written atomically, read with a check.

In the folder stand `ITERATION/`, which is orbax's, and `ITERATION.json`, which says that it is
complete, what its files are, to which configuration it belongs, and what had been recorded by then.
"""

import contextlib
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from mi203jax.core.config import RunConfig, to_dict
from mi203jax.core.documents import interpreting, read_document, write_document
from mi203jax.core.errors import Fault
from mi203jax.core.files import make_folder, sha256, sync, writing
from mi203jax.core.loop import Carry
from mi203jax.core.memory import is_out_of_memory
from mi203jax.core.piece_folder import PieceFolder, Written


class Saved(NamedTuple):
    """What a checkpoint holds."""

    iteration: int  # how many were done
    carry: Carry
    metrics: Written  # what had been recorded


class Checkpoints:
    """The checkpoints of one piece; the newest complete one counts."""

    def __init__(self, piece: PieceFolder, configs: Sequence[RunConfig]):
        """`configs` are those of the trials."""
        self._piece = piece
        self.folder = piece.checkpoints.absolute()
        text = json.dumps([to_dict(c) for c in configs], sort_keys=True)
        self._configs = hashlib.sha256(text.encode()).hexdigest()

    def save(self, iteration: int, carry: Carry) -> None:
        """Writes the carry after so many iterations, and then removes what was there before.

        Raises:
            Fault: if it cannot be written.
            Exception: whatever is raised where memory does not suffice for the first one.
        """
        if self._latest() == iteration:
            return
        target = self.folder / str(iteration)
        make_folder(self.folder, self._piece.path.absolute())  # orbax would make all above it, too
        with writing(target):
            shutil.rmtree(target, ignore_errors=True)  # left by a process that died before it was complete
            # Trials that never fitted are divided; what was saved is not given up for a passing shortage.
            _write(target, carry, may_be_too_large=self._piece.checkpoint is None)
            sync(target)
            found = {"configurations": self._configs, "arrays": _arrays(carry), "files": _digests(target)}
        self._piece.sync()
        metrics = {"metrics": self._piece.written._asdict()}
        write_document(target.with_suffix(".json"), self._piece.run_id, found | metrics)
        with writing(self.folder):
            for other in self.folder.iterdir():
                if other.stem != str(iteration):
                    shutil.rmtree(other) if other.is_dir() else other.unlink()
        self._piece.checkpoint = iteration
        self._piece.save_statuses()

    def restore(self, like: Carry) -> Saved | None:
        """What the newest complete checkpoint holds; None if none was saved.

        Args:
            like: shapes and dtypes of the carry.

        Raises:
            UsageError: if a checkpoint is there and is damaged, or of another program.
            Fault: if its files, which are as they were written, cannot be read: for want of memory, say.
        """
        found = self.verify(like)
        if found is None:
            return None
        iteration, metrics = found
        target = self.folder / str(iteration)
        with _faults(target, "cannot be read"), _orbax() as (checkpointer, args):
            carry = checkpointer.restore(target, args=args.StandardRestore(like))
        return Saved(iteration, carry, metrics)

    def verify(self, like: Carry | None = None) -> tuple[int, Written] | None:
        """Iteration and records of the newest complete checkpoint, every byte of which is as it was written.

        Args:
            like: shapes and dtypes that it must have; None: any.

        Raises:
            UsageError: naming what is not as it was written, or must be.
            Fault: if its files cannot be read.
        """
        iteration = self._latest()
        if iteration is None:
            return None
        target = self.folder / str(iteration)
        told_by = target.with_suffix(".json")
        manifest = read_document(told_by, self._piece.run_id, self._piece.remedy)
        with interpreting(told_by):
            configs, arrays = manifest["configurations"], dict(manifest["arrays"])
            expected, written = dict(manifest["files"]), Written(**manifest["metrics"])
        if configs != self._configs:
            raise self._piece.damaged(
                f"Checkpoint {target} is damaged: the configurations in config.json are not those "
                "that it was made with"
            )
        with _faults(target, "cannot be read"):
            found = _digests(target)
        if names := _different(expected, found):
            raise self._piece.damaged(f"Checkpoint {target} is damaged: {names[0]} is not what was written")
        now = arrays if like is None else _arrays(like)
        if names := _different(arrays, now):
            before, after = arrays.get(names[0], "not there"), now.get(names[0], "gone")
            raise self._piece.damaged(
                f"Checkpoint {target} is of another program: {names[0]} was {before}, and is {after}"
            )
        self._piece.check(written, told_by.name)
        return iteration, written

    def _latest(self) -> int | None:
        if self.folder.exists() and not self.folder.is_dir():
            raise self._piece.damaged(f"{self.folder} is damaged: expected a folder")
        complete = (int(p.stem) for p in self.folder.glob("*.json") if p.stem.isdecimal())
        latest, noted = max(complete, default=None), self._piece.checkpoint
        if noted is not None and (latest is None or latest < noted):
            raise self._piece.damaged(f"{self.folder / str(noted)}.json is missing")
        return latest


def _write(target: Path, carry: Carry, may_be_too_large: bool) -> None:
    """Writes a carry by orbax.

    Raises:
        Fault: if it cannot be written.
        Exception: whatever is raised where memory does not suffice for one that may be too large.
    """
    with _faults(target, "cannot be written", may_be_too_large), _orbax() as (checkpointer, args):
        checkpointer.save(target, args=args.StandardSave(carry))


@contextlib.contextmanager
def _faults(target: Path, what: str, but_of_memory: bool = False) -> Iterator[None]:
    """What orbax, or tensorstore, which is C++, meets in the system: hardly any of it is an OSError."""
    try:
        yield
    except Exception as error:
        if but_of_memory and is_out_of_memory(error):
            raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise Fault(target, what, error if isinstance(error, OSError) else OSError(reason)) from error


@contextlib.contextmanager
def _orbax() -> Iterator[tuple[Any, Any]]:
    """Orbax's checkpointer and its arguments; imported here, since that takes most of a second."""
    import orbax.checkpoint as ocp
    from absl import logging

    logging.set_verbosity(logging.ERROR)
    with contextlib.closing(ocp.Checkpointer(ocp.StandardCheckpointHandler())) as checkpointer:
        yield checkpointer, ocp.args


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): sha256(p) for p in files}


def _arrays(carry: Carry) -> dict[str, str]:
    """Where an array stands in a carry -> its dtype and shape."""
    leaves, _ = jax.tree.flatten_with_path(carry)
    return {jax.tree_util.keystr(path): f"{x.dtype}{list(x.shape)}" for path, x in leaves}


def _different(first: Mapping[str, str], second: Mapping[str, str]) -> list[str]:
    """The names under which two mappings do not hold the same."""
    return [n for n in sorted(first.keys() | second.keys()) if first.get(n) != second.get(n)]
