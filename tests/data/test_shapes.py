"""Two-class sets against scikit-learn's curves and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from mi203jax.data import shapes

pytestmark = pytest.mark.usefixtures("strict")

N = 2_000
JITTED = {name: jax.jit(f, static_argnums=1) for name, f in shapes.SHAPES.items()}


def points(name, key, noise=0.0, **options):
    x, y = JITTED[name](key, N, noise, **options)
    return np.asarray(x, np.float64), np.asarray(y)


def assert_uniform(values, low, high):
    assert stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > 0.01


class TestAll:
    @pytest.mark.parametrize("name", shapes.SHAPES)
    def test_shapes_dtypes_and_balance(self, key, name):
        for n in (N, 51):
            x, y = JITTED[name](key, n, 0.1)
            assert (x.shape, x.dtype, y.shape, y.dtype) == ((n, 2), jnp.float32, (n,), jnp.int32)
            assert set(np.unique(y)) <= {-1, 1}
            assert int(y.sum()) == -(n % 2)

    @pytest.mark.parametrize("name", shapes.SHAPES)
    def test_order_is_random_and_keys_differ(self, key, name):
        x, y = points(name, key)
        halves = y[: N // 2].sum()
        assert 0 < abs(halves) < 100  # neither sorted nor alternating
        other, other_y = points(name, jax.random.key(7))
        assert (y != other_y).any()
        assert not np.isin(x[:, 0], other[:, 0]).all()
        again, _ = points(name, key)
        np.testing.assert_array_equal(x, again)

    @pytest.mark.parametrize("name", shapes.SHAPES)
    def test_noise_is_gaussian_of_that_deviation(self, key, name):
        clean, y = points(name, key)
        noisy, noisy_y = points(name, key, 0.3)
        np.testing.assert_array_equal(y, noisy_y)
        residual = (noisy - clean) / 0.3
        assert stats.kstest(residual.ravel(), stats.norm.cdf).pvalue > 0.01
        assert abs(np.corrcoef(residual.T)[0, 1]) < 0.1

    @pytest.mark.parametrize("name", shapes.SHAPES)
    def test_common_scale(self, key, name):
        x, _ = points(name, key, 0.1)
        assert (np.abs(x) <= 2).all(1).mean() > 0.98
        assert np.abs(x).max() > 1
        np.testing.assert_allclose(x.mean(0), 0.0, atol=0.15)

    @pytest.mark.parametrize("name", shapes.SHAPES)
    def test_can_be_learned(self, key, name):
        neighbors = pytest.importorskip("sklearn.neighbors")
        (x, y), (x_test, y_test) = points(name, key, 0.1), points(name, jax.random.key(7), 0.1)
        model = neighbors.KNeighborsClassifier(5).fit(x, y)
        assert model.score(x_test, y_test) > 0.97

    @pytest.mark.parametrize("name", shapes.SHAPES)
    def test_vmap_over_keys_and_noise(self, key, name):
        keys = jax.random.split(key, 2)
        draw = jax.jit(jax.vmap(lambda key, noise: shapes.SHAPES[name](key, N, noise)))
        xs, ys = draw(keys, jnp.array([0.0, 0.3]))
        x, y = points(name, keys[1], 0.3)
        np.testing.assert_allclose(xs[1], x, atol=1e-5)
        np.testing.assert_array_equal(ys[1], y)

    @pytest.mark.parametrize("name", shapes.SHAPES)
    def test_bad_input(self, key, name):
        for n in (0, -1, 2.5):
            with pytest.raises(ValueError, match=f"{name}: expected a positive number of points"):
                shapes.SHAPES[name](key, n)


class TestMoons:
    def test_are_scikit_learns(self, key):
        datasets = pytest.importorskip("sklearn.datasets")
        neighbors = pytest.importorskip("sklearn.neighbors")
        x, y = points("moons", key)
        curve, label = datasets.make_moons(20_000, noise=None)
        curve -= [0.5, 0.25]
        for ours, theirs in ((-1, 0), (1, 1)):
            tree = neighbors.KDTree(curve[label == theirs])
            assert tree.query(x[y == ours])[0].max() < 1e-3

    def test_uniform_along_half_circles(self, key):
        x, y = points("moons", key)
        for label in (-1, 1):
            offset = np.array([0.5, 0.25]) - label * x[y == label]
            np.testing.assert_allclose(np.linalg.norm(offset, axis=1), 1.0, atol=1e-5)
            assert_uniform(np.arctan2(offset[:, 1], offset[:, 0]), 0.0, np.pi)


class TestCircles:
    def test_are_scikit_learns(self, key):
        datasets = pytest.importorskip("sklearn.datasets")
        neighbors = pytest.importorskip("sklearn.neighbors")
        x, y = points("circles", key, factor=0.7)
        curve, label = datasets.make_circles(20_000, noise=None, factor=0.7)
        for ours, theirs in ((-1, 0), (1, 1)):
            tree = neighbors.KDTree(curve[label == theirs])
            assert tree.query(x[y == ours])[0].max() < 1e-3

    def test_uniform_along_circles(self, key):
        x, y = points("circles", key)
        for label, radius in ((-1, 1.0), (1, 0.5)):
            circle = x[y == label]
            np.testing.assert_allclose(np.linalg.norm(circle, axis=1), radius, atol=1e-5)
            assert_uniform(np.arctan2(circle[:, 1], circle[:, 0]), -np.pi, np.pi)


class TestBlobs:
    def test_are_gaussian_about_their_centres(self, key):
        x, y = points("blobs", key, 0.3)
        residual = (x - 0.8 * y[:, None]) / np.hypot(0.4, 0.3)
        for values in (
            *residual.T,
            residual.sum(1) / np.sqrt(2),
            (residual * y[:, None]).sum(1) / np.sqrt(2),
        ):
            assert stats.kstest(values, stats.norm.cdf).pvalue > 0.01

    def test_spread(self, key):
        x, y = points("blobs", key, spread=0.0)
        np.testing.assert_allclose(x, 0.8 * np.stack([y, y], 1), atol=1e-6)


class TestSpirals:
    @pytest.mark.parametrize("turns", [1.5, 3.0])
    def test_are_archimedean(self, key, turns):
        x, y = points("spirals", key, turns=turns)
        radius = np.linalg.norm(x, axis=1)
        angle = 2 * np.pi * turns * (radius - 0.25) / 1.5
        expected = (y * radius)[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
        np.testing.assert_allclose(x, expected, atol=1e-4)
        for label in (-1, 1):
            assert_uniform(radius[y == label], 0.25, 1.75)


class TestXor:
    def test_label_is_the_exclusive_or_of_the_signs(self, key):
        x, y = points("xor", key)
        np.testing.assert_array_equal(y == 1, (x[:, 0] > 0) ^ (x[:, 1] > 0))

    def test_uniform_in_each_quadrant(self, key):
        x, _ = points("xor", key)
        for first in (-1, 1):
            for second in (-1, 1):
                square = np.abs(x[(np.sign(x) == [first, second]).all(1)])
                assert 400 < len(square) < 600
                for values in square.T:
                    assert_uniform(values, 0.2, 1.5)
                assert abs(np.corrcoef(square.T)[0, 1]) < 0.15
