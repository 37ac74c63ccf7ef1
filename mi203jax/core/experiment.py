"""An experiment: a task of the course, with the configuration it runs with. Does not import jax."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from mi203jax.core.config import RunConfig

if TYPE_CHECKING:
    from mi203jax.core.task import Task


class Experiment(NamedTuple):
    """What `python launch.py --exp=NAME` runs.

    Attributes:
        config: the defaults, of which the command line changes fields.
        task: gives the task; called only when something is to run, so that it may import jax.
    """

    config: RunConfig
    task: "Callable[[], Task]"
