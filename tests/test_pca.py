"""Principal components and the linear probe against scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.pca import fit_pca, linear_probe, logistic_regression

decomposition = pytest.importorskip("sklearn.decomposition")
linear_model = pytest.importorskip("sklearn.linear_model")
preprocessing = pytest.importorskip("sklearn.preprocessing")

pytestmark = pytest.mark.usefixtures("strict")

RNG = np.random.default_rng(0)
MIXING = np.geomspace(3, 0.1, 12)[:, None] * RNG.normal(size=(12, 12))
TALL = jnp.asarray(RNG.normal(size=(80, 12)) @ MIXING + 5, jnp.float32)
WIDE = TALL.T
LABELS = jnp.asarray(RNG.integers(0, 3, 80), jnp.int32)
CENTRES = 1.5 * RNG.normal(size=(3, 4))
CODES, TEST_CODES = (jnp.asarray(RNG.normal(size=(80, 4)) + CENTRES[LABELS], jnp.float32) for _ in range(2))

fit = jax.jit(fit_pca, static_argnums=1)
regression = jax.jit(logistic_regression, static_argnames="num_classes")
probe = jax.jit(linear_probe, static_argnames="num_classes")


class TestPCA:
    @pytest.mark.parametrize(("x", "k"), [(TALL, 5), (TALL, 12), (WIDE, 7)], ids=["tall", "whole", "wide"])
    def test_equals_scikit_learn(self, x, k):
        ours = fit(x, k)
        theirs = decomposition.PCA(k, svd_solver="full").fit(np.float64(x))
        np.testing.assert_allclose(ours.mean, theirs.mean_, rtol=1e-6)
        np.testing.assert_allclose(ours.variances, theirs.explained_variance_, rtol=1e-5)
        np.testing.assert_allclose(ours.components, theirs.components_, atol=1e-4)
        codes = jax.jit(lambda p, x: p.encode(x))(ours, x)
        np.testing.assert_allclose(codes, theirs.transform(np.float64(x)), atol=2e-3)
        expected = theirs.inverse_transform(theirs.transform(np.float64(x)))
        np.testing.assert_allclose(jax.jit(lambda p, z: p.decode(z))(ours, codes), expected, atol=1e-4)

    def test_signs(self):
        """The largest entry of each component is positive, also if every example is mirrored."""
        for x in (TALL, -TALL):
            components = fit(x, 12).components
            assert (components.max(1) == np.abs(components).max(1)).all()

    def test_one_example_and_many_axes(self):
        pca = fit(TALL, 5)
        codes = pca.encode(TALL)
        np.testing.assert_allclose(pca.encode(TALL[3]), codes[3], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(pca.decode(codes.reshape(8, 10, 5))[0, 3], pca.decode(codes[3]), rtol=1e-5)

    def test_vmap(self):
        stacked = jnp.stack([TALL, 2 * TALL])
        pca = jax.jit(jax.vmap(lambda x: fit_pca(x, 2)))(stacked)
        np.testing.assert_allclose(pca.variances[1], 4 * fit(TALL, 2).variances, rtol=1e-5)
        assert jax.vmap(lambda p, x: p.encode(x))(pca, stacked).shape == (2, 80, 2)

    def test_sample_has_the_moments_of_the_examples(self, key):
        n = 20_000
        drawn = np.float64(jax.jit(lambda p: p.sample(key, n))(fit(TALL, 12)))
        assert drawn.shape == (n, 12)
        expected = np.cov(np.float64(TALL), rowvar=False)
        spread = np.sqrt(np.diag(expected))
        # 5 standard errors: of a mean σ / √n, of a covariance at most √2 σ σ' / √n.
        assert (np.abs(drawn.mean(0) - TALL.mean(0)) < 5 * spread / np.sqrt(n)).all()
        limit = 5 * np.sqrt(2 / n) * np.outer(spread, spread)
        assert (np.abs(np.cov(drawn, rowvar=False) - expected) < limit).all()

    def test_sample_lies_in_the_plane_of_the_components(self, key):
        pca = fit(TALL, 2)
        drawn = pca.sample(key, 50)
        np.testing.assert_allclose(pca.decode(pca.encode(drawn)), drawn, atol=1e-4)
        assert not np.allclose(pca.sample(jax.random.key(1), 50), drawn)

    @pytest.mark.parametrize(
        ("x", "k", "message"),
        [
            (TALL, 13, "expected components to be an int from 1 to 12, got 13"),
            (WIDE, 13, "expected components to be an int from 1 to 12, got 13"),
            (TALL, 0, "expected components"),
            (TALL, 2.0, "expected components"),
            (TALL[:1], 1, "expected two examples or more"),
            (TALL[0], 1, "expected floating x"),
            (TALL.astype(int), 1, "expected floating x"),
        ],
    )
    def test_wrong_arguments(self, x, k, message):
        with pytest.raises(ValueError, match=f"fit_pca: {message}"):
            fit_pca(x, k)


class TestLogisticRegression:
    @pytest.mark.parametrize("l2", [1.0, 1e-3])
    def test_equals_scikit_learn(self, l2):
        weights, bias = regression(CODES, LABELS, num_classes=3, l2=l2)
        theirs = linear_model.LogisticRegression(C=1 / (80 * l2), tol=1e-10, max_iter=5000)
        theirs.fit(np.float64(CODES), np.asarray(LABELS))
        np.testing.assert_allclose(weights, theirs.coef_.T, atol=1e-3)
        # The same number in every bias changes nothing, and no penalty says which it is.
        expected = theirs.intercept_ - theirs.intercept_.mean()
        np.testing.assert_allclose(bias - bias.mean(), expected, atol=1e-3)

    def test_separable(self):
        """Without a penalty the minimum is at infinity: on the way there nothing becomes nan."""
        x = 0.1 * CODES + 10 * jnp.eye(3, 4)[LABELS]
        weights, bias = regression(x, LABELS, num_classes=3, l2=0.0)
        assert np.isfinite(weights).all()
        np.testing.assert_array_equal((x @ weights + bias[None]).argmax(-1), LABELS)

    def test_wrong_iterations(self):
        with pytest.raises(ValueError, match="logistic_regression: expected iterations"):
            logistic_regression(CODES, LABELS, 3, iterations=0)


def with_constant(codes, constant):
    return jnp.concatenate([codes, jnp.full((len(codes), 1), constant, jnp.float32)], 1)


class TestLinearProbe:
    def test_equals_scikit_learn(self):
        """Also of codes in other units, with one that is constant."""
        units = jnp.float32([[1e-3, 1, 1e3, 7]])
        train, test = (with_constant(x * units + 3 * units, 0) for x in (CODES, TEST_CODES))
        predictions = probe(train, LABELS, num_classes=3, test_codes=test, l2=1e-2)
        scaler = preprocessing.StandardScaler().fit(np.float64(train))
        theirs = linear_model.LogisticRegression(C=1 / (80 * 1e-2), tol=1e-10, max_iter=5000)
        theirs.fit(scaler.transform(train), np.asarray(LABELS))
        assert predictions.dtype == jnp.int32
        np.testing.assert_array_equal(predictions, theirs.predict(scaler.transform(test)))

    def test_a_constant_that_is_another_in_the_test(self):
        """Nothing was learnt of it, so it changes nothing, though its mean is rounded."""
        train = with_constant(CODES, 0.1)
        same, other = (
            probe(train, LABELS, num_classes=3, test_codes=with_constant(TEST_CODES, c), l2=1e-2)
            for c in (0.1, 1e4)
        )
        np.testing.assert_array_equal(same, other)

    def test_vmap_over_penalties(self):
        predict = jax.jit(jax.vmap(lambda l2: linear_probe(CODES, LABELS, 3, CODES, l2)))
        weak, strong = predict(jnp.float32([1e-3, 1e4]))
        assert (weak == LABELS).mean() > 0.7
        # With hardly any weights left, the bias decides: the most frequent class.
        assert (strong == np.bincount(LABELS).argmax()).all()

    @pytest.mark.parametrize(
        ("codes", "labels", "num_classes", "test_codes", "message"),
        [
            (CODES[0], LABELS, 3, CODES, "expected floating codes"),
            (CODES, LABELS[1:], 3, CODES, "expected integer labels"),
            (CODES, LABELS.astype(jnp.float32), 3, CODES, "expected integer labels"),
            (CODES, LABELS, 1, CODES, "expected num_classes"),
            (CODES, LABELS, 3, CODES[:, :3], "expected test_codes"),
            (CODES, LABELS, 3, CODES.astype(jnp.float16), "expected test_codes"),
        ],
    )
    def test_wrong_arguments(self, codes, labels, num_classes, test_codes, message):
        with pytest.raises(ValueError, match=f"linear_probe: {message}"):
            linear_probe(codes, labels, num_classes, test_codes)

    def test_wrong_penalty(self):
        with pytest.raises(ValueError, match="linear_probe: expected l2 to be a scalar"):
            linear_probe(CODES, LABELS, 3, CODES, jnp.ones(2))
