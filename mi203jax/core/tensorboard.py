"""Metrics as TensorBoard events, one folder a trial (extra `tensorboard`)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mi203jax.core.extras import require_tensorboard
from mi203jax.core.recorded import Record


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
