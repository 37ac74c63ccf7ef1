"""Classification of signals of variable length (slide "Réseau récurrent")."""

import jax
import jax.numpy as jnp
import numpy as np

from mi203jax import losses
from mi203jax.configs import Sequences as Config
from mi203jax.core.errors import UsageError
from mi203jax.core.task import Figure
from mi203jax.data.buckets import in_buckets
from mi203jax.data.feed import Arrays, Data, Resident, Streamed
from mi203jax.data.source import Info, Records
from mi203jax.data.splits import check_batch, data_of, split_source
from mi203jax.data.standardize import Statistics, fit_statistics, standardize
from mi203jax.models import Recurrent, SequenceClassifier
from mi203jax.sequences import Sequences, bucket
from mi203jax.tasks.sequences_figures import figures
from mi203jax.tasks.supervised import Problem, State, examples, supervised_task

SIGNAL, IMAGE, LENGTH = "sequence", "image", "sequence_length"


def data(c: Config) -> Data | Streamed:
    """Signals, or images, and their labels.

    Raises:
        UsageError: if the set cannot be read or used.
    """
    opened = [split_source(c.data, split, c.data_dir) for split in (c.train_split, c.eval_split)]
    shapes = opened[0][1].shapes
    inputs = next((name for name in (SIGNAL, IMAGE) if name in shapes), None)
    if inputs is None or "label" not in shapes or len(opened[0][1].classes) < 2:
        raise UsageError(
            f"data={c.data} has {', '.join(sorted(shapes))}, and {len(opened[0][1].classes)} named classes: "
            f"expected {SIGNAL} or {IMAGE}, and label, of two classes or more."
        )
    if inputs == SIGNAL:
        return signals(c)
    if c.buckets != 1:
        raise UsageError(
            f"buckets={c.buckets}: images are all of one length, as in data={c.data}: leave it out."
        )
    return examples(c, IMAGE)


def signals(c: Config) -> Data:
    """Signals in memory, in buckets if there are several, and statistics of what is not padding.

    Raises:
        UsageError: if they cannot be read or used.
    """
    if c.feed == "stream":
        raise UsageError(f"feed=stream: signals are read into memory: expected auto or memory, for {c.data}.")
    train, test = (signal_source(c, split) for split in (c.train_split, c.eval_split))
    found = data_of(
        train, test, SIGNAL, standardization="none", batch_size=c.batch_size, feed="memory"
    ).shared
    assert isinstance(found.train, Resident)
    arrays = found.train.arrays
    for these, (_, info) in ((arrays, train), (found.test, test)):
        check_not_empty(np.asarray(these[LENGTH]), info)
    lengths = np.asarray(arrays[LENGTH])
    frames = np.concatenate([s[:n] for s, n in zip(np.asarray(arrays[SIGNAL]), lengths, strict=True)])
    statistics = fit_statistics(jnp.asarray(frames), c.standardize)
    if c.buckets == 1:
        return found.with_statistics(statistics)
    check_batch(c.batch_size, len(lengths) // c.buckets, f"a bucket, with buckets={c.buckets}")
    return Data(in_buckets(arrays, SIGNAL, bucket(lengths, c.buckets)), found.test, statistics)


def signal_source(c: Config, split: str) -> tuple[Records, Info]:
    """A split of the configuration's signals.

    Raises:
        UsageError: if they are no signals of channels.
    """
    source, info = split_source(c.data, split, c.data_dir, (SIGNAL, "label"))
    shape, dtype = info.shapes[SIGNAL]
    if len(shape) != 2 or shape[0] is not None or dtype.kind not in "biuf":
        raise UsageError(
            f"data={c.data}: {SIGNAL} is {dtype} of shape {shape}: expected numbers (any length, channels)."
        )
    return source, info


def check_not_empty(lengths: np.ndarray, info: Info) -> None:
    """Raises UsageError if a signal has no step."""
    if not lengths.all():
        raise UsageError(
            f"{info.name}: {SIGNAL} of example {int(np.argmin(lengths))} of {info.split} is empty: expected "
            "a length of 1 or more."
        )


def classes(c: Config) -> tuple[str, ...]:
    """Names of the classes of the configuration's set."""
    return split_source(c.data, c.train_split, c.data_dir)[1].classes


def network(c: Config, data: Data | None = None) -> SequenceClassifier:
    """The network of the configuration, without its parameters."""
    del data
    recurrent = Recurrent(c.cell, c.hidden, c.layers, c.bidirectional, c.forget_bias, c.checkpoint)
    return SequenceClassifier(len(classes(c)), recurrent, c.pooling, c.dropout)


def prepare(c: Config, batch: Arrays, statistics: Statistics, key: jax.Array | None = None) -> Arrays:
    """Standardised signals "x", `[batch, time, channels]`, with noise if there is a key, and "label"."""
    if SIGNAL in batch:
        values, lengths = batch[SIGNAL], batch[LENGTH]
    else:
        image = batch[IMAGE]
        values, lengths = image.reshape(len(image), -1, image.shape[-1]), None
    x = standardize(values, statistics)
    if key is not None:
        x = x + c.noise * jax.random.normal(key, x.shape)
    return {"x": Sequences(x, lengths), "label": batch["label"]}


def loss(c: Config, scores: jax.Array, batch: Arrays) -> jax.Array:
    """The cost of each example's scores `[batch, classes]`."""
    target = jax.nn.one_hot(batch["label"], scores.shape[-1])
    return losses.softmax_cross_entropy(scores, target, c.label_smoothing)


def measure(c: Config, scores: jax.Array, batch: Arrays) -> dict[str, jax.Array]:
    """Whether the largest score is that of the label; of signals, which part of the array is padding."""
    del c
    right = {"accuracy": scores.argmax(-1) == batch["label"]}
    values, lengths = batch["x"]
    return right if lengths is None else right | {"padding": (values.shape[1] - lengths) / values.shape[1]}


problem = Problem(data, network, prepare, loss, measure)


def figures_of(c: Config, state: State, data: Data) -> dict[str, Figure]:
    """All figures of a trained network."""
    return figures(problem, c, state, data, classes(c))


task = supervised_task(problem, figures_of, "vmap")
