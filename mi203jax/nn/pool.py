"""Pooling (slide "Pooling")."""

import functools
from itertools import product

import jax
import jax.numpy as jnp

from mi203jax.nn.conv import Padding, both, pads_of

Window = int | tuple[int, int]


def max_pool(
    x: jax.Array, window: Window = 2, stride: Window | None = None, padding: Padding = "VALID"
) -> jax.Array:
    """The slide's pooling: y[h, w, c] = max x[2h + dh, 2w + dw, c] over dh, dw in {0, 1}.

    Where several inputs of a window are largest, as zeros after relu often are, the gradient goes to the
    first of them, row by row (as in PyTorch), and not to each. A NaN in a window is its maximum.

    Args:
        x: images, `[..., height, width, channels]`, floating.
        window: size of a window, for both directions or (vertical, horizontal).
        stride: step between windows, likewise; None: the size of a window, so that none overlap.
        padding: as in `conv2d`, with −∞; less than a window, so that none lies outside the image.

    Returns:
        `[..., height', width', channels]`, of the dtype of `x`; with "VALID", rows and columns after
        the last whole window are dropped.

    Raises:
        ValueError: if `x` is no image or not floating, a window is larger than the image, or window,
            stride or padding are none.
    """
    x, window, stride = _padded("max_pool", x, window, stride, padding, -jnp.inf)
    if window == stride:
        return _max_of_blocks(_blocks(x, window))
    largest, *others = _shifted(x, window, stride)
    return functools.reduce(lambda y, v: jnp.where(_above(v, y), v, y), others, largest)


def avg_pool(
    x: jax.Array, window: Window = 2, stride: Window | None = None, padding: Padding = "VALID"
) -> jax.Array:
    """As `max_pool`, with the mean of a window instead of its maximum.

    Args:
        x: images, `[..., height, width, channels]`, floating.
        window: size of a window, for both directions or (vertical, horizontal).
        stride: step between windows, likewise; None: the size of a window, so that none overlap.
        padding: as in `conv2d`, with zeros, which count in the mean (as in PyTorch); less than a window.

    Returns:
        `[..., height', width', channels]`, of the dtype of `x`.

    Raises:
        ValueError: as `max_pool`.
    """
    x, window, stride = _padded("avg_pool", x, window, stride, padding, 0.0)
    if window == stride:
        return _blocks(x, window).mean((-4, -2))
    return functools.reduce(jnp.add, _shifted(x, window, stride)) / (window[0] * window[1])


def _blocks(x: jax.Array, window: tuple[int, int]) -> jax.Array:
    """[..., H, W, C] -> [..., H', ΔH, W', ΔW, C], without the rows and columns that fill no window."""
    (*batch, height, width, channels), (dh, dw) = x.shape, window
    rows, columns = height // dh, width // dw
    return x[..., : rows * dh, : columns * dw, :].reshape(*batch, rows, dh, columns, dw, channels)


def _shifted(x: jax.Array, window: tuple[int, int], stride: tuple[int, int]) -> list[jax.Array]:
    """For each place in a window, what all windows have there: `[..., H', W', C]`."""
    below, right = (
        (n - size) // step * step + 1 for n, size, step in zip(x.shape[-3:-1], window, stride, strict=True)
    )
    return [
        x[..., i : i + below : stride[0], j : j + right : stride[1], :]
        for i, j in product(range(window[0]), range(window[1]))
    ]


def _above(v: jax.Array, largest: jax.Array) -> jax.Array:
    return (v > largest) | jnp.isnan(v)


@jax.custom_jvp
def _max_of_blocks(blocks: jax.Array) -> jax.Array:
    return _largest_and_place(blocks)[0]


@_max_of_blocks.defjvp
def _max_of_blocks_jvp(primals, tangents):
    # Its transpose is one comparison an input, where the transpose of slices writes the whole for each.
    (blocks,), (tangent,) = primals, tangents
    y, place = _largest_and_place(blocks)
    _, dh, _, dw, _ = blocks.shape[-5:]
    here = jnp.arange(dh * dw, dtype=place.dtype).reshape(*(1,) * (blocks.ndim - 4), dh, 1, dw, 1)
    chosen = jnp.where(place[..., :, None, :, None, :] == here, tangent, 0)
    return y, chosen.sum((-4, -2))


def _largest_and_place(blocks: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The maximum of each block and the number of its first place, each `[..., H', W', C]`."""
    _, dh, _, dw, _ = blocks.shape[-5:]
    if dh * dw > 16:  # a chain of comparisons, which XLA fuses, would take long to compile
        flat = blocks.swapaxes(-4, -3)
        flat = flat.reshape(*flat.shape[:-3], dh * dw, flat.shape[-1])
        return flat.max(-2), flat.argmax(-2)
    y = blocks[..., 0, :, 0, :]
    place = jnp.zeros(y.shape, jnp.int8)
    for number, (i, j) in enumerate(product(range(dh), range(dw))):
        v = blocks[..., i, :, j, :]
        above = _above(v, y)
        y, place = jnp.where(above, v, y), jnp.where(above, jnp.int8(number), place)
    return y, place


def _padded(
    function: str, x: jax.Array, window: Window, stride: Window | None, padding: Padding, value: float
) -> tuple[jax.Array, tuple[int, int], tuple[int, int]]:
    """The image with its border, the window and the stride."""
    if x.ndim < 3 or not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(
            f"{function}: expected floating x [..., height, width, channels], got {x.dtype} {x.shape}."
        )
    window = both(function, "window", window)
    stride = window if stride is None else both(function, "stride", stride)
    pads = pads_of(function, x.shape[-3:-1], window, stride, padding)
    if any(max(pad) >= size for pad, size in zip(pads, window, strict=True)):
        raise ValueError(f"{function}: padding={padding}: expected less than the window {window}.")
    size = [n + sum(pad) for n, pad in zip(x.shape[-3:-1], pads, strict=True)]
    if size[0] < window[0] or size[1] < window[1]:
        raise ValueError(f"{function}: window {window} is larger than the image {tuple(size)}.")
    if pads != ((0, 0), (0, 0)):
        x = jnp.pad(x, (*[(0, 0)] * (x.ndim - 3), *pads, (0, 0)), constant_values=value)
    return x, window, stride
