"""The command that makes a run again."""

import shlex
from typing import Any

from mi203jax.core.experiment import Experiment
from mi203jax.core.html_report.reading import Run
from mi203jax.core.trials import Sweep

LAYOUT = {"parallel": "auto", "devices": 1}
"""Flags and their defaults."""


def command_of(run: Run) -> str:
    """What to type to run the same trials again, in a new folder; "" of a part that no single command makes.

    It is made of what `config.json` holds rather than of what was typed: files that held values, folders and
    the names of sweeps may be gone. Of a part of a series, it is what the series noted.
    """
    if is_part(run):
        alone = str(run.provenance.get("alone", ""))
        return " ".join([alone, *_flags(_layout(run), LAYOUT)]) if alone else ""
    plain = Sweep(run.experiment.config)
    usual = {"seeds": plain.seeds, "trials": None, "search": plain.search, "at-once": plain.at_once} | LAYOUT
    flags = {"seeds": run.sweep.seeds, "trials": run.sweep.draws, "search": run.sweep.search}
    flags["at-once"] = run.sweep.at_once
    words = [*typed(run.name, run.experiment, run.sweep), *_flags(flags | _layout(run), usual)]
    if "--yes" in str(run.provenance.get("command", "")).split():
        words.append("--yes")
    return shlex.join(words)


def is_part(run: Run) -> bool:
    """Whether a series made the run; those of older versions noted nothing, and are known by their place."""
    parts = run.path.resolve().parent
    return "alone" in run.provenance or (parts.name == "parts" and (parts.parent / "config.json").is_file())


def typed(name: str, experiment: Experiment, sweep: Sweep) -> list[str]:
    """The words that name an experiment, a sweep and what is assigned."""
    chosen = _sweep_name(experiment, sweep)
    return ["python", "launch.py", f"--exp={name}", *chosen, *map(str, sweep.assignments)]


def _layout(run: Run) -> dict[str, Any]:
    layout = run.provenance.get("layout")
    return {n: v for n, v in layout.items() if n in LAYOUT} if isinstance(layout, dict) else {}


def _flags(flags: dict[str, Any], usual: dict[str, Any]) -> list[str]:
    """Those that are not at their defaults."""
    return [f"--{n}={v}" for n, v in flags.items() if v != usual[n]]


def _sweep_name(experiment: Experiment, sweep: Sweep) -> list[str]:
    """The name of the sweep to which the assignments add nothing but their values; none if it is the default.

    What is assigned takes the place of a named sweep's own values, but fields of the default sweep that are
    not assigned would vary too.
    """
    assigned = {str(a).partition("=")[0] for a in sweep.assignments}
    for name in (None, *experiment.sweeps):
        own = experiment.sweep(name).assignments
        if {a.partition("=")[0] for a in own} <= assigned:
            return [] if name is None else [f"--sweep={name}"]
    return []
