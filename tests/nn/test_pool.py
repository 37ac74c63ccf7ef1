"""Pooling against torch's, with many ties, and against XLA's windows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from mi203jax.nn import avg_pool, max_pool

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.usefixtures("strict")

OURS = {"max": max_pool, "avg": avg_pool}
THEIRS = {"max": torch.nn.functional.max_pool2d, "avg": torch.nn.functional.avg_pool2d}


def tied(key, shape=(2, 7, 8, 3)):
    """Small integers after relu: half are zeros, and most windows have several maxima."""
    return jax.nn.relu(jax.random.randint(key, shape, -3, 4).astype(jnp.float32))


def in_torch(f, x, *args):
    """The value of torch's pooling and the pulled-back cotangent, channels last."""
    t = torch.from_numpy(np.moveaxis(np.asarray(x), -1, 1).copy()).requires_grad_()
    y = f(t, *args)
    y.backward(torch.cos(torch.arange(y.numel(), dtype=torch.float32).reshape(y.shape)))
    cotangent = np.cos(np.arange(y.numel(), dtype=np.float32).reshape(tuple(y.shape)))
    return *(np.moveaxis(a, 1, -1) for a in (y.detach().numpy(), t.grad.numpy())), np.moveaxis(
        cotangent, 1, -1
    )


@pytest.mark.parametrize("kind", ["max", "avg"])
@pytest.mark.parametrize(
    ("window", "stride", "padding"),
    [(2, None, 0), (3, None, 1), ((2, 3), None, 0), (3, 2, 1), (2, 1, 0), (2, 3, 0), ((7, 8), None, 0)],
)
def test_equals_torch_with_gradients(key, kind, window, stride, padding):
    x = tied(key)
    y, pull = jax.vjp(jax.jit(lambda x: OURS[kind](x, window, stride, padding)), x)
    y_ref, grad_ref, cotangent = in_torch(THEIRS[kind], x, window, stride, padding)
    np.testing.assert_allclose(y, y_ref, atol=1e-6)
    np.testing.assert_allclose(pull(jnp.asarray(cotangent))[0], grad_ref, atol=1e-6)


@pytest.mark.parametrize(("window", "stride"), [(2, None), (3, 2), ((2, 3), (3, 1))])
def test_same_padding_equals_xla(key, window, stride):
    x = jax.random.normal(key, (2, 7, 8, 3))
    size = (window, window) if isinstance(window, int) else window
    step = size if stride is None else ((stride, stride) if isinstance(stride, int) else stride)

    def xla(start, f):
        return lax.reduce_window(x, start, f, (1, *size, 1), (1, *step, 1), "SAME")

    np.testing.assert_allclose(max_pool(x, window, stride, "SAME"), xla(-jnp.inf, lax.max))
    mean = xla(0.0, lax.add) / (size[0] * size[1])
    np.testing.assert_allclose(avg_pool(x, window, stride, "SAME"), mean, atol=1e-6)


@pytest.mark.parametrize("stride", [None, 1])
def test_a_window_of_zeros_has_one_gradient(stride):
    grad = jax.grad(lambda x: max_pool(jax.nn.relu(x), 2, stride).sum())(-jnp.ones((4, 4, 1)))
    np.testing.assert_array_equal(grad, jnp.zeros((4, 4, 1)))  # relu's own gradient at −1
    grad = jax.grad(lambda x: max_pool(x, 2, stride).sum())(jnp.zeros((4, 4, 1)))[..., 0]
    first = [0, 2] if stride is None else [0, 1, 2]
    np.testing.assert_array_equal(grad, np.isin(np.arange(4), first)[:, None] & np.isin(np.arange(4), first))


@pytest.mark.parametrize("stride", [None, 1])
def test_forward_mode_and_vmap(key, stride):
    x_key, tangent_key = jax.random.split(key)
    x, tangent = (jax.random.normal(k, (3, 5, 6, 2)) for k in (x_key, tangent_key))

    @jax.jit
    def f(x):
        return max_pool(x, 2, stride)

    y, slope = jax.jvp(f, (x,), (tangent,))
    np.testing.assert_allclose(slope, (f(x + 1e-3 * tangent) - f(x - 1e-3 * tangent)) / 2e-3, atol=1e-2)
    np.testing.assert_array_equal(jax.vmap(f)(x), y)
    gradient = jax.grad(lambda x: jnp.sin(f(x)).sum())
    np.testing.assert_allclose(jax.jit(jax.vmap(gradient))(x), jax.jit(gradient)(x), atol=1e-6)


@pytest.mark.parametrize("stride", [None, 1])
@pytest.mark.parametrize("place", [0, 1, 3])
def test_a_nan_is_seen(stride, place):
    x = jnp.arange(4.0).at[place].set(jnp.nan).reshape(2, 2, 1)
    assert jnp.isnan(max_pool(x, 2, stride)).all()
    assert jnp.isnan(max_pool(jnp.tile(x, (3, 3, 1)), 6, stride)).all()


def test_a_window_of_many_places_and_half_precision():
    x = jnp.zeros((16, 12, 1), jnp.bfloat16).at[11, 10].set(2)
    y, pull = jax.vjp(jax.jit(lambda x: max_pool(x, (16, 12))), x)
    assert (y.dtype, y.item()) == (jnp.bfloat16, 2)
    np.testing.assert_array_equal(pull(jnp.ones_like(y))[0], (x > 0).astype(x.dtype))
    assert avg_pool(x, 3, 2).dtype == jnp.bfloat16


@pytest.mark.parametrize("f", OURS.values(), ids=OURS)
@pytest.mark.parametrize(
    ("shape", "arguments", "message"),
    [
        ((4, 4), {}, "expected floating x"),
        ((4, 4, 1), {"window": 5}, "larger than the image"),
        ((4, 4, 1), {"window": 0}, "window=0: expected a positive number"),
        ((4, 4, 1), {"stride": (1, 2, 3)}, "stride=.*expected a positive number, or two"),
        ((4, 4, 1), {"padding": "same"}, "expected 'VALID'"),
        ((4, 4, 1), {"padding": 2}, "expected less than the window"),
    ],
)
def test_bad_input(f, shape, arguments, message):
    with pytest.raises(ValueError, match=f"{f.__name__}: .*{message}"):
        f(jnp.zeros(shape), **arguments)


def test_integers_are_refused():
    with pytest.raises(ValueError, match="got int32"):
        max_pool(jnp.zeros((4, 4, 1), jnp.int32))
