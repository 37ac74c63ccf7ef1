"""Where a run came from: enough to make it again."""

import importlib.metadata
import platform
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax

from mi203jax import __version__
from mi203jax.core.machine import cores
from mi203jax.core.run_directory import now

PACKAGES = ("jax", "jaxlib", "flax", "optax", "gymnax", "orbax-checkpoint", "numpy")

OF_SOME_RUNS = {"ale_py": "ale-py"}
"""Module -> package, of what is noted only where a run has loaded it: its games are played nowhere else."""


def provenance(seeds: list[int]) -> dict[str, Any]:
    """Versions, device, git commit of the code, command line and seeds, as JSON takes them."""
    return {
        "time": now(),
        "command": shlex.join([Path(sys.executable).name, *sys.argv]),
        "seeds": seeds,
        "python": platform.python_version(),
        "packages": {"mi203jax": __version__} | {name: _version(name) for name in (*PACKAGES, *_loaded())},
        "platform": platform.platform(),
        "cores": cores(),
        "devices": [f"{d.platform}: {d.device_kind}" for d in jax.devices()],
        "git": _git(),
    }


def _loaded() -> list[str]:
    return [name for module, name in OF_SOME_RUNS.items() if module in sys.modules]


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def differences(begun: dict[str, Any], again: dict[str, Any]) -> list[str]:
    """What can change the last bits of a result, and is not as it was, each in a few words."""
    before, after = begun["packages"], again["packages"]
    pairs = {name: (before[name], version) for name, version in after.items() if name in before}
    pairs |= {name: (begun.get(name), again[name]) for name in ("cores", "devices")}
    pairs["git commit"] = (_commit(begun), _commit(again))
    return [f"begun with {n} {a}, going on with {b}" for n, (a, b) in pairs.items() if a != b]


def _commit(provenance: dict[str, Any]) -> str | None:
    git = provenance.get("git")
    return git.get("commit") if isinstance(git, dict) else None


def _git() -> dict[str, Any] | None:
    """The commit of this code, if it is in a repository, and whether anything there differs from it."""
    here = Path(__file__)

    def ask(*arguments: str) -> str:
        command = ["git", "-C", str(here.parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        ask("ls-files", "--error-unmatch", here.name)  # not a repository around an installed package
        return {"commit": ask("rev-parse", "HEAD"), "modified": bool(ask("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return None
