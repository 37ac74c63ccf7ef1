"""A classifier run on every window of an image (slide "Classification → détection", its first idea).

`window_grid` says where to look and `crop` what is seen there; the classifier learns `window_targets` and
`decode_windows` makes boxes of what it says. Windows are square and boxes are not: a box is looked for in the
smallest `square` around it, with a margin, and what share of a square a class fills is learnt once, as
`class_shapes`. Functions take one image; a batch is their `jax.vmap`. Boxes are as in `mi203jax.boxes`.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from mi203jax.arguments import check_int, scalar
from mi203jax.boxes import area, intersection_over_union, non_maximum_suppression


def window_grid(shape: tuple[int, int], sides: tuple[int, ...], step: float = 0.25) -> jax.Array:
    """All square windows of given sides at regular steps within an image.

    A step that the image's border cuts is shorter, so that the last windows reach the border.

    Args:
        shape: (height, width) of the image in pixels, static.
        sides: of the windows in pixels, none larger than the image, static.
        step: from one window to the next, as a share of its side, rounded to pixels and at least 1; static.

    Returns:
        `[n, 4]`, float32: side by side, each row by row.

    Raises:
        ValueError: if an argument does not fit.
    """
    if len(shape) != 2 or not sides or not 0 < step < math.inf:
        raise ValueError(
            f"window_grid: expected shape (height, width), one side or more and a positive step, "
            f"got {shape}, {sides} and {step}."
        )
    for size in shape:
        check_int("window_grid", "height and width", size)
    for side in sides:
        check_int("window_grid", "each side", side, min(shape))
    grids = []
    for side in sides:
        stride = max(1, round(step * side))
        last = [n - side for n in shape]
        starts = [np.minimum(np.arange(0, end + stride, stride), end) for end in last]
        corners = np.stack(np.meshgrid(*starts, indexing="ij"), -1).reshape(-1, 2)
        grids.append(np.concatenate([corners, corners + side], -1))
    return jnp.asarray(np.concatenate(grids), jnp.float32)


def crop(image: jax.Array, box: jax.Array, size: int) -> jax.Array:
    """What a box shows, resampled to a square.

    The value at a point is a mean of pixels by a triangle about it. Where the crop is larger than the box,
    the triangle reaches 1 pixel on each side, which is bilinear interpolation; where it is smaller, as many
    pixels as become one, so that nothing is skipped. Pixels outside the box but in reach take part; what is
    outside the image does not. A point outside the image is 0.

    Args:
        image: `[height, width, channels]`, floating.
        box: `[4]`, floating, anywhere; of one without area, the crop is 0.
        size: height and width of the crop, static.

    Returns:
        `[size, size, channels]`, of the dtype of `image`.

    Raises:
        ValueError: if shapes, dtypes or `size` do not fit.
    """
    _check("crop", "image", image, jnp.floating, ("height", "width", "channels"))
    _check("crop", "box", box, jnp.floating, (4,))
    check_int("crop", "size", size)
    extent = box[2:] - box[:2]
    there = (extent > 0).all()
    scale = size / jnp.where(there, extent, 1)
    target = (size, size, image.shape[2])
    shown = jax.image.scale_and_translate(image, target, (0, 1), scale, -box[:2] * scale, "linear")
    return jnp.where(there, shown, 0).astype(image.dtype)


def square(boxes: jax.Array, margin: float | jax.Array = 1.2) -> jax.Array:
    """The square about the centre of each box whose side is the box's longer side times `margin`.

    Args:
        boxes: `[..., 4]`, floating.
        margin: positive, a scalar.

    Returns:
        `[..., 4]`, of the dtype of `boxes`.

    Raises:
        ValueError: if shapes or dtypes do not fit.
    """
    _check("square", "boxes", boxes, jnp.floating, ("...", 4))
    margin = scalar("square", "margin", margin, boxes.dtype)
    centre, extent = _centre_and_extent(boxes)
    half = margin * extent.max(-1, keepdims=True) / 2
    return jnp.concatenate([centre - half, centre + half], -1)


def window_targets(
    windows: jax.Array,
    boxes: jax.Array,
    labels: jax.Array,
    mask: jax.Array,
    num_classes: int,
    positive: float | jax.Array = 0.5,
    negative: float | jax.Array = 0.3,
    margin: float | jax.Array = 1.2,
) -> tuple[jax.Array, jax.Array]:
    """What a classifier should say of each window, and of which windows it should be asked.

    With o the largest intersection over union of the window with the `square` of an object, of equal ones the
    first: that object's class if o ≥ positive, background if o < negative, and between the two neither.

    Args:
        windows: `[n, 4]`, floating.
        boxes: `[m, 4]`, of the dtype of `windows`.
        labels: `[m]`, integer.
        mask: which objects are there, `[m]`, bool. Not there either is one without area, or with a label
            outside 0 … num_classes − 1.
        num_classes: static.
        positive: in (0, 1], a scalar.
        negative: in [0, positive], a scalar.
        margin: of `square`.

    Returns:
        The classes, `[n]`, int32: 0 background, else 1 + label; and which windows count, `[n]`, bool. The
        class of one that does not count is 0.

    Raises:
        ValueError: if shapes, dtypes or `num_classes` do not fit.
    """
    name = "window_targets"
    _check(name, "windows", windows, jnp.floating, ("n", 4))
    _check(name, "boxes", boxes, windows.dtype, ("m", 4))
    there = _there(name, boxes, labels, mask, num_classes)
    positive = scalar(name, "positive", positive, windows.dtype)
    negative = scalar(name, "negative", negative, windows.dtype)
    # As first object one that nothing overlaps, so that there is a largest one without any other.
    squares = jnp.concatenate([jnp.zeros((1, 4), boxes.dtype), square(boxes, margin)])
    there = jnp.concatenate([jnp.zeros(1, bool), there])
    classes = jnp.concatenate([jnp.zeros(1, jnp.int32), labels.astype(jnp.int32) + 1])
    overlaps = jnp.where(there[None, :], intersection_over_union(windows, squares), 0)
    largest = overlaps.max(-1)
    found = largest >= positive
    return jnp.where(found, classes[overlaps.argmax(-1)], 0), found | (largest < negative)


def class_shapes(
    boxes: jax.Array, labels: jax.Array, mask: jax.Array, num_classes: int, margin: float | jax.Array = 1.2
) -> jax.Array:
    """Which shares of the side of their `square` the boxes of each class are high and wide, on average.

    Args:
        boxes: `[..., 4]`, floating: those of a training set, for example.
        labels: `[...]`, integer.
        mask: which objects are there, `[...]`, bool, and further as in `window_targets`.
        num_classes: static.
        margin: of `square`.

    Returns:
        Means of height and width, `[classes, 2]`, of the dtype of `boxes`; 1 / margin, the most that there
        can be, for a class without any box.

    Raises:
        ValueError: if shapes, dtypes or `num_classes` do not fit.
    """
    _check("class_shapes", "boxes", boxes, jnp.floating, ("...", 4))
    there = _there("class_shapes", boxes, labels, mask, num_classes).ravel()
    margin = scalar("class_shapes", "margin", margin, boxes.dtype)
    extent = jnp.where(there[:, None], (boxes[..., 2:] - boxes[..., :2]).reshape(-1, 2), 1)
    shares = extent / (margin * extent.max(-1, keepdims=True))
    index = jnp.where(there, labels.ravel().astype(jnp.int32), num_classes)
    total = jax.ops.segment_sum(shares, index, num_classes)
    number = jax.ops.segment_sum(jnp.ones_like(shares), index, num_classes)
    return jnp.where(number > 0, total / jnp.maximum(number, 1), 1 / margin)


def decode_windows(
    windows: jax.Array, scores: jax.Array, shapes: jax.Array, k: int, threshold: float | jax.Array = 0.5
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Boxes from the classes of windows: the k best pairs of a window and a class, less those suppressed.

    The box of a class in a window is about the window's centre and fills the class's share of it. Then there
    is non-maximum suppression among the boxes of each class.

    Args:
        windows: `[n, 4]`, floating.
        scores: probabilities, `[n, 1 + classes]`, floating, of the background first.
        shapes: (height, width) as shares of a window, `[classes, 2]`, of the dtype of `windows`: see
            `class_shapes`.
        k: how many, at most n × classes, static.
        threshold: of `non_maximum_suppression`.

    Returns:
        (boxes, labels, scores), `[k, 4]`, `[k]` (int32), `[k]`, highest score first and of equal ones the
        first window. Suppressed boxes come last and have a score of 0.

    Raises:
        ValueError: if shapes, dtypes or `k` do not fit.
    """
    _check("decode_windows", "windows", windows, jnp.floating, ("n", 4))
    _check("decode_windows", "shapes", shapes, windows.dtype, ("classes", 2))
    n, classes = len(windows), len(shapes)
    _check("decode_windows", "scores", scores, jnp.floating, (n, 1 + classes))
    check_int("decode_windows", "k", k, n * classes)
    best, index = lax.top_k(scores[:, 1:].ravel(), k)
    labels = (index % classes).astype(jnp.int32)
    centre, extent = _centre_and_extent(windows[index // classes])
    half = extent * shapes[labels] / 2
    boxes = jnp.concatenate([centre - half, centre + half], -1)
    of_class = labels[None, :] == jnp.arange(classes)[:, None]
    kept = jax.vmap(non_maximum_suppression, (None, None, None, 0))(boxes, best, threshold, of_class)
    best, order = lax.top_k(jnp.where(kept.any(0), best, 0), k)
    return boxes[order], labels[order], best


def _centre_and_extent(boxes: jax.Array) -> tuple[jax.Array, jax.Array]:
    low, high = boxes[..., :2], boxes[..., 2:]
    return (low + high) / 2, high - low


def _there(name: str, boxes: jax.Array, labels: jax.Array, mask: jax.Array, num_classes: int) -> jax.Array:
    """Which objects are there, `[...]`."""
    _check(name, "labels", labels, jnp.integer, boxes.shape[:-1])
    _check(name, "mask", mask, np.bool_, boxes.shape[:-1])
    check_int(name, "num_classes", num_classes)
    return mask & (area(boxes) > 0) & (labels >= 0) & (labels < num_classes)


def _check(name: str, argument: str, array: jax.Array, kind, shape: tuple) -> None:
    """In `shape`, a string is any size, and "..." in front any axes."""
    sizes = [size for size in shape if size != "..."]
    last = array.shape[-len(sizes) :] if "..." in shape else array.shape
    fits = [isinstance(size, str) or n == size for size, n in zip(sizes, last, strict=False)]
    if len(last) != len(sizes) or not all(fits) or not jnp.issubdtype(array.dtype, kind):
        form = f"[{', '.join(map(str, shape))}]"
        raise ValueError(
            f"{name}: expected {getattr(kind, '__name__', kind)} {argument} {form}, "
            f"got {array.dtype} {array.shape}."
        )
