"""Batches of signals of about the same length, so that little of a batch is padding.

Slide "Réseau récurrent". The shapes of a compiled program are static: each bucket is a part of the program,
of which a step runs one.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax

from mi203jax.data.feed import Arrays, Resident
from mi203jax.data.order import permuted
from mi203jax.sequences import Bucket

T = TypeVar("T")


class Buckets(NamedTuple):
    """Examples in memory, in several sets of one length each; a batch is of one of them.

    All buckets come in turn, in an order drawn anew for each round and the same for all trials, so that which
    part of the program runs does not depend on the trial. Buckets of as many examples are read as often.
    """

    arrays: tuple[Arrays, ...]  # of each bucket: name -> [examples, ...]

    def with_batch(self, f: Callable[[Arrays], T], key: jax.Array, t: jax.Array, batch_size: int) -> T:
        """Applies f to batch t in the order of `key`: name -> `[batch_size, ...]`, in its bucket's shape."""
        count = len(self.arrays)
        round_, place = t // count, t % count
        turn = permuted(jax.random.fold_in(jax.random.key(0), round_), place, count)

        def read(number: int) -> T:
            bucket = Resident(self.arrays[number])
            return f(bucket.batch(jax.random.fold_in(key, number), round_, batch_size))

        return jax.lax.switch(turn, [functools.partial(read, number) for number in range(count)])


def in_buckets(arrays: Arrays, name: str, buckets: list[Bucket]) -> Buckets:
    """Examples sorted into buckets, those of which the signals `name` are cut to the bucket's time.

    Args:
        arrays: name -> `[examples, ...]`, of which `name` is padded, `[examples, time, ...]`.
        name: of the signals.
        buckets: see `mi203jax.sequences.bucket`.
    """
    parts = []
    for examples, time in buckets:
        part = {n: values[examples] for n, values in arrays.items()}
        parts.append(part | {name: part[name][:, :time]})
    return Buckets(tuple(parts))
