"""From claims and settings to trials: equal tuning of both arms, then fresh seeds of what each arm chose.

Does not import jax: see `mi203jax.core.config`.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from mi203jax.core.config import BaseConfig, RunConfig
from mi203jax.core.errors import UsageError
from mi203jax.core.fields import parse_value
from mi203jax.core.space import Distribution, parse_axis
from mi203jax.core.trials import SearchMethod, Sweep, label, varied_fields
from mi203jax.study.claim import Arm, Claim, Fields, Setting

SEEDS = 1_000
"""Seeds that a study may use: study k has those from 1,000 · k on, the last 900 of them for judging."""

FRESH = 100
"""The first seed of a study that no arm was tuned with."""


class Effort(NamedTuple):
    """How much is spent on each claim in each setting."""

    draws: int  # configurations that each arm is tuned over
    tuning_seeds: int  # of each of them
    judging_seeds: int  # of the one that was chosen
    search: SearchMethod
    seed: int  # of the study: another one has other draws, and no seed in common


class Study(NamedTuple):
    """One claim in one cell of a setting."""

    claim: str
    setting: str
    cell: str  # what tells it from the setting's other cells
    arms: tuple[RunConfig, RunConfig]  # not yet tuned


def studies(
    claims: Mapping[str, Claim],
    settings: Mapping[str, Setting],
    config_of: Callable[[str], BaseConfig],
    looks: int = 0,
    seed: int = 0,
) -> list[Study]:
    """Every claim in every setting where it can be asked.

    Args:
        claims: by name.
        settings: by name.
        config_of: name of an experiment -> its defaults.
        looks: cells that are drawn of a setting with fields to draw.
        seed: of these draws.

    Raises:
        UsageError: if a claim can be asked in none of the settings, or an assignment cannot be understood.
    """
    idle = [n for n, s in settings.items() if not any(s.experiment in c.experiments for c in claims.values())]
    if idle:
        needed = settings[idle[0]].experiment
        raise UsageError(f"settings=({idle[0]}) is of {needed}: none of the claims is asked there.")
    found: list[Study] = []
    for name, claim in claims.items():
        where = {n: s for n, s in settings.items() if s.experiment in claim.experiments}
        if not where:
            needed = ", ".join(claim.experiments)
            raise UsageError(f"claims=({name}) is asked of {needed}: expected a setting of that experiment.")
        for place, setting in where.items():
            drawn = cells(config_of(setting.experiment), setting, looks, seed)
            # Cells may differ in what the arms decide: these are one.
            decided = {f.partition("=")[0] for f in claim.common + claim.first.fields + claim.second.fields}
            own: dict[tuple[RunConfig, RunConfig], Study] = {}
            for cell, c in drawn.items():
                arms = arms_of(claim, setting, c)
                own.setdefault(arms, Study(name, place, cell, arms))
            found += _without(own.values(), decided)
    return found


def _without(own: Iterable[Study], decided: set[str]) -> list[Study]:
    """The studies, their cells named without what the arms decide, where that tells them apart."""
    own = list(own)
    short = [" ".join(w for w in s.cell.split() if w.partition("=")[0] not in decided) for s in own]
    if len(set(short)) < len(own):
        return own
    return [s._replace(cell=words) for s, words in zip(own, short, strict=True)]


def cells(base: BaseConfig, setting: Setting, looks: int = 0, seed: int = 0) -> dict[str, RunConfig]:
    """The cells of a setting by what tells them apart, each as a configuration."""
    axes = {f: parse_axis(type(base), f)[1] for f in setting.fields}
    single = tuple(f for f, axis in axes.items() if not isinstance(axis, Distribution) and len(axis) == 1)
    several = tuple(f for f in setting.fields if f not in single)
    draws = looks if setting.is_drawn else None
    sweep = Sweep(dataclasses.replace(changed(base, single), seed=seed), several, draws=draws)
    trials = [dataclasses.replace(c, seed=0) for c in sweep.trials()]
    fields = varied_fields(trials)
    return {label(c, fields): c for c in trials}


def arms_of(claim: Claim, setting: Setting, cell: RunConfig) -> tuple[RunConfig, RunConfig]:
    """Both arms in a cell, with as long a run as the budget allows each."""
    first, second = (_arm(claim, setting, cell, arm) for arm in (claim.first, claim.second))
    return first, second


def _arm(claim: Claim, setting: Setting, cell: RunConfig, arm: Arm) -> RunConfig:
    c = changed(cell, (*claim.common, *arm.fields))
    if claim.budget == "examples":
        return c
    if claim.budget == "updates":
        total = cell.num_iterations * c.steps_per_iteration
    else:
        missing = {cell.steps_per_iteration, c.steps_per_iteration} - set(setting.microseconds)
        if missing:
            raise UsageError(
                f"how long an update takes in batches of {min(missing)} is not known for this setting: "
                "measure it with `python -m benchmarks.batch_time` and give the setting its `microseconds`."
            )
        cost = setting.microseconds
        total = round(cell.total_steps * cost[cell.steps_per_iteration] / cost[c.steps_per_iteration])
    return dataclasses.replace(c, total_steps=total, eval_every=total)


def tuning_trials(arm: RunConfig, claim: Claim, setting: Setting, effort: Effort) -> list[RunConfig]:
    """What an arm is tuned over: the same draws for each arm and fold, each with every tuning seed."""
    fields = (*claim.space, f"seed={SEEDS * effort.seed}")
    trials = []
    for fold in setting.tune:
        sweep = Sweep(changed(arm, fold), fields, effort.tuning_seeds, effort.draws, effort.search)
        trials += sweep.trials()
    return trials


def judging_trials(arm: RunConfig, chosen: Mapping[str, Any], effort: Effort) -> list[RunConfig]:
    """Fresh seeds of an arm with the values that it chose, the same for each arm."""
    first = SEEDS * effort.seed + FRESH
    c = dataclasses.replace(arm, **chosen)
    return [dataclasses.replace(c, seed=first + i) for i in range(effort.judging_seeds)]


class Tuned(NamedTuple):
    """What came of the tuning of an arm."""

    values: list[dict[str, Any]]  # what was drawn
    scores: list[float | None]  # mean over folds and seeds; None: one of them has no score
    best: int | None  # its place; None: none has a score

    @property
    def chosen(self) -> dict[str, Any]:
        """The best of the values.

        Raises:
            ValueError: if there is none.
        """
        if self.best is None:
            raise ValueError("Tuned: no configuration has a score.")
        return self.values[self.best]

    @property
    def top(self) -> float:
        """The score of the best; nan: there is none."""
        score = None if self.best is None else self.scores[self.best]
        return math.nan if score is None else score


def tuned(
    trials: Sequence[RunConfig], scores: Sequence[float | None], best: Literal["max", "min"], claim: Claim
) -> Tuned:
    """The best of the configurations that an arm was tuned over, by the mean over its folds and seeds.

    Of several that are equally good, the one whose value of the first field that is tuned is in the middle,
    the smaller of two.

    Args:
        trials: as `tuning_trials` gave them.
        scores: of each; None: nothing was measured.
        best: whether a larger or a smaller score is better.
        claim: what it was for.
    """
    names = [f.partition("=")[0] for f in claim.space]
    by_draw: dict[tuple[Any, ...], list[float | None]] = {}
    for c, score in zip(trials, scores, strict=True):
        by_draw.setdefault(tuple(getattr(c, n) for n in names), []).append(score)
    values = [dict(zip(names, drawn, strict=True)) for drawn in by_draw]
    means = [_mean(own) for own in by_draw.values()]
    known = [m for m in means if m is not None]
    if not known:
        return Tuned(values, means, None)
    top = max(known) if best == "max" else min(known)
    equal = sorted((i for i, m in enumerate(means) if m == top), key=lambda i: values[i][names[0]])
    return Tuned(values, means, equal[(len(equal) - 1) // 2])


def _mean(scores: Sequence[float | None]) -> float | None:
    known = [s for s in scores if s is not None]
    return sum(known) / len(known) if known and len(known) == len(scores) else None


def changed(c: Any, fields: Fields) -> Any:
    """The configuration with other values, `"field=value"`; of a field that is given twice the last."""
    given = dict(f.split("=", 1) for f in fields)
    return dataclasses.replace(c, **{n: parse_value(type(c), n, v) for n, v in given.items()})
