"""What a run writes for readers: noted with checksums, so that a file that is lost or damaged shows.

Does not import jax.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from mi203jax.core.documents import interpreting, read_document
from mi203jax.core.errors import UsageError
from mi203jax.core.files import sha256

PROVENANCE = "provenance.json"

FILES = "files"
"""Of `provenance.json`: path within the run -> SHA-256."""


def read_provenance(folder: Path, run: str | None = None) -> dict[str, Any]:
    """Where a run came from.

    Args:
        folder: of the run.
        run: that it must be of; None: any.

    Raises:
        UsageError: as `mi203jax.core.documents.read_document`.
    """
    found = read_document(folder / PROVENANCE, run)
    with interpreting(folder / PROVENANCE):
        mappings = (found.get("packages", {}), found.get(FILES, {}), *found.get("resumed", ()))
        if not all(isinstance(m, dict) for m in mappings):
            raise TypeError("it holds something else than what is noted of a run")
    return found


def digest(file: Path) -> str:
    """The SHA-256 of a file; "" if it cannot be read."""
    try:
        return sha256(file)
    except OSError:
        return ""


def noting(folder: Path, files: Iterable[Path], provenance: Mapping[str, Any] = {}) -> dict[str, Any]:
    """What to put into the provenance of a run that wrote these files, beside those that it notes by now."""
    new = {file.relative_to(folder).as_posix(): digest(file) for file in files}
    return {FILES: provenance.get(FILES, {}) | new}


def noted_files(folder: Path) -> dict[Path, str]:
    """The files that a run wrote for readers -> SHA-256; none where its provenance is lost."""
    try:
        noted = read_provenance(folder).get(FILES, {})
    except UsageError:
        return {}
    return {folder / name: sha256 for name, sha256 in noted.items() if _is_within(name)}


def _is_within(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def is_whole(file: Path, noted: Mapping[Path, str]) -> bool:
    """Whether a file is there, and is what was noted."""
    return bool(noted.get(file)) and digest(file) == noted[file]


def is_damaged(file: Path, noted: Mapping[Path, str]) -> bool:
    """Whether a file is there, and is not what was noted of it."""
    return file in noted and file.exists() and not is_whole(file, noted)
