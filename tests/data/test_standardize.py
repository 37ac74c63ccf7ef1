import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.data.standardize import fit_statistics, standardize

sklearn = pytest.importorskip("sklearn.preprocessing")


@pytest.fixture
def vectors():
    return np.random.default_rng(0).normal([3.0, -100.0, 0.01], [2.0, 0.1, 5.0], (50, 3)).astype(np.float32)


class TestStandardize:
    def test_features_as_scikit_learn(self, vectors, strict):
        train, test = vectors[:40], vectors[40:]
        scaler = sklearn.StandardScaler().fit(train)
        statistics = fit_statistics(jnp.asarray(train), "feature")
        np.testing.assert_allclose(
            standardize(jnp.asarray(test), statistics), scaler.transform(test), rtol=2e-3, atol=1e-4
        )

    def test_channels(self, strict):
        images = np.random.default_rng(0).integers(0, 256, (20, 5, 4, 3)).astype(np.uint8)
        images[..., 1] //= 4
        x = np.asarray(standardize(jnp.asarray(images), fit_statistics(jnp.asarray(images), "channel")))
        assert x.dtype == np.float32
        np.testing.assert_allclose(x.mean((0, 1, 2)), 0, atol=1e-5)
        np.testing.assert_allclose(x.std((0, 1, 2)), 1, rtol=1e-5)

    def test_vectors_as_on_the_slide(self, vectors, strict):
        """Σx = 0 and Σ⟨x|x⟩ = 1, in the mean; the numbers keep their ratios."""
        x = np.asarray(standardize(jnp.asarray(vectors), fit_statistics(jnp.asarray(vectors), "vector")))
        np.testing.assert_allclose(x.mean(0), 0, atol=1e-5)
        np.testing.assert_allclose((x * x).sum(-1).mean(), 1, rtol=1e-5)
        np.testing.assert_allclose(
            x.std(0) / x.std(), vectors.std(0) / (vectors - vectors.mean(0)).std(), rtol=1e-3
        )

    def test_none(self, vectors):
        x = jnp.asarray(vectors)
        np.testing.assert_array_equal(standardize(x, fit_statistics(x, "none")), x)

    @pytest.mark.parametrize("constant", [0.0, 0.1, 1e6, -3e-7])
    def test_a_constant_feature_is_centred_and_nothing_is_divided_by_zero(self, vectors, constant):
        vectors[:, 1] = constant
        x = np.asarray(standardize(jnp.asarray(vectors), fit_statistics(jnp.asarray(vectors))))
        assert np.isfinite(x).all()
        np.testing.assert_allclose(x[:, 1], 0, atol=1e-6 * max(1, abs(constant)))

    def test_of_many_slices(self, strict):
        """As numpy's in 64 bits, though the slices' own means are far apart."""
        x = np.random.default_rng(0).normal(size=(2_500, 2)) + np.arange(2_500)[:, None] * [1.0, 0.0]
        statistics = fit_statistics(jnp.asarray(x, jnp.float32))
        np.testing.assert_allclose(statistics.mean, x.mean(0), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(statistics.deviation, x.std(0), rtol=1e-5)

    def test_one_example(self, vectors):
        x = jnp.asarray(vectors[:1])
        np.testing.assert_array_equal(standardize(x, fit_statistics(x)), np.zeros((1, 3)))

    @pytest.mark.parametrize(("shape", "kind"), [((0, 3), "feature"), ((), "feature"), ((4, 3), "batch")])
    def test_bad_input(self, shape, kind):
        with pytest.raises(ValueError, match="fit_statistics: "):
            fit_statistics(jnp.zeros(shape), kind)
