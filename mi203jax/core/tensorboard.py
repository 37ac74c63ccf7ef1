"""Metrics as TensorBoard events, one folder a trial (extra `tensorboard`)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mi203jax.core.errors import UsageError
from mi203jax.core.run_directory import Record


class Tensorboard:
    """Writers of event files, made when a trial first records something."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._writers: dict[int, Any] = {}

    def write(self, records: Sequence[Record]) -> None:
        """Writes each metric of each record."""
        for record in records:
            trial, step = record["trial"], record["step"]
            if trial not in self._writers:
                # On a resume, what lies after the checkpoint is hidden and written again.
                folder = str(self._folder / f"trial-{trial}")
                self._writers[trial] = require_tensorboard()(folder, purge_step=step)
            for name, value in record.items():
                if "/" in name:
                    self._writers[trial].add_scalar(name, value, step)
            self._writers[trial].flush()


def require_tensorboard() -> Any:
    """The class that writes event files.

    Raises:
        UsageError: naming the extra, if its package is not installed.
    """
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise UsageError("--tensorboard needs a package: pip install 'mi203jax[tensorboard]'.") from None
    return SummaryWriter
