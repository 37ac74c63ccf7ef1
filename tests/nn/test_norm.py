"""layer_norm against flax's, batch_norm and its running estimates against torch's."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.nn import batch_norm, batch_norm_inference, layer_norm, update_running

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.usefixtures("strict")


class TestLayerNorm:
    @pytest.mark.parametrize("shape", [(7,), (3, 7), (2, 3, 7)])
    def test_equals_flax_with_gradients(self, shape):
        x, scale, bias, _ = arrays(shape)
        params = {"scale": scale, "bias": bias}

        def ours(x, params):
            return jnp.sin(layer_norm(x, params["scale"], params["bias"])).sum()

        def theirs(x, params):
            with jax.numpy_rank_promotion("allow"):
                return jnp.sin(nn.LayerNorm(epsilon=1e-6).apply({"params": params}, x)).sum()

        (value, grads), (value_ref, grads_ref) = (
            jax.jit(jax.value_and_grad(f, (0, 1)))(x, params) for f in (ours, theirs)
        )
        np.testing.assert_allclose(value, value_ref, rtol=1e-5)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), grads, grads_ref)

    def test_a_constant_example_is_not_divided_by_zero(self):
        y = layer_norm(jnp.full((2, 4), 3.0), jnp.ones(4), jnp.zeros(4))
        np.testing.assert_array_equal(y, jnp.zeros((2, 4)))

    def test_wrong_shapes(self):
        with pytest.raises(ValueError, match=r"expected scale of shape \(4,\)"):
            layer_norm(jnp.ones((2, 4)), jnp.ones(3), jnp.zeros(4))


def arrays(shape=(4, 3, 2, 5)):
    """x, γ, β and a cotangent of x."""
    rng = np.random.default_rng(0)
    drawn = (3 + 2 * rng.normal(size=shape), *rng.normal(size=(2, shape[-1])), rng.normal(size=shape))
    return tuple(jnp.asarray(a, jnp.float32) for a in drawn)


def in_torch(x, scale, bias, **options):
    """torch's layer with the features last, and its three inputs."""
    inputs = [torch.from_numpy(np.array(a)).requires_grad_() for a in (x, scale, bias)]
    y = torch.nn.functional.batch_norm(inputs[0].reshape(-1, x.shape[-1]), None, None, *inputs[1:], **options)
    return y.reshape(x.shape), inputs


class TestBatchNorm:
    @pytest.mark.parametrize("shape", [(4, 3, 2, 5), (7, 5), (2, 1, 5)])
    def test_equals_torch_with_gradients(self, shape):
        x, scale, bias, cotangent = arrays(shape)

        @jax.jit
        def ours(*args):
            (y, mean, var), pull = jax.vjp(lambda *a: batch_norm(*a, 1e-2), *args)
            return y, mean, var, pull((cotangent, jnp.ones_like(mean), jnp.ones_like(var)))

        y, mean, var, grads = ours(x, scale, bias)
        y_ref, inputs = in_torch(x, scale, bias, training=True, eps=1e-2)
        y_ref.backward(torch.from_numpy(np.array(cotangent)))
        np.testing.assert_allclose(y, y_ref.detach(), atol=1e-5)
        axes = tuple(range(len(shape) - 1))
        np.testing.assert_allclose(mean, np.asarray(x, np.float64).mean(axes), rtol=1e-5)
        np.testing.assert_allclose(var, np.asarray(x, np.float64).var(axes), rtol=1e-5)
        for grad, ref in zip(grads, inputs, strict=True):
            np.testing.assert_allclose(grad, ref.grad, atol=2e-5)

    def test_the_gradient_is_the_automatic_one(self):
        """Also of the gradient, so that penalties on gradients may be trained."""
        x, scale, bias, cotangent = arrays((6, 2))

        def plain(x, scale, bias):
            mean, var = x.mean(0, keepdims=True), x.var(0, keepdims=True)
            return (x - mean) * jax.lax.rsqrt(var + 1e-5) * scale[None] + bias[None]

        def penalty(f):
            return lambda *a: (jax.grad(lambda *b: (jnp.sin(f(*b)) * cotangent).sum())(*a) ** 2).sum()

        grads = jax.jit(jax.grad(penalty(lambda *a: batch_norm(*a)[0]), (0, 1)))(x, scale, bias)
        for grad, ref in zip(grads, jax.jit(jax.grad(penalty(plain), (0, 1)))(x, scale, bias), strict=True):
            np.testing.assert_allclose(grad, ref, rtol=1e-3, atol=1e-4)

    def test_each_trial_under_vmap_has_its_own_batch(self):
        x, scale, bias, _ = arrays()

        def f(x, scale):
            return jax.value_and_grad(lambda x: jnp.sin(batch_norm(x, scale, bias)[0]).sum())(x)

        xs, scales = jnp.stack([x, 5.0 - x * x]), jnp.stack([scale, 2.0 * scale])
        values, grads = jax.jit(jax.vmap(f))(xs, scales)
        alone = jax.jit(f)
        for i in range(2):
            value, grad = alone(xs[i], scales[i])
            np.testing.assert_allclose(values[i], value, rtol=1e-5)
            np.testing.assert_allclose(grads[i], grad, atol=1e-5)

    @pytest.mark.parametrize("shape", [(8, 2), (1, 2)])
    def test_a_constant_feature_is_not_divided_by_zero(self, shape):
        x, one, zero = jnp.full(shape, 3.0), jnp.ones(2), jnp.zeros(2)
        y, pull = jax.vjp(lambda *a: batch_norm(*a)[0], x, one, zero)
        np.testing.assert_array_equal(y, jnp.zeros(shape))
        assert all(jnp.isfinite(g).all() for g in pull(jnp.arange(y.size, dtype=x.dtype).reshape(shape)))

    def test_large_means_do_not_cancel(self, key):
        x = 1e4 + jax.random.normal(key, (512, 1))
        _, _, var = batch_norm(x, jnp.ones(1), jnp.zeros(1))
        np.testing.assert_allclose(var, np.asarray(x, np.float64).var(0), rtol=1e-3)

    def test_bad_input(self):
        for scale, bias, message in ((3, 4, "scale of shape"), (4, 3, "bias of shape")):
            with pytest.raises(ValueError, match=f"batch_norm: expected {message}"):
                batch_norm(jnp.ones((2, 4)), jnp.ones(scale), jnp.zeros(bias))
        with pytest.raises(ValueError, match="batch_norm: expected floating x, got int32"):
            batch_norm(jnp.ones((2, 4), jnp.int32), jnp.ones(4), jnp.zeros(4))


class TestBatchNormInference:
    def test_equals_torch(self):
        x, scale, bias, _ = arrays()
        mean, var = jnp.arange(5.0), 0.5 + jnp.arange(5.0)
        y = jax.jit(batch_norm_inference)(x, scale, bias, mean, var)
        layer = torch.nn.BatchNorm1d(5).eval()
        layer.load_state_dict(
            {
                name: torch.from_numpy(np.array(a))
                for name, a in {
                    "weight": scale, "bias": bias, "running_mean": mean, "running_var": var,
                    "num_batches_tracked": np.array(1),
                }.items()
            }
        )  # fmt: skip
        ref = layer(torch.from_numpy(np.array(x)).reshape(-1, 5)).detach().reshape(x.shape)
        np.testing.assert_allclose(y, ref, atol=1e-5)

    def test_bad_input(self):
        one = jnp.ones(4)
        with pytest.raises(ValueError, match=r"batch_norm_inference: expected var of shape \(4,\)"):
            batch_norm_inference(jnp.ones((2, 4)), one, one, one, jnp.ones(1))


class TestUpdateRunning:
    @pytest.mark.parametrize("momentum", [0.1, 0.7])
    def test_equals_torch_over_batches_of_different_size(self, key, momentum):
        layer = torch.nn.BatchNorm2d(5, momentum=momentum)
        running = (jnp.zeros(5), jnp.ones(5))
        for number, n in enumerate((4, 1, 9)):
            x = number + jax.random.normal(jax.random.fold_in(key, number), (n, 3, 2, 5))
            layer(torch.from_numpy(np.moveaxis(np.asarray(x), -1, 1).copy()))
            _, *batch = batch_norm(x, jnp.ones(5), jnp.zeros(5))
            running = update_running(running, tuple(batch), n * 6, momentum)
        for ours, theirs in zip(running, (layer.running_mean, layer.running_var), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5)

    def test_one_value_has_no_variance(self):
        one, zero = jnp.ones(2), jnp.zeros(2)
        mean, var = update_running((zero, one), (one, zero), 1, jnp.float32(0.25))
        np.testing.assert_allclose(mean, [0.25, 0.25])
        np.testing.assert_allclose(var, [0.75, 0.75])

    def test_no_values_are_refused(self):
        one = jnp.ones(2)
        with pytest.raises(ValueError, match="update_running: expected n of at least 1, got 0"):
            update_running((one, one), (one, one), 0)
