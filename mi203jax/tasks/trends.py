"""The course's tendencies and their counter-examples, measured (slide "ATTENTION")."""

import json
from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from mi203jax.configs import Trends
from mi203jax.configs.claims import CLAIMS, SETTINGS
from mi203jax.core.experiment import Find
from mi203jax.core.series import Conclusion, Ended, Part, Series
from mi203jax.study.figures import figures
from mi203jax.study.report import Record, notes, page, results_of, table
from mi203jax.study.result import Looked, to_json
from mi203jax.study.stages import Plan, asked_of, found, next_parts
from mi203jax.tasks.depth_map import Gradient, depth_map, initial_gradients


def plan(c: Trends) -> Plan:
    """What the configuration asks."""
    claims, settings = {n: CLAIMS[n] for n in c.claims}, {n: SETTINGS[n] for n in c.settings}
    return Plan(claims, settings, c.effort, c.looks, c.candidates, c.looked_before)


def next_of(c: Trends, find: Find, ended: Mapping[str, Ended]) -> dict[str, Part]:
    """The parts that are to run now."""
    return next_parts(plan(c), find, ended)


def gradients(c: Trends, find: Find) -> list[Gradient]:
    """The gradients before training in the networks with depth, of the first setting that has any."""
    deep = [s for s in asked_of(plan(c), find) if getattr(s.arms[0], "depth", 0)]
    own: list[Any] = [arm for s in deep if s.setting == deep[0].setting for arm in s.arms]
    return initial_gradients(SETTINGS[deep[0].setting].experiment, own) if deep else []


def figures_of(record: Record) -> dict[str, Figure]:
    """All figures of what `study.json` holds."""
    drawn = figures(results_of(record), [Looked(**x) for x in record.get("looked", ())])
    deep = [Gradient(**g) for g in record.get("gradients", ())]
    return drawn | ({"depth_map": depth_map(deep)} if deep else {})


def conclude(c: Trends, find: Find, ended: Mapping[str, Ended], provenance: Mapping[str, Any]) -> Conclusion:
    """The table, the figures, and `study.json`, of which docs are made."""
    asked = plan(c)
    came = found(asked, find, ended)
    record = {
        "provenance": dict(provenance),
        "effort": c.effort._asdict() | {n: getattr(c, n) for n in ("looks", "candidates", "looked_before")},
        "guess": {n: s.diverged for n, s in asked.settings.items() if s.diverged is not None},
        "microseconds": {n: dict(s.microseconds) for n, s in asked.settings.items() if s.microseconds},
        "work": {name: part.work for name, part in ended.items()},
        "results": [to_json(r) for r in came.results],
        "looked": [x._asdict() for x in came.looked],
        "left_out": came.left_out,
        "gradients": [g._asdict() for g in gradients(c, find)],
    }
    drawn = figures_of(record)
    texts = {"study.json": json.dumps(record, indent=1), "study.md": page(record, list(drawn))}
    return Conclusion("\n".join([table(came.results), *notes(record)]), texts, drawn)


series = Series(next_of, conclude)
