"""From a set's name to what a supervised task learns from and is judged on; read once for all trials."""

import functools
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from mi203jax.core.errors import UsageError
from mi203jax.data.feed import Data, Resident, Streamed
from mi203jax.data.sets import DataSet, load
from mi203jax.data.standardize import Standardization, fit_statistics

Feed = Literal["auto", "memory", "stream"]
MEMORY = 2**30
"""Bytes of training examples above which they are streamed."""


@functools.lru_cache(maxsize=8)
def read(name: str, split: str, data_dir: str) -> DataSet:
    """`load`, once for all trials and programs; an empty `data_dir` is none."""
    return load(name, split, data_dir or None)


@functools.lru_cache(maxsize=2)
def resident_data(
    name: str, inputs: str, train_split: str, eval_split: str, data_dir: str, standardization: Standardization
) -> Data:
    """A set's two splits in the device's memory, with the statistics of the first.

    Args:
        name: as in `load`, and so are `train_split`, `eval_split` and `data_dir` (empty: none).
        inputs: the feature that is learnt from; "label" is what is predicted.
        standardization: see `fit_statistics`.

    Raises:
        UsageError: if the set cannot be read, or has no such features.
    """
    train, test = (_features(read(name, s, data_dir), inputs) for s in (train_split, eval_split))
    if train[inputs].shape[1:] != test[inputs].shape[1:]:
        raise UsageError(f"data={name}: its splits have {inputs}s of different shapes.")
    return Data(Resident(train), test, fit_statistics(train[inputs], standardization))


def _features(found: DataSet, inputs: str) -> dict[str, jax.Array]:
    missing = {inputs, "label"} - set(found.arrays)
    if missing:
        raise UsageError(
            f"data={found.name} has no {missing.pop()!r}, but {', '.join(sorted(found.arrays))}: "
            f"expected a set with {inputs!r} and 'label'."
        )
    return {n: jnp.asarray(found.arrays[n]) for n in (inputs, "label")}


def check_batch(batch_size: int, num_examples: int, where: str) -> None:
    """Raises UsageError if a batch is larger than the set."""
    if batch_size > num_examples:
        raise UsageError(
            f"batch_size={batch_size} is larger than {where}: expected at most {num_examples}, all of it."
        )
