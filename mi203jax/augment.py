"""Inputs transformed by a problem's invariances (slide "Optimisation", *Data augmentation*).

The slide's other way, a network forced to respect them, is `mi203jax.invariance`.

Augmentations take a key and one image, so that a batch is `jax.vmap` over split keys:

    keys = jax.random.split(key, len(images))
    images = jax.vmap(lambda k, x: affine(k, x, degrees=10.0, pixels=2.0))(keys, images)

Images are `[height, width, channels]`, floating, and keep shape and dtype. Every strength, probability and
`fill` (the value of what was outside) is a scalar that may be traced; at strength 0 an image stays as it is.
"""

from typing import Literal

import jax
import jax.numpy as jnp
from jax import lax


def affine_matrix(degrees=0.0, zoom=1.0, dy=0.0, dx=0.0, shear=0.0) -> jax.Array:
    """The motion of a shear, then a zoom, a rotation and a translation.

    A point p = (y, x), counted in pixels from the image's centre with y downwards, moves to
    zoom · R · S · p + (dy, dx), R = [[cos, −sin], [sin, cos]], S = [[1, 0], [shear, 1]].

    Args:
        degrees: angle of the rotation, anticlockwise as one sees it; a scalar, as all of these.
        zoom: factor by which things grow, positive.
        dy: translation downwards, in pixels.
        dx: translation to the right, in pixels.
        shear: columns by which a row moves to the right for each row that it is below the centre.

    Returns:
        `[2, 3]`, float32: the matrix, and the translation as last column.
    """
    zoom, dy, dx, shear = map(_scalar, (zoom, dy, dx, shear))
    angle = jnp.deg2rad(_scalar(degrees))
    cos, sin = zoom * jnp.cos(angle), zoom * jnp.sin(angle)
    return jnp.stack([cos - shear * sin, -sin, dy, sin + shear * cos, cos, dx]).reshape(2, 3)


def random_affine(key: jax.Array, degrees=0.0, scale=0.0, pixels=0.0, shear=0.0) -> jax.Array:
    """Draws an `affine_matrix`, to be applied by `warp` to an image and to what belongs to it (masks, boxes).

    Args:
        key: random key.
        degrees: the angle is uniform in ±`degrees`.
        scale: the zoom is log-uniform in [1 / (1 + `scale`), 1 + `scale`]: it shrinks or enlarges alike.
        pixels: dy and dx are uniform in ±`pixels`, real-valued.
        shear: the shear is uniform in ±`shear`.

    Returns:
        `[2, 3]`, float32.
    """
    turn, growth, dy, dx, slant = jax.random.uniform(key, (5,), jnp.float32, -1.0, 1.0)
    degrees, scale, pixels, shear = map(_scalar, (degrees, scale, pixels, shear))
    zoom = jnp.exp(growth * jnp.log1p(scale))
    return affine_matrix(turn * degrees, zoom, dy * pixels, dx * pixels, slant * shear)


def warp(image: jax.Array, matrix: jax.Array, fill=0.0, *, order: Literal[0, 1] = 1) -> jax.Array:
    """Moves an image: what is at p gets to A p + t, coordinates being counted from the image's centre.

    The value at q is read off at A⁻¹ (q − t), once, whatever the motion is made of.

    Args:
        image: `[height, width, channels]`; floating for order 1, any dtype for order 0.
        matrix: (A, t), `[2, 3]`, floating, A invertible.
        fill: value outside the image; neighbours outside take part in interpolation with it.
        order: 1 interpolates between the four neighbours; 0 takes the nearest pixel, as masks need.

    Returns:
        The moved image, of the shape and dtype of `image`.

    Raises:
        ValueError: if shapes or dtypes do not fit, or the order is another.
    """
    if order not in {0, 1}:
        raise ValueError(f"warp: expected order 0 or 1, got {order}.")
    if image.ndim != 3 or matrix.shape != (2, 3):
        raise ValueError(
            f"warp: expected an image [height, width, channels] and a matrix [2, 3], got {image.shape} and "
            f"{matrix.shape}."
        )
    if order == 1:
        _check("warp", image)
    height, width, channels = image.shape
    y, x = _sources(height, width, matrix)
    # One pixel of fill around the image stands for all that is outside.
    framed = lax.pad(image, jnp.asarray(fill, image.dtype), ((1, 1, 0), (1, 1, 0), (0, 0, 0)))
    pixels = framed.reshape(-1, channels)

    def at(i, j):
        return pixels.at[(i + 1) * (width + 2) + j + 1].get(mode="clip")

    if order == 0:
        return at(jnp.floor(y + 0.5).astype(jnp.int32), jnp.floor(x + 0.5).astype(jnp.int32))
    top, left = jnp.clip(jnp.floor(y), -1, height - 1), jnp.clip(jnp.floor(x), -1, width - 1)
    below, right = ((d[..., None]).astype(image.dtype) for d in (y - top, x - left))
    i, j = top.astype(jnp.int32), left.astype(jnp.int32)
    upper = (1 - right) * at(i, j) + right * at(i, j + 1)
    lower = (1 - right) * at(i + 1, j) + right * at(i + 1, j + 1)
    return (1 - below) * upper + below * lower


def warp_boxes(boxes: jax.Array, matrix: jax.Array, shape: tuple[int, int]) -> jax.Array:
    """Where `warp` takes boxes: the smallest box around the four moved corners of each.

    A box is (y0, x0, y1, x1) at the *edges* of pixels, as in `mi203jax.boxes`, so the image's centre is at
    (height / 2, width / 2). Its parts outside the image stay, which `boxes.clip` cuts off. After a rotation
    by no right angle or a shear, it is larger than the smallest box around what was in the first one.

    Args:
        boxes: `[..., 4]`, floating.
        matrix: (A, t), `[2, 3]`, floating.
        shape: (height, width) of the image, static.

    Returns:
        `[..., 4]`, of the dtype of `boxes`.

    Raises:
        ValueError: if shapes or dtypes do not fit.
    """
    if boxes.ndim < 1 or boxes.shape[-1] != 4 or not jnp.issubdtype(boxes.dtype, jnp.floating):
        raise ValueError(f"warp_boxes: expected floating boxes [..., 4], got {boxes.dtype} {boxes.shape}.")
    if matrix.shape != (2, 3):
        raise ValueError(f"warp_boxes: expected a matrix [2, 3], got {matrix.shape}.")
    if len(shape) != 2 or not all(isinstance(size, int) and size > 0 for size in shape):
        raise ValueError(f"warp_boxes: expected shape to be two positive ints, got {shape}.")
    matrix = matrix.astype(boxes.dtype)
    linear, shift = matrix[:, :2], matrix[:, 2]
    middle = jnp.asarray(shape, boxes.dtype) / 2

    def moved(linear, points):
        return jnp.einsum("ij,...j->...i", linear, points, precision="highest")

    def wide(point):
        return lax.expand_dims(point, range(boxes.ndim - 1))

    low, high = boxes[..., :2], boxes[..., 2:]
    centre = moved(linear, (low + high) / 2 - wide(middle)) + wide(shift + middle)
    half = moved(jnp.abs(linear), (high - low) / 2)
    return jnp.concatenate([centre - half, centre + half], -1)


def _sources(height: int, width: int, matrix: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Where each pixel comes from, `[height, width]` each, at most one pixel outside the image."""
    a, b, dy, c, d, dx = matrix.astype(jnp.float32).reshape(6)
    middle_y, middle_x = (height - 1) / 2, (width - 1) / 2
    y, x = jnp.indices((height, width))
    y, x = y.astype(jnp.float32) - middle_y - dy, x.astype(jnp.float32) - middle_x - dx
    determinant = a * d - b * c
    source_y = (d * y - b * x) / determinant + middle_y
    source_x = (a * x - c * y) / determinant + middle_x
    return jnp.clip(source_y, -1, height), jnp.clip(source_x, -1, width)


def translate(image: jax.Array, dy, dx, fill=0.0) -> jax.Array:
    """Moves an image `dy` pixels down and `dx` to the right: exactly if both are integers, else `warp`ed.

    Args:
        image: `[height, width, channels]`, floating.
        dy: a scalar.
        dx: a scalar.
        fill: value outside the image.

    Returns:
        The moved image, of the shape and dtype of `image`.
    """
    return warp(image, affine_matrix(dy=dy, dx=dx), fill)


def affine(
    key: jax.Array, image: jax.Array, degrees=0.0, scale=0.0, pixels=0.0, shear=0.0, fill=0.0
) -> jax.Array:
    """Rotates, zooms, moves and shears at random, by one bilinear resampling: see `random_affine`, `warp`."""
    return warp(image, random_affine(key, degrees, scale, pixels, shear), fill)


def rotate(key: jax.Array, image: jax.Array, degrees, fill=0.0) -> jax.Array:
    """Rotates about the centre by an angle uniform in ±`degrees`."""
    return affine(key, image, degrees=degrees, fill=fill)


def zoom(key: jax.Array, image: jax.Array, scale, fill=0.0) -> jax.Array:
    """Zooms about the centre by a factor log-uniform in [1 / (1 + `scale`), 1 + `scale`]."""
    return affine(key, image, scale=scale, fill=fill)


def shift(key: jax.Array, image: jax.Array, pixels, fill=0.0) -> jax.Array:
    """Moves by integers (dy, dx), uniform in [−`pixels`, `pixels`]²; a real `pixels` is rounded down."""
    most = jnp.floor(_scalar(pixels)).astype(jnp.int32)
    dy, dx = jax.random.randint(key, (2,), -most, most + 1)
    return translate(image, dy, dx, fill)


def flip(key: jax.Array, image: jax.Array, probability=0.5) -> jax.Array:
    """Exchanges left and right with a probability."""
    _check("flip", image)
    return jnp.where(jax.random.bernoulli(key, _scalar(probability)), image[:, ::-1], image)


def cutout(key: jax.Array, image: jax.Array, size, fill=0.0) -> jax.Array:
    """Erases a square of side `size` (rounded down) about a uniformly chosen pixel (DeVries & Taylor 2017).

    It may hang over the border. One of even side reaches one pixel further up and left than down and right.
    """
    _check("cutout", image)
    height, width, _ = image.shape
    side = jnp.floor(_scalar(size)).astype(jnp.int32)
    centre = jax.random.randint(key, (2,), 0, jnp.array([height, width]))
    top, left = centre - side // 2
    rows, columns = jnp.arange(height)[:, None, None], jnp.arange(width)[None, :, None]
    inside = (top <= rows) & (rows < top + side) & (left <= columns) & (columns < left + side)
    return jnp.where(inside, jnp.asarray(fill, image.dtype), image)


def noise(key: jax.Array, image: jax.Array, sigma) -> jax.Array:
    """Adds independent Gaussian noise of standard deviation `sigma` to each value."""
    _check("noise", image)
    return image + _scalar(sigma).astype(image.dtype) * jax.random.normal(key, image.shape, image.dtype)


def mix_up(key: jax.Array, images: jax.Array, targets: jax.Array, alpha) -> tuple[jax.Array, jax.Array]:
    """Mixes a batch with a permuted copy of itself (Zhang et al. 2018): λ x + (1 − λ) x', λ y + (1 − λ) y'.

    Args:
        key: random key.
        images: a batch, `[examples, height, width, channels]`, floating.
        targets: probabilities of the classes, `[examples, classes]`, floating.
        alpha: λ ~ Beta(α, α), one for the batch; a scalar. 0 means no mixing: λ = 1.

    Returns:
        Mixed images and targets, of the shapes and dtypes given.

    Raises:
        ValueError: if shapes or dtypes do not fit.
    """
    if images.ndim != 4 or targets.ndim != 2 or len(images) != len(targets):
        raise ValueError(
            "mix_up: expected images [examples, height, width, channels] and targets [examples, classes], "
            f"got {images.shape} and {targets.shape}."
        )
    if not all(jnp.issubdtype(a.dtype, jnp.floating) for a in (images, targets)):
        raise ValueError(f"mix_up: expected floating dtypes, got {images.dtype} and {targets.dtype}.")
    share_key, order_key = jax.random.split(key)
    alpha = _scalar(alpha)
    mixes = alpha > 0
    positive = jnp.where(mixes, alpha, 1.0)  # Beta(0, 0) is NaN: not even computed
    share = jnp.where(mixes, jax.random.beta(share_key, positive, positive, dtype=jnp.float32), 1.0)
    order = jax.random.permutation(order_key, len(images))

    def mix(a):
        own = share.astype(a.dtype)
        return own * a + (1 - own) * a[order]

    return mix(images), mix(targets)


def _scalar(value) -> jax.Array:
    """A strength as float32."""
    array = jnp.asarray(value, jnp.float32)
    if array.ndim:
        raise ValueError(f"augment: expected a scalar strength (vmap for one an image), got {array.shape}.")
    return array


def _check(function: str, image: jax.Array) -> None:
    if image.ndim != 3 or not jnp.issubdtype(image.dtype, jnp.floating):
        raise ValueError(
            f"{function}: expected one floating image [height, width, channels], got {image.dtype} "
            f"{image.shape}."
        )
