"""What describes a prepared set, looked at before TFDS reads it: a set is data, and brings no code."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from mi203jax.core.errors import UsageError

THEIRS = re.compile(r"tensorflow_datasets(\.\w+)+", re.ASCII)
"""Classes that a set may name as those of its features."""
NAMING = ("pythonClassName", "python_class_name", "type")
"""Where `features.json` names them: protobuf has two spellings, and older versions of TFDS a third."""


def check_description(name: str, folder: Path) -> None:
    """Whether the description of a set is of plain files, and its features are TFDS's own, or known already.

    TFDS imports the module of whatever class a feature names, and so would run it. For features of one's own,
    import their module first.

    Args:
        name: the set's, as it was asked for.
        folder: in which it was prepared.

    Raises:
        UsageError: if it is not so.
        OSError, ValueError, RecursionError: if `features.json` cannot be read.
    """
    for path in folder.iterdir():
        if path.exists() and not path.is_file() and not path.is_dir():
            raise UsageError(f"{name}: {path} is no regular file: expected a set that TFDS prepared.")
    file = folder / "features.json"
    for found in classes_in(file.read_text(encoding="utf-8")):
        if not THEIRS.fullmatch(found) and found.rpartition(".")[0] not in sys.modules:
            raise UsageError(
                f"{name}: {file} names the class {found!r}, whose code would run: expected features of "
                "tensorflow_datasets alone."
            )


def classes_in(description: str) -> Iterator[str]:
    """The classes that a `features.json` names, also in texts within that are JSON: TFDS reads these too.

    Raises:
        ValueError, RecursionError: if it is no JSON, or too deep.
    """
    waiting = [json.loads(description)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield from (value[key] for key in NAMING if isinstance(value.get(key), str))
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str) and value.lstrip()[:1] in ("{", "[", '"'):
            try:
                waiting.append(json.loads(value))
            except ValueError:
                continue
