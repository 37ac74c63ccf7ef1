"""Convolution (slide "Convolution")."""

from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import lax

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

    On a CPU it is computed as one matrix product over patches, which is several times faster there
    than XLA's convolution, most of all inside `lax.scan`; elsewhere it is `lax.conv`.

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
    strides = (stride, stride) if isinstance(stride, int) else tuple(stride)
    if len(strides) != 2 or not all(isinstance(s, int) and s > 0 for s in strides):
        raise ValueError(f"conv2d: stride={stride}: expected a positive number, or two.")
    pads = _pads(x.shape[-3:-1], w.shape[:2], strides, padding)
    padded = [n + sum(p) for n, p in zip(x.shape[-3:-1], pads, strict=True)]
    if padded[0] < w.shape[0] or padded[1] < w.shape[1]:
        raise ValueError(f"conv2d: filters {w.shape[:2]} are larger than the image {tuple(padded)}.")
    images = x.reshape(-1, *x.shape[-3:])
    y = lax.platform_dependent(
        images,
        w,
        cpu=lambda x, w: _as_matrix_product(x, w, strides, pads),
        default=lambda x, w: lax.conv_general_dilated(
            x, w, strides, pads, dimension_numbers=("NHWC", "HWIO", "NHWC")
        ),
    )
    return y.reshape(*x.shape[:-3], *y.shape[1:])


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


def _pads(image, window, strides, padding: Padding) -> tuple[tuple[int, int], tuple[int, int]]:
    if isinstance(padding, str):
        if padding not in ("VALID", "SAME"):
            raise ValueError(f"conv2d: padding={padding!r}: expected 'VALID', 'SAME' or numbers.")
        top, left = lax.padtype_to_pads(image, window, strides, padding)
        return tuple(top), tuple(left)  # type: ignore[return-value]
    pairs: Any = ((padding, padding), (padding, padding)) if isinstance(padding, int) else padding
    try:
        (top, bottom), (left, right) = pairs
    except (TypeError, ValueError):
        raise ValueError(f"conv2d: padding={padding}: expected ((top, bottom), (left, right)).") from None
    if min(top, bottom, left, right) < 0:
        raise ValueError(f"conv2d: padding={padding}: expected no negative number.")
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
