"""How training examples reach a step: gathered from memory in the compiled loop, or streamed by grain.

Both give the same batches in the same order, `batch_indices`, to the same step. (Scenes are neither: they are
made in the step, see `mi203jax.data.scenes`.)
"""

import copy
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import grain
import jax
import jax.numpy as jnp
import numpy as np

from mi203jax.core.task import Streaming
from mi203jax.data.order import batch_indices

T = TypeVar("T")
Arrays = dict[str, Any]  # name -> [examples, ...]


def order_key(key: jax.Array) -> jax.Array:
    """The key of a trial's order, of the trial's own key: the same for every architecture and optimiser."""
    return jax.random.fold_in(key, 0x0D)


class Resident(NamedTuple):
    """Examples that are in memory, once for all trials."""

    arrays: Arrays

    @property
    def num_examples(self) -> int:
        """Number of examples."""
        return len(next(iter(self.arrays.values())))

    def batch(self, key: jax.Array, t: jax.Array, batch_size: int) -> Arrays:
        """Batch t in the order of `key`: name -> `[batch_size, ...]`."""
        chosen = batch_indices(key, t, batch_size, self.num_examples)
        return {name: values[chosen] for name, values in self.arrays.items()}


class Window(NamedTuple):
    """The batches of a few steps, brought along by the host; batch t is in slot t modulo their number."""

    arrays: Arrays  # name -> [slots, batch_size, ...]

    def batch(self, key: jax.Array, t: jax.Array, batch_size: int) -> Arrays:
        """Batch t: name -> `[batch_size, ...]`. Its order was settled when the host read it."""
        del key, batch_size
        return {name: values[t % len(values)] for name, values in self.arrays.items()}


@runtime_checkable
class Feed(Protocol):
    """What gives a step its batch."""

    def batch(self, key: jax.Array, t: jax.Array, batch_size: int) -> Arrays:
        """Batch t in the order of `key`: name -> `[batch_size, ...]`."""


class Varied(Protocol):
    """What gives a step a batch whose shape depends on the step."""

    def with_batch(self, f: Callable[[Arrays], T], key: jax.Array, t: jax.Array, batch_size: int) -> T:
        """Applies f to batch t in the order of `key`; its results are of one shape, whatever the batch's."""


def with_batch(
    feed: "Feed | Varied", f: Callable[[Arrays], T], key: jax.Array, t: jax.Array, batch_size: int
) -> T:
    """Applies f to batch t in the order of `key`, whatever gives it."""
    if isinstance(feed, Feed):
        return f(feed.batch(key, t, batch_size))
    return feed.with_batch(f, key, t, batch_size)


class Source(Protocol):
    """Examples with random access."""

    def __len__(self) -> int:
        """Number of examples."""

    def __getitems__(self, indices: list[int], /) -> list[dict[str, np.ndarray]]:
        """The examples of these indices."""


class Data(NamedTuple):
    """What a supervised task learns from and is judged on."""

    train: Feed | Varied | None  # None where the host brings the batches
    test: Arrays  # name -> [examples, ...]
    statistics: Any  # of the training examples

    def with_statistics(self, statistics: Any) -> "Data":
        """The same examples with other statistics."""
        return self._replace(statistics=statistics)

    @property
    def shared(self) -> "Data":
        """Itself: what all trials share, under the name that `Streamed` has for it."""
        return self


class Streamed(Streaming):
    """Data whose training examples are read by grain while the device computes."""

    def __init__(self, source: Source, data: Data, batch_size: int, slots: int = 8, threads: int = 8):
        """Reads nothing yet.

        Args:
            source: the training examples; read from several threads at once.
            data: the rest.
            batch_size: examples in a batch.
            slots: batches that go to the device at once.
            threads: how many batches are read at once.
        """
        self.shared = data
        self.slots = slots
        self._source = source
        self._batch_size = batch_size
        self._options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * slots)

    def with_statistics(self, statistics: Any) -> "Streamed":
        """The same examples with other statistics."""
        other = copy.copy(self)
        other.shared = self.shared._replace(statistics=statistics)
        return other

    @property
    def example(self) -> Data:
        """Shapes and dtypes of what one trial's step gets."""
        one = {name: np.asarray(value) for name, value in self._source.__getitems__([0])[0].items()}
        shape = (self.slots, self._batch_size)
        arrays = {n: jax.ShapeDtypeStruct((*shape, *v.shape), v.dtype) for n, v in one.items()}
        return Data(Window(arrays), {}, ())

    def batches(self, keys: jax.Array, first: int, last: int) -> Iterator[Arrays]:
        """The batches of steps `first` to `last - 1`: name -> `[trials, batch_size, ...]`.

        Args:
            keys: each trial's key, `[trials]`.
            first: the step to begin with; what comes before it is not read.
            last: the step before which to end.
        """
        n = len(self._source)

        @jax.jit
        def indices(t):
            return jax.vmap(lambda key: batch_indices(order_key(key), t, self._batch_size, n))(keys)

        def read(t: int) -> Arrays:
            chosen = np.asarray(indices(t))
            examples = self._source.__getitems__(chosen.reshape(-1).tolist())
            stacked = {name: np.stack([e[name] for e in examples]) for name in examples[0]}
            return {name: v.reshape(*chosen.shape, *v.shape[1:]) for name, v in stacked.items()}

        return iter(grain.MapDataset.range(first, last).map(read).to_iter_dataset(self._options))

    def windows(self, keys: jax.Array, first: int, last: int) -> Callable[[int], Data]:
        """Gives what the next steps get: see `Streaming`."""
        batches, now = self.batches(keys, first, last), first

        def take(count: int) -> Data:
            nonlocal now
            slots = [(now + i) % self.slots for i in range(count)]
            brought = [next(batches) for _ in slots]
            now += count
            arrays = {}
            for name, value in brought[0].items():
                arrays[name] = np.zeros((len(value), self.slots, *value.shape[1:]), value.dtype)
                for slot, batch in zip(slots, brought, strict=True):
                    arrays[name][:, slot] = batch[name]
            return Data(Window(jax.tree.map(jnp.asarray, arrays)), {}, ())

        return take
