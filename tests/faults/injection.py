"""Faults at any write, by Python's audit events: what it is about to do in a folder is told, and may be refused.

Writes of C++ libraries, such as tensorstore's, are not seen: these are met by limits of the process.
"""

import contextlib
import errno
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple


class Write(NamedTuple):
    """Something that changes the disk, about to happen."""

    event: str
    path: Path

    def site(self, folder: Path) -> tuple[str, str]:
        """The place in the program that it belongs to: files that differ in a number or a token are one."""
        name = self.path.relative_to(folder).as_posix()
        return self.event, re.sub(r"[0-9a-f]{8,}|\d+", "#", name)


class Killed(BaseException):
    """As `kill -9`: nothing catches it, and what would clean up cannot write either."""


PLACES = {"os.mkdir": 0, "os.rename": 1, "os.remove": 0, "os.rmdir": 0, "os.truncate": 0, "os.link": 1}
"""Event -> which of its arguments is the path that changes."""

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

_rule: Callable[[Write], None] | None = None
_folder = Path()


def _hook(event: str, args: tuple) -> None:
    if _rule is None or (event != "open" and event not in PLACES):
        return
    place = args[PLACES.get(event, 0)]
    if not isinstance(place, str | bytes | os.PathLike):
        return
    path = Path(os.path.abspath(os.fsdecode(place)))  # not resolved: that would be an event
    writes = event != "open" or (isinstance(args[2], int) and args[2] & WRITING)
    if writes and path.is_relative_to(_folder) and path.name != ".lock":
        _rule(Write(event, path))


sys.addaudithook(_hook)  # for good: there is no way to take one away


@contextlib.contextmanager
def watched(folder: Path, rule: Callable[[Write], None] = lambda write: None) -> Iterator[list[Write]]:
    """Tells the rule of each write in a folder before it happens; the rule may raise.

    Args:
        folder: which one.
        rule: gets each write.

    Yields:
        The writes so far.
    """
    global _rule, _folder  # noqa: PLW0603
    seen: list[Write] = []

    def note(write: Write) -> None:
        seen.append(write)
        rule(write)

    _rule, _folder = note, Path(os.path.abspath(folder))
    try:
        yield seen
    finally:
        _rule = None


def refuse(site: tuple[str, str], folder: Path, number: int) -> Callable[[Write], None]:
    """A rule by which the system refuses the first write of a site, and those after it.

    Args:
        site: as `Write.site` gives it.
        folder: that the site is in.
        number: of the error. A full disk, `errno.ENOSPC`, lets files be removed and renamed.
    """
    begun = False

    def rule(write: Write) -> None:
        nonlocal begun
        is_free = number == errno.ENOSPC and write.event in ("os.remove", "os.rename", "os.rmdir")
        is_first = not begun and write.site(folder) == site
        begun = begun or is_first
        if is_first or (begun and not is_free):
            raise OSError(number, os.strerror(number), str(write.path))

    return rule


@contextlib.contextmanager
def unseen() -> Iterator[None]:
    """Writes that the hook does not see."""
    global _rule  # noqa: PLW0603
    rule, _rule = _rule, None
    yield
    _rule = rule


def die(site: tuple[str, str], folder: Path) -> Callable[[Write], None]:
    """A rule by which the process dies before the first write of a site; the write before that one is torn."""
    begun = False
    before: dict[Path, int] = {}  # the size of the file that was opened last

    def rule(write: Write) -> None:
        nonlocal begun
        if not begun and write.site(folder) == site:
            begun = True
            for path, size in before.items():
                if path.is_file():  # not renamed yet
                    with unseen():
                        os.truncate(path, (size + path.stat().st_size) // 2)
        if begun:
            raise Killed
        before.clear()
        if write.event == "open":
            before[write.path] = write.path.stat().st_size if write.path.exists() else 0

    return rule


def vanish(site: tuple[str, str], folder: Path) -> Callable[[Write], None]:
    """A rule by which the folder is deleted before the first write of a site."""
    begun = False

    def rule(write: Write) -> None:
        nonlocal begun
        if not begun and write.site(folder) == site:
            begun = True
            with unseen():
                shutil.rmtree(folder, ignore_errors=True)

    return rule
