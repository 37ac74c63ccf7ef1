"""What a run would be, printed before anything runs: its fields, its trials and their programs."""

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mi203jax.core.config import RunConfig
from mi203jax.core.fields import describe, format_value
from mi203jax.core.trials import Sweep, counted, group, label, varied_fields

WIDEST = 48
"""Characters of a column of `--describe`, but the last."""


def print_programs(trials: Sequence[RunConfig], programs: Sequence[Any], names: bool = True) -> None:
    """How many trials each program has, how they run, the memory that they take, and which they are."""
    fields = varied_fields(trials)
    for number, planned in enumerate(programs, 1):
        how = planned.group.layout.words(len(planned.members))
        size = f"about {_in_words(planned.bytes)}"
        members = counted(len(planned.members), "trial")
        print(f"program {number}: {members} {how}, {size}".replace(" ,", ","))
        for i in planned.members if names else ():
            print(f"    trial {i} {label(trials[i], fields)}".rstrip())


def _folded(text: str) -> list[str]:
    """A cell in lines, broken after commas and bars where it is too wide; a long word stays whole."""
    lines = [""]
    for word in re.findall(r"[^,|]+[,|]?|[,|]", text):
        if lines[-1] and len(lines[-1] + word) > WIDEST:
            lines.append("")
        lines[-1] += word
    return lines


def print_fields(sweep: Sweep) -> None:
    """A line a field, and what a run would be."""
    trials = sweep.trials()
    rows = [{column: column for column in describe(trials[0])[0]}, *describe(trials[0])]
    varied = varied_fields(trials)
    for row in rows[1:]:
        if row["field"] in varied:
            values = dict.fromkeys(format_value(getattr(c, row["field"])) for c in trials)
            row["value"] = ",".join(values)
    *columns, last = rows[0]
    width = {column: max(min(len(r[column]), WIDEST) for r in rows) for column in columns} | {last: 0}
    for row in rows:
        cells = [*(_folded(row[c]) for c in columns), [row[last]]]
        for line in itertools.zip_longest(*cells, fillvalue=""):
            print("  ".join(cell.ljust(w) for cell, w in zip(line, width.values(), strict=True)).rstrip())
    c, programs = trials[0], len(group(trials))
    if not isinstance(c, RunConfig):  # a series: its parts have trials, programs and steps
        return
    print("\ntogether: values of a sweep share one compiled program; apart: each has its own.")
    steps, every = (n * c.steps_per_iteration for n in (c.num_iterations, c.eval_iterations))
    size = f"{counted(sweep.num_trials(), 'trial')} in {counted(programs, 'program')}"
    print(f"{size}; {steps:,} steps, evaluated every {every:,}.")


def print_first_parts(parts: Mapping[str, Any], programs: Mapping[str, Sequence[Any]]) -> None:
    """The programs of the parts with which a series begins, what follows being decided by these."""
    for name, planned in programs.items():
        print(f"{name}: {counted(len(parts[name].trials), 'trial')} of {parts[name].experiment}")
        print_programs(parts[name].trials, planned, names=False)
    print("\nWhat comes after depends on what comes of these; nothing was run and nothing was written.")


def print_parts(parts: Mapping[str, Any]) -> None:
    """The trials of parts that do without each other; None: they depend on what came before."""
    for name, part in parts.items():
        if part is None:
            print(f"{name}: more trials, which depend on what came before")
            continue
        print(f"{name}: {counted(len(part.trials), 'trial')} of {part.experiment}")
        fields = varied_fields(part.trials)
        for c in part.trials if fields else ():
            print(f"    {label(c, fields)}")
    print("\nPrograms are planned when their part runs; nothing was run and nothing was written.")


def _in_words(size: int) -> str:
    """`2.3e9` -> "2.3 GB"."""
    return f"{size / 1e6:,.3g} MB" if size < 1e9 else f"{size / 1e9:,.3g} GB"
