"""Configurations as pytrees: what may differ between the trials of one compiled program is a leaf.

A configuration is a frozen dataclass whose fields are declared by `static` (structure: part of the
compiled program) or `traced` (a number: a leaf of the pytree, free to differ from trial to trial
under `jax.vmap`). This module does not import jax, so that a command line that is wrong is answered
at once; classes are registered as pytrees as soon as jax is there.
"""

import dataclasses
import sys
import typing
from collections.abc import Callable
from typing import Any, TypeVar, dataclass_transform

from mi203jax.core.errors import UsageError
from mi203jax.core.fields import (
    check_value,
    field_of,
    is_numpy_scalar,
    is_static,
    static,
    traced,
    type_of,
)

T = TypeVar("T")

COLUMNS = ("trial", "status", "step", "seconds", "error", "seeds", "lost", "mean", "low", "high", "tie")
"""Columns of the tables of results beside those of fields and metrics."""


@dataclass_transform(frozen_default=True)
def config(cls: type[T]) -> type[T]:
    """Makes a class of `traced` and `static` fields a frozen dataclass and a pytree.

    Values are checked when a configuration is made: their type, their interval, and then whatever
    the class's own method `check` says. Arrays and tracers, which jax puts in place of traced
    numbers, pass unchecked.

    Raises:
        UsageError: when a configuration is made with a value that its field does not take.
    """
    cls = dataclasses.dataclass(frozen=True)(cls)
    types_of_fields = typing.get_type_hints(cls)
    for f in dataclasses.fields(cls):  # type: ignore[arg-type]
        if f.name in COLUMNS:
            raise TypeError(f"{cls.__name__}.{f.name}: the table of results has a column of that name")
        if "static" not in f.metadata:
            raise TypeError(f"{cls.__name__}.{f.name}: declare it with `static` or `traced`")
        if not f.metadata["static"] and types_of_fields[f.name] not in (int, float):
            raise TypeError(f"{cls.__name__}.{f.name}: only int and float fields can be traced")
    _unregistered.append(cls)
    if "jax" in sys.modules:
        register_pytrees()
    return cls


_unregistered: list[type] = []


def register_pytrees() -> None:
    """Registers with jax the configurations that were declared before jax was imported."""
    from jax import tree_util

    while _unregistered:
        cls = _unregistered.pop()
        fields = dataclasses.fields(cls)
        leaves = [f.name for f in fields if not f.metadata["static"]]
        statics = [f.name for f in fields if f.metadata["static"]]
        tree_util.register_pytree_with_keys(
            cls,
            lambda c, leaves=leaves, statics=statics: (  # type: ignore[misc]
                [(tree_util.GetAttrKey(n), getattr(c, n)) for n in leaves],
                tuple(getattr(c, n) for n in statics),
            ),
            # Not through the constructor: jax also builds trees of things that are no numbers.
            lambda aux, children, cls=cls, leaves=leaves, statics=statics: _rebuild(  # type: ignore[misc]
                cls, [*zip(leaves, children, strict=True), *zip(statics, aux, strict=True)]
            ),
        )


def without_traced(c: T) -> T:
    """The configuration without what may differ from trial to trial: to read it raises UsageError."""
    fields = dataclasses.fields(typing.cast(Any, c))
    hidden = {f.name: property(_varying(f.name)) for f in fields if not f.metadata["static"]}
    seen = [(f.name, getattr(c, f.name)) for f in fields if f.name not in hidden]
    return typing.cast(T, _rebuild(type(type(c).__name__, (type(c),), hidden), seen))


def _varying(name: str) -> Callable[[object], Any]:
    def read(_: object) -> Any:
        raise UsageError(
            f"{name} was asked for by the task's `data`, which all trials of a program share, while {name} "
            "may differ between them: declare it `static`, or use it in `init` or `step`."
        )

    return read


def _rebuild(cls: type, items: list[tuple[str, Any]]) -> Any:
    new: Any = object.__new__(cls)
    for name, value in items:
        object.__setattr__(new, name, value)
    return new


@config
class BaseConfig:
    """What every experiment has."""

    seed: int = traced(0, "seed of every random choice of the trial", "[0, 2147483647]")

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            if is_static(f) or not _stands_for_numbers(value):
                object.__setattr__(self, f.name, check_value(f, type_of(type(self), f.name), value))
        self.check()

    def check(self) -> None:
        """Checks what concerns several fields at once; subclasses extend it.

        Raises:
            UsageError: if the fields contradict each other.
        """

    @property
    def is_alone(self) -> bool:
        """Whether a part of its state lies outside of JAX, so that no other trial shares its program."""
        return False

    @property
    def frames_per_step(self) -> int:
        """Frames in a step: where it is not 1, learning curves count these, as papers do."""
        return 1


@config
class RunConfig(BaseConfig):
    """What every experiment has whose task is trained. A *step* is the unit in which runs are measured."""

    # Not up to 2³¹, so that the step after the last one can still be counted.
    total_steps: int = static(10_000, "length of the run, in steps", "[1, 2000000000]")
    eval_every: int = static(1_000, "steps between two evaluations", "[1, inf)")

    @property
    def steps_per_iteration(self) -> int:
        """Steps that one call of the task's `step` makes."""
        return 1

    @property
    def bytes_outside(self) -> int:
        """Bytes that a trial takes of the host's memory outside of JAX."""
        return 0

    @property
    def num_iterations(self) -> int:
        """Calls of the task's `step` in the whole run: `total_steps`, rounded up to whole calls."""
        return -(-self.total_steps // self.steps_per_iteration)

    @property
    def eval_iterations(self) -> int:
        """Calls of the task's `step` between two evaluations: `eval_every`, rounded down."""
        return min(max(1, self.eval_every // self.steps_per_iteration), self.num_iterations)


def _stands_for_numbers(value: Any) -> bool:
    """Whether this is what jax puts in place of a number: an array, a tracer, a shape, a placeholder."""
    return type(value) is object or (hasattr(value, "shape") and not is_numpy_scalar(value))


def static_part(c: BaseConfig) -> tuple:
    """What trials must share to run in one compiled program; hashable."""
    return type(c), tuple(getattr(c, f.name) for f in dataclasses.fields(c) if is_static(f))


# ---- saving and loading ----


def to_dict(c: BaseConfig) -> dict[str, Any]:
    """The fields as JSON takes them; `from_dict` gives an equal configuration back."""
    fields = ((f.name, getattr(c, f.name)) for f in dataclasses.fields(c))
    return {n: list(v) if isinstance(v, tuple) else v for n, v in fields}


def from_dict(cls: type[T], values: dict[str, Any]) -> T:
    """The configuration that `to_dict` described. No code of the file's is run.

    Raises:
        UsageError: if a field is missing, unknown, or of another type.
    """
    missing = {f.name for f in dataclasses.fields(cls)} - set(values)  # type: ignore[arg-type]
    for name in values:
        field_of(cls, name)
    if missing:
        raise UsageError(f"Missing field {sorted(missing)[0]!r} of {cls.__name__}.")
    return cls(**values)
