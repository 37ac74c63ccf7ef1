"""Claims as data: "A is better than B", and the settings in which that is asked.

Does not import jax: see `mi203jax.core.config`.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

Fields = tuple[str, ...]
"""`"field=value"`, as typed on the command line; of some, several values, or what they are drawn from."""

Budget = Literal["examples", "updates", "seconds"]
"""What both arms get the same of."""


class Arm(NamedTuple):
    """One of the two choices."""

    name: str
    fields: Fields


class Claim(NamedTuple):
    """That one arm ends better than another, once both are tuned alike.

    Attributes:
        slide: the slide that says so.
        first: what is claimed to be better.
        second: than this.
        space: what both are tuned over: `"learning_rate=loguniform(1e-3,10)"`.
        common: fields of both.
        budget: what both get the same of: training examples (so epochs), updates of the parameters, or
            seconds, as `Setting.microseconds` says.
        experiments: where it can be asked.
    """

    slide: str
    first: Arm
    second: Arm
    space: Fields
    common: Fields = ()
    budget: Budget = "examples"
    experiments: tuple[str, ...] = ("image_classification", "vectors")

    @property
    def statement(self) -> str:
        """`"A > B"`."""
        return f"{self.first.name} > {self.second.name}"


class Setting(NamedTuple):
    """Where a claim is asked: a data set, an architecture, a budget.

    Attributes:
        experiment: the name of the experiment that runs.
        fields: of both arms. Fields with several values make a cell of each combination of them; fields that
            are drawn, as many cells as are asked for.
        tune: fields while the arms are tuned, of each fold: what is held out of the training examples. A
            configuration counts by its mean over the folds, so that few examples need not choose alone.
        diverged: what a run that diverged counts for: the accuracy of guessing, say. None: what it came to.
        microseconds: batch size -> time that an update takes for each example, on the machine for which equal
            seconds are meant (`python -m benchmarks.batch_time`).
    """

    experiment: str
    fields: Fields
    tune: tuple[Fields, ...] = ((),)
    diverged: float | None = None
    microseconds: Mapping[int, float] = {}

    @property
    def is_drawn(self) -> bool:
        """Whether its cells are drawn."""
        return any("=choice(" in f or "uniform(" in f for f in self.fields)
