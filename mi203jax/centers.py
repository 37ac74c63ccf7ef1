"""Objects as points: what a centre detector learns, and boxes from what it says.

Slide "Classification → détection": a classifier run everywhere (the heat map), plus sizes. Functions take one
image; a batch is their `jax.vmap`. Cell (i, j) of a map of stride s covers the pixels from (s i, s j) to
(s (i + 1), s (j + 1)).

Source: Zhou et al. 2019, "Objects as Points".
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from mi203jax.arguments import check_int
from mi203jax.boxes import area
from mi203jax.nn.pool import max_pool


class CenterTargets(NamedTuple):
    """What the maps of a centre detector should be, for one image."""

    heat: jax.Array
    """`[height, width, classes]`, in [0, 1]: 1 at the cells of centres, a Gaussian around each."""
    offset: jax.Array
    """`[height, width, 2]`: (dy, dx) in [0, 1), from the cell's corner to the centre, in cells; else 0."""
    size: jax.Array
    """`[height, width, 2]`: (height, width) of the box in pixels; 0 elsewhere."""
    mask: jax.Array
    """`[height, width]`, bool: the cells of centres, where `offset` and `size` count."""


def gaussian_radius(height: jax.Array, width: jax.Array, overlap: float | jax.Array = 0.7) -> jax.Array:
    """By how much all coordinates of a box may be wrong if it is still to overlap the true one.

    Law and Deng (2018, CornerNet) take the least of three radii: corners moved inwards, outwards, or both in
    one direction. The first is always the least, so this is the smaller root r of
    (h − 2r)(w − 2r) = overlap · h w. (The published code of Zhou et al. takes other roots: its radii at
    0.7 are over three times as large. For squares, an overlap of 0.2 gives those.)

    Args:
        height: h, `[...]`, floating.
        width: w, `[...]`, of the shape and dtype of `height`.
        overlap: least intersection over union, in [0, 1], a scalar.

    Returns:
        r, `[...]`, in the unit and dtype of `height`; 0 for a box without area.

    Raises:
        ValueError: if shapes or dtypes do not fit.
    """
    if height.shape != width.shape or height.dtype != width.dtype:
        raise ValueError(
            f"gaussian_radius: expected height and width of one shape and dtype, got {height.dtype} "
            f"{height.shape} and {width.dtype} {width.shape}."
        )
    if not jnp.issubdtype(height.dtype, jnp.floating):
        raise ValueError(f"gaussian_radius: expected floating sizes, got {height.dtype}.")
    overlap = jnp.asarray(overlap, height.dtype)
    if overlap.ndim:
        raise ValueError(f"gaussian_radius: expected overlap to be a scalar, got shape {overlap.shape}.")
    height, width = jax.nn.relu(height), jax.nn.relu(width)
    product = height * width
    # Of the two ways to write the root, the one in which nothing cancels.
    below = height + width + jnp.sqrt((height - width) ** 2 + 4 * overlap * product)
    return jnp.where(product > 0, (1 - overlap) * product / jnp.where(product > 0, below, 1), 0)


def center_targets(
    boxes: jax.Array,
    labels: jax.Array,
    mask: jax.Array,
    shape: tuple[int, int],
    stride: int,
    num_classes: int,
    overlap: float | jax.Array = 0.7,
) -> CenterTargets:
    """Heat map, offsets and sizes of an image's objects (Zhou et al. 2019, section 3).

    Around the cell p of an object's centre its class has exp(−|q − p|² / 2σ²) in each cell q, with
    σ = (2⌊r⌋ + 1) / 6 and r = `gaussian_radius` in cells; where objects overlap, the largest counts. Offsets
    and sizes know no class: if centres share a cell, they are those of the smallest box, of equal ones the
    first. The heat map has each object all the same.

    Args:
        boxes: (y0, x0, y1, x1) in pixels, `[n, 4]`, floating.
        labels: `[n]`, integer.
        mask: which objects are there, `[n]`, bool. Not there either is one without area, with a centre
            outside the maps, or with a label outside 0 … num_classes − 1.
        shape: (height, width) of the maps in cells, static.
        stride: pixels for each cell, static.
        num_classes: static.
        overlap: of `gaussian_radius`, in [0, 1], a scalar: the less, the wider the Gaussians.

    Returns:
        The targets, of the dtype of `boxes`.

    Raises:
        ValueError: if shapes, dtypes or static arguments do not fit.
    """
    _check_objects(boxes, labels, mask)
    _check_shape(shape)
    _check_ints("center_targets", stride=stride, num_classes=num_classes)
    centre, size = (boxes[:, :2] + boxes[:, 2:]) / (2 * stride), boxes[:, 2:] - boxes[:, :2]
    cell, labels = jnp.floor(centre), labels.astype(jnp.int32)
    inside = (cell >= 0).all(-1) & (cell[:, 0] < shape[0]) & (cell[:, 1] < shape[1])
    there = mask & inside & (size > 0).all(-1) & (labels >= 0) & (labels < num_classes)
    radius = gaussian_radius(size[:, 0] / stride, size[:, 1] / stride, overlap)

    peaks = _gaussians(cell, (2 * jnp.floor(radius) + 1) / 6, shape)
    heat = jnp.zeros((num_classes, *shape), boxes.dtype)
    heat = heat.at[_or_none(labels, there)].max(peaks, mode="drop")
    row, column = cell.astype(jnp.int32).T
    place = row * shape[1] + column
    winner = there & ~_has_smaller(_or_none(place, there), area(boxes))
    flat = jnp.zeros((shape[0] * shape[1], 4), boxes.dtype)
    flat = flat.at[_or_none(place, winner)].set(jnp.concatenate([centre - cell, size], -1), mode="drop")
    offset, size = jnp.split(flat.reshape(*shape, 4), 2, -1)
    return CenterTargets(jnp.moveaxis(heat, 0, -1), offset, size, (size > 0).all(-1))


def decode_centers(
    heat: jax.Array, offset: jax.Array, size: jax.Array, stride: int, k: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The k highest peaks of a heat map as boxes (Zhou et al. 2019, section 3).

    A peak is a cell that is as large as all of its 8 neighbours in the same class. Nothing is suppressed
    beyond that.

    Args:
        heat: probabilities, `[height, width, classes]`, floating, in [0, 1].
        offset: (dy, dx) of centres from the corner of their cell, in cells, `[height, width, 2]`.
        size: (height, width) of boxes in pixels, `[height, width, 2]`; a negative one counts as 0.
        stride: pixels for each cell, static.
        k: how many, at most height × width × classes, static.

    Returns:
        (boxes, labels, scores), `[k, 4]`, `[k]` (int32), `[k]`, highest score first and of equal ones the
        first cell. Where there are fewer than k peaks, the other scores are 0 and their boxes mean nothing.

    Raises:
        ValueError: if shapes, dtypes or static arguments do not fit.
    """
    _check_maps(heat, offset, size)
    _check_ints("decode_centers", stride=stride, k=k)
    if k > heat.size:
        raise ValueError(f"decode_centers: expected k of at most {heat.size}, the map's size, got {k}.")
    classes, width = heat.shape[-1], heat.shape[1]
    peaks = jnp.where(heat == max_pool(heat, 3, 1, padding=1), heat, 0)
    scores, index = lax.top_k(peaks.ravel(), k)
    place, labels = index // classes, index % classes
    cell = jnp.stack([place // width, place % width], -1).astype(heat.dtype)
    centre = (cell + offset.reshape(-1, 2)[place]) * stride
    half = jax.nn.relu(size.reshape(-1, 2)[place]) / 2
    return jnp.concatenate([centre - half, centre + half], -1), labels, scores


def _or_none(index: jax.Array, where: jax.Array) -> jax.Array:
    """The index where it counts, elsewhere one outside every array, which `mode="drop"` leaves out."""
    return jnp.where(where, index, jnp.iinfo(jnp.int32).max)


def _gaussians(cell: jax.Array, sigma: jax.Array, shape: tuple[int, int]) -> jax.Array:
    """A Gaussian of height 1 about each cell, `[n, height, width]`."""

    def along(axis):
        distance = jnp.arange(shape[axis], dtype=cell.dtype)[None, :] - cell[:, axis, None]
        return jnp.exp(-((distance / sigma[:, None]) ** 2) / 2)

    return along(0)[:, :, None] * along(1)[:, None, :]


def _has_smaller(place: jax.Array, areas: jax.Array) -> jax.Array:
    """Whether another object has the same place and is smaller, or as small and before it, `[n]`."""
    mine, other = areas[:, None], areas[None, :]
    before = jnp.tri(len(areas), k=-1, dtype=bool)
    return ((place[:, None] == place[None, :]) & ((other < mine) | ((other == mine) & before))).any(-1)


def _check_objects(boxes: jax.Array, labels: jax.Array, mask: jax.Array) -> None:
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not jnp.issubdtype(boxes.dtype, jnp.floating):
        raise ValueError(f"center_targets: expected floating boxes [n, 4], got {boxes.dtype} {boxes.shape}.")
    if labels.shape != boxes.shape[:1] or not jnp.issubdtype(labels.dtype, jnp.integer):
        raise ValueError(
            f"center_targets: expected integer labels of shape {boxes.shape[:1]}, got {labels.dtype} "
            f"{labels.shape}."
        )
    if mask.shape != boxes.shape[:1] or mask.dtype != bool:
        raise ValueError(
            f"center_targets: expected a bool mask of shape {boxes.shape[:1]}, got {mask.dtype} {mask.shape}."
        )


def _check_shape(shape: tuple[int, int]) -> None:
    if len(shape) != 2:
        raise ValueError(f"center_targets: expected shape (height, width), got {shape}.")
    _check_ints("center_targets", height=shape[0], width=shape[1])


def _check_maps(heat: jax.Array, offset: jax.Array, size: jax.Array) -> None:
    expected = (*heat.shape[:2], 2)
    if heat.ndim != 3 or offset.shape != expected or size.shape != expected:
        raise ValueError(
            f"decode_centers: expected heat [height, width, classes], offset and size [height, width, 2], "
            f"got {heat.shape}, {offset.shape} and {size.shape}."
        )
    if len({heat.dtype, offset.dtype, size.dtype}) > 1 or not jnp.issubdtype(heat.dtype, jnp.floating):
        raise ValueError(
            f"decode_centers: expected one floating dtype, got {heat.dtype}, {offset.dtype} and {size.dtype}."
        )


def _check_ints(name: str, **numbers: int) -> None:
    for argument, number in numbers.items():
        check_int(name, argument, number)
