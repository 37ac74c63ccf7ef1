"""The registry: one module of this folder an experiment, named as its file.

A module has a docstring, whose first line is what `--list` shows, and `EXPERIMENT`. Nothing is
imported before it is asked for, so that `--list` and every mistake are answered at once.
"""

import ast
import importlib
from pathlib import Path

from mi203jax.core.errors import UsageError, did_you_mean
from mi203jax.core.experiment import Experiment

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """The experiments, in alphabetical order."""
    return sorted(p.stem for p in FOLDER.glob("*.py") if not p.stem.startswith("_"))


def summary(name: str) -> str:
    """What an experiment shows, in a line; read from its file, which is not run."""
    path = FOLDER / f"{name}.py"
    try:
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"), str(path)))
    except SyntaxError as error:
        return f"cannot be read: {error}"
    return (text or "").split("\n")[0]


def get(name: str) -> Experiment:
    """The experiment of that name.

    Raises:
        UsageError: naming the nearest one, if there is none of that name.
    """
    if name not in names():
        raise UsageError(f"Unknown experiment {name!r}. {did_you_mean(name, names())}")
    return importlib.import_module(f"{__name__}.{name}").EXPERIMENT
