"""Detection by a classifier of windows, run everywhere (slide "Classification → détection")."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from mi203jax import losses, windows
from mi203jax.configs import SlidingWindow
from mi203jax.data.feed import Arrays, Data, Streamed
from mi203jax.data.standardize import Statistics
from mi203jax.models import Classifier
from mi203jax.tasks import detection
from mi203jax.tasks.scenes import find
from mi203jax.tasks.supervised import Problem, layer_options, supervised_task


class WindowStatistics(NamedTuple):
    """Of the training images and the things in them."""

    image: Statistics
    shapes: jax.Array  # mean height and width of each class, as parts of its window's side, [classes, 2]


class OfEach(nn.Module):
    """A network of images, for arrays of images: `[..., height, width, channels]` -> `[..., scores]`."""

    network: nn.Module

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """Scores of each image."""
        scores = self.network(x.reshape(-1, *x.shape[-3:]), train)
        return scores.reshape(*x.shape[:-3], -1)


def data(c: SlidingWindow) -> Data | Streamed:
    """Images and the boxes in them.

    Raises:
        UsageError: if the set cannot be read or used.
    """

    def fit(statistics: Statistics, sample: Callable[[], Arrays]) -> WindowStatistics:
        examples = sample()
        boxes, labels, mask = (jnp.asarray(examples[name]) for name in detection.TRUTH)
        number = len(detection.classes(c))
        return WindowStatistics(statistics, windows.class_shapes(boxes, labels, mask, number, c.margin))

    return find(c, functools.partial(detection.opened, c), fit)


def network(c: SlidingWindow, data: Data) -> OfEach:
    """The network of the configuration, without its parameters: background and the classes."""
    del data
    outputs = 1 + len(detection.classes(c))
    return OfEach(Classifier(outputs, c.channels, c.convs, **layer_options(c)))


def grid(c: SlidingWindow) -> jax.Array:
    """All windows of an image, `[windows, 4]`."""
    return windows.window_grid((c.size, c.size), c.sides, c.window_step)


def prepare(
    c: SlidingWindow, batch: Arrays, statistics: WindowStatistics, key: jax.Array | None = None
) -> Arrays:
    """Windows "x" `[batch, windows, …]` with their "label", and which count: for training some, else all."""
    image_key, window_key = (None, None) if key is None else jax.random.split(key)
    batch = detection.prepare(c, batch, statistics.image, image_key)
    number = len(detection.classes(c))

    def of_image(x, found, labels, mask, ignored, key=None):
        everywhere = grid(c)
        label, counts = windows.window_targets(everywhere, found, labels, mask, number, margin=c.margin)
        middles = (everywhere[:, :2] + everywhere[:, 2:]) / 2
        counts &= (label > 0) | ~detection.in_any(middles, found, ignored)
        if key is not None:
            chosen = _some(key, label, counts, c.windows)
            everywhere, label, counts = everywhere[chosen], label[chosen], counts[chosen]
        return jax.vmap(windows.crop, (None, 0, None))(x, everywhere, c.window), label, counts

    arguments = [batch[name] for name in ("x", *detection.TRUTH, "ignored")]
    if window_key is not None:
        arguments.append(jax.random.split(window_key, len(batch["x"])))
    x, label, counts = jax.vmap(of_image)(*arguments)
    return {"x": x, "label": label, "counts": counts, "shapes": statistics.shapes}


def _some(key: jax.Array, label: jax.Array, counts: jax.Array, number: int) -> jax.Array:
    """Indices of random windows: half of them on things as far as there are any, the others on none."""
    random = jax.random.uniform(key, label.shape)

    def first(wanted, order, number):
        return jax.lax.top_k(order + wanted + counts, number)[1]

    # In opposite orders, so that both halves take other windows where there are none on things.
    half = number // 2
    return jnp.concatenate([first(label > 0, random, half), first(label == 0, 1 - random, number - half)])


def loss(c: SlidingWindow, scores: jax.Array, batch: Arrays) -> jax.Array:
    """The mean cost of an image's windows that count, `[batch, windows, 1 + classes]` -> `[batch]`."""
    del c
    return _mean(losses.softmax_cross_entropy(scores, batch["label"]), batch["counts"])


def measure(c: SlidingWindow, scores: jax.Array, batch: Arrays) -> dict[str, jax.Array]:
    """Share of an image's windows that are right."""
    del c
    return {"accuracy": _mean(scores.argmax(-1) == batch["label"], batch["counts"])}


def _mean(values: jax.Array, counts: jax.Array) -> jax.Array:
    total = values.sum(-1, where=counts, dtype=jnp.float32)
    return total / jnp.maximum(1, counts.sum(-1)).astype(jnp.float32)


def judge(c: SlidingWindow, scores: jax.Array, batch: Arrays) -> Arrays:
    """The boxes of each image, the surest first."""
    k = min(8 * c.detections, scores.shape[1] * (scores.shape[2] - 1))  # many are of one thing

    def decode(probabilities):
        found = windows.decode_windows(grid(c), probabilities, batch["shapes"], k, c.suppression)
        return [values[: c.detections] for values in found]

    return dict(zip(detection.FOUND, jax.vmap(decode)(jax.nn.softmax(scores)), strict=True))


problem = Problem(data, network, prepare, loss, measure, judge, detection.summarize)
task = supervised_task(problem, functools.partial(detection.figures_of, problem), objective="ap")
