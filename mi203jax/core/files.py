"""Files that a crash never leaves half-written, and JSON that names what is damaged. Does not import jax."""

import json
import os
from pathlib import Path
from typing import Any

import filelock

from mi203jax.core.errors import UsageError


def write_text(path: Path, text: str) -> None:
    """Replaces a file as a whole: a reader sees the old one or the new one."""
    temporary = path.with_name(f".{path.name}.part")
    with open(temporary, "w", newline="", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def read_json(path: Path) -> Any:
    """What a file holds.

    Raises:
        UsageError: if it cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from None
    except ValueError as error:
        raise UsageError(f"{path} is damaged: {error}.") from None


def lock(folder: Path) -> filelock.FileLock:
    """A lock on a folder, held until it is released or the process ends.

    Raises:
        UsageError: if another process holds it.
        OSError: if the folder cannot be written.
    """
    held = filelock.FileLock(folder / ".lock")
    try:
        held.acquire(timeout=0)
    except filelock.Timeout:
        raise UsageError(f"{folder} is in use by another process: wait until it ends.") from None
    return held
