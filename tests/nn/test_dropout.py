"""dropout: what is dropped, how often, and the mean."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from mi203jax.nn.dropout import dropout

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.usefixtures("strict")


class TestDropout:
    @pytest.mark.parametrize("rate", [0.05, 0.5, 0.9])
    def test_drops_at_the_rate_and_enlarges_the_others_as_torch(self, key, rate):
        n = 100_001
        y = np.asarray(jax.jit(dropout)(key, jnp.ones(n), rate))
        assert stats.binomtest(int((y == 0).sum()), n, rate).pvalue > 1e-3
        theirs = torch.nn.functional.dropout(torch.ones(100), rate).max().item()
        np.testing.assert_allclose(y[y != 0], theirs, rtol=1e-4)
        # Neighbours come from the two halves of one random word: they must not know of each other.
        dropped = y == 0
        both = int((dropped[:-1:2] & dropped[1::2]).sum())
        assert stats.binomtest(both, n // 2, rate**2).pvalue > 1e-3

    def test_the_expectation_is_x(self, key):
        x = jnp.array([[1.0, -2.0, 30.0]])
        y = jax.jit(jax.vmap(lambda k: dropout(k, x, 0.4)))(jax.random.split(key, 20_000))
        error = np.sqrt(0.4 / 0.6 / 20_000)
        np.testing.assert_allclose(y.mean(0), x, rtol=4 * error)

    @pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
    def test_rate_0_is_the_identity(self, key, dtype):
        x = jnp.array([0.1, -0.0, jnp.inf, 3e-30, -7.3]).astype(dtype)
        y = jax.jit(dropout)(key, x, 0.0)
        assert y.dtype == dtype
        np.testing.assert_array_equal(y, x)

    def test_a_rate_next_to_1_is_finite(self, key):
        rate = np.nextafter(np.float32(1), np.float32(0))
        y, pull = jax.vjp(lambda x: dropout(key, x, rate), jnp.ones(1000))
        assert np.isfinite(y).all()
        assert np.isfinite(pull(y)[0]).all()

    def test_gradients_pass_where_values_do(self, key):
        x = jnp.arange(1.0, 31.0).reshape(5, 6)
        y, pull = jax.vjp(lambda x: dropout(key, x, 0.3), x)
        assert 0 < (y == 0).sum() < y.size
        np.testing.assert_allclose(pull(jnp.ones_like(x))[0], y / x, rtol=1e-6)

    def test_shared_axes_drop_whole_channels(self, key):
        x = jnp.ones((40, 3, 4, 25))
        y = np.asarray(dropout(key, x, 0.5, shared_axes=(1, -2)))
        np.testing.assert_array_equal(y, np.broadcast_to(y[:, :1, :1], y.shape))
        assert stats.binomtest(int((y[:, 0, 0] == 0).sum()), 1000, 0.5).pvalue > 1e-3

    def test_keys_and_rates_under_vmap(self, key):
        x = jnp.ones((2, 7))
        keys, rates = jax.random.split(key, 2), jnp.array([0.2, 0.6])
        y = jax.jit(jax.vmap(dropout))(keys, x, rates)
        for i in range(2):
            np.testing.assert_array_equal(y[i], dropout(keys[i], x[i], rates[i]))
        many = jnp.ones(100)
        assert (dropout(keys[0], many, 0.5) != dropout(keys[1], many, 0.5)).any()
        assert jnp.shape(dropout(key, jnp.float32(1.0), 0.5)) == ()

    def test_bad_input(self, key):
        x = jnp.ones((2, 3))
        with pytest.raises(ValueError, match="dropout: expected a floating x"):
            dropout(key, jnp.ones(3, jnp.int32), 0.5)
        with pytest.raises(ValueError, match="a scalar rate, got float32 and shape \\(3,\\)"):
            dropout(key, x, jnp.ones(3))
        with pytest.raises(ValueError, match="expected shared_axes"):
            partial(dropout, shared_axes=(2,))(key, x, 0.5)
