"""The JSON files of a run, each of which knows its run and tells whether it is as it was written.

Does not import jax.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mi203jax import __version__
from mi203jax.core.errors import Damaged, UsageError
from mi203jax.core.files import open_file, write_text

SEAL = ("version", "run", "checksum")
"""What a document holds beside its contents."""

REMEDY = "Restore it from a copy, or begin the run anew."
"""What helps where a document is damaged on which the others depend."""


def write_document(path: Path, run: str, contents: Mapping[str, Any]) -> None:
    """Replaces a document as a whole.

    Args:
        path: the file.
        run: what tells the run from any other.
        contents: what JSON takes, by name; keys of mappings come back as texts.

    Raises:
        Fault: if it cannot be written.
    """
    document = {"version": __version__, "run": run} | json.loads(json.dumps(dict(contents)))
    write_text(path, json.dumps(document | {"checksum": _checksum(document)}, indent=1))


def read_document(path: Path, run: str | None = None, remedy: str = REMEDY) -> dict[str, Any]:
    """What a document holds.

    Args:
        path: the file.
        run: the run that it must be of; None: any.
        remedy: what to tell a user to do where it is damaged.

    Returns:
        Its contents, and `run`.

    Raises:
        Damaged: if it is not there, is not what was written, or is another run's.
        UsageError: if it cannot be read, or is another version's.
    """
    document = _read(path, remedy)
    if lacking := [name for name in SEAL if not isinstance(document.get(name), str)]:
        raise Damaged(f"{path} is damaged, or another program's: it has no {lacking[0]!r}.", remedy)
    if document["version"] != __version__:
        raise UsageError(
            f"{path}: it was begun by mi203jax {document['version']}, this is {__version__}: "
            "go on with that one."
        )
    if document.pop("checksum") != _checksum(document):
        raise Damaged(f"{path} is damaged: it is not what was written.", remedy)
    if run is not None and document["run"] != run:
        raise Damaged(f"{path} is of another run than the files beside it.", remedy)
    return {name: value for name, value in document.items() if name != "version"}


def _read(path: Path, remedy: str) -> dict[str, Any]:
    try:
        with open_file(path) as file:
            document = json.loads(file.read().decode())
    except FileNotFoundError:
        raise Damaged(f"{path} is missing.", remedy) from None
    except (IsADirectoryError, NotADirectoryError) as error:
        raise Damaged(f"{path} is damaged: {error.strerror}.", remedy) from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{path} is damaged: {error}.", remedy) from None
    if not isinstance(document, dict):
        raise Damaged(f"{path} is damaged: expected what stands within braces.", remedy)
    return document


@contextlib.contextmanager
def interpreting(path: Path) -> Iterator[None]:
    """What is not as this version writes it, in a document that is as it was written, is told in one line.

    Raises:
        UsageError: instead of KeyError, TypeError, AttributeError and ValueError.
    """
    try:
        yield
    except UsageError as error:  # of a field that is no more, say
        raise UsageError(f"{path}: {error}") from None
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UsageError(f"{path} is of another version of this program: {error}.") from None


def _checksum(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
