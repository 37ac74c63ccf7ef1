"""The one door through which a run is written: no crash leaves a file half-written, and a fault names it.

Does not import jax.
"""

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

import filelock

from mi203jax.core.errors import Fault, UsageError

PART = ".part"


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write, which takes the place of `path` as a whole: a reader sees the old one or the new one.

    Args:
        path: the file; its folder must be there.

    Yields:
        Where to write. It has the suffix of `path`, and is gone if the block raises.

    Raises:
        Fault: if it cannot be written; `path` is as it was, or is the new one as a whole.
    """
    # A name of its own, so that a report that is written meanwhile does not share it.
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{PART}{path.suffix}")
    with writing(path):
        try:
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
            _sync_folder(path.parent)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise


def _sync_folder(folder: Path) -> None:
    """Brings to the disk which files a folder has."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno in (errno.EIO, errno.ENOSPC, errno.EDQUOT):  # some file systems know no such thing
            raise
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """What the system refuses within the block becomes a fault of this file.

    Raises:
        Fault: instead of OSError.
    """
    try:
        yield
    except Fault:
        raise
    except OSError as error:
        raise Fault(path, "cannot be written", error) from error


def write_text(path: Path, text: str) -> None:
    """Replaces a file as a whole.

    Raises:
        Fault: if it cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def append_text(path: Path, text: str, after: int | None = None) -> None:
    """Appends to a file; `sync` brings it to the disk.

    Args:
        path: the file, made if it is not there.
        text: what is appended.
        after: how many bytes it must have by now; None: any number.

    Raises:
        Fault: if it cannot be written, or has another size: something else took its place.
    """
    with writing(path), open(path, "a", encoding="utf-8", newline="") as file:
        if after not in (None, file.tell()):
            raise OSError(errno.ESTALE, "it is not the file that was begun: was the folder deleted?")
        file.write(text)


def open_file(path: Path) -> BufferedReader:
    """Opens a file to be read; a pipe, from which nothing would come, is none.

    Raises:
        OSError: if it is not there, no regular file, or may not be read.
    """
    if path.exists() and not path.is_file():
        raise IsADirectoryError(errno.EISDIR, "it is no regular file")
    return open(path, "rb")


def sha256(path: Path) -> str:
    """The SHA-256 of a file.

    Raises:
        OSError: as `open_file`.
    """
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove(path: Path) -> None:
    """Removes a file, if it is there.

    Raises:
        Fault: if that is refused.
    """
    with writing(path), contextlib.suppress(NotADirectoryError):
        path.unlink(missing_ok=True)


def remove_folder(path: Path) -> None:
    """Removes a folder and what is in it, if it is there.

    Raises:
        Fault: if that is refused.
    """
    with writing(path):
        if path.exists():
            shutil.rmtree(path)


def truncate(path: Path, size: int) -> None:
    """Cuts a file to so many bytes, to the disk.

    Raises:
        Fault: if it cannot be written.
    """
    with writing(path), open(path, "rb+") as file:
        file.truncate(size)
        os.fsync(file.fileno())


def sync(path: Path) -> None:
    """Brings a file, or a folder with all that is in it, to the disk, before another file tells of it.

    Raises:
        Fault: if it cannot be written, or is not there.
    """
    with writing(path):
        path.stat()
        for found in (*path.rglob("*"), path):
            if found.is_dir():
                _sync_folder(found)
            else:
                with open(found, "rb+") as file:
                    os.fsync(file.fileno())
        _sync_folder(path.parent)


def make_folder(path: Path, within: Path) -> None:
    """Makes a folder, and those above it up to `within`, which must be there.

    Raises:
        Fault: if it cannot be made; so too if `within` was deleted, which is not made again.
    """
    below = path.relative_to(within).parts
    with writing(path):
        for end in range(1, len(below) + 1):
            folder = within.joinpath(*below[:end])
            if not folder.is_dir():
                folder.mkdir(exist_ok=True)
                _sync_folder(folder.parent)


def is_leftover(name: str) -> bool:
    """Whether a file of this name is being written, or was by a process that died."""
    return name.startswith(".") and PART in name


def remove_leftovers(folder: Path) -> None:
    """Removes what processes that died were writing anywhere in a folder, in which nobody writes now.

    Raises:
        Fault: if that is refused.
    """
    for path in folder.rglob(f".*{PART}*"):
        remove(path)


def lock(folder: Path, patience: float = 1.0) -> filelock.FileLock:
    """A lock on a folder, held until it is released or the process ends.

    Args:
        folder: which must be there.
        patience: seconds to wait for another process, which perhaps only looks whether it is locked.

    Raises:
        UsageError: if another process holds it.
        Fault: if the folder cannot be written.
    """
    held = filelock.FileLock(folder / ".lock", thread_local=False)
    with writing(folder / ".lock"):
        try:
            held.acquire(timeout=patience)
        except filelock.Timeout:
            raise UsageError(f"{folder} is in use by another process: wait until it ends.") from None
    return held


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """A lock on a folder, held within the block: see `lock`."""
    held = lock(folder)
    try:
        yield
    finally:
        held.release()
