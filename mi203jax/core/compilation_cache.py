"""Compiled programs kept on disk, since compilation dominates short runs."""

import contextlib
import os
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

import jax


def cache_folder() -> Path:
    """`mi203jax` in the user's cache folder."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA", "~/AppData/Local")
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "mi203jax"


def use_compilation_cache() -> None:
    """Keeps what XLA compiles for the next run, unless jax was told already what to keep and where."""
    if jax.config.values["jax_compilation_cache_dir"] is None:
        folder = cache_folder()
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
        _empty_where_damaged(folder)


def _empty_where_damaged(folder: Path) -> None:
    """Makes of jax's warnings about the folder one line, and empties it: it would stay as it is.

    jax writes a program in place, so that a process that is ended meanwhile leaves a part of it.
    """
    show = warnings.showwarning
    warnings.filterwarnings("always", message="Error (reading|writing) persistent compilation cache")
    told: list[Any] = []

    def heal(message: Any, *details: Any, **more: Any) -> None:
        if "persistent compilation cache" not in str(message):
            return show(message, *details, **more)
        if not told:
            print(f"{folder}, the compiled programs, was damaged: it begins anew.", file=sys.stderr)
            shutil.rmtree(folder, ignore_errors=True)
        told.append(message)
        with contextlib.suppress(OSError):  # a file in its place, say: without it all works, but for the time
            folder.mkdir(parents=True, exist_ok=True)
        return None

    warnings.showwarning = heal
