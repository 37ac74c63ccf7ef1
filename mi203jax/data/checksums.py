"""Whether the sets within the package are what it was made with, by `prepared/SHA256SUMS`."""

from pathlib import Path

from mi203jax.core.errors import UsageError
from mi203jax.core.outputs import digest

EMBEDDED = Path(__file__).parent / "prepared"
SUMS = "SHA256SUMS"


def sums() -> dict[Path, str]:
    """Each file within the package -> its SHA-256, as `sha256sum` prints it."""
    lines = (EMBEDDED / SUMS).read_text(encoding="utf-8").splitlines()
    return {EMBEDDED / name: sha256 for sha256, name in (line.split("  ", 1) for line in lines)}


def check_sums(name: str, folder: Path) -> None:
    """Whether the files of a set are what the package was made with; of a set elsewhere nothing is known.

    Args:
        name: the set's, as it was asked for.
        folder: in which it lies.

    Raises:
        UsageError: naming the first file that is not, or cannot be read.
    """
    for file, sha256 in sums().items() if folder.is_relative_to(EMBEDDED) else ():
        if file.parent == folder and digest(file) != sha256:
            raise UsageError(f"{name}: {file} is not what this package was made with: install it again.")
