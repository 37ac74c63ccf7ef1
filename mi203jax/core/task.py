"""What a task is: pure functions, and nothing about loops, files or devices."""

import abc
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mi203jax.core.config import RunConfig, register_pytrees, without_traced

register_pytrees()

PyTree = Any
"""Arrays in tuples, dicts and dataclasses."""


class Mean(NamedTuple):
    """A measure that is not made once an iteration: its sum, and over how many.

    The loop sums both over the iterations between two records and divides at the end, so that the
    mean return of the episodes that ended, say, weighs each episode alike.
    """

    total: jax.Array  # scalar
    weight: jax.Array  # scalar; 0: nothing measured


Metrics = dict[str, jax.Array | Mean]
"""Scalars by name. A plain scalar counts once."""


def as_mean(value: jax.Array | Mean) -> Mean:
    """A plain scalar as a mean over one; both parts float32."""
    mean = value if isinstance(value, Mean) else Mean(jnp.asarray(value), jnp.ones(()))
    return Mean(jnp.asarray(mean.total, jnp.float32), jnp.asarray(mean.weight, jnp.float32))


class Animation(NamedTuple):
    """A figure that moves."""

    frames: list[np.ndarray]  # each [height, width, 3], uint8
    frames_per_second: float


Figure = Any
"""A matplotlib figure or an `Animation`."""


class Streaming(abc.ABC):
    """Data of which the host brings each step its part, since the whole does not fit into memory."""

    shared: PyTree
    """What `init`, `evaluate` and `figures` get."""

    slots: int
    """Steps that can be brought for at once."""

    @property
    @abc.abstractmethod
    def example(self) -> PyTree:
        """Shapes and dtypes of what one trial's `step` gets."""

    @abc.abstractmethod
    def windows(self, keys: jax.Array, first: int, last: int) -> Callable[[int], PyTree]:
        """A function that brings what the next so many steps get, with a leading trial axis.

        Args:
            keys: each trial's key, `[trials]`.
            first: the step to begin with.
            last: the step before which the run ends.
        """


def no_data(config: Any) -> None:
    """The data of a task that makes its own, as reinforcement learning does."""


def no_figures(config: Any, state: PyTree, data: PyTree) -> dict[str, Figure]:
    """The figures of a task that has none of its own."""
    return {}


class Task(NamedTuple):
    """A task of the course: how a state begins, goes on, is judged and is shown.

    `init`, `step` and `evaluate` are pure and traced; they know one trial alone, and may be put under
    `jit`, `vmap` and `grad`. `config` is a pytree whose traced fields may be tracers: derive static
    things from its static fields only.

    Attributes:
        init: (config, data, key) -> state: everything that the next step needs, the run's key too.
        step: (config, state, data, t) -> (state, metrics). `t` counts the calls from 0; it is the
            loop's and the same for all trials of a program, so that `lax.cond` on it stays cheap
            under `vmap`. Draw with `fold_in(key, t)`, then split with a name for each use.
        evaluate: (config, state, data) -> metrics, on examples or episodes that are not trained on.
        figures: (config, state, data) -> {name: figure}, on the host, for one trial, after the run.
        data: config -> arrays that all trials of a program share, or a `Streaming`; called once a
            program, on the host, with a configuration whose traced fields, the seed too, cannot be read.
        objective: the metric by which trials are compared, such as "eval/return".
        best: whether a larger or a smaller objective is better.
        on_cpu: how a CPU runs the trials of a program: "vmap", side by side, which wins for small models;
            or "map", one after the other, which wins for convolutional networks. Elsewhere: "vmap".
        beside: metrics that figures draw beside the objective, such as a baseline's.
        curves: metrics that get a learning curve of their own, where they are measured.
    """

    init: Callable[[Any, PyTree, jax.Array], PyTree]
    step: Callable[[Any, PyTree, PyTree, jax.Array], tuple[PyTree, Metrics]]
    evaluate: Callable[[Any, PyTree, PyTree], Metrics]
    figures: Callable[[Any, PyTree, PyTree], dict[str, Figure]] = no_figures
    data: Callable[[Any], PyTree] = no_data
    objective: str = "eval/loss"
    best: Literal["max", "min"] = "min"
    on_cpu: Literal["vmap", "map"] = "vmap"
    beside: tuple[str, ...] = ()
    curves: tuple[str, ...] = ()

    def shared_data(self, config: RunConfig) -> PyTree:
        """What `data` gives to a program, by the static fields of one of its trials.

        Raises:
            UsageError: if `data` reads a field that may differ between the trials.
        """
        return self.data(without_traced(config))

    @property
    def compared_by(self) -> dict[str, str]:
        """The objective and what is best, as the provenance of a run notes them."""
        return {"objective": self.objective, "best": self.best}
