"""An experiment: a task of the course, with the configuration it runs with. Does not import jax."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from mi203jax.core.config import BaseConfig
from mi203jax.core.errors import UsageError, did_you_mean
from mi203jax.core.trials import Sweep

if TYPE_CHECKING:
    from mi203jax.core.series import Series
    from mi203jax.core.task import Task


class Experiment(NamedTuple):
    """What `python launch.py --exp=NAME` runs.

    Attributes:
        config: the defaults, of which the command line changes fields.
        task: `"module:name"` of the task, imported only when something is to run; or the task itself.
        sweeps: name -> what `--sweep=NAME` stands for, as one would type it: `"learning_rate=1e-3,1e-4"`. A
            sweep may be of one trial, which names a configuration. "default" is run where none is asked for.
        series: of an experiment that is made of runs of others, `"module:name"` of its
            `mi203jax.core.series.Series`; it has no task then.
    """

    config: BaseConfig
    task: "str | Task"
    sweeps: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    series: "str | Series" = ""

    def sweep(self, name: str | None, assignments: Sequence[str] = ()) -> Sweep:
        """A sweep by its name; what is assigned beside it takes the place of its own.

        Args:
            name: of the sweep; None: "default", if there is one.
            assignments: `"field=values"`, as typed.

        Raises:
            UsageError: if there is no such sweep.
        """
        if name is not None and name not in self.sweeps:
            raise UsageError(f"Unknown --sweep={name}. {did_you_mean(name, self.sweeps)}")
        named = self.sweeps.get(name or "default", ())
        given = {a.partition("=")[0] for a in assignments}
        own = [a for a in named if a.partition("=")[0] not in given]
        return Sweep(self.config, (*own, *assignments))

    def load_task(self) -> "Task":
        """The task."""
        return _load(self.task)

    def load_series(self) -> "Series":
        """What it is made of, if that is runs of other experiments."""
        return _load(self.series)


Find = Callable[[str], Experiment]
"""The registry: the experiment of a name."""


def _load(named: Any) -> Any:
    if not isinstance(named, str):
        return named
    module, _, name = named.partition(":")
    return getattr(importlib.import_module(module), name)
