"""From what was typed to the trials of a run, and their groups. A run is a sweep of one.

Does not import jax: see `mi203jax.core.config`.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

from mi203jax.core.config import BaseConfig, static_part
from mi203jax.core.errors import UsageError
from mi203jax.core.fields import MAX_INT, format_value
from mi203jax.core.space import Axis, Distribution, parse_axis

SearchMethod = Literal["random", "sobol", "optuna"]

MOST = 100_000
"""Trials of a sweep."""


class Sweep(NamedTuple):
    """What was asked for: the values of each field, and how many draws and seeds.

    Attributes:
        base: the configuration whose other fields stay.
        assignments: `"field=values"`, as typed: see `mi203jax.core.space`.
        seeds: how many seeds each combination gets, from the configuration's own seed upwards. Seed k is
            the same in each combination, so that arms of a sweep are paired.
        draws: how often the fields that are drawn are drawn; None if none is.
        search: how.
        at_once: how many draws Optuna is asked for before it learns what came of them.
    """

    base: BaseConfig
    assignments: tuple[str, ...] = ()
    seeds: int = 1
    draws: int | None = None
    search: SearchMethod = "random"
    at_once: int = 8

    @classmethod
    def of(cls, base: BaseConfig, asked: Mapping[str, Any]) -> "Sweep":
        """The sweep of a base that a file tells of: its other attributes by name, tuples as lists.

        Raises:
            UsageError: as `trials`.
            TypeError: if an attribute is unknown, or of another type.
        """
        values: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in asked.items()}
        sweep = cls(base, **values)
        numbers = (sweep.seeds, sweep.at_once, 1 if sweep.draws is None else sweep.draws)
        is_typed = all(isinstance(a, str) for a in sweep.assignments)
        if not is_typed or sweep.search not in get_args(SearchMethod) or {type(n) for n in numbers} != {int}:
            raise TypeError(f"expected a sweep, not {dict(asked)}")
        sweep.num_trials()
        return sweep

    def trials(self) -> list[Any]:
        """The configurations: every combination of the listed values with every draw and every seed.

        The last field varies fastest, draws faster, seeds faster still. Of a search by Optuna, the first.

        Raises:
            UsageError: for an unknown field, a value that a field does not take, or a contradiction.
        """
        self.num_trials()
        space = self.space()
        if not space:
            return self.configurations([{}])
        from mi203jax.core.search import draw  # numpy and scipy take their time

        if self.search == "optuna":
            return self.proposals([], "max")
        # A value that is drawn again would give the same trial again.
        trials = self.configurations(draw(space, self.draws or 0, self.search, self._seed()))
        return list(dict.fromkeys(trials))

    def num_trials(self) -> int:
        """How many trials there are in the end, at most: of equal draws one is run.

        Raises:
            UsageError: as `trials`; also if there are more than `MOST`.
        """
        listed = [len(a) for a in self._axes().values() if not isinstance(a, Distribution)]
        number = math.prod(listed) * (self.draws or 1) * self.seeds
        if number > MOST:
            raise UsageError(f"{number:,} trials: expected at most {MOST:,}.")
        return number

    def proposals(self, tried: Sequence[Any], best: Literal["max", "min"]) -> list[Any]:
        """What Optuna tries after what was tried (`mi203jax.core.search.Tried`), with every seed."""
        from mi203jax.core.search import propose

        def works(values: Mapping[str, Any]) -> bool:
            try:
                return bool(self.configurations([values]))
            except UsageError:
                return False

        count = min(self.at_once, (self.draws or 0) - len(tried))
        return self.configurations(propose(self.space(), count, self._seed(), tried, best, works))

    def _seed(self) -> int:
        """Of the draws: the first that was asked for."""
        axis = self._axes().get("seed", [])
        return axis[0] if isinstance(axis, list) and axis else self.base.seed

    def configurations(self, draws: Sequence[Mapping[str, Any]]) -> list[Any]:
        """Every combination of the listed values with each of these draws and every seed."""
        listed = {n: a for n, a in self._axes().items() if not isinstance(a, Distribution)}
        trials = []
        for values in itertools.product(*listed.values()):
            for drawn in draws:
                arm = dataclasses.replace(self.base, **dict(zip(listed, values, strict=True)), **drawn)
                if arm.seed + self.seeds - 1 > MAX_INT:
                    raise UsageError(f"--seeds={self.seeds}: seeds from {arm.seed} upwards pass {MAX_INT}.")
                trials += [dataclasses.replace(arm, seed=arm.seed + i) for i in range(self.seeds)]
        return trials

    def space(self) -> dict[str, Distribution]:
        """The fields that are drawn."""
        return {n: a for n, a in self._axes().items() if isinstance(a, Distribution)}

    def _axes(self) -> dict[str, Axis]:
        parsed = [parse_axis(type(self.base), a) for a in self.assignments]
        axes = dict(parsed)
        for name in axes:
            if [n for n, _ in parsed].count(name) > 1:
                raise UsageError(f"{name!r} is given twice: put its values in one list, {name}=VALUE,VALUE.")
        self._check(
            [n for n, a in axes.items() if isinstance(a, Distribution)],
            [n for n, a in axes.items() if not isinstance(a, Distribution) and len(a) > 1],
        )
        return axes

    def _check(self, drawn: list[str], listed: list[str]) -> None:
        for flag, number in (("seeds", self.seeds), ("trials", self.draws), ("at-once", self.at_once)):
            if number is not None and not 1 <= number <= MOST:
                raise UsageError(f"--{flag}={number}: expected a whole number in [1, {MOST}].")
        if self.seeds > 1 and "seed" in drawn + listed:
            raise UsageError(f"--seeds={self.seeds} contradicts several values of the field seed.")
        if drawn and self.draws is None:
            raise UsageError(f"{drawn[0]} is drawn: expected --trials=COUNT beside it.")
        if not drawn and (self.draws is not None or self.search != "random"):
            given = f"--search={self.search}" if self.draws is None else f"--trials={self.draws}"
            raise UsageError(
                f"{given}: nothing is drawn. Expected a field=uniform(LOW,HIGH), loguniform or choice."
            )
        if self.search == "optuna" and listed:
            instead = "--seeds=COUNT" if listed[0] == "seed" else f"{listed[0]}=choice(VALUE,VALUE)"
            raise UsageError(f"--search=optuna draws each field that varies: expected {instead}.")


def counted(number: int, noun: str) -> str:
    """`(1, "trial")` -> "1 trial", `(1234, "trial")` -> "1,234 trials"."""
    return f"{number:,} {noun}" + "s" * (number != 1)


def varied_fields(trials: Sequence[BaseConfig]) -> list[str]:
    """The fields in which the trials differ, in the order of their declaration, the seed last."""
    names = [f.name for f in dataclasses.fields(trials[0]) if f.name != "seed"] + ["seed"]
    return [n for n in names if len({getattr(c, n) for c in trials}) > 1]


def label(c: BaseConfig, fields: Sequence[str]) -> str:
    """`"learning_rate=0.001 seed=2"`: what tells this trial from the others."""
    return " ".join(f"{n}={format_value(getattr(c, n))}" for n in fields)


def step_unit(trials: Sequence[BaseConfig]) -> str:
    """What learning curves of the trials count: `"steps"`, or `"frames"` of a game."""
    return "frames" if any(c.frames_per_step != 1 for c in trials) else "steps"


def group(trials: Sequence[BaseConfig]) -> list[list[int]]:
    """Indices of the trials that one compiled program can run, in the order of their first."""
    found = []
    for members in _by(trials, static_part):
        found += [[i] for i in members] if trials[members[0]].is_alone else [members]
    return found


def arms(trials: Sequence[BaseConfig]) -> list[list[int]]:
    """Indices of the trials that differ in their seed alone, in the order of their first.

    Of trials that do not differ at all, as a search may propose them, the first alone is there.
    """
    found = []
    for members in _by(trials, lambda c: dataclasses.replace(c, seed=0)):
        own: dict[int, int] = {}
        for i in members:
            own.setdefault(trials[i].seed, i)
        found.append(list(own.values()))
    return found


def _by(trials: Sequence[BaseConfig], key: Callable[[BaseConfig], Hashable]) -> list[list[int]]:
    found: dict[Any, list[int]] = {}
    for i, c in enumerate(trials):
        found.setdefault(key(c), []).append(i)
    return list(found.values())
