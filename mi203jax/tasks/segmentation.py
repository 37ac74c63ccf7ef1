"""Segmentation: a class for each pixel (slide "Classification → segmentation")."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from mi203jax import losses, metrics, models
from mi203jax.configs import Segmentation
from mi203jax.configs.scenes import MADE
from mi203jax.core.task import Figure, Metrics
from mi203jax.data.feed import Arrays, Data, Streamed
from mi203jax.data.located import open_masked
from mi203jax.data.source import Info, Records
from mi203jax.data.squares import UNKNOWN
from mi203jax.data.standardize import Statistics
from mi203jax.tasks.scenes import digit_classes, find, ready
from mi203jax.tasks.segmentation_figures import figures
from mi203jax.tasks.supervised import Mean, Problem, State, layer_options, mean_of_known, supervised_task

NETWORKS = {"unet": models.UNet, "fully_convolutional": models.FullyConvolutional}


class PixelStatistics(NamedTuple):
    """Of the training images and their pixels."""

    image: Statistics
    frequencies: jax.Array  # share of the pixels of each class, [classes]


def data(c: Segmentation) -> Data | Streamed:
    """Images and the class of each pixel.

    Raises:
        UsageError: if the set cannot be read or used.
    """

    def fit(statistics: Statistics, sample: Callable[[], Arrays]) -> PixelStatistics:
        return PixelStatistics(statistics, class_frequencies(sample()["classes"], len(classes(c))))

    return find(c, functools.partial(opened, c), fit)


def opened(c: Segmentation, split: str) -> tuple[Records, Info]:
    """A split of the configuration's set of TFDS."""
    return open_masked(c.data, split, c.data_dir, c.size, c.mask_classes)


def class_frequencies(maps: jax.Array, num_classes: int) -> jax.Array:
    """Share of each class among the pixels that count, `[classes]`."""
    labels = jnp.minimum(jnp.asarray(maps).ravel(), num_classes)  # what does not count comes last
    counts = jnp.bincount(labels, length=num_classes + 1)[:num_classes].astype(jnp.float32)
    return counts / jnp.maximum(1, counts.sum())


def classes(c: Segmentation) -> tuple[str, ...]:
    """Names of the classes of the configuration's set."""
    if c.data == MADE:
        return ("background", *digit_classes())
    return opened(c, c.train_split)[1].classes


def network(c: Segmentation, data: Data) -> nn.Module:
    """The network of the configuration, without its parameters."""
    del data
    return NETWORKS[c.model](len(classes(c)), c.channels, c.convs, **layer_options(c))


def prepare(
    c: Segmentation, batch: Arrays, statistics: PixelStatistics, key: jax.Array | None = None
) -> Arrays:
    """Standardised images "x", the "classes" of their pixels, and the classes' "frequencies"."""
    batch = {name: batch[name] for name in ("image", "classes")}
    return {**ready(c, batch, statistics.image, key), "frequencies": statistics.frequencies}


def loss(c: Segmentation, scores: jax.Array, batch: Arrays) -> jax.Array:
    """The cost of each image's scores `[batch, height, width, classes]`: the mean over pixels that count."""
    counts = batch["classes"] != UNKNOWN
    labels = jnp.where(counts, batch["classes"], 0)
    if c.loss == "dice":
        return losses.dice(scores, labels, c.dice_smooth, counts)
    if c.loss == "focal":
        costs = losses.focal(scores, labels, c.focal_gamma)
    else:
        weights = class_weights(batch["frequencies"], c.rarity) if c.loss == "weighted" else None
        costs = losses.softmax_cross_entropy(scores, labels, weights=weights)
    return costs.sum((1, 2), where=counts) / jnp.maximum(1, counts.sum((1, 2)))


def class_weights(frequencies: jax.Array, rarity: float | jax.Array) -> jax.Array:
    """f⁻ʳ for each class, and such that the mean weight of a pixel is 1; an unseen class is as the rarest."""
    seen = frequencies > 0
    rarest = jnp.where(seen, frequencies, 1).min()
    weights = jnp.where(seen, frequencies, rarest) ** -rarity
    total = (weights * frequencies).sum()
    return weights / jnp.where(total > 0, total, 1)


def measure(c: Segmentation, scores: jax.Array, batch: Arrays) -> dict[str, jax.Array]:
    """Share of an image's pixels that are right."""
    del c
    counts = batch["classes"] != UNKNOWN
    right = (scores.argmax(-1) == batch["classes"]).sum((1, 2), where=counts)
    return {"accuracy": right / jnp.maximum(1, counts.sum((1, 2)))}


def judge(c: Segmentation, scores: jax.Array, batch: Arrays) -> Arrays:
    """For each image: the confusion matrix of its pixels, mean IoU, boundary F-score."""
    predicted, true = scores.argmax(-1), batch["classes"]
    number = scores.shape[-1]
    matrices = jax.vmap(lambda p, t: metrics.confusion_matrix(p.ravel(), t.ravel(), number))(predicted, true)
    boundaries = metrics.boundary_f_score(predicted, true, number, c.tolerance)
    return {
        "matrix": matrices,
        "mean_iou_per_image": metrics.mean_iou(matrices),
        "boundary_f_score": jnp.nanmean(boundaries, -1),
    }


def summarize(c: Segmentation, judged: Arrays, examples: Arrays) -> Metrics:
    """Measures of the whole set, mean IoU by its one confusion matrix, and means over images.

    Pixel accuracy is that of the set too.
    """
    del examples
    matrices = judged["matrix"].astype(jnp.float32)
    matrix, counts = matrices.sum(0), matrices.sum((1, 2)) > 0
    return {
        "loss": Mean(judged["loss"].sum(where=counts), counts.sum(dtype=jnp.float32)),
        "mean_iou_per_image": mean_of_known(judged["mean_iou_per_image"]),
        "accuracy": metrics.pixel_accuracy(matrix),
        "mean_iou": metrics.mean_iou(matrix),
        "boundary_f_score": mean_of_known(judged["boundary_f_score"]),
    }


problem = Problem(data, network, prepare, loss, measure, judge, summarize, frames=lambda c: c.frames)


def figures_of(c: Segmentation, state: State, data: Data) -> dict[str, Figure]:
    """All figures of a trained network."""
    return figures(problem, c, state, data, classes(c))


task = supervised_task(problem, figures_of, objective="mean_iou")
