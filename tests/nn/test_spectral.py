"""spectral_norm against the singular value decomposition and torch's power iteration."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.nn.spectral import init_spectral, spectral_norm

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.usefixtures("strict")


@pytest.fixture
def state(key):
    return init_spectral(key, 4)


@pytest.fixture
def weights(key):
    return jax.random.normal(key, (3, 2, 4))


class TestInitSpectral:
    def test_is_a_unit_vector_in_any_direction(self, key):
        u = jax.vmap(lambda k: init_spectral(k, 5))(jax.random.split(key, 500))
        np.testing.assert_allclose(jnp.linalg.norm(u, axis=1), 1.0, rtol=1e-6)
        np.testing.assert_allclose(u.mean(0), 0.0, atol=4 / np.sqrt(5 * 500))


class TestSpectralNorm:
    @pytest.mark.parametrize("shape", [(6, 4), (3, 4), (2, 2, 3, 4)])
    def test_converges_to_the_largest_singular_value(self, key, state, shape):
        w = jax.random.normal(key, shape)
        sigma, u = jax.jit(partial(spectral_norm, iterations=300))(w, state)
        _, values, right = np.linalg.svd(np.reshape(w, (-1, 4)))
        np.testing.assert_allclose(sigma, values[0], rtol=1e-5)
        np.testing.assert_allclose(abs(right[0] @ u), 1.0, rtol=1e-5)

    def test_gradient_at_convergence_is_that_of_the_norm(self, weights, state):
        ours = jax.grad(lambda w: spectral_norm(w, state, iterations=300)[0])(weights)
        theirs = jax.grad(lambda w: jnp.linalg.norm(w.reshape(-1, 4), 2))(weights)
        np.testing.assert_allclose(ours, theirs, atol=1e-4)

    @pytest.mark.parametrize("iterations", [1, 3])
    def test_equals_torch_with_gradients_before_convergence(self, weights, state, iterations):
        matrix = weights.reshape(-1, 4)

        def ours(matrix):
            sigma, u = spectral_norm(matrix, state, iterations=iterations)
            return jnp.sin(matrix / sigma).sum(), (sigma, u)

        gradient, (sigma, u) = jax.grad(ours, has_aux=True)(matrix)

        module = torch.nn.Linear(4, 6, bias=False)  # torch's weights are [out, in]: its v is our u
        torch.nn.utils.parametrizations.spectral_norm(module, n_power_iterations=iterations)
        parametrization = module.parametrizations.weight
        parametrization.original.data.copy_(torch.tensor(np.array(matrix)))
        parametrization[0]._v.copy_(torch.tensor(np.array(state)))
        normalized = module.weight
        normalized.sin().sum().backward()
        np.testing.assert_allclose(matrix / sigma, normalized.detach().numpy(), rtol=1e-5)
        np.testing.assert_allclose(u, parametrization[0]._v.numpy(), atol=1e-6)
        np.testing.assert_allclose(gradient, parametrization.original.grad.numpy(), atol=1e-5)

    def test_state_lets_iterations_be_spread_over_steps(self, weights, state):
        u = state
        for _ in range(4):
            sigma, u = spectral_norm(weights, u)
        at_once = spectral_norm(weights, state, iterations=4)
        np.testing.assert_allclose(sigma, at_once[0], rtol=1e-5)
        np.testing.assert_allclose(u, at_once[1], atol=1e-5)

    def test_no_gradient_through_the_state(self, weights, state):
        gradients = jax.grad(lambda u: sum(map(jnp.sum, spectral_norm(weights, u))))(state)
        np.testing.assert_array_equal(gradients, 0.0)
        to_u = jax.grad(lambda w: spectral_norm(w, state)[1].sum())(weights)
        np.testing.assert_array_equal(to_u, 0.0)

    def test_of_nothing_is_0_and_the_state_lives_on(self, state):
        (sigma, u), pull = jax.vjp(lambda w: spectral_norm(w, state), jnp.zeros((3, 4)))
        assert sigma == 0
        np.testing.assert_array_equal(u, state)
        assert np.isfinite(pull((jnp.float32(1.0), jnp.zeros(4)))[0]).all()

    def test_vmap(self, weights, state):
        pair = jnp.stack([weights, -3.0 * weights])
        sigma, u = jax.vmap(spectral_norm)(pair, jnp.stack([state, state]))
        np.testing.assert_allclose(sigma, spectral_norm(weights, state)[0] * jnp.array([1.0, 3.0]), rtol=1e-5)
        assert u.shape == (2, 4)

    def test_bad_input(self, weights, state):
        with pytest.raises(
            ValueError, match=r"expected w \[..., out\] and u \[out\], got \(3, 2, 4\) and \(3,\)"
        ):
            spectral_norm(weights, jnp.ones(3))
        with pytest.raises(ValueError, match="expected w"):
            spectral_norm(jnp.ones(4), state)
        with pytest.raises(ValueError, match="expected one floating dtype, got bfloat16 and float32"):
            spectral_norm(weights.astype(jnp.bfloat16), state)
        with pytest.raises(ValueError, match="iterations of at least 1, got 0"):
            spectral_norm(weights, state, iterations=0)
