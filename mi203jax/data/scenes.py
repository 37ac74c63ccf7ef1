"""Scenes of real digits (slides "Classification → segmentation" and "Classification → détection").

A scene is a pure function of a key and of the digits' images, so that training scenes are endless and made
within a compiled step. A batch is a `vmap` over keys. Which images may appear is the caller's choice: give
training and test scenes different ones.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

INK = 0.5
"""A pixel belongs to a digit from this share of the digit's brightness on."""
DARKEST_DIGIT, BRIGHTEST_BACKGROUND = 160.0, 128.0
_TRIES = 16  # places drawn for an object, of which it takes the first that is free enough
_CELL = 8  # pixels between the random values of which a background is interpolated
_AT_ONCE = 50  # scenes that `digit_scenes` has in memory with all their layers


class Scene(NamedTuple):
    """An image and what is to be found in it. Objects are in slots, of which `mask` says which are taken."""

    image: jax.Array  # [size, size, 1], uint8
    classes: jax.Array  # [size, size], int32: 0 background, else 1 + label
    instances: jax.Array  # [size, size], int32: 0 background, else 1 + slot
    boxes: jax.Array  # [max_objects, 4], float32: (y0, x0, y1, x1), the ends exclusive; 0 in an empty slot
    labels: jax.Array  # [max_objects], int32; 0 in an empty slot
    mask: jax.Array  # [max_objects], bool


def make_scene(
    key: jax.Array,
    digits: jax.Array,
    labels: jax.Array,
    *,
    size: int = 64,
    max_objects: int = 8,
    scale: tuple[float, float] = (0.6, 1.4),
    overlap: float | jax.Array = 0.3,
    visible: float | jax.Array = 0.5,
) -> Scene:
    """Draws 0 to `max_objects` digits, each number as probable, on a smooth random background.

    Digits are of random size and brightness and lie within the image; a later slot is in front. An object
    takes the first of 16 random places where what its box has in common with the box of each slot before is
    at most `overlap` of the smaller box; if there is none, the place where that share is least. An object of
    whose pixels less than `visible` can be seen is not drawn, which is rare at the default `overlap`.

    Boxes are tight around the whole digit, also where others cover it, as in COCO and VOC.

    Args:
        key: random key.
        digits: images to choose from, each time any of them, `[n, side, side, 1]`, uint8, bright on black.
        labels: their classes, `[n]`, integer, from 0.
        size: height and width of the scene, static.
        max_objects: static.
        scale: least and largest size of a digit's image, drawn uniformly, 1 being `side` pixels; static.
        overlap: in [0, 1], a scalar; at 1, objects may be anywhere.
        visible: in [0, 1], a scalar; at 0, only what cannot be seen at all is not drawn.

    Returns:
        A `Scene`.

    Raises:
        ValueError: if shapes, dtypes or a static argument do not fit, or the largest digit is larger than
            the scene.
    """
    _check("make_scene", digits, labels, size, max_objects, scale)
    digits, labels = jnp.asarray(digits), jnp.asarray(labels)
    number, which, zoom, bright, place, ground = jax.random.split(key, 6)
    present = jnp.arange(max_objects) < jax.random.randint(number, (), 0, max_objects + 1)
    chosen = jax.random.randint(which, (max_objects,), 0, len(digits))
    ink, labels = digits[chosen, :, :, 0].astype(jnp.float32) / 255, labels[chosen].astype(jnp.int32)
    zooms = jax.random.uniform(zoom, (max_objects,), jnp.float32, *scale)
    corners = _places(place, _tight_boxes(ink >= INK) * zooms[:, None], size, overlap)
    layers = jax.vmap(draw_digit, (0, 0, 0, None))(ink, zooms, corners, size)
    instances, mask = _instances(layers >= INK, present, visible)
    brightness = jax.random.uniform(bright, (max_objects,), jnp.float32, DARKEST_DIGIT, 255.0)
    image = _background(ground, size)
    for layer, value in zip(jnp.where(mask[:, None, None], layers, 0), brightness, strict=True):
        image = image + layer * (value - image)
    return Scene(
        image=jnp.round(image).astype(jnp.uint8)[..., None],
        classes=jnp.concatenate([jnp.zeros(1, jnp.int32), labels + 1])[instances],
        instances=instances,
        boxes=jnp.where(mask[:, None], _tight_boxes(layers >= INK), 0.0),
        labels=jnp.where(mask, labels, 0),
        mask=mask,
    )


def digit_scenes(key: jax.Array, num_scenes: int, digits: jax.Array, labels: jax.Array, **options) -> Scene:
    """Many scenes of one key: a fixed test set, for example.

    Args:
        key: random key.
        num_scenes: static.
        digits: as in `make_scene`.
        labels: as in `make_scene`.
        options: as in `make_scene`.

    Returns:
        A `Scene` whose arrays have a leading axis `[num_scenes]`.

    Raises:
        ValueError: as `make_scene`, or if there is to be no scene.
    """
    if not isinstance(num_scenes, int) or num_scenes < 1:
        raise ValueError(f"digit_scenes: expected num_scenes to be a positive int, got {num_scenes!r}.")
    keys = jax.random.split(key, num_scenes)
    return lax.map(lambda k: make_scene(k, digits, labels, **options), keys, batch_size=_AT_ONCE)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class DigitScenes:
    """Training scenes that are made as they are asked for: none comes twice.

    Attributes:
        digits: as in `make_scene`.
        labels: as in `make_scene`.
        options: the others of `make_scene`'s that are not its defaults, by name; static.
    """

    digits: jax.Array
    labels: jax.Array
    options: tuple[tuple[str, Any], ...] = field(default=(), metadata={"static": True})

    def batch(self, key: jax.Array, t: jax.Array, batch_size: int) -> dict[str, jax.Array]:
        """The scenes of step t: name -> `[batch_size, ...]`, as in `Scene`."""
        keys = jax.random.split(jax.random.fold_in(key, t), batch_size)
        options = dict(self.options)
        return jax.vmap(lambda k: make_scene(k, self.digits, self.labels, **options))(keys)._asdict()


def draw_digit(ink: jax.Array, zoom: jax.Array, corner: jax.Array, size: int) -> jax.Array:
    """A zoomed image on an empty square, by linear interpolation, averaged where it shrinks.

    Args:
        ink: `[height, width]`, floating.
        zoom: factor by which it grows, a scalar.
        corner: where its upper left corner gets, (y, x) in pixels, real numbers, `[2]`.
        size: height and width of the square, static.

    Returns:
        `[size, size]`, of the dtype of `ink`; 0 outside the image.
    """
    zooms = jnp.broadcast_to(zoom, (2,))
    return jax.image.scale_and_translate(ink, (size, size), (0, 1), zooms, corner, "linear", antialias=True)


def _places(key: jax.Array, boxes: jax.Array, size: int, overlap) -> jax.Array:
    """Where the upper left corner of each object's image gets, `[objects, 2]`.

    Args:
        key: random key.
        boxes: of the objects within their images, `[objects, 4]`.
        size: of the scene.
        overlap: largest share that two boxes may have in common, if that can be had.
    """
    sides = boxes[:, 2:] - boxes[:, :2]
    draws = jax.random.uniform(key, (len(boxes), _TRIES, 2), jnp.float32)

    def place(placed, this):
        slot, starts, side = this
        tries = jnp.concatenate([starts, starts + side], -1)
        excess = jnp.maximum(_covered(tries[:, None], placed[None]).max(-1) - overlap, 0)
        return placed.at[slot].set(tries[excess.argmin()]), None

    objects = (jnp.arange(len(boxes)), draws * (size - sides)[:, None], sides[:, None])
    placed, _ = lax.scan(place, jnp.zeros_like(boxes), objects)
    return placed[:, :2] - boxes[:, :2]


def _covered(a: jax.Array, b: jax.Array) -> jax.Array:
    """Common area by the smaller area, of boxes that broadcast, `[..., 4]` -> `[...]`."""
    common = jnp.minimum(a[..., 2:], b[..., 2:]) - jnp.maximum(a[..., :2], b[..., :2])
    smaller = jnp.minimum((a[..., 2:] - a[..., :2]).prod(-1), (b[..., 2:] - b[..., :2]).prod(-1))
    return jnp.maximum(common, 0).prod(-1) / jnp.maximum(smaller, 1)


def _tight_boxes(inside: jax.Array) -> jax.Array:
    """Boxes around what is true, `[objects, height, width]` -> `[objects, 4]`; 0 where nothing is."""
    ends = []
    for axis in (2, 1):
        line = inside.any(axis)
        n = line.shape[1]
        ends.append((line.argmax(1), jnp.where(line.any(1), n - line[:, ::-1].argmax(1), 0)))
    (top, bottom), (left, right) = ends
    return jnp.stack([top, left, bottom, right], -1).astype(jnp.float32)


def _instances(opaque: jax.Array, present: jax.Array, visible) -> tuple[jax.Array, jax.Array]:
    """Who is seen at each pixel, `[size, size]`, and which objects are kept, `[objects]`."""
    instances, kept = jnp.zeros(opaque.shape[1:], jnp.int32), []
    # From the front, since an object hides nothing if it is itself left out.
    for slot in reversed(range(len(opaque))):
        seen = opaque[slot] & (instances == 0)
        pixels, all_pixels = seen.sum(), opaque[slot].sum()
        enough = pixels.astype(jnp.float32) >= visible * all_pixels.astype(jnp.float32)
        kept.append(present[slot] & enough & (pixels > 0))
        instances = jnp.where(seen & kept[-1], slot + 1, instances)
    return instances, jnp.stack(kept[::-1])


def _background(key: jax.Array, size: int) -> jax.Array:
    """Smooth noise on a slope, `[size, size]`, float32 in [0, BRIGHTEST_BACKGROUND]."""
    noise_key, numbers_key = jax.random.split(key)
    level, strength, down, right = jax.random.uniform(numbers_key, (4,), jnp.float32)
    cells = -(-size // _CELL)
    noise = jax.image.resize(jax.random.normal(noise_key, (cells, cells)), (size, size), "cubic")
    line = jnp.linspace(-1, 1, size, dtype=jnp.float32)
    slope = (down - 0.5) * line[:, None] + (right - 0.5) * line[None]
    return jnp.clip(20 + 80 * level + 40 * slope + 25 * strength * noise, 0, BRIGHTEST_BACKGROUND)


def _check(name: str, digits: jax.Array, labels: jax.Array, size, max_objects, scale) -> None:
    if digits.ndim != 4 or digits.shape[3] != 1 or digits.shape[1] != digits.shape[2] or not len(digits):
        raise ValueError(f"{name}: expected digits [n, side, side, 1], n > 0, got {digits.shape}.")
    if digits.dtype != jnp.uint8:
        raise ValueError(f"{name}: expected digits in uint8, got {digits.dtype}.")
    if labels.shape != digits.shape[:1] or not jnp.issubdtype(labels.dtype, jnp.integer):
        raise ValueError(
            f"{name}: expected integer labels [{len(digits)}], got {labels.dtype} {labels.shape}."
        )
    for argument, value in (("size", size), ("max_objects", max_objects)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name}: expected {argument} to be a positive int, got {value!r}.")
    if np.shape(scale) != (2,) or not 0 < scale[0] <= scale[1]:
        raise ValueError(f"{name}: expected scale (least, largest), both positive, got {scale}.")
    if digits.shape[1] * scale[1] > size:
        raise ValueError(
            f"{name}: expected size of at least {digits.shape[1]} · {scale[1]} pixels, got {size}."
        )
