"""What a claim is judged by, and what is said of it."""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

Kind = Literal["holds", "fails", "undecided", "not run"]


class Verdict(NamedTuple):
    """Whether a claim holds, and by which numbers."""

    kind: Kind
    words: str


class Evidence(NamedTuple):
    """What judges go by.

    Attributes:
        rows: of each trial, as `mi203jax.core.results.results` gives them.
        texts: file name -> text, of what a series wrote.
        beside: experiment -> rows, of the other runs that a slide's row names.
    """

    rows: Sequence[Mapping[str, Any]]
    texts: Mapping[str, str] = {}
    beside: Mapping[str, Sequence[Mapping[str, Any]]] = {}

    def of(self, experiment: str) -> "Evidence":
        """What another run of the slide's row measured; of one that was not to run, nothing."""
        return Evidence(self.beside.get(experiment, ()))

    def best(self, metric: str, over: str, **fields: str) -> tuple[float, str]:
        """The largest mean of a metric over the values of another field, and that value.

        Raises:
            NotMeasuredError: if no such trial has a number.
        """
        found = {}
        for value in dict.fromkeys(str(row[over]) for row in self.rows if over in row):
            with contextlib.suppress(NotMeasuredError):
                found[value] = self.mean(metric, **{over: value}, **fields)
        if not found:
            raise NotMeasuredError(f"No trial of several {over} ended with a number of {metric}")
        value = max(found, key=found.__getitem__)
        return found[value], value

    def mean(self, metric: str, **fields: str) -> float:
        """The mean of a metric's last value over the trials with these values that ended well.

        Args:
            metric: such as "eval/accuracy".
            **fields: as they are typed: `residual="false"`.

        Raises:
            NotMeasuredError: if no such trial has a number.
        """
        own = [row for row in self.rows if all(row.get(n) == v for n, v in fields.items())]
        numbers = [row[metric] for row in own if row["status"] == "done" and row.get(metric) is not None]
        if not numbers:
            where = "".join(f" {n}={v}" for n, v in fields.items())
            raise NotMeasuredError(f"No trial{' with' * bool(fields)}{where} ended with a number of {metric}")
        return sum(numbers) / len(numbers)


class NotMeasuredError(LookupError):
    """What a claim is judged by is not there."""
