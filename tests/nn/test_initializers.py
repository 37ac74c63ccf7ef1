"""Initial weights: distributions against torch's definitions and scipy's tests, orthogonality in closed form."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from scipy import stats

from mi203jax.nn.initializers import (
    INITIALIZERS,
    delta_orthogonal,
    gaussian,
    he,
    orthogonal,
    uniform,
    xavier,
)

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.usefixtures("strict")

SHAPES = [(60, 90), (3, 3, 10, 20)]


def layer(shape):
    """A torch weight of the layer whose kernel has that shape: torch has outputs and inputs first."""
    return torch.empty(shape[::-1])


def bound(fill, shape):
    """The bound of the uniform distribution that torch draws from."""
    drawn = fill(layer(shape)).abs().max().item()
    return drawn * (1 + 1 / np.prod(shape))  # the largest of n absolute values is a/(n + 1) below a


class TestDistributions:
    @pytest.mark.parametrize("shape", SHAPES)
    def test_xavier_is_torchs(self, key, shape):
        a = bound(torch.nn.init.xavier_uniform_, shape)
        w = np.ravel(xavier()(key, shape))
        assert np.abs(w).max() == pytest.approx(a, rel=5e-3)
        assert stats.kstest(w, stats.uniform(-a, 2 * a).cdf).pvalue > 1e-3

    @pytest.mark.parametrize("shape", SHAPES)
    def test_he_is_torchs(self, key, shape):
        theirs = np.ravel(
            torch.nn.init.kaiming_normal_(layer(shape), generator=torch.Generator().manual_seed(0))
        )
        w = np.ravel(he()(key, shape))
        # The standard deviation of a sample of n has the relative error 1/√(2n): 4 of them, for two samples.
        assert w.std() == pytest.approx(theirs.std(), rel=4 / np.sqrt(w.size))
        assert stats.kstest(w, stats.norm(0, np.sqrt(2 / np.prod(shape[:-1]))).cdf).pvalue > 1e-3
        assert np.abs(w).max() > 2.5 * w.std()  # not truncated

    @pytest.mark.parametrize("shape", [(5, 10_000), (50_000,)])
    def test_the_naive_ones_do_not_see_the_fan(self, key, shape):
        a = 0.05 * np.sqrt(3)
        assert stats.kstest(np.ravel(uniform()(key, shape)), stats.uniform(-a, 2 * a).cdf).pvalue > 1e-3
        w = np.ravel(gaussian()(key, shape))
        assert stats.kstest(w, stats.norm(0, 0.05).cdf).pvalue > 1e-3
        assert w.std() == pytest.approx(0.05, rel=4 / np.sqrt(2 * w.size))


class TestOrthogonal:
    @pytest.mark.parametrize("shape", [(6, 6), (4, 9), (2, 3, 2, 5)])
    def test_rows_or_columns_are_orthonormal(self, key, shape):
        matrix = orthogonal()(key, shape).reshape(-1, shape[-1])
        gram = matrix.T @ matrix if matrix.shape[0] >= matrix.shape[1] else matrix @ matrix.T
        np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-6)

    def test_is_uniform_over_the_group(self, key):
        """Under the Haar measure, the square of an entry is Beta(1/2, (n − 1)/2), and its sign is fair."""
        first = jax.vmap(lambda k: orthogonal()(k, (4, 4))[1, 2])(jax.random.split(key, 2000))
        assert stats.kstest(np.square(first), stats.beta(0.5, 1.5).cdf).pvalue > 1e-3
        assert abs(np.sign(first).mean()) < 4 / np.sqrt(2000)

    def test_side_by_side_they_are_decomposed_one_by_one(self, key):
        """Batches of them on several CPU devices wait for each other for ever."""

        def made(key):
            return orthogonal()(key, (5, 4))

        keys = jax.random.split(key, 3)
        program = str(jax.make_jaxpr(jax.vmap(made))(keys))
        (line,) = (line for line in program.splitlines() if "= qr[" in line)
        assert "f32[5,4]" in line
        np.testing.assert_array_equal(jax.vmap(made)(keys), [made(k) for k in keys])


class TestDeltaOrthogonal:
    @pytest.mark.parametrize("window", [(3, 3), (2, 4)])
    def test_a_convolution_keeps_the_norm(self, key, window):
        w = delta_orthogonal()(key, (*window, 3, 8))
        x = jax.random.normal(key, (2, 6, 7, 3))
        y = lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        np.testing.assert_allclose(jnp.linalg.norm(y, axis=-1), jnp.linalg.norm(x, axis=-1), rtol=1e-5)

    def test_more_inputs_than_outputs_keep_the_gradients_norm(self, key):
        w = delta_orthogonal()(key, (3, 3, 8, 3))
        conv = partial(
            lax.conv_general_dilated,
            rhs=w,
            window_strides=(1, 1),
            padding="SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        cotangent = jax.random.normal(key, (2, 6, 7, 3))
        (gradient,) = jax.vjp(conv, jnp.ones((2, 6, 7, 8)))[1](cotangent)
        np.testing.assert_allclose(
            jnp.linalg.norm(gradient, axis=-1), jnp.linalg.norm(cotangent, axis=-1), rtol=1e-5
        )

    def test_is_jaxs_where_that_exists(self, key):
        theirs = jax.nn.initializers.delta_orthogonal()(key, (3, 3, 4, 6), jnp.float32)
        np.testing.assert_array_equal(delta_orthogonal()(key, (3, 3, 4, 6)), theirs)

    def test_a_dense_kernel_is_orthogonal(self, key):
        w = delta_orthogonal()(key, (7, 4))
        np.testing.assert_allclose(w.T @ w, np.eye(4), atol=1e-6)


@pytest.mark.parametrize("name", INITIALIZERS)
class TestEvery:
    def test_scale_multiplies_and_may_be_traced(self, key, name):
        def weights(key, scale):
            return INITIALIZERS[name](scale)(key, (4, 6))

        w = jax.jit(jax.vmap(weights, (None, 0)))(key, jnp.array([1.0, 2.5]))
        np.testing.assert_allclose(w[0], INITIALIZERS[name]()(key, (4, 6)), atol=1e-6)
        np.testing.assert_allclose(w[1], 2.5 * w[0], atol=1e-6)
        assert w.dtype == jnp.float32

    def test_keys_and_dtypes(self, key, name):
        init = INITIALIZERS[name]()
        half, other = (init(k, (4, 6), jnp.bfloat16) for k in (key, jax.random.key(7)))
        assert half.dtype == jnp.bfloat16
        assert 0.01 < jnp.abs(half - other).max() < 4


@pytest.mark.parametrize("initializer", [xavier, he, orthogonal, delta_orthogonal])
def test_a_vector_has_no_fan(key, initializer):
    with pytest.raises(ValueError, match="1-dimensional|at least a 2D"):
        initializer()(key, (5,))
