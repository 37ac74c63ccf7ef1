"""Convolution (slide "Convolution")."""

import functools
from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import lax

_CACHED = 2_500_000  # bytes of patches that stay in a core's cache
_MANY_CHANNELS = 16  # measured: from here on XLA's CPU convolution outruns a product over patches

Padding = Literal["VALID", "SAME"] | int | Sequence[tuple[int, int]]


def conv2d(
    x: jax.Array,
    w: jax.Array,
    *,
    stride: int | tuple[int, int] = 1,
    padding: Padding = "VALID",
) -> jax.Array:
    """The slide's convolution: y[h, w, k] = Σ x[h + dh, w + dw, c] · w[dh, dw, c, k].

    It is a cross-correlation, as in every deep-learning library. With valid borders and stride 1 the
    output has (H − ΔH + 1) × (W − ΔW + 1) positions (the slide writes (H − ΔH) × (W − ΔW)).

    On a CPU, XLA's convolution is fast forwards and tens of times slower backwards, and slow with few
    channels. So there the gradient is written as products that are fast, and with few channels the whole is
    one matrix product over patches; with a stride of which the filters are multiples, blocks of pixels become
    channels first. Elsewhere it is `lax.conv`. Under a `vmap` over
    the *filters*, XLA's CPU convolution is slow again: map over trials with `lax.map` instead.

    Args:
        x: images, `[..., height, width, channels]`, floating.
        w: filters, `[Δheight, Δwidth, channels, filters]`, of the dtype of `x`.
        stride: step between positions, for both directions or (vertical, horizontal).
        padding: "VALID" (none), "SAME" (the output has ⌈H / stride⌉ rows), a number of zeros for
            each side, or ((top, bottom), (left, right)).

    Returns:
        `[..., height', width', filters]`, of the dtype of `x`.

    Raises:
        ValueError: if ranks, channels or dtypes do not fit, or a filter is larger than the image,
            or stride or padding are none.
    """
    _check(x, w)
    strides = both("conv2d", "stride", stride)
    pads = pads_of("conv2d", x.shape[-3:-1], w.shape[:2], strides, padding)
    padded = [n + sum(p) for n, p in zip(x.shape[-3:-1], pads, strict=True)]
    if padded[0] < w.shape[0] or padded[1] < w.shape[1]:
        raise ValueError(f"conv2d: filters {w.shape[:2]} are larger than the image {tuple(padded)}.")
    images = x.reshape(-1, *x.shape[-3:])
    y = lax.platform_dependent(
        images,
        w,
        cpu=lambda x, w: _on_cpu(x, w, strides, pads),
        default=lambda x, w: _xla(x, w, strides, pads),
    )
    return y.reshape(*x.shape[:-3], *y.shape[1:])


def _on_cpu(x: jax.Array, w: jax.Array, strides, pads) -> jax.Array:
    """[N, H, W, C] and [ΔH, ΔW, C, K] -> [N, H', W', K], in the way that is fast."""
    if strides != (1, 1) and w.shape[0] % strides[0] == 0 and w.shape[1] % strides[1] == 0:
        x, w = _blocks(x, w, strides, pads)
        strides, pads = (1, 1), ((0, 0), (0, 0))
    if strides != (1, 1) or x.shape[-1] < _MANY_CHANNELS:
        return _as_matrix_product(x, w, strides, pads)
    return _dense(x, w, pads)


def _blocks(x: jax.Array, w: jax.Array, strides, pads) -> tuple[jax.Array, jax.Array]:
    """Images and filters of which a block of pixels, as large as the stride, is a position of more channels.

    Their convolution with stride 1 and without borders is the one that was asked for.
    """
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
    (n, height, width, c), (dh, dw, _, k), (down, right) = x.shape, w.shape, strides
    rows, columns = (height - dh) // down + dh // down, (width - dw) // right + dw // right
    x = x[:, : rows * down, : columns * right].reshape(n, rows, down, columns, right, c)
    w = w.reshape(dh // down, down, dw // right, right, c, k)
    x, w = x.swapaxes(2, 3), w.swapaxes(1, 2)
    return x.reshape(n, rows, columns, -1), w.reshape(dh // down, dw // right, -1, k)


def _as_matrix_product(x: jax.Array, w: jax.Array, strides, pads) -> jax.Array:
    """[N, H, W, C] and [ΔH, ΔW, C, K] -> [N, H', W', K], by a product of two matrices."""
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
    (n, height, width, _), (dh, dw, c, k) = x.shape, w.shape
    rows, columns = (height - dh) // strides[0] + 1, (width - dw) // strides[1] + 1
    below, right = (rows - 1) * strides[0] + 1, (columns - 1) * strides[1] + 1
    patches = [
        x[:, i : i + below : strides[0], j : j + right : strides[1]] for i in range(dh) for j in range(dw)
    ]
    # Two-dimensional, since XLA's CPU backend is faster at it than at a product with batch axes.
    matrix = jnp.concatenate(patches, axis=-1).reshape(n * rows * columns, dh * dw * c)
    return (matrix @ w.reshape(dh * dw * c, k)).reshape(n, rows, columns, k)


def _xla(x: jax.Array, w: jax.Array, strides, pads, filters: str = "HWIO") -> jax.Array:
    return lax.conv_general_dilated(x, w, strides, pads, dimension_numbers=("NHWC", filters, "NHWC"))


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _dense(x: jax.Array, w: jax.Array, pads) -> jax.Array:
    """XLA's convolution with stride 1, whose derivatives have fast transposes on a CPU."""
    return _xla(x, w, (1, 1), pads)


@_dense.defjvp
def _dense_jvp(pads, primals, tangents):
    (x, w), (x_tangent, w_tangent) = primals, tangents
    # With the filters' channels exchanged, it is the transpose that has the order that XLA is fast at.
    by_x = _xla(x_tangent, w.swapaxes(2, 3), (1, 1), pads, "HWOI")
    n, images = len(x), _images_at_once(x, w)

    @functools.partial(jax.checkpoint, prevent_cse=False)
    def by_w(x):
        return _separately(x, w_tangent, pads)

    # In pieces that stay in the cache.
    pieces = lax.map(by_w, x.reshape(n // images, images, *x.shape[1:]))
    return _dense(x, w, pads), by_x + pieces.reshape(by_x.shape)


def _images_at_once(x: jax.Array, w: jax.Array) -> int:
    """The largest divisor of the number of images whose patches stay in the cache."""
    widest = max(w.shape[1] * w.shape[2], w.shape[0] * w.shape[3])
    most = max(1, _CACHED // (x.dtype.itemsize * x.shape[1] * x.shape[2] * widest))
    return max((d for d in range(1, min(most, len(x)) + 1) if len(x) % d == 0), default=1)


def _separately(x: jax.Array, w: jax.Array, pads) -> jax.Array:
    """The convolution by a product over the patches of rows, whose parts are added column by column.

    Its transpose is one product, of ΔW neighbours of x and ΔH neighbours of the gradient: it writes
    ΔW + ΔH copies of an image, and not the ΔW · ΔH of whole patches.
    """
    (n, height, width, c), (dh, dw, _, k), ((top, bottom), left_right) = x.shape, w.shape, pads
    columns = width + sum(left_right) - dw + 1
    x = jnp.pad(x, ((0, 0), (0, 0), left_right, (0, 0)))
    matrix = jnp.concatenate([x[:, :, j : j + columns] for j in range(dw)], -1).reshape(-1, dw * c)
    parts = (matrix @ w.transpose(1, 2, 0, 3).reshape(dw * c, dh * k)).reshape(n, height, columns, dh * k)
    zero, none = jnp.zeros((), x.dtype), (0, 0, 0)
    moved = [
        lax.pad(part, zero, (none, (dh - 1 - i, i, 0), none, none))
        for i, part in enumerate(lax.split(parts, (k,) * dh, 3))
    ]
    y = functools.reduce(jnp.add, moved)
    return lax.pad(y, zero, (none, (top - dh + 1, bottom - dh + 1, 0), none, none))


def both(function: str, name: str, value: int | tuple[int, int]) -> tuple[int, int]:
    """(vertical, horizontal), from a pair or one number for both; each must be positive."""
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2 or not all(isinstance(v, int) and v > 0 for v in pair):
        raise ValueError(f"{function}: {name}={value}: expected a positive number, or two.")
    return pair


def pads_of(
    function: str, image, window, strides, padding: Padding
) -> tuple[tuple[int, int], tuple[int, int]]:
    """((top, bottom), (left, right)), from any form of padding."""
    if isinstance(padding, str):
        if padding not in ("VALID", "SAME"):
            raise ValueError(f"{function}: padding={padding!r}: expected 'VALID', 'SAME' or numbers.")
        top, left = lax.padtype_to_pads(image, window, strides, padding)
        return tuple(top), tuple(left)  # type: ignore[return-value]
    pairs: Any = ((padding, padding), (padding, padding)) if isinstance(padding, int) else padding
    try:
        (top, bottom), (left, right) = pairs
    except (TypeError, ValueError):
        raise ValueError(f"{function}: padding={padding}: expected ((top, bottom), (left, right)).") from None
    if min(top, bottom, left, right) < 0:
        raise ValueError(f"{function}: padding={padding}: expected no negative number.")
    return (top, bottom), (left, right)


def _check(x: jax.Array, w: jax.Array) -> None:
    if x.ndim < 3 or w.ndim != 4:
        raise ValueError(
            f"conv2d: expected x [..., height, width, channels] and w [height, width, channels, "
            f"filters], got {x.shape} and {w.shape}."
        )
    if x.shape[-1] != w.shape[2]:
        raise ValueError(f"conv2d: x has {x.shape[-1]} channels, w takes {w.shape[2]}.")
    if x.dtype != w.dtype or not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(f"conv2d: expected one floating dtype, got {x.dtype} and {w.dtype}.")
