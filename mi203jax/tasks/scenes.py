"""What segmentation and detection share: scenes to learn from, and images that move with their truth."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from mi203jax import augment, boxes
from mi203jax.configs.scenes import MADE, Scenes
from mi203jax.data.download import suggesting
from mi203jax.data.feed import Arrays, Data, Streamed
from mi203jax.data.scenes import DigitScenes, Scene, digit_scenes
from mi203jax.data.source import Info, Records
from mi203jax.data.splits import data_of, source_sample, split_arrays, split_source
from mi203jax.data.squares import UNKNOWN
from mi203jax.data.standardize import Statistics, fit_statistics, standardize
from mi203jax.tasks.motion import MOTIONS, random_motion

DIGITS, FEATURES = "mnist_5k", ("image", "label")
_JUDGED, _FITTED, _NUMBER_FITTED = 1, 2, 1_000  # keys of scenes that are always the same
SEEN = 0.5
"""A thing of which less than this part of its box is left in a moved image is no longer to be found."""


def digit_classes() -> tuple[str, ...]:
    """Names of the digits' classes."""
    return split_source(DIGITS, "train", "", FEATURES)[1].classes


def find(
    c: Scenes,
    opened: Callable[[str], tuple[Records, Info]],
    fit: Callable[[Statistics, Callable[[], Arrays]], Any],
) -> Data | Streamed:
    """The configuration's images with their truth, made or read.

    Args:
        c: the configuration.
        opened: split -> the examples of a set that is not made.
        fit: (statistics of the images, what gives some training examples) -> the statistics of the data.

    Raises:
        UsageError: if a set cannot be read or used.
    """
    if c.data == MADE:
        made = made_scenes(c)
        return made.with_statistics(fit(made.statistics, lambda: sample_scenes(c)._asdict()))
    with suggesting([MADE]):
        train, test = (opened(split) for split in (c.train_split, c.eval_split))
    found = data_of(train, test, "image", standardization=c.standardize, batch_size=c.batch_size, feed=c.feed)
    return found.with_statistics(fit(found.shared.statistics, lambda: source_sample(train[0])))


def made_scenes(c: Scenes) -> Data:
    """Endless training scenes of one split's digits, and of the other's, scenes that are always the same.

    Raises:
        UsageError: if a split cannot be read.
    """
    digits = split_arrays(DIGITS, c.train_split, "", FEATURES)
    statistics = fit_statistics(sample_scenes(c).image, c.standardize)
    judged = _scenes(_JUDGED, c.eval_scenes, c.eval_split, _options(c))
    return Data(DigitScenes(digits["image"], digits["label"], _options(c)), judged._asdict(), statistics)


def sample_scenes(c: Scenes) -> Scene:
    """Some training scenes, always the same."""
    return _scenes(_FITTED, _NUMBER_FITTED, c.train_split, _options(c))


def _options(c: Scenes) -> tuple[tuple[str, Any], ...]:
    scale = (c.smallest, c.largest)
    return (("size", c.size), ("max_objects", c.max_objects), ("scale", scale), ("overlap", c.overlap))


@functools.lru_cache(maxsize=4)
def _scenes(key: int, number: int, split: str, options: tuple[tuple[str, Any], ...]) -> Scene:
    digits = split_arrays(DIGITS, split, "", FEATURES)
    make = jax.jit(functools.partial(digit_scenes, num_scenes=number, **dict(options)))
    return make(jax.random.key(key), digits=digits["image"], labels=digits["label"])


def ready(c: Scenes, batch: Arrays, statistics: Statistics, key: jax.Array | None) -> Arrays:
    """The batch with the network's input "x", standardised images; with a key, moved with their truth.

    Args:
        c: the configuration.
        batch: "image" `[n, height, width, channels]`, and of "classes" `[n, height, width]`, "boxes"
            `[n, objects, 4]` with "mask" `[n, objects]`, what there is.
        statistics: of the training images.
        key: for training.
    """
    batch = {**batch, "image": jnp.asarray(batch["image"], jnp.float32)}
    if key is None:
        return {**batch, "x": standardize(batch["image"], statistics)}
    motion_key, noise_key = jax.random.split(key)
    n = len(batch["image"])
    if MOTIONS & set(c.augment):
        motions = jax.vmap(functools.partial(random_motion, c))(jax.random.split(motion_key, n))
        batch = jax.vmap(moved)(batch, motions)
    x = standardize(batch["image"], statistics)
    if "noise" in c.augment:  # in standard deviations of the data
        x = jax.vmap(augment.noise, (0, 0, None))(jax.random.split(noise_key, n), x, c.noise)
    return {**batch, "x": x}


def moved(example: Arrays, matrix: jax.Array) -> Arrays:
    """One image with what is known of it, moved alike. What comes in is black, and of no known class."""
    image, result = example["image"], dict(example)
    result["image"] = augment.warp(image, matrix)
    if "classes" in example:
        result["classes"] = augment.warp(example["classes"][..., None], matrix, UNKNOWN, order=0)[..., 0]
    if "boxes" in example:
        whole = augment.warp_boxes(example["boxes"], matrix, image.shape[:2])
        result["boxes"] = boxes.clip(whole, image.shape[:2])
        seen = boxes.area(result["boxes"]) >= SEEN * boxes.area(whole)
        result["mask"] = example["mask"] & seen
    return result
