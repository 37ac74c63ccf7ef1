"""Compiled programs kept on disk, since compilation dominates short runs."""

import os
import sys
from pathlib import Path

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
        jax.config.update("jax_compilation_cache_dir", str(cache_folder()))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
