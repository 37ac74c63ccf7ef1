"""An experiment: a task of the course, with the configuration it runs with. Does not import jax."""

import importlib
from typing import TYPE_CHECKING, NamedTuple

from mi203jax.core.config import RunConfig

if TYPE_CHECKING:
    from mi203jax.core.task import Task


class Experiment(NamedTuple):
    """What `python launch.py --exp=NAME` runs.

    Attributes:
        config: the defaults, of which the command line changes fields.
        task: `"module:name"` of the task, imported only when something is to run; or the task itself.
    """

    config: RunConfig
    task: "str | Task"

    def load_task(self) -> "Task":
        """The task."""
        if not isinstance(self.task, str):
            return self.task
        module, _, name = self.task.partition(":")
        return getattr(importlib.import_module(module), name)
