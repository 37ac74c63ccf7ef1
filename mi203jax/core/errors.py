"""Mistakes of the user's, each told in one line."""

import difflib
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path


class UsageError(ValueError):
    """A value that the user gave cannot be used.

    The message is one line that names the value, what was expected, and where possible the nearest
    valid name. `launch.py` prints it and exits with status 2; nothing has been written by then.
    """


class Damaged(UsageError):
    """A file of a run is not as it was written.

    Args:
        what: which file, and what is wrong with it: a sentence.
        remedy: what to do: a sentence.
    """

    def __init__(self, what: str, remedy: str):
        super().__init__(what, remedy)
        self.what = what

    def __str__(self) -> str:
        return " ".join(self.args)


class Fault(OSError):
    """The machine failed where a file of a run is written or read: a full disk, a lost permission.

    What was saved before stays as it is, and the run can go on once the fault is gone; `launch.py` says so
    and exits with status 1.

    Args:
        path: the file, or the folder.
        what: what could not be done, as in "cannot be written".
        error: what the system says.
    """

    def __init__(self, path: Path, what: str, error: OSError):
        super().__init__(error.errno, error.strerror or str(error))
        self._made_of = path, what, error

    def __str__(self) -> str:
        path, what, _ = self._made_of
        return f"{path} {what}: {self.strerror}"

    def __reduce__(self) -> tuple[type, tuple[Path, str, OSError]]:
        return type(self), self._made_of


class FiguresFailed(RuntimeError):
    """The figures of a run could not be drawn; its numbers are kept. Raise it from the mistake.

    Args:
        error: the mistake, which is most likely the task's.
        folder: of the run, in which a report is.
    """

    def __init__(self, error: Exception, folder: Path):
        super().__init__(
            f"{type(error).__name__}: {error}. The figures failed, the numbers are in "
            f"{folder / 'report.html'}; once it is mended, --resume={folder} draws them"
        )


def check_names(field: str, names: Sequence[str], known: Collection[str] | None = None) -> None:
    """Whether a field that lists names has each once, and none that is unknown.

    Args:
        field: what it is called.
        names: its value.
        known: the valid names; None: any.

    Raises:
        UsageError: at the first name that is unknown, or there twice.
    """
    for name in names:
        if known is not None and name not in known:
            raise UsageError(f"{field}=({name}): {did_you_mean(name, known)}")
        if names.count(name) > 1:
            raise UsageError(f"{field}=({','.join(names)}) has {name} twice: expected it once.")


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """What to say after an unknown name: the nearest valid one, or all of them.

    Args:
        name: what the user typed.
        names: what would have been valid.

    Returns:
        A sentence that starts with a capital letter and ends without a line break.
    """
    names = sorted(names)
    folded = {n.lower(): n for n in names}
    near = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.5)
    if near:
        return f"Did you mean {folded[near[0]]!r}?"
    return f"Choose one of: {', '.join(names)}." if names else "There is none."
