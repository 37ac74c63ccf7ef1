"""Signals of variable length as arrays: padding, masks, buckets (slide "Réseau récurrent").

Signals `[time, ...]` of several lengths stand in one array, padded at the end, beside their lengths.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mi203jax.arguments import check_int


class Sequences(NamedTuple):
    """Signals of several lengths."""

    values: Any  # [..., time, features], of any value from each signal's end on
    lengths: Any  # [...], int32, from 1 to time; None: all as long as the array


def check_lengths(function: str, lengths: Any, shape: tuple[int, ...], time: int) -> None:
    """Refuses lengths that are not whole numbers from 1 to `time`, of the given shape.

    The lengths of a traced array are not known: of these, shape and dtype alone are checked.

    Args:
        function: whose argument they are, for the message.
        lengths: `[...]`.
        shape: what their shape must be.
        time: the most that they may be.

    Raises:
        ValueError: naming the first length that cannot be.
    """
    if not isinstance(lengths, jax.core.Tracer):
        lengths = np.asarray(lengths)
    dtype = lengths.dtype
    if not jnp.issubdtype(dtype, jnp.integer):
        raise ValueError(f"{function}: expected lengths that are integers, got {dtype}.")
    if jnp.shape(lengths) != shape:
        raise ValueError(f"{function}: expected lengths of shape {shape}, got {jnp.shape(lengths)}.")
    if isinstance(lengths, jax.core.Tracer):
        return
    known = np.asarray(lengths)
    wrong = np.argwhere((known < 1) | (known > time))
    if len(wrong):
        where = tuple(int(i) for i in wrong[0])
        raise ValueError(
            f"{function}: expected lengths from 1 to {time}, got {known[where]}"
            + (f" at {where if len(where) > 1 else where[0]}." if where else ".")
        )


def time_mask(lengths: jax.Array, time: int) -> jax.Array:
    """Whether each moment lies within its signal.

    Args:
        lengths: `[...]`, integer.
        time: length of the array.

    Returns:
        `[..., time]`, bool.
    """
    lengths = jnp.asarray(lengths)[..., None]
    moments = jnp.arange(time).reshape((1,) * (lengths.ndim - 1) + (time,))
    return moments < lengths.astype(moments.dtype)


class Bucket(NamedTuple):
    """Some signals of a set, and the length of the array that they fit into."""

    signals: np.ndarray  # indices [number], int
    time: int


def bucket(lengths: Any, buckets: int) -> list[Bucket]:
    """Sorts signals by length into sets of as many signals each, as nearly as it goes; on the host.

    Args:
        lengths: `[signals]`, integers from 1 on.
        buckets: how many sets, at most the signals.

    Returns:
        The sets, the shortest signals first; the time of each is that of its longest signal.

    Raises:
        ValueError: if lengths are not such, or there are less signals than buckets.
    """
    lengths = np.asarray(lengths)
    check_int("bucket", "buckets", buckets)
    if lengths.ndim != 1 or len(lengths) < buckets:
        raise ValueError(f"bucket: expected lengths of {buckets} signals or more, got {lengths.shape}.")
    check_lengths("bucket", lengths, lengths.shape, lengths.max())
    parts = np.array_split(np.argsort(lengths, kind="stable"), buckets)
    return [Bucket(np.sort(part), int(lengths[part].max())) for part in parts]


def padded_part(lengths: Any, buckets: Sequence[Bucket]) -> float:
    """Which part of the buckets' arrays is padding, in [0, 1): the waste of their batches.

    Args:
        lengths: `[signals]`.
        buckets: see `bucket`.
    """
    room = sum(len(signals) * time for signals, time in buckets)
    return 1.0 - float(sum(np.asarray(lengths)[signals].sum() for signals, _ in buckets)) / room


def pad_sequences(signals: Sequence[Any], time: int | None = None) -> Sequences:
    """Signals of several lengths as one array, padded with zeros at the end; on the host.

    Args:
        signals: each `[time, features...]`, of any length from 1 on, all of the same other axes.
        time: length of the array; None: that of the longest signal.

    Returns:
        values `[signals, time, features...]`, of the signals' common dtype; lengths `[signals]`, int32.

    Raises:
        ValueError: if there is no signal; or one is empty, longer than `time`, of other channels, no array of
            numbers, or not finite. Says which.
    """
    if not len(signals):
        raise ValueError("pad_sequences: expected at least one signal.")
    arrays = [_as_signal(i, signal) for i, signal in enumerate(signals)]
    channels = arrays[0].shape[1:]
    for i, a in enumerate(arrays):
        if a.shape[1:] != channels:
            raise ValueError(
                f"pad_sequences: signal {i} has channels of shape {a.shape[1:]}, signal 0 {channels}: "
                "expected the same of all."
            )
    longest = max(map(len, arrays))
    if time is None:
        time = longest
    check_int("pad_sequences", "time", time)
    if longest > time:
        i = next(i for i, a in enumerate(arrays) if len(a) > time)
        raise ValueError(f"pad_sequences: signal {i} is longer than time={time}: it has {len(arrays[i])}.")
    values = np.zeros((len(arrays), time, *channels), np.result_type(*arrays))
    for row, a in zip(values, arrays, strict=True):
        row[: len(a)] = a
    return Sequences(values, np.array([len(a) for a in arrays], np.int32))


def _as_signal(i: int, signal: Any) -> np.ndarray:
    try:
        a = np.asarray(signal)
    except ValueError as error:
        raise ValueError(f"pad_sequences: signal {i} is no array: {error}") from None
    if a.dtype.kind not in "biuf":
        raise ValueError(f"pad_sequences: signal {i} is {a.dtype}: expected numbers.")
    if not a.ndim or not len(a):
        raise ValueError(f"pad_sequences: signal {i} has shape {a.shape}: expected a length of 1 or more.")
    if a.dtype.kind == "f" and not np.isfinite(a).all():
        t = int(np.argwhere(~np.isfinite(a).reshape(len(a), -1).all(1))[0, 0])
        what = "NaN" if np.isnan(a[t]).any() else "infinity"
        raise ValueError(f"pad_sequences: signal {i} holds {what}, first seen at its step {t}.")
    return a
