"""Metrics as TensorBoard events, one folder a trial (extra `tensorboard`)."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mi203jax.core.extras import require_tensorboard
from mi203jax.core.files import writing
from mi203jax.core.recorded import Record


class Tensorboard:
    """Writers of event files, made when a trial first records something; a context manager closes them."""

    def __init__(self, folder: Path):
        self._folder = folder
        _allow_many_files()
        self._writers: dict[int, Any] = {}

    def __enter__(self) -> "Tensorboard":
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        # What broke the run is told, and not that the last events could not be written either.
        refused = contextlib.suppress(OSError) if kind else writing(self._folder)
        with refused, contextlib.ExitStack() as closing:
            for writer in self._writers.values():
                closing.callback(writer.close)

    def write(self, records: Sequence[Record]) -> None:
        """Writes each metric of each record.

        Raises:
            Fault: if it cannot be written.
        """
        with writing(self._folder):
            self._write(records)

    def _write(self, records: Sequence[Record]) -> None:
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


def _allow_many_files() -> None:
    """Lets the process open as many files as it may: each trial has one."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource  # not on Windows

        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
