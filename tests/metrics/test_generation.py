"""Measures of generation against scipy in 64 bits, direct sums, brute force and closed forms."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.metrics.generation import (
    frechet_distance,
    kernel_distance,
    mode_shares,
    modes_covered,
    nearest,
    sample_precision_recall,
)

linalg = pytest.importorskip("scipy.linalg")
spatial = pytest.importorskip("scipy.spatial")

pytestmark = pytest.mark.usefixtures("strict")

RNG = np.random.default_rng(0)
REAL = jnp.asarray(RNG.normal(0.5, 1, (150, 6)), jnp.float32)
FAKE = jnp.asarray(RNG.normal(0, 1.5, (131, 6)), jnp.float32)

jitted_frechet = jax.jit(frechet_distance)
jitted_kernel = jax.jit(kernel_distance, static_argnames="block")
jitted_sample = jax.jit(sample_precision_recall, static_argnames=("k", "block"))


def frechet_by_sqrtm(real, fake):
    """The formula of Heusel et al. 2017 as their code has it, in 64 bits."""
    real, fake = np.float64(real), np.float64(fake)
    c, other = np.cov(real, rowvar=False), np.cov(fake, rowvar=False)
    means = np.square(real.mean(0) - fake.mean(0)).sum()
    return means + np.trace(c + other - 2 * linalg.sqrtm(c @ other).real)


def features(n, deviations, mean=0.0):
    """Normal ones whose axes are turned, so that deviations are those of principal components."""
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(len(deviations),) * 2))[0]
    return jnp.asarray(RNG.normal(size=(n, len(deviations))) * deviations @ turn + mean, jnp.float32)


class TestFrechetDistance:
    # Relative. In float32 an eigendecomposition of the covariances is 20 % off in the last case.
    @pytest.mark.parametrize(
        ("smallest", "rtol"),
        [(1.0, 5e-6), (1e-2, 1e-4), (1e-4, 1e-4)],
        ids=["full rank", "near", "nearly singular"],
    )
    def test_equals_sqrtm(self, smallest, rtol):
        deviations = np.geomspace(1, smallest, 32)
        real = features(600, deviations, 2.0)
        for fake in (features(500, deviations, 2.0), features(600, deviations[::-1], 1.0)):
            value = jitted_frechet(real, fake)
            assert value.dtype == jnp.float32
            assert value.shape == ()
            assert value == pytest.approx(frechet_by_sqrtm(real, fake), rel=rtol)

    def test_diagonal_gaussians(self):
        """Of independent features: Σ (μ − μ')² + (σ − σ')². Examples at the vertices of an octahedron."""

        def octahedron(mean, deviations):
            corners = np.concatenate([np.eye(3), -np.eye(3)]) * np.sqrt(5 / 2)  # 2 · 5 / 2 = n − 1
            return np.float32(mean + corners * deviations)

        value = jitted_frechet(octahedron([1, 2, 3], [1, 2, 0.5]), octahedron([1, 0, 3.5], [3, 2, 0]))
        assert value == pytest.approx(4 + 0.25 + 4 + 0 + 0.25, rel=1e-6)

    def test_equal_sets(self):
        real = features(300, np.geomspace(1, 1e-4, 32), 2.0)
        assert 0 <= jitted_frechet(real, real) < 1e-7
        assert 0 <= jitted_frechet(real, real[::-1]) < 1e-7

    def test_features_that_are_constant(self):
        """As those of dead units are: the distance is that of the others."""
        dead = np.zeros((150, 2), np.float32)
        value = jitted_frechet(np.concatenate([REAL, dead], 1), np.concatenate([FAKE, dead[:131]], 1))
        assert value == pytest.approx(frechet_by_sqrtm(REAL, FAKE), rel=1e-5)

    def test_gradient(self):
        direction = np.cos(np.arange(FAKE.size)).reshape(FAKE.shape)
        step = 1e-5
        expected = (
            frechet_by_sqrtm(REAL, np.float64(FAKE) + step * direction)
            - frechet_by_sqrtm(REAL, np.float64(FAKE) - step * direction)
        ) / (2 * step)
        gradient = jax.jit(jax.grad(frechet_distance, 1))(REAL, FAKE)
        assert (gradient * direction.astype(np.float32)).sum() == pytest.approx(expected, rel=1e-4)

    def test_vmap(self):
        values = jax.vmap(frechet_distance, (None, 0))(REAL, jnp.stack([FAKE, FAKE + 1]))
        expected = [frechet_by_sqrtm(REAL, FAKE), frechet_by_sqrtm(REAL, FAKE + 1)]
        np.testing.assert_allclose(values, expected, rtol=1e-5)

    def test_too_few_examples(self):
        for pair in ((REAL[:6], FAKE), (REAL, FAKE[:6])):
            with pytest.raises(
                ValueError, match="at least 7 examples of each for a covariance of 6 features"
            ):
                frechet_distance(*pair)
        assert np.isfinite(frechet_distance(REAL[:7], FAKE[:7]))


def kernel_distance_by_sums(real, fake):
    """Equation 4 of Bińkowski et al. 2018, term by term."""

    def k(x, y):
        return (x @ y / len(x) + 1) ** 3

    def own(z):
        pairs = [k(x, y) for i, x in enumerate(z) for j, y in enumerate(z) if i != j]
        return np.mean(pairs)

    real, fake = np.float64(real), np.float64(fake)
    return own(real) + own(fake) - 2 * np.mean([k(x, y) for x in real for y in fake])


class TestKernelDistance:
    def test_equals_double_sums(self):
        for fake in (FAKE, np.float32(RNG.normal(0.5, 1, (90, 6)))):
            expected = kernel_distance_by_sums(REAL, fake)
            for block in (32, 1000):
                value = jitted_kernel(REAL, fake, block=block)
                assert value.dtype == jnp.float32
                assert value == pytest.approx(expected, rel=1e-4, abs=2e-6)

    def test_has_no_bias(self):
        """Between samples of one distribution: 0 on average, and so sometimes negative."""
        pairs = jnp.asarray(RNG.normal(0, 1, (400, 2, 20, 3)), jnp.float32)
        values = jax.vmap(kernel_distance)(pairs[:, 0], pairs[:, 1])
        assert (values < 0).any()
        assert abs(values.mean()) < 4 * values.std() / 20

    def test_gradient(self):
        """Of the fake mean, since the value is a polynomial: central differences of the direct sums."""
        real, fake = REAL[:20], FAKE[:15]
        shifted = [kernel_distance_by_sums(real, np.float64(fake) + s) for s in (1e-5, -1e-5)]
        slope = jax.grad(lambda s: kernel_distance(real, fake + s))(jnp.float32(0))
        assert slope == pytest.approx((shifted[0] - shifted[1]) / 2e-5, rel=1e-4)

    def test_wrong_arguments(self):
        with pytest.raises(ValueError, match="kernel_distance: expected at least 2 examples"):
            kernel_distance(REAL, FAKE[:1])
        with pytest.raises(ValueError, match="kernel_distance: expected block to be a positive int"):
            kernel_distance(REAL, FAKE, 0)


def share_among(examples, others, k):
    """Equations 1 and 2 of Kynkäänniemi et al. 2019, by a loop."""
    radii = [np.sort(np.linalg.norm(others - o, axis=1))[k] for o in others]
    return np.mean([any(np.linalg.norm(others - e, axis=1) <= radii) for e in examples])


class TestSamplePrecisionRecall:
    @pytest.mark.parametrize("k", [1, 3])
    def test_equals_brute_force(self, k):
        real, fake = np.float64(REAL), np.float64(FAKE)
        for block in (64, 1000):
            precision, recall = jitted_sample(REAL, FAKE, k=k, block=block)
            assert precision == pytest.approx(share_among(fake, real, k))
            assert recall == pytest.approx(share_among(real, fake, k))
        assert 0.1 < precision < 0.9  # so that the two say something

    def test_copies_and_collapse(self):
        assert jitted_sample(REAL, REAL, k=1, block=64) == (1, 1)
        assert jitted_sample(REAL, REAL + 100, k=1, block=64) == (0, 0)
        collapsed = np.repeat(REAL[:1], 150, 0)
        precision, recall = jitted_sample(REAL, collapsed, k=1, block=64)
        assert precision == 1
        assert recall == pytest.approx(1 / 150)  # only the one that is copied

    def test_wrong_arguments(self):
        with pytest.raises(ValueError, match="sample_precision_recall: expected at least 4 examples of each"):
            sample_precision_recall(REAL, FAKE[:3])
        with pytest.raises(ValueError, match="sample_precision_recall: expected k to be a positive int"):
            sample_precision_recall(REAL, FAKE, 0)


class TestModes:
    def test_shares(self):
        labels = jnp.asarray(RNG.integers(0, 4, 77), jnp.int32)
        shares = jax.jit(mode_shares, static_argnames="num_modes")(labels, num_modes=5)
        np.testing.assert_allclose(shares, np.bincount(labels, minlength=5) / 77, rtol=1e-6)

    def test_labels_that_are_no_class(self):
        np.testing.assert_allclose(mode_shares(jnp.int32([0, 1, -1, 7]), 2), [0.25, 0.25])

    @pytest.mark.parametrize("n", [20, 100, 10_000])
    def test_covered_at_the_limit(self, n):
        """A class of exactly 5 % counts, one of a sample less does not."""
        few = n // 20
        labels = jnp.repeat(jnp.arange(3), np.array([few, few - 1, n - 2 * few + 1]), total_repeat_length=n)
        covered = jax.jit(lambda x: modes_covered(mode_shares(x, 4)))(labels)
        assert covered.dtype == jnp.int32
        assert covered == 2

    def test_least(self):
        shares = jnp.float32([[0.7, 0.2, 0.1], [1, 0, 0]])
        np.testing.assert_array_equal(jax.jit(modes_covered)(shares, 0.15), [2, 1])

    def test_wrong_arguments(self):
        with pytest.raises(ValueError, match="mode_shares: expected integer labels"):
            mode_shares(jnp.zeros(3), 2)
        with pytest.raises(ValueError, match="mode_shares: expected num_modes to be a positive int"):
            mode_shares(jnp.zeros(3, jnp.int32), 0)
        with pytest.raises(ValueError, match="modes_covered: expected floating shares"):
            modes_covered(jnp.zeros(3, jnp.int32))
        with pytest.raises(ValueError, match="modes_covered: expected least to be a scalar"):
            modes_covered(jnp.zeros(3), jnp.zeros(3))


class TestNearest:
    @pytest.mark.parametrize("block", [7, 1000])
    def test_equals_k_d_tree(self, block):
        """Of images far from 0, where distances by ‖x‖² + ‖y‖² − 2 x·y would be rounding errors."""
        examples, among = (np.float32(1000 + a.reshape(-1, 3, 2, 1)) for a in (REAL, FAKE))
        index, distance = jax.jit(nearest, static_argnames="block")(examples, among, block=block)
        expected, where = spatial.cKDTree(np.float64(among.reshape(131, 6))).query(examples.reshape(150, 6))
        assert index.dtype == jnp.int32
        np.testing.assert_array_equal(index, where)
        np.testing.assert_allclose(distance, expected, rtol=1e-5)

    def test_copies(self):
        index, distance = nearest(FAKE[5:8], jnp.concatenate([FAKE, FAKE]))
        np.testing.assert_array_equal(index, [5, 6, 7])
        np.testing.assert_array_equal(distance, [0, 0, 0])

    def test_memory_is_that_of_a_block(self):
        shapes = [jax.ShapeDtypeStruct((n, 50), jnp.float32) for n in (4000, 5000)]
        memory = jax.jit(partial(nearest, block=16)).lower(*shapes).compile().memory_analysis()
        assert memory is not None
        assert memory.temp_size_in_bytes < 4000 * 5000  # a quarter of all distances

    def test_wrong_arguments(self):
        for among in (FAKE[:0], FAKE[:, :5]):
            with pytest.raises(ValueError, match="nearest: expected .* of one shape"):
                nearest(REAL, among)
        with pytest.raises(ValueError, match="nearest: expected floating"):
            nearest(REAL, FAKE.astype(jnp.int32))
        with pytest.raises(ValueError, match="nearest: expected block to be a positive int"):
            nearest(REAL, FAKE, True)


@pytest.mark.parametrize("function", [frechet_distance, kernel_distance, sample_precision_recall])
def test_wrong_features(function):
    with pytest.raises(ValueError, match=f"{function.__name__}: expected floating features"):
        function(REAL, FAKE[0])
    with pytest.raises(ValueError, match=f"{function.__name__}: expected floating features"):
        function(REAL.astype(jnp.int32), FAKE)
    with pytest.raises(ValueError, match=f"{function.__name__}: expected as many features of both"):
        function(REAL, FAKE[:, :5])
