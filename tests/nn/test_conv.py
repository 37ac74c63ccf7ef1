"""conv2d against XLA's convolution and the slide's sum."""

import functools
import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from mi203jax.nn import conv, conv2d

pytestmark = pytest.mark.usefixtures("strict")


def reference(x, w, stride, padding):
    strides = (stride, stride) if isinstance(stride, int) else stride
    if isinstance(padding, int):
        padding = [(padding, padding)] * 2
    return lax.conv_general_dilated(x, w, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def images_and_filters(image=(9, 8), window=(3, 2), channels=3, filters=5, batch=(4,)):
    rng = np.random.default_rng(0)
    shapes = (*batch, *image, channels), (*window, channels, filters)
    return tuple(jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes)


@pytest.mark.parametrize(
    ("stride", "padding", "window", "channels"),
    [
        (1, "VALID", (3, 3), 3),
        (1, "SAME", (3, 3), 3),
        (1, 1, (3, 3), 3),
        (2, "SAME", (2, 4), 3),
        (2, "VALID", (1, 1), 3),
        (2, "VALID", (4, 2), 5),
        ((3, 1), "SAME", (6, 2), 4),
        ((3, 1), ((0, 2), (1, 0)), (2, 4), 3),
        ((1, 2), 2, (3, 3), 3),
        (1, "SAME", (3, 3), 16),
        (1, ((3, 0), (1, 4)), (2, 3), 16),
        (2, "SAME", (3, 3), 16),
    ],
)
def test_equals_xla_with_gradients(stride, padding, window, channels):
    x, w = images_and_filters(window=window, channels=channels)

    def ours(x, w):
        return conv2d(x, w, stride=stride, padding=padding)

    def theirs(x, w):
        return reference(x, w, stride, padding)

    @functools.partial(jax.jit, static_argnums=0)
    def value_tangent_and_gradients(f, x, w):
        y, pull = jax.vjp(f, x, w)
        cotangent = jnp.cos(jnp.arange(y.size, dtype=jnp.float32)).reshape(y.shape)
        return y, jax.jvp(f, (x, w), (jnp.sin(x), jnp.sin(w)))[1], *pull(cotangent)

    for a, b in zip(*(value_tangent_and_gradients(f, x, w) for f in (ours, theirs)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_pieces_of_many_images(monkeypatch):
    monkeypatch.setattr(conv, "_CACHED", 4 * 9 * 8 * 3 * 16)  # the patches of one image
    x, w = images_and_filters(window=(3, 3), channels=16, batch=(6,))
    ours, theirs = (
        jax.grad(lambda w, f=f: jnp.sin(0.1 * f(x, w)).sum())(w)
        for f in (conv2d, lambda x, w: reference(x, w, 1, "VALID"))
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_is_the_slides_sum():
    x, w = images_and_filters(image=(5, 6), batch=())
    y = np.asarray(conv2d(x, w))
    assert y.shape == (5 - 3 + 1, 6 - 2 + 1, 5)
    for h, v, k in itertools.product(*map(range, y.shape)):
        expected = sum(
            float(x[h + dh, v + dw, c] * w[dh, dw, c, k])
            for dh, dw, c in itertools.product(range(3), range(2), range(3))
        )
        assert y[h, v, k] == pytest.approx(expected, abs=1e-5)


def test_any_number_of_leading_axes():
    x, w = images_and_filters(batch=(2, 3))
    y = conv2d(x, w)
    assert y.shape == (2, 3, 7, 7, 5)
    np.testing.assert_allclose(y[1, 2], conv2d(x[1, 2], w), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("channels", [3, 16])
def test_vmap_over_images_and_filters(channels):
    x, w = images_and_filters(batch=(2, 3), channels=channels)
    ws = jnp.stack([w, 2 * w])

    def f(x, w):
        return conv2d(x, w), jax.grad(lambda w: jnp.sin(0.1 * conv2d(x, w)).sum())(w)

    ys, grads = jax.vmap(f)(x, ws)
    y, grad = f(x[1], ws[1])
    np.testing.assert_allclose(ys[1], y, atol=1e-4)
    np.testing.assert_allclose(grads[1], grad, atol=1e-4)


def test_a_cpu_gets_a_matrix_product():
    x, w = images_and_filters()
    program = jax.jit(conv2d).lower(x, w).compile().as_text()
    assert "convolution(" not in program


def test_with_many_channels_a_cpu_gets_convolutions_in_the_order_that_it_is_fast_at():
    x, w = images_and_filters(channels=16)
    gradients = jax.grad(lambda x, w: jnp.sin(conv2d(x, w, padding="SAME")).sum(), (0, 1))
    program = jax.jit(gradients).lower(x, w).compile().as_text()
    orders = re.findall(r"convolution\(.*dim_labels=([\w>-]+)", program)
    assert orders == ["b01f_01io->b01f"] * 2  # forwards, and for the images' gradient


def test_half_precision_stays():
    x, w = (a.astype(jnp.bfloat16) for a in images_and_filters())
    assert conv2d(x, w).dtype == jnp.bfloat16
    x, w = (a.astype(jnp.bfloat16) for a in images_and_filters(channels=16))
    assert jax.grad(lambda w: conv2d(x, w).sum())(w).dtype == jnp.bfloat16


@pytest.mark.parametrize(
    ("x", "w", "message"),
    [
        ((8, 8), (3, 3, 1, 2), "expected x"),
        ((8, 8, 3), (3, 3, 3), "expected x"),
        ((8, 8, 3), (3, 3, 4, 2), "3 channels, w takes 4"),
        ((2, 8, 3), (3, 3, 3, 2), "larger than the image"),
    ],
)
def test_wrong_shapes(x, w, message):
    with pytest.raises(ValueError, match=message):
        conv2d(jnp.zeros(x), jnp.zeros(w))


def test_wrong_dtypes_and_padding():
    x, w = images_and_filters()
    with pytest.raises(ValueError, match="floating dtype"):
        conv2d(x.astype(jnp.int32), w)
    for padding, message in (("valid", "expected 'VALID'"), ((1, 1), "expected"), (-1, "negative")):
        with pytest.raises(ValueError, match=message):
            conv2d(x, w, padding=padding)
    for stride in (0, -1, (1,), 1.5):
        with pytest.raises((ValueError, TypeError)):
            conv2d(x, w, stride=stride)
