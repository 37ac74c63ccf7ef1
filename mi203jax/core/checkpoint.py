"""Checkpoints by orbax: the whole state of a piece's trials, written atomically, read with a check.

In the folder stand `ITERATION/`, which is orbax's, and `ITERATION.json`, which says that it is
complete, what its files are, and to which configuration it belongs.
"""

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from mi203jax.core.config import RunConfig, to_dict
from mi203jax.core.errors import UsageError
from mi203jax.core.files import write_text
from mi203jax.core.loop import Carry


class Checkpoints:
    """The checkpoints of one piece; the newest complete one counts."""

    def __init__(self, folder: Path, configs: Sequence[RunConfig]):
        """Looks into `folder`, which need not exist; `configs` are those of the trials."""
        self.folder = folder.absolute()
        text = json.dumps([to_dict(c) for c in configs], sort_keys=True)
        self._configs = hashlib.sha256(text.encode()).hexdigest()

    def save(self, iteration: int, carry: Carry) -> None:
        """Writes the carry after so many iterations, and then removes what was there before."""
        if self._latest() == iteration:
            return
        target = self.folder / str(iteration)
        shutil.rmtree(target, ignore_errors=True)  # left by a process that died before it was complete
        with _orbax() as (checkpointer, args):
            checkpointer.save(target, args=args.StandardSave(carry))
        manifest = {"configurations": self._configs, "files": _digests(target)}
        write_text(target.with_suffix(".json"), json.dumps(manifest))
        for other in self.folder.iterdir():
            if other.stem != str(iteration):
                shutil.rmtree(other) if other.is_dir() else other.unlink()

    def restore(self, like: Carry) -> tuple[int, Carry] | None:
        """Iterations done and the carry then; None if none was saved.

        Args:
            like: shapes and dtypes of the carry.

        Raises:
            UsageError: if a checkpoint is there and cannot be used.
        """
        iteration = self.verify()
        if iteration is None:
            return None
        try:
            with _orbax() as (checkpointer, args):
                carry = checkpointer.restore(self.folder / str(iteration), args=args.StandardRestore(like))
            _compare(like, carry)
        except Exception as error:  # orbax and tensorstore raise whatever they meet
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
            raise UsageError(
                f"Checkpoint {self.folder / str(iteration)} cannot be read, though its files are as they "
                f"were written: {reason}. If it stays so, delete {self.folder} to begin its trials anew."
            ) from error
        return iteration, carry

    def verify(self) -> int | None:
        """The iteration of the newest complete checkpoint, every byte of which is as it was written.

        Raises:
            UsageError: naming what is not.
        """
        iteration = self._latest()
        if iteration is None:
            return None
        target = self.folder / str(iteration)
        try:
            manifest = json.loads(target.with_suffix(".json").read_text(encoding="utf-8"))
            expected, configs = dict(manifest["files"]), manifest["configurations"]
        except (OSError, ValueError, KeyError, TypeError):
            raise self._damaged(iteration, f"{target.with_suffix('.json').name} cannot be read") from None
        if configs != self._configs:
            raise self._damaged(
                iteration, "the configurations in config.json are not those that it was made with"
            )
        found = _digests(target)
        for name in sorted(expected.keys() | found.keys()):
            if expected.get(name) != found.get(name):
                raise self._damaged(iteration, f"{name} is not what was written")
        return iteration

    def _latest(self) -> int | None:
        if self.folder.exists() and not self.folder.is_dir():
            raise UsageError(f"{self.folder} is damaged: expected a folder.")
        complete = (int(p.stem) for p in self.folder.glob("*.json") if p.stem.isdecimal())
        return max(complete, default=None)

    def _damaged(self, iteration: int, reason: str) -> UsageError:
        where = self.folder / str(iteration)
        return UsageError(
            f"Checkpoint {where} is damaged: {reason}. Delete {self.folder} to begin its trials anew."
        )


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
