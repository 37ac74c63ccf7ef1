"""From what was typed to the trials of a run, and their groups. A run is a sweep of one.

Does not import jax: see `mi203jax.core.config`.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

from mi203jax.core.config import MAX_INT, RunConfig, field_of, format_value, parse_value, static_part
from mi203jax.core.errors import UsageError


def expand(base: RunConfig, assignments: Sequence[str], seeds: int = 1) -> list[RunConfig]:
    """Every combination of the values given for each field, and every seed for each of them.

    Args:
        base: the configuration whose other fields stay.
        assignments: `"field=value"` or `"field=value,value,..."`, as typed.
        seeds: how many seeds each combination gets, from the configuration's own seed upwards. Seed
            k is the same in each combination, so that arms of a sweep are paired.

    Returns:
        The trials, the last field varying fastest, and seeds faster still.

    Raises:
        UsageError: for an unknown field, a value that a field does not take, or one given twice.
    """
    if seeds < 1:
        raise UsageError(f"--seeds={seeds}: expected a whole number in [1, inf).")
    axes = dict(_parse_axis(type(base), a, assignments) for a in assignments)
    trials = []
    for values in itertools.product(*axes.values()):
        arm = dataclasses.replace(base, **dict(zip(axes, values, strict=True)))
        if seeds > 1 and len(axes.get("seed", [0])) > 1:
            raise UsageError(f"--seeds={seeds} contradicts seed={','.join(map(str, axes['seed']))}.")
        if arm.seed + seeds - 1 > MAX_INT:
            raise UsageError(f"--seeds={seeds}: seeds from {arm.seed} upwards pass {MAX_INT}.")
        trials += [dataclasses.replace(arm, seed=arm.seed + i) for i in range(seeds)]
    return trials


def _parse_axis(cls: type, assignment: str, everything: Sequence[str]) -> tuple[str, list[Any]]:
    name, equals, text = assignment.partition("=")
    if not equals:
        field_of(cls, name)
        raise UsageError(f"{name!r} has no value: expected {name}=VALUE.")
    if sum(a.partition("=")[0] == name for a in everything) > 1:
        raise UsageError(f"{name!r} is given twice: put its values in one list, {name}=VALUE,VALUE.")
    values = [parse_value(cls, name, t) for t in _split(text)]
    for value in values:
        if values.count(value) > 1:
            raise UsageError(f"{name}={format_value(value)} is given twice.")
    return name, values


def _split(text: str) -> list[str]:
    """Splits at the commas that stand outside parentheses."""
    parts, depth = [""], 0
    for character in text:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def varied_fields(trials: Sequence[RunConfig]) -> list[str]:
    """The fields in which the trials differ, in the order of their declaration, the seed last."""
    names = [f.name for f in dataclasses.fields(trials[0]) if f.name != "seed"] + ["seed"]
    return [n for n in names if len({getattr(c, n) for c in trials}) > 1]


def label(c: RunConfig, fields: Sequence[str]) -> str:
    """`"learning_rate=0.001 seed=2"`: what tells this trial from the others."""
    return " ".join(f"{n}={format_value(getattr(c, n))}" for n in fields)


def group(trials: Sequence[RunConfig]) -> list[list[int]]:
    """Indices of the trials that one compiled program can run, in the order of their first."""
    groups: dict[tuple, list[int]] = {}
    for i, c in enumerate(trials):
        groups.setdefault(static_part(c), []).append(i)
    return list(groups.values())
