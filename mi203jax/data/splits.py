"""From a set's name to what a supervised task learns from and is judged on; read once for all trials.

A split is opened once, and what is read of it is kept with its source: the same source, the same arrays.
"""

import functools
import math
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from mi203jax.core.errors import UsageError
from mi203jax.data.feed import Data, Resident, Streamed
from mi203jax.data.sets import open_source
from mi203jax.data.source import Info, Records, Source, stack
from mi203jax.data.standardize import Standardization, Statistics, fit_statistics

Feed = Literal["auto", "memory", "stream"]
MEMORY = 2**30
"""Bytes of training examples above which `feed="auto"` streams them."""
FITTED, FITTED_NUMBERS = 60_000, 50_000_000
"""Training examples by which others are standardised, at most; of large ones, so many numbers."""
SAMPLED = 1_000
"""Training examples that stand for all, at most."""


def supervised_data(
    name: str,
    inputs: str,
    *,
    train_split: str = "train",
    eval_split: str = "test",
    data_dir: str = "",
    standardization: Standardization = "feature",
    batch_size: int,
    feed: Feed = "auto",
) -> Data | Streamed:
    """A set's training examples, in memory or streamed, those that it is judged on, and statistics.

    Whichever feed: the same batches in the same order, standardised by the same statistics.

    Args:
        name: as in `load`.
        inputs: the feature that is learnt from; "label" is what is predicted.
        train_split: what is trained on, as `load`'s `split`.
        eval_split: what is judged on.
        data_dir: as in `load`; empty: none.
        standardization: see `fit_statistics`.
        batch_size: examples in a batch.
        feed: "memory", "stream", or "auto": by the set's size.

    Raises:
        UsageError: if the set cannot be read, has no such features, or less than a batch of examples.
    """
    features = (inputs, "label")
    train = split_source(name, train_split, data_dir, features)
    _check_features(train[1], inputs)
    test = split_source(name, eval_split, data_dir, features)
    return data_of(train, test, inputs, standardization=standardization, batch_size=batch_size, feed=feed)


def data_of(
    train: tuple[Records, Info],
    test: tuple[Records, Info],
    inputs: str,
    *,
    standardization: Standardization,
    batch_size: int,
    feed: Feed = "auto",
) -> Data | Streamed:
    """Training examples, in memory or streamed, those that are judged on, and statistics, of opened sets.

    Whichever feed: the same batches in the same order, standardised by the same statistics. What is read
    is kept for as long as the same sources are given: open each split once, by a function that is cached.

    Args:
        train: what is trained on, as an opener gives it.
        test: what is judged on.
        inputs: the array whose statistics are taken, padding included.
        standardization: see `fit_statistics`.
        batch_size: examples in a batch.
        feed: "memory", "stream", or "auto": by the size of the training examples.

    Raises:
        UsageError: if the two splits have other shapes, or there is less than a batch of examples.
    """
    (source, info), (test_source, test_info) = train, test
    check_batch(batch_size, len(source), f"{info.split} of {info.name}")
    for name, (shape, _) in source.shapes.items():
        other = test_source.shapes[name][0]
        if other != shape:
            raise UsageError(
                f"data={info.name}: {name} has shape {other} in {test_info.split}, {shape} in {info.split}."
            )
    if feed == "auto":
        feed = "memory" if len(source) * source.bytes_each <= MEMORY else "stream"
    statistics = source_statistics(source, inputs, standardization, feed == "memory")
    arrays = source_arrays(test_source)
    if feed == "stream":
        return Streamed(source, Data(None, arrays, statistics), batch_size)
    return Data(Resident(source_arrays(source)), arrays, statistics)


def _check_features(info: Info, inputs: str) -> None:
    (shape, dtype), (label_shape, label_dtype) = (info.shapes[n] for n in (inputs, "label"))
    if None in shape:
        raise UsageError(
            f"{info.name}: {inputs} is a sequence of any length: expected one shape for all examples."
        )
    if dtype.kind not in "biuf" or label_dtype.kind not in "iu" or label_shape != ():
        raise UsageError(
            f"{info.name}: {inputs} is {dtype}, label {label_dtype} of shape {label_shape}: expected "
            "numbers, and one whole number as label."
        )


@functools.lru_cache(maxsize=8)
def split_source(
    name: str, split: str, data_dir: str = "", features: tuple[str, ...] = ()
) -> tuple[Source, Info]:
    """`open_source`, once for all trials and programs, with these features only, if they are there."""
    source, info = open_source(name, split, data_dir or None)
    missing = set(features) - set(info.shapes)
    if missing:
        raise UsageError(
            f"data={info.name} has no {missing.pop()!r}: expected a set with {' and '.join(features)}, not "
            f"with {' and '.join(sorted(info.shapes))}."
        )
    return source.only(features or tuple(info.shapes)), info


def split_arrays(name: str, split: str, data_dir: str, features: tuple[str, ...]) -> dict[str, jax.Array]:
    """A split's features in the device's memory, once for all trials and programs."""
    return source_arrays(split_source(name, split, data_dir, features)[0])


@functools.lru_cache(maxsize=4)
def source_arrays(source: Records) -> dict[str, jax.Array]:
    """A source's examples in the device's memory, once for all trials and programs."""
    return {name: jnp.asarray(values) for name, values in stack(source, source.name).items()}


@functools.lru_cache(maxsize=4)
def source_statistics(
    source: Records, inputs: str, standardization: Standardization, in_memory: bool
) -> Statistics:
    """The statistics of one array, slice by slice; of large splits, of some of the examples."""
    numbers = math.prod(n or 1 for n in source.shapes[inputs][0])
    chosen = _evenly(source, min(FITTED, max(SAMPLED, FITTED_NUMBERS // numbers)))
    if in_memory:
        return fit_statistics(source_arrays(source)[inputs][chosen], standardization)
    return fit_statistics(_Read(source, inputs, chosen), standardization)


@functools.lru_cache(maxsize=4)
def source_sample(source: Records) -> dict[str, np.ndarray]:
    """Some of a source's examples, evenly spaced: name -> `[examples, ...]`."""
    examples = source.__getitems__(_evenly(source, SAMPLED).tolist())
    return {name: np.stack([e[name] for e in examples]) for name in source.shapes}


def _evenly(source: Records, most: int) -> np.ndarray:
    """Indices of so many examples, or of all."""
    return np.unique(np.linspace(0, len(source) - 1, min(most, len(source))).round().astype(int))


class _Read:
    """An array of some of a source's examples, read when it is asked for."""

    def __init__(self, source: Records, name: str, chosen: np.ndarray):
        self.shape: Any = (len(chosen), *source.shapes[name][0])
        self._source, self._name, self._chosen = source, name, chosen

    def __getitem__(self, where: slice, /) -> jax.Array:
        examples = self._source.__getitems__(self._chosen[where].tolist())
        return jnp.asarray(np.stack([e[self._name] for e in examples]))


def check_batch(batch_size: int, num_examples: int, where: str) -> None:
    """Raises UsageError if a batch is larger than the set."""
    if batch_size > num_examples:
        raise UsageError(
            f"batch_size={batch_size} is larger than {where}: expected at most {num_examples}, all of it."
        )
