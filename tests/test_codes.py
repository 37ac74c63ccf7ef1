"""Losses of information against torch's distributions, closed forms and counts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.codes import absolute, gaussian_kl, mask, sample_gaussian, sparsity_penalty

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.usefixtures("strict")

RNG = np.random.default_rng(0)
MEAN = jnp.asarray(RNG.normal(0, 2, (3, 5)), jnp.float32)
LOG_VARIANCE = jnp.asarray(RNG.normal(0, 2, (3, 5)), jnp.float32)


def to_torch(x):
    return torch.tensor(np.asarray(x), dtype=torch.float64, requires_grad=True)


jitted_mask = jax.jit(mask, static_argnames="patch")


class TestMask:
    @pytest.mark.parametrize("patch", [1, 2, 4])
    def test_a_fixed_number_of_whole_patches(self, key, patch):
        masked = jitted_mask(key, jnp.ones((5, 4, 8, 3)), 0.5, patch=patch)
        patches = masked.reshape(5, 4 // patch, patch, 8 // patch, patch, 3)
        first = patches[:, :, :1, :, :1, :1]
        np.testing.assert_array_equal(patches, jnp.broadcast_to(first, patches.shape))
        np.testing.assert_array_equal((first == 0).sum((1, 2, 3, 4, 5)), [16 // patch**2] * 5)
        assert len(np.unique(first.reshape(5, -1), axis=0)) > 1  # each image has its own choice

    def test_what_stays_is_unchanged(self, key):
        x = 1 + jax.random.uniform(key, (6, 6, 1))
        masked = jitted_mask(key, x, 0.3)
        np.testing.assert_array_equal(masked, jnp.where(masked == 0, 0, x))
        assert (masked == 0).sum() == round(0.3 * 36)

    def test_nothing_and_all(self, key):
        x = jnp.full((4, 4, 2), jnp.nan).at[0].set(1)
        np.testing.assert_array_equal(jitted_mask(key, x, 0.0), x)
        np.testing.assert_array_equal(jitted_mask(key, x, 1.0), jnp.zeros_like(x))

    def test_every_patch_alike(self, key):
        keys = jax.random.split(key, 4000)
        shares = (jax.vmap(lambda k: mask(k, jnp.ones((2, 4, 1)), 0.25))(keys) == 0).mean(0)
        np.testing.assert_allclose(shares, 0.25, atol=5 * np.sqrt(0.25 * 0.75 / 4000))

    def test_traced_share_and_gradient(self, key):
        x = jnp.ones((4, 4, 1))
        masked = jax.vmap(lambda s: mask(key, x, s))(jnp.float32([0.25, 0.75]))
        np.testing.assert_array_equal((masked == 0).sum((1, 2, 3)), [4, 12])
        gradient = jax.grad(lambda x: mask(key, x, 0.25).sum())(x)
        np.testing.assert_array_equal(gradient, masked[0])

    @pytest.mark.parametrize(
        ("x", "share", "patch", "message"),
        [
            (jnp.ones((4, 4)), 0.5, 1, "expected floating images"),
            (jnp.ones((4, 4, 1), int), 0.5, 1, "expected floating images"),
            (jnp.ones((4, 6, 1)), 0.5, 4, "expected patch to divide 4 and 6 pixels, got 4"),
            (jnp.ones((4, 6, 1)), 0.5, 0, "expected patch"),
            (jnp.ones((4, 6, 1)), jnp.ones(2), 1, "expected share to be a scalar"),
        ],
    )
    def test_wrong_arguments(self, key, x, share, patch, message):
        with pytest.raises(ValueError, match=f"mask: {message}"):
            mask(key, x, share, patch)


jitted_sparsity = jax.jit(jax.value_and_grad(sparsity_penalty))


class TestSparsityPenalty:
    activations = jax.nn.sigmoid(jnp.asarray(RNG.normal(-1, 2, (7, 4)), jnp.float32))

    @pytest.mark.parametrize("target", [0.05, 0.5])
    def test_equals_torch(self, target):
        bernoulli, x = torch.distributions.Bernoulli, to_torch(self.activations)
        wanted = bernoulli(torch.full((4,), target, dtype=torch.float64))
        expected = torch.distributions.kl_divergence(wanted, bernoulli(x.mean(0))).sum()
        expected.backward()
        value, gradient = jitted_sparsity(self.activations, target)
        assert value == pytest.approx(expected.item(), rel=1e-5)
        np.testing.assert_allclose(gradient, x.grad, rtol=1e-4, atol=1e-6)

    def test_at_the_target(self):
        value, gradient = jitted_sparsity(jnp.full((7, 4), 0.25), 0.25)
        assert value == 0
        np.testing.assert_allclose(gradient, 0, atol=1e-6)

    def test_dead_and_saturated_units_cost_a_finite_amount(self):
        """At ρ = ½: −½ log(4 ε (1 − ε)) each, ε = 2⁻²³."""
        activations = jnp.zeros((7, 4)).at[:, 2:].set(1)
        value, gradient = jitted_sparsity(activations, 0.5)
        assert value == pytest.approx(42 * np.log(2), rel=1e-5)
        assert np.isfinite(gradient).all()

    def test_extreme_targets(self):
        """ρ = 0: −log(1 − ρ̂); ρ = 1: −log ρ̂."""
        activations = jnp.full((2, 1), 0.25)
        values = jax.vmap(sparsity_penalty, (None, 0))(activations, jnp.float32([0, 1]))
        np.testing.assert_allclose(values, [-np.log(0.75), -np.log(0.25)], rtol=1e-6)

    def test_wrong_arguments(self):
        for activations in (jnp.ones(3), jnp.ones((2, 3), int), jnp.ones((0, 3))):
            with pytest.raises(ValueError, match="sparsity_penalty: expected floating activations"):
                sparsity_penalty(activations)
        with pytest.raises(ValueError, match="sparsity_penalty: expected target to be a scalar"):
            sparsity_penalty(self.activations, jnp.ones(4))


class TestAbsolute:
    def test_equals_torch(self):
        code = MEAN.at[0, 0].set(0)
        x = to_torch(code)
        expected = torch.linalg.vector_norm(x, 1, -1)
        expected.sum().backward()
        np.testing.assert_allclose(jax.jit(absolute)(code), expected.detach(), rtol=1e-6)
        # Also where the code is 0.
        np.testing.assert_array_equal(jax.grad(lambda c: absolute(c).sum())(code), x.grad)

    def test_wrong_code(self):
        for code in (jnp.float32(1), jnp.ones(3, int)):
            with pytest.raises(ValueError, match="absolute: expected floating"):
                absolute(code)


class TestGaussianKL:
    def test_equals_torch(self):
        mean, log_variance = to_torch(MEAN), to_torch(LOG_VARIANCE)
        normal = torch.distributions.Normal
        posterior = normal(mean, torch.exp(log_variance / 2))
        expected = torch.distributions.kl_divergence(posterior, normal(0.0, 1.0)).sum(-1)
        expected.sum().backward()
        values = jax.jit(gaussian_kl)(MEAN, LOG_VARIANCE)
        np.testing.assert_allclose(values, expected.detach(), rtol=1e-5)
        gradients = jax.grad(lambda m, v: gaussian_kl(m, v).sum(), (0, 1))(MEAN, LOG_VARIANCE)
        np.testing.assert_allclose(gradients[0], mean.grad, rtol=1e-5)
        np.testing.assert_allclose(gradients[1], log_variance.grad, rtol=1e-5, atol=1e-6)

    def test_near_the_prior(self):
        """There it is log_variance² / 4 to second order, which is far below the rounding error of σ²."""
        zero, small = jnp.zeros(1), jnp.float32([1e-3])
        assert gaussian_kl(zero, zero) == 0
        assert gaussian_kl(zero, small) == pytest.approx(1e-6 / 4, rel=1e-3)

    def test_vmap(self):
        np.testing.assert_allclose(jax.vmap(gaussian_kl)(MEAN, LOG_VARIANCE), gaussian_kl(MEAN, LOG_VARIANCE))


class TestSampleGaussian:
    def test_distribution(self, key):
        n = 20_000
        mean, log_variance = jnp.float32([1, -3]), jnp.float32([0.5, -4])
        deviations = np.exp(np.float64(log_variance) / 2)
        draw = jax.jit(jax.vmap(lambda k: sample_gaussian(k, mean, log_variance)))
        drawn = np.float64(draw(jax.random.split(key, n)))
        assert (np.abs(drawn.mean(0) - mean) < 5 * deviations / np.sqrt(n)).all()
        assert (np.abs(drawn.std(0) / deviations - 1) < 5 / np.sqrt(2 * n)).all()
        reduced = (drawn - drawn.mean(0)) / drawn.std(0)
        assert abs(reduced.prod(1).mean()) < 5 / np.sqrt(n)  # their correlation

    def test_gradients_of_the_draw(self, key):
        """∂z/∂μ = 1 and ∂z/∂log σ² = (z − μ) / 2."""
        drawn, pull = jax.vjp(lambda m, v: sample_gaussian(key, m, v), MEAN, LOG_VARIANCE)
        of_mean, of_log_variance = pull(jnp.ones_like(drawn))
        np.testing.assert_array_equal(of_mean, jnp.ones_like(MEAN))
        np.testing.assert_allclose(of_log_variance, (drawn - MEAN) / 2, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("function", [gaussian_kl, lambda m, v: sample_gaussian(jax.random.key(0), m, v)])
def test_wrong_gaussians(function):
    for log_variance in (LOG_VARIANCE[0], LOG_VARIANCE.astype(jnp.bfloat16)):
        with pytest.raises(ValueError, match="expected mean and log_variance of one shape and dtype"):
            function(MEAN, log_variance)
    with pytest.raises(ValueError, match=r"expected floating \[..., units\]"):
        function(jnp.ones(3, int), jnp.ones(3, int))
