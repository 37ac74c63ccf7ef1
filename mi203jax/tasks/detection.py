"""Detection by centres: a classifier run everywhere, plus sizes (slide "Classification → détection")."""

import functools

import jax
import jax.numpy as jnp

from mi203jax import boxes, centers, losses, metrics
from mi203jax.configs import Detection
from mi203jax.configs.detection import Boxes
from mi203jax.configs.scenes import MADE
from mi203jax.core.task import Figure, Metrics
from mi203jax.data.feed import Arrays, Data, Streamed
from mi203jax.data.located import open_boxed
from mi203jax.data.source import Info, Records
from mi203jax.data.standardize import Statistics
from mi203jax.models import CenterMaps, CenterNet
from mi203jax.tasks.detection_figures import figures, found_and_true, heat
from mi203jax.tasks.scenes import digit_classes, find, ready
from mi203jax.tasks.supervised import Problem, State, layer_options, mean_of_known, means, supervised_task

TRUTH = ("boxes", "labels", "mask")
FOUND = ("boxes", "labels", "scores")
NAMES = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar100")


def data(c: Boxes) -> Data | Streamed:
    """Images and the boxes in them.

    Raises:
        UsageError: if the set cannot be read or used.
    """
    return find(c, functools.partial(opened, c), lambda statistics, sample: statistics)


def opened(c: Boxes, split: str) -> tuple[Records, Info]:
    """A split of the configuration's set of TFDS."""
    return open_boxed(c.data, split, c.data_dir, c.size, c.max_objects, c.invalid_boxes)


def classes(c: Boxes) -> tuple[str, ...]:
    """Names of the classes of the configuration's set."""
    return digit_classes() if c.data == MADE else opened(c, c.train_split)[1].classes


def network(c: Detection, data: Data) -> CenterNet:
    """The network of the configuration, without its parameters."""
    del data
    return CenterNet(len(classes(c)), c.channels, c.convs, stride=c.stride, **layer_options(c))


def prepare(c: Boxes, batch: Arrays, statistics: Statistics, key: jax.Array | None = None) -> Arrays:
    """Standardised images "x" with what is to be found in them, "mask", and what need not be, "ignored"."""
    known = ready(c, {name: batch[name] for name in ("image", *TRUTH)}, statistics, key)
    crowd = batch.get("crowd", jnp.zeros_like(batch["mask"]))
    return {**known, "mask": known["mask"] & ~crowd, "ignored": known["mask"] & crowd}


def in_any(points: jax.Array, found: jax.Array, which: jax.Array) -> jax.Array:
    """Whether points (y, x), `[..., 2]`, are in a box of `found` `[n, 4]` where `which` `[n]` is true."""
    p = points[..., None, :]
    return ((p >= found[:, :2]).all(-1) & (p < found[:, 2:]).all(-1) & which).any(-1)


def costs(c: Detection, maps: CenterMaps, batch: Arrays) -> tuple[jax.Array, jax.Array]:
    """What each image's heat map and its boxes cost, each `[batch]`."""
    _, height, width, number = maps.heat.shape

    def targets(found, labels, mask):
        return centers.center_targets(found, labels, mask, (height, width), c.stride, number, c.spread)

    target = jax.vmap(targets)(*(batch[name] for name in TRUTH))
    middles = c.stride * (jnp.stack(jnp.indices((height, width)), -1) + 0.5)
    ignored = jax.vmap(in_any, (None, 0, 0))(middles, batch["boxes"], batch["ignored"])
    heat = losses.penalty_reduced_focal(maps.heat, target.heat, mask=target.mask | ~ignored)
    if c.box_loss == "l1":
        apart = jnp.abs(maps.offset - target.offset) + jnp.abs(maps.size - target.size) / c.stride
        cost = apart.sum(-1)
    else:
        cost = 1 - boxes.generalized_iou(*(_about_cells(m.offset, m.size, c.stride) for m in (maps, target)))
    number_of_centres = jnp.maximum(1, target.mask.sum((1, 2)))
    return heat, cost.sum((1, 2), where=target.mask) / number_of_centres


def _about_cells(offset: jax.Array, size: jax.Array, stride: int) -> jax.Array:
    """Boxes whose centres are off by so much from the corner of one and the same cell."""
    return jnp.concatenate([stride * offset - size / 2, stride * offset + size / 2], -1)


def loss(c: Detection, maps: CenterMaps, batch: Arrays) -> jax.Array:
    """The cost of each image's maps."""
    heat, box = costs(c, maps, batch)
    return heat + c.box_weight * box


def measure(c: Detection, maps: CenterMaps, batch: Arrays) -> dict[str, jax.Array]:
    """The two parts of the cost."""
    return dict(zip(("heat_loss", "box_loss"), costs(c, maps, batch), strict=True))


def judge(c: Detection, maps: CenterMaps, batch: Arrays) -> Arrays:
    """The boxes of each image, the surest first."""
    del batch
    k = min(c.detections, maps.heat[0].size)

    def decode(heat, offset, size):
        return centers.decode_centers(jax.nn.sigmoid(heat), offset, size, c.stride, k)

    return dict(zip(FOUND, jax.vmap(decode)(*maps), strict=True))


def summarize(c: Boxes, judged: Arrays, examples: Arrays) -> Metrics:
    """The main of COCO's numbers, with sizes parted by the configuration's borders."""
    found, truth = found_and_true(judged, examples)
    borders = [float(side) ** 2 for side in c.borders]
    precision = metrics.average_precision(found, truth, len(classes(c)), borders=borders).summary()
    of_images = {n: v for n, v in judged.items() if n not in FOUND}
    return means(of_images) | {n: mean_of_known(p) for n, p in precision.items() if n in NAMES}


problem = Problem(data, network, prepare, loss, measure, judge, summarize)


def figures_of(problem: Problem, c: Boxes, state: State, data: Data) -> dict[str, Figure]:
    """All figures of a trained detector."""
    return figures(problem, c, state, data, classes(c))


def figures_of_centers(c: Detection, state: State, data: Data) -> dict[str, Figure]:
    """All figures of a trained centre detector."""
    return figures_of(problem, c, state, data) | {"heat": heat(problem, c, state, data)}


task = supervised_task(problem, figures_of_centers, objective="ap")
