"""Checkpoints by orbax: the whole state of a piece's trials, written atomically, read with a check.

In the folder stand `ITERATION/`, which is orbax's, and `ITERATION.json`, which says that it is
complete, what its files are, to which configuration it belongs, and what had been recorded by then.
"""

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from mi203jax.core.config import RunConfig, to_dict
from mi203jax.core.documents import read_document, write_document
from mi203jax.core.errors import Fault
from mi203jax.core.files import make_folder, sync, writing
from mi203jax.core.loop import Carry
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
        """
        if self._latest() == iteration:
            return
        target = self.folder / str(iteration)
        make_folder(self.folder, self._piece.path.absolute())  # orbax would make all above it, too
        with writing(target):
            shutil.rmtree(target, ignore_errors=True)  # left by a process that died before it was complete
            _write(target, carry)
            sync(target)
            found = {"configurations": self._configs, "files": _digests(target)}
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
            UsageError: if a checkpoint is there and cannot be used.
        """
        found = self.verify()
        if found is None:
            return None
        iteration, metrics = found
        target = self.folder / str(iteration)
        try:
            with _orbax() as (checkpointer, args):
                carry = checkpointer.restore(target, args=args.StandardRestore(like))
            _compare(like, carry)
        except Exception as error:  # orbax and tensorstore raise whatever they meet
            raise self._piece.damaged(
                f"Checkpoint {target} cannot be read, though its files are as they were written: "
                f"{_reason(error)}"
            ) from error
        return Saved(iteration, carry, metrics)

    def verify(self) -> tuple[int, Written] | None:
        """Iteration and records of the newest complete checkpoint, every byte of which is as it was written.

        Raises:
            UsageError: naming what is not.
        """
        iteration = self._latest()
        if iteration is None:
            return None
        target = self.folder / str(iteration)
        manifest = read_document(target.with_suffix(".json"), self._piece.run_id, self._piece.remedy)
        if manifest["configurations"] != self._configs:
            raise self._piece.damaged(
                f"Checkpoint {target} is damaged: the configurations in config.json are not those "
                "that it was made with"
            )
        expected, found = manifest["files"], _digests(target)
        for name in sorted(expected.keys() | found.keys()):
            if expected.get(name) != found.get(name):
                raise self._piece.damaged(f"Checkpoint {target} is damaged: {name} is not what was written")
        written = Written(**manifest["metrics"])
        self._piece.check(written, target.with_suffix(".json").name)
        return iteration, written

    def _latest(self) -> int | None:
        if self.folder.exists() and not self.folder.is_dir():
            raise self._piece.damaged(f"{self.folder} is damaged: expected a folder")
        complete = (int(p.stem) for p in self.folder.glob("*.json") if p.stem.isdecimal())
        latest, noted = max(complete, default=None), self._piece.checkpoint
        if noted is not None and (latest is None or latest < noted):
            raise self._piece.damaged(f"{self.folder / str(noted)}.json is missing")
        return latest


def _write(target: Path, carry: Carry) -> None:
    """Writes a carry by orbax.

    Raises:
        Fault: if it cannot be written.
    """
    try:
        with _orbax() as (checkpointer, args):
            checkpointer.save(target, args=args.StandardSave(carry))
    except Exception as error:  # of tensorstore, which is C++, none is an OSError
        fault = error if isinstance(error, OSError) else OSError(_reason(error))
        raise Fault(target, "cannot be written", fault) from error


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


class _orbax:  # noqa: N801
    """orbax's checkpointer and its arguments; imported here, since that takes most of a second."""

    def __enter__(self) -> tuple[Any, Any]:
        import orbax.checkpoint as ocp
        from absl import logging

        logging.set_verbosity(logging.ERROR)
        self._checkpointer = ocp.Checkpointer(ocp.StandardCheckpointHandler())
        return self._checkpointer, ocp.args

    def __exit__(self, *exception: object) -> None:
        self._checkpointer.close()


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): _digest(p) for p in files}


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _compare(like: Carry, carry: Carry) -> None:
    for expected, found in zip(jax.tree.leaves(like), jax.tree.leaves(carry), strict=True):
        if (expected.shape, expected.dtype) != (found.shape, found.dtype):
            raise ValueError(f"expected {expected.dtype}{expected.shape}, found {found.dtype}{found.shape}")
