"""From a set's name to what a supervised task learns from and is judged on; read once for all trials."""

import functools
import math
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from mi203jax.core.errors import UsageError
from mi203jax.data.feed import Data, Resident, Streamed
from mi203jax.data.sets import open_source
from mi203jax.data.source import Info, Source, stack
from mi203jax.data.standardize import Standardization, Statistics, fit_statistics

Feed = Literal["auto", "memory", "stream"]
MEMORY = 2**30
"""Bytes of training examples above which `feed="auto"` streams them."""
FITTED = 60_000
"""Training examples by which others are standardised, at most; evenly spaced."""


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
    source, info = split_source(name, train_split, data_dir, (inputs, "label"))
    _check_features(info, inputs)
    check_batch(batch_size, len(source), f"{train_split} of {info.name}")
    key = (name, train_split, data_dir, (inputs, "label"))
    shape, dtype = info.shapes[inputs]
    if feed == "auto":
        size = len(source) * math.prod(n or 1 for n in shape) * dtype.itemsize
        feed = "memory" if size <= MEMORY else "stream"
    test = split_arrays(name, eval_split, data_dir, (inputs, "label"))
    if test[inputs].shape[1:] != shape:
        raise UsageError(
            f"data={name}: {eval_split} has shape {test[inputs].shape[1:]}, {train_split} {shape}."
        )
    statistics = split_statistics(*key, standardization, feed == "memory")
    if feed == "stream":
        return Streamed(_Chosen(source, (inputs, "label")), Data(None, test, statistics), batch_size)
    return Data(Resident(split_arrays(*key)), test, statistics)


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
    """`open_source`, once for all trials and programs; checks that the features are there."""
    source, info = open_source(name, split, data_dir or None)
    missing = set(features) - set(info.shapes)
    if missing:
        raise UsageError(
            f"data={info.name} has no {missing.pop()!r}: expected a set with {' and '.join(features)}, not "
            f"with {' and '.join(sorted(info.shapes))}."
        )
    return source, info


@functools.lru_cache(maxsize=4)
def split_arrays(name: str, split: str, data_dir: str, features: tuple[str, ...]) -> dict[str, jax.Array]:
    """A split's features in the device's memory, once for all trials and programs."""
    source, _ = split_source(name, split, data_dir, features)
    return {n: jnp.asarray(v) for n, v in stack(source, name).items() if n in features}


@functools.lru_cache(maxsize=4)
def split_statistics(
    name: str,
    split: str,
    data_dir: str,
    features: tuple[str, ...],
    standardization: Standardization,
    in_memory: bool,
) -> Statistics:
    """The statistics of a split's first feature, slice by slice; of large splits, of some of the examples."""
    source, info = split_source(name, split, data_dir, features)
    chosen = np.unique(np.linspace(0, len(source) - 1, min(FITTED, len(source))).round().astype(int))
    if in_memory:
        return fit_statistics(
            split_arrays(name, split, data_dir, features)[features[0]][chosen], standardization
        )
    return fit_statistics(_Read(source, features[0], chosen, info.shapes[features[0]][0]), standardization)


class _Read:
    """A feature of some of a source's examples, read when it is asked for."""

    def __init__(self, source: Source, feature: str, chosen: np.ndarray, shape: Any):
        self.shape = (len(chosen), *shape)
        self._source, self._feature, self._chosen = source, feature, chosen

    def __getitem__(self, where: slice, /) -> jax.Array:
        examples = self._source.__getitems__(self._chosen[where].tolist())
        return jnp.asarray(np.stack([e[self._feature] for e in examples]))


def check_batch(batch_size: int, num_examples: int, where: str) -> None:
    """Raises UsageError if a batch is larger than the set."""
    if batch_size > num_examples:
        raise UsageError(
            f"batch_size={batch_size} is larger than {where}: expected at most {num_examples}, all of it."
        )


class _Chosen:
    """Some features of a source's examples."""

    def __init__(self, source: Source, features: tuple[str, ...]):
        self._source, self._features = source, features

    def __len__(self) -> int:
        return len(self._source)

    def __getitems__(self, indices: list[int]) -> list[dict[str, np.ndarray]]:
        return [{n: e[n] for n in self._features} for e in self._source.__getitems__(indices)]
