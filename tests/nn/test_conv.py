"""conv2d against XLA's convolution and the slide's sum."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from mi203jax.nn import conv2d

pytestmark = pytest.mark.usefixtures("strict")


def reference(x, w, stride, padding):
    strides = (stride, stride) if isinstance(stride, int) else stride
    if isinstance(padding, int):
        padding = [(padding, padding)] * 2
    return lax.conv_general_dilated(x, w, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def images_and_filters(key, image=(9, 8), window=(3, 2), channels=3, filters=5, batch=(4,)):
    x_key, w_key = jax.random.split(key)
    x = jax.random.normal(x_key, (*batch, *image, channels))
    return x, jax.random.normal(w_key, (*window, channels, filters))


@pytest.mark.parametrize(
    ("stride", "padding", "window"),
    [
        (1, "VALID", (3, 3)),
        (1, "SAME", (3, 3)),
        (1, 1, (3, 3)),
        (2, "SAME", (2, 4)),
        (2, "VALID", (1, 1)),
        ((3, 1), ((0, 2), (1, 0)), (2, 4)),
        ((1, 2), 2, (3, 3)),
    ],
)
def test_equals_xla_with_gradients(key, stride, padding, window):
    x, w = images_and_filters(key, window=window)

    def ours(x, w):
        return conv2d(x, w, stride=stride, padding=padding)

    def theirs(x, w):
        return reference(x, w, stride, padding)

    y, pull = jax.vjp(jax.jit(ours), x, w)
    y_ref, pull_ref = jax.vjp(theirs, x, w)
    np.testing.assert_allclose(y, y_ref, atol=1e-5)
    cotangent = jnp.cos(jnp.arange(y.size, dtype=jnp.float32)).reshape(y.shape)
    for grad, grad_ref in zip(pull(cotangent), pull_ref(cotangent), strict=True):
        np.testing.assert_allclose(grad, grad_ref, atol=1e-4)


def test_is_the_slides_sum(key):
    x, w = images_and_filters(key, image=(5, 6), batch=())
    y = np.asarray(conv2d(x, w))
    assert y.shape == (5 - 3 + 1, 6 - 2 + 1, 5)
    for h, v, k in itertools.product(*map(range, y.shape)):
        expected = sum(
            float(x[h + dh, v + dw, c] * w[dh, dw, c, k])
            for dh, dw, c in itertools.product(range(3), range(2), range(3))
        )
        assert y[h, v, k] == pytest.approx(expected, abs=1e-5)


def test_any_number_of_leading_axes(key):
    x, w = images_and_filters(key, batch=(2, 3))
    y = conv2d(x, w)
    assert y.shape == (2, 3, 7, 7, 5)
    np.testing.assert_allclose(y[1, 2], conv2d(x[1, 2], w), atol=1e-6)


def test_vmap_over_images_and_filters(key):
    x, w = images_and_filters(key, batch=(2, 3))
    ws = jnp.stack([w, 2 * w])
    y = jax.vmap(conv2d)(x, ws)
    np.testing.assert_allclose(y[1], conv2d(x[1], 2 * w), atol=1e-5)


def test_a_cpu_gets_a_matrix_product(key):
    x, w = images_and_filters(key)
    program = jax.jit(conv2d).lower(x, w).compile().as_text()
    assert "convolution(" not in program


def test_half_precision_stays(key):
    x, w = (a.astype(jnp.bfloat16) for a in images_and_filters(key))
    assert conv2d(x, w).dtype == jnp.bfloat16


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


def test_wrong_dtypes_and_padding(key):
    x, w = images_and_filters(key)
    with pytest.raises(ValueError, match="floating dtype"):
        conv2d(x.astype(jnp.int32), w)
    for padding, message in (("valid", "expected 'VALID'"), ((1, 1), "expected"), (-1, "negative")):
        with pytest.raises(ValueError, match=message):
            conv2d(x, w, padding=padding)
    for stride in (0, -1, (1,), 1.5):
        with pytest.raises((ValueError, TypeError)):
            conv2d(x, w, stride=stride)
