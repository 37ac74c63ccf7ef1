"""The command that makes a run again."""

import shlex

from mi203jax.core.html_report.reading import Run
from mi203jax.core.trials import Sweep

LAYOUT = {"parallel": "auto", "devices": 1}
"""Flags and their defaults."""


def command_of(run: Run) -> str:
    """What to type to run the same trials again, in a new folder.

    It is made of what `config.json` holds rather than of what was typed: files that held values, folders and
    the names of sweeps may be gone.
    """
    words = ["python", "launch.py", f"--exp={run.name}", *_sweep_name(run), *map(str, run.sweep.assignments)]
    flags = {"seeds": run.sweep.seeds, "trials": run.sweep.draws, "search": run.sweep.search}
    flags["at-once"] = run.sweep.at_once
    plain = Sweep(run.experiment.config)
    usual = {"seeds": plain.seeds, "trials": None, "search": plain.search, "at-once": plain.at_once} | LAYOUT
    layout = run.provenance.get("layout")
    flags |= {n: v for n, v in layout.items() if n in LAYOUT} if isinstance(layout, dict) else {}
    words += [f"--{n}={v}" for n, v in flags.items() if v != usual[n]]
    if "--yes" in str(run.provenance.get("command", "")).split():
        words.append("--yes")
    return shlex.join(words)


def _sweep_name(run: Run) -> list[str]:
    """The name of the sweep to which the assignments add nothing but their values; none if it is the default.

    What is assigned takes the place of a named sweep's own values, but fields of the default sweep that are
    not assigned would vary too.
    """
    assigned = {str(a).partition("=")[0] for a in run.sweep.assignments}
    for name in (None, *run.experiment.sweeps):
        own = run.experiment.sweep(name).assignments
        if {a.partition("=")[0] for a in own} <= assigned:
            return [] if name is None else [f"--sweep={name}"]
    return []
