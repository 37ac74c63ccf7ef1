"""Checkpoints by orbax: the whole state of a group of trials, written atomically."""

import shutil
from pathlib import Path

import jax

from mi203jax.core.errors import UsageError
from mi203jax.core.loop import Carry


class Checkpoints:
    """The checkpoints of one group; the newest complete one counts."""

    def __init__(self, folder: Path):
        import orbax.checkpoint as ocp  # 0.8 s: not before there is something to save or to read
        from absl import logging

        logging.set_verbosity(logging.ERROR)
        self.folder = folder.absolute()
        self._ocp = ocp
        options = ocp.CheckpointManagerOptions(max_to_keep=1, enable_async_checkpointing=False)
        self._manager = ocp.CheckpointManager(self.folder, options=options)

    def save(self, iteration: int, carry: Carry) -> None:
        """Writes the carry after so many iterations, and then removes the one before."""
        if self._manager.latest_step() != iteration:
            self._manager.save(iteration, args=self._ocp.args.StandardSave(carry))

    def restore(self, like: Carry) -> tuple[int, Carry] | None:
        """Iterations done and the carry then; None if none was saved.

        Args:
            like: shapes and dtypes of the carry.

        Raises:
            UsageError: if a checkpoint is there and cannot be read.
        """
        iteration = self._manager.latest_step()
        if iteration is None:
            return None
        try:
            carry = self._manager.restore(iteration, args=self._ocp.args.StandardRestore(like))
            _check(like, carry)
        except Exception as error:  # orbax and tensorstore raise whatever they meet
            reason = str(error).strip().splitlines()[0][:200]
            raise UsageError(
                f"{self.folder / str(iteration)} is damaged: {reason}. Start the run anew in another folder."
            ) from error
        return iteration, carry

    def close(self) -> None:
        """Ends what orbax has under way."""
        self._manager.close()


def _check(like: Carry, carry: Carry) -> None:
    for expected, found in zip(jax.tree.leaves(like), jax.tree.leaves(carry), strict=True):
        if (expected.shape, expected.dtype) != (found.shape, found.dtype):
            raise ValueError(f"expected {expected.dtype}{expected.shape}, found {found.dtype}{found.shape}")


def remove(folder: Path) -> None:
    """Deletes a group's checkpoints, if there are any."""
    shutil.rmtree(folder, ignore_errors=True)
