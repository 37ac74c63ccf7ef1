"""The examples of a prepared split: by index, each checked as it is read, or stacked into arrays."""

import contextlib
import copy
import math
import operator
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np

from mi203jax.core.errors import UsageError

LARGE = 2**30
"""Bytes for which it is asked whether they are free."""

Shape = tuple[int | None, ...]


class Info(NamedTuple):
    """What a split of a set is.

    Attributes:
        classes: names of the label's classes, in order; empty if the label is no class.
        name: as it was asked for, with its version.
        split: as it was asked for.
        description: what it is, its origin and licence.
        citation: BibTeX.
        shapes: name of each feature -> shape and dtype of one example; the first axis is None if it
            varies (sequences).
    """

    classes: tuple[str, ...]
    name: str
    split: str
    description: str
    citation: str
    shapes: dict[str, tuple[Shape, np.dtype]]


class Records:
    """The examples of a split, by index; several threads may read it, and it can be pickled.

    A subclass says in `shapes` what arrays an example has, and makes them in `_arrays`. An example that is
    damaged or not as it should be raises `UsageError` when it is read.

    Attributes:
        name: the set's, as it was asked for.
        shapes: name of each array -> shape and dtype in one example.
    """

    shapes: dict[str, tuple[Shape, np.dtype]]

    def __init__(self, records: Any, name: str):
        """Args are TFDS's data source and the set's name."""
        self._records, self.name = records, name

    def __len__(self) -> int:
        return len(self._records)

    @property
    def bytes_each(self) -> int:
        """Bytes of an example in memory; of a sequence, those of one step."""
        return sum(math.prod(n or 1 for n in shape) * dtype.itemsize for shape, dtype in self.shapes.values())

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, np.ndarray]]:
        """Several examples: much faster than one by one."""
        indices = [operator.index(i) for i in indices]
        if any(i not in range(len(self)) for i in indices):
            raise IndexError(f"{self.name}: expected indices below {len(self)}, got {indices}.")
        return [self._arrays(i, example) for i, example in zip(indices, self._read(indices), strict=True)]

    def _read(self, indices: list[int]) -> list[dict[str, Any]]:
        if len(indices) != 1:
            try:
                return self._records.__getitems__(indices)
            except Exception:  # one by one, to name the broken one
                return [self._read([i])[0] for i in indices]
        with reading(self.name, f"example {indices[0]}"):
            return [self._records[indices[0]]]  # the other way would start a thread

    def _arrays(self, index: int, example: dict[str, Any]) -> dict[str, np.ndarray]:
        """The arrays of an example, whose index is for messages, from what TFDS decoded."""
        raise NotImplementedError


class Source(Records):
    """The features of a set as they are: arrays of the shapes and dtypes of `Info.shapes`.

    Reading an example of another shape, that holds NaN or infinity, or whose label is no class, raises
    `UsageError`.
    """

    def __init__(self, records: Any, name: str, features: Mapping[str, Any]):
        """Args are TFDS's data source, the set's name, and TFDS's description of the features."""
        super().__init__(records, name)
        self._num_classes = {k: f.num_classes for k, f in features.items() if hasattr(f, "num_classes")}
        self.shapes = {}
        first = self._read([0])[0]
        for key, feature in sorted(features.items()):
            value = first[key]
            if isinstance(value, dict) or (isinstance(value, list) and None in feature.shape[1:]):
                raise UsageError(f"{name}: feature {key} is nested or ragged, which makes no array.")
            dtype = np.dtype(feature.np_dtype)
            if not feature.shape and dtype.kind in "iu":
                dtype = np.dtype(np.int32)
            # A sequence may be of any length. Images must be of one size, which the first one sets.
            shape = np.shape(value) if None in feature.shape[1:] else tuple(feature.shape)
            self.shapes[key] = shape, dtype

    def only(self, features: Sequence[str]) -> "Source":
        """The same examples with some of their features; the others are not looked at."""
        chosen = copy.copy(self)
        chosen.shapes = {name: self.shapes[name] for name in features}
        return chosen

    def _arrays(self, index: int, example: dict[str, Any]) -> dict[str, np.ndarray]:
        checked = {}
        for key, (shape, dtype) in self.shapes.items():
            feature = f"{self.name}: feature {key}"
            try:
                value = checked[key] = np.asarray(example[key], dtype)
            except (KeyError, ValueError, OverflowError) as error:
                raise UsageError(f"{feature} of example {index} is no {dtype} array: {error}") from error
            if value.ndim != len(shape) or any(
                m not in (n, None) for m, n in zip(shape, value.shape, strict=True)
            ):
                raise UsageError(
                    f"{feature} has unequal shapes: {value.shape} in example {index}, others {shape}."
                )
            if dtype.kind == "f" and not np.isfinite(value).all():
                what = "NaN" if np.isnan(value).any() else "infinity"
                raise UsageError(f"{feature} holds {what}, first seen in example {index}.")
            classes = self._num_classes.get(key)
            if classes is not None and ((value < 0) | (value >= classes)).any():
                raise UsageError(
                    f"{feature} is {value} in example {index}: its {classes} classes begin at 0."
                )
        return checked


def stack(source: Records, name: str, slice_size: int = 1000) -> dict[str, np.ndarray]:
    """All examples as arrays.

    Args:
        source: the examples.
        name: the set's, for the line of progress that a terminal gets if it takes long.
        slice_size: examples that are read at once.

    Returns:
        name -> `[examples, ...]`. Sequences are padded with zeros at the end, and `NAME_length`
        `[examples]`, int32, says how long each is.

    Raises:
        UsageError: if they do not fit into memory; for a bad example.
    """
    _check_room(source, name)
    fixed = {
        k: np.empty((len(source), *cast(tuple[int, ...], shape)), dtype)
        for k, (shape, dtype) in source.shapes.items()
        if None not in shape
    }
    sequences: dict[str, list[np.ndarray]] = {k: [] for k in source.shapes if k not in fixed}
    start, shown = time.monotonic(), False
    for low in range(0, len(source), slice_size):
        for i, example in enumerate(source.__getitems__(range(low, min(low + slice_size, len(source)))), low):
            for key, array in fixed.items():
                array[i] = example[key]
            for key, values in sequences.items():
                values.append(example[key])
        if sys.stderr.isatty() and time.monotonic() - start > 3:
            shown = True
            print(f"\rreading {name}: {100 * low // len(source)} %", end="", file=sys.stderr, flush=True)
    if shown:
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    arrays = dict(fixed)
    for key, values in sequences.items():
        arrays[key], arrays[f"{key}_length"] = _pad(values)
    return arrays


def _check_room(source: Records, name: str) -> None:
    """Whether there is room for the examples: else the system ends the process."""
    size = len(source) * source.bytes_each
    if size <= LARGE:
        return
    from mi203jax.core.memory import available_to_host  # it imports jax

    if size > (free := available_to_host()):
        raise UsageError(
            f"{name}: {len(source):,} examples take {size / 1e9:.3g} gigabytes, {free / 1e9:.3g} are free: "
            "expected less, or a part of them, such as train[:10%]."
        )


def cannot_be_read(name: str, part: str, error: Exception) -> str:
    """The line for a damaged file."""
    reason = " ".join(str(error).split()).partition(" <_io")[0] or type(error).__name__  # where in memory
    return f"{name}: {part} cannot be read: {reason}. If it is damaged, prepare the set again."


@contextlib.contextmanager
def reading(name: str, part: str) -> Iterator[None]:
    """Whatever goes wrong while a part of a set is read is told in one line.

    Args:
        name: the set's.
        part: such as "example 3".

    Raises:
        UsageError: instead of what was raised.
    """
    try:
        yield
    except UsageError:
        raise
    except Exception as error:  # kinds of JSON's, protobuf's, TFDS's, array_record's, Pillow's
        raise UsageError(cannot_be_read(name, part, error)) from error


def _pad(values: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    lengths = np.array([len(v) for v in values], np.int32)
    padded = np.zeros((len(values), lengths.max(), *values[0].shape[1:]), values[0].dtype)
    for i, value in enumerate(values):
        padded[i, : len(value)] = value
    return padded, lengths
