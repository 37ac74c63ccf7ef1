"""The Dirac-GAN against the closed forms of Mescheder et al. 2018 (with their ψ as −ψ)."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.adversarial import LOSSES
from mi203jax.dirac_gan import NO_STABILIZERS, Stabilizers, eigenvalues, simulate, vector_field

integrate = pytest.importorskip("scipy.integrate")

pytestmark = pytest.mark.usefixtures("strict")

POINTS = np.random.default_rng(0).normal(0, 1, (30, 2))
START = jnp.ones(2)
BY_NAME: Any = "minimax"  # not the loss itself
# f'(0) of the paper: the slope of each loss at the equilibrium.
SLOPES = {"minimax": 0.5, "non_saturating": 0.5, "hinge": 1.0, "wasserstein": 1.0, "relativistic": 0.5}
SMOOTH = [name for name in LOSSES if name != "hinge"]

STEPS = 4000  # of all runs, so that few are compiled

spectrum = jax.jit(eigenvalues, static_argnums=0)


@partial(jax.jit, static_argnums=(0, 3))
def compiled(loss, start, step_size, method, stabilizers):
    return simulate(loss, start, step_size, STEPS, method, stabilizers)


def run(name, start, step_size, method="simultaneous", stabilizers=NO_STABILIZERS):
    return np.asarray(compiled(LOSSES[name], start, step_size, method, stabilizers))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@partial(jax.jit, static_argnums=0)
def field_of_points(loss, points, stabilizers):
    return jax.vmap(lambda point: vector_field(loss, point, stabilizers))(points)


def fields(name, stabilizers):
    """Of all points, `[30, 2]`."""
    return field_of_points(LOSSES[name], jnp.asarray(POINTS, jnp.float32), stabilizers)


def closed_form(name):
    """θ and ψ, and v without stabilisers."""
    theta, psi = POINTS.T
    product = theta * psi
    slopes = {
        "minimax": (sigmoid(product), sigmoid(product)),
        "non_saturating": (sigmoid(-product), sigmoid(product)),
        "hinge": (1, np.where(product > -1, 1, 0)),
        "wasserstein": (1, 1),
        "relativistic": (sigmoid(-product), sigmoid(product)),
    }[name]
    return theta, psi, slopes[0] * psi, -slopes[1] * theta


def distances(points):
    return np.linalg.norm(np.asarray(points, np.float64), axis=-1)


class TestVectorField:
    @pytest.mark.parametrize("name", LOSSES)
    def test_of_each_loss(self, name):
        *_, v_theta, v_psi = closed_form(name)
        np.testing.assert_allclose(
            fields(name, NO_STABILIZERS), np.stack([v_theta, v_psi], -1), rtol=1e-5, atol=1e-6
        )

    @pytest.mark.parametrize(
        ("name", "stabilizers"),
        [("minimax", Stabilizers(r1=0.7)), ("relativistic", Stabilizers(r1=0.3, r2=0.4))],
    )
    def test_r1_and_r2(self, name, stabilizers):
        _, psi, v_theta, v_psi = closed_form(name)
        np.testing.assert_allclose(
            fields(name, stabilizers), np.stack([v_theta, v_psi - 0.7 * psi], -1), rtol=1e-5, atol=1e-6
        )

    def test_gradient_penalty(self):
        _, psi, v_theta, v_psi = closed_form("wasserstein")
        penalty = 0.7 * np.sign(psi) * (abs(psi) - 0.3)
        ours = fields("wasserstein", Stabilizers(gradient_penalty=0.7, target=0.3))
        np.testing.assert_allclose(ours, np.stack([v_theta, v_psi - penalty], -1), rtol=1e-5, atol=1e-6)

    def test_consensus(self):
        """‖v‖² / 2 = s² n / 2 with s = sigmoid(θψ), n = θ² + ψ²."""
        theta, psi, v_theta, v_psi = closed_form("minimax")
        s, n = sigmoid(theta * psi), theta**2 + psi**2
        pull = np.stack([s**2 * ((1 - s) * psi * n + theta), s**2 * ((1 - s) * theta * n + psi)], -1)
        ours = fields("minimax", Stabilizers(consensus=0.7))
        np.testing.assert_allclose(ours, np.stack([v_theta, v_psi], -1) - 0.7 * pull, rtol=1e-5, atol=1e-6)

    def test_noise(self):
        """Against adaptive integration; a relativistic pair has one noise, √2 as wide."""
        noise = 0.8

        def mean(f, width):
            return integrate.quad(lambda u: f(width * u) * np.exp(-u * u / 2) / np.sqrt(2 * np.pi), -9, 9)[0]

        expected: dict = {"minimax": [], "relativistic": []}
        for theta, psi in POINTS:
            samples = mean(lambda e, t=theta, p=psi: sigmoid(p * (t + e)) * (t + e), noise)
            data = mean(lambda e, p=psi: sigmoid(-p * e) * e, noise)
            v_theta = psi * mean(lambda e, t=theta, p=psi: sigmoid(p * (t + e)), noise)
            expected["minimax"].append((v_theta, data - samples))
            wide = np.sqrt(2) * noise
            v_psi = -mean(lambda e, t=theta, p=psi: sigmoid(p * (t + e)) * (t + e), wide)
            v_theta = psi * mean(lambda e, t=theta, p=psi: sigmoid(-p * (t + e)), wide)
            expected["relativistic"].append((v_theta, v_psi))
        for name, v in expected.items():
            np.testing.assert_allclose(fields(name, Stabilizers(noise=noise)), v, rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize("name", LOSSES)
    def test_keeps_or_loses_distance(self, name):
        """Along v, θ² + ψ² stays (a circle); only generators that do not saturate lose some, not linearly."""
        inside = POINTS.prod(-1) > -1  # of the hinge's margin
        along = (np.asarray(fields(name, NO_STABILIZERS)) * POINTS).sum(-1)[inside]
        product = POINTS.prod(-1)[inside]
        loses = name in {"non_saturating", "relativistic"}
        np.testing.assert_allclose(along, -product * np.tanh(product / 2) if loses else 0, atol=2e-6)

    def test_stabilizers_vary_under_vmap(self):
        def of_gamma(gamma):
            return vector_field(LOSSES["wasserstein"], jnp.float32([0.5, 2.0]), Stabilizers(r1=gamma))

        v = jax.jit(jax.vmap(of_gamma))(jnp.float32([0, 1]))
        np.testing.assert_allclose(v, [[2, -0.5], [2, -2.5]], rtol=1e-6)

    def test_wrong_input(self):
        loss = LOSSES["minimax"]
        with pytest.raises(
            ValueError, match="vector_field: expected loss to be an AdversarialLoss, got 'mini"
        ):
            vector_field(BY_NAME, START)
        for point in (jnp.zeros(3), jnp.zeros((2, 1)), jnp.zeros(2, jnp.int32)):
            with pytest.raises(ValueError, match=r"vector_field: expected a floating point \[2\], got"):
                vector_field(loss, point)
        with pytest.raises(ValueError, match="vector_field: expected noise to be a scalar"):
            vector_field(loss, START, Stabilizers(noise=jnp.ones(2)))


class TestEigenvalues:
    @pytest.mark.parametrize("name", LOSSES)
    def test_without_stabilizers_they_are_imaginary(self, name):
        f = SLOPES[name]
        np.testing.assert_allclose(spectrum(LOSSES[name]), [f * 1j, -f * 1j], atol=1e-6)

    @pytest.mark.parametrize("name", LOSSES)
    @pytest.mark.parametrize("gamma", [0.3, 4.0])
    def test_r1(self, name, gamma):
        root = np.sqrt(complex(gamma**2 / 4 - SLOPES[name] ** 2))
        for stabilizers in (Stabilizers(r1=gamma), Stabilizers(r1=gamma / 4, r2=3 * gamma / 4)):
            ours = spectrum(LOSSES[name], stabilizers)
            np.testing.assert_allclose(ours, [-gamma / 2 + root, -gamma / 2 - root], rtol=1e-5)

    @pytest.mark.parametrize("name", SMOOTH)
    def test_noise(self, name):
        """f''(0) σ² ± √(f''(0)² σ⁴ − f'(0)²)."""
        curvature = (0.0 if name == "wasserstein" else -0.25) * 0.8**2
        root = np.sqrt(complex(curvature**2 - SLOPES[name] ** 2))
        ours = spectrum(LOSSES[name], Stabilizers(noise=0.8))
        np.testing.assert_allclose(ours, [curvature + root, curvature - root], rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("name", LOSSES)
    def test_consensus(self, name):
        f = SLOPES[name]
        ours = spectrum(LOSSES[name], Stabilizers(consensus=0.7))
        np.testing.assert_allclose(ours, [-0.7 * f**2 + f * 1j, -0.7 * f**2 - f * 1j], rtol=1e-5)

    def test_no_jacobian_with_a_gradient_penalty(self):
        assert jnp.isnan(spectrum(LOSSES["wasserstein"], Stabilizers(gradient_penalty=0.1))).all()

    def test_vary_under_vmap(self):
        gammas = np.asarray([0, 1, 4], np.float32)
        of_gamma = jax.vmap(lambda gamma: eigenvalues(LOSSES["wasserstein"], Stabilizers(r1=gamma)))
        root = np.sqrt(gammas**2 / 4 - 1 + 0j)
        expected = np.stack([-gammas / 2 + root, -gammas / 2 - root], 1)
        np.testing.assert_allclose(jax.jit(of_gamma)(jnp.asarray(gammas)), expected, rtol=1e-5)

    def test_wrong_input(self):
        with pytest.raises(ValueError, match="eigenvalues: expected loss"):
            eigenvalues(BY_NAME)
        with pytest.raises(ValueError, match="eigenvalues: expected r1 to be a scalar"):
            eigenvalues(LOSSES["minimax"], Stabilizers(r1=jnp.ones(1)))


def matrix_of_a_step(step_size, method):
    """Of the linear game, column by column."""
    return np.stack([run("wasserstein", start, step_size, method)[1] for start in jnp.eye(2)], -1)


class TestSimulate:
    def test_linear_game_simultaneous(self):
        h = 0.2
        matrix = matrix_of_a_step(h, "simultaneous")
        np.testing.assert_allclose(matrix, [[1, h], [-h, 1]], rtol=1e-6)
        np.testing.assert_allclose(abs(np.linalg.eigvals(matrix)), np.sqrt(1 + h**2), rtol=1e-6)
        growth = distances(run("wasserstein", START, h)[:101]) / np.sqrt(2)
        np.testing.assert_allclose(growth, (1 + h**2) ** (np.arange(101) / 2), rtol=1e-4)

    def test_linear_game_alternating(self):
        """An ellipse, for ever."""
        h = 0.2
        matrix = matrix_of_a_step(h, "alternating")
        np.testing.assert_allclose(matrix, [[1 - h**2, h], [-h, 1]], rtol=1e-6)
        np.testing.assert_allclose(abs(np.linalg.eigvals(matrix)), 1, rtol=1e-6)
        theta, psi = run("wasserstein", START, h, "alternating").T
        np.testing.assert_allclose(theta**2 + psi**2 - h * theta * psi, 2 - h, rtol=5e-3)

    @pytest.mark.parametrize("method", ["simultaneous", "alternating"])
    def test_two_time_scales(self, method):
        slow, fast = 0.1, 0.4
        corner = 1 - slow * fast if method == "alternating" else 1
        matrix = matrix_of_a_step(jnp.asarray([slow, fast]), method)
        np.testing.assert_allclose(matrix, [[corner, slow], [-fast, 1]], rtol=1e-6)

    @pytest.mark.parametrize("method", ["simultaneous", "alternating"])
    def test_steps_follow_the_field(self, method):
        h = 0.3
        points = run("non_saturating", START, h, method, Stabilizers(r1=0.2))
        np.testing.assert_array_equal(points[0], START)
        theta, psi = points[:-1].T
        after = psi - h * (sigmoid(theta * psi) * theta + 0.2 * psi)
        seen = after if method == "alternating" else psi
        expected = np.stack([theta + h * sigmoid(-theta * seen) * seen, after], -1)
        np.testing.assert_allclose(points[1:], expected, rtol=1e-5, atol=1e-6)

    def test_minimax_circles_in_the_limit(self):
        """Over the same time, half the step size drifts half as far from the circle."""
        drifts = [np.log(distances(run("minimax", START, 10 / n)[n]) / distances(START)) for n in (400, 800)]
        assert drifts[0] > 1e-2
        assert drifts[0] / drifts[1] == pytest.approx(2, rel=0.03)

    @pytest.mark.parametrize(
        "stabilizers",
        [Stabilizers(r1=0.5), Stabilizers(noise=1.0), Stabilizers(consensus=1.0)],
        ids=["r1", "noise", "consensus"],
    )
    @pytest.mark.parametrize("name", ["minimax", "non_saturating"])
    def test_converges_as_the_eigenvalues_say(self, name, stabilizers):
        """By |1 + h λ| a step, over a turn near the equilibrium."""
        factor = 1 + 0.1 * complex(spectrum(LOSSES[name], stabilizers)[0])
        turn = round(2 * np.pi / np.angle(factor))
        far = distances(run(name, START / 100, 0.1, "simultaneous", stabilizers))
        assert abs(factor) < 1
        assert far[200 + turn] / far[200] == pytest.approx(abs(factor) ** turn, rel=0.02)
        assert far[-1] < 1e-6

    @pytest.mark.parametrize("name", LOSSES)
    def test_leaves_the_equilibrium_without_stabilizers(self, name):
        far = distances(run(name, START / 100, 0.1)[:501])
        assert far[-1] / far[0] == pytest.approx((1 + 0.01 * SLOPES[name] ** 2) ** 250, rel=1e-2)

    @pytest.mark.parametrize("method", ["simultaneous", "alternating"])
    def test_gradient_penalty_does_not_converge(self, method):
        """It asks for a slope that the equilibrium has not; R1 of the same weight converges."""
        penalty = Stabilizers(gradient_penalty=1.0, target=0.3)
        late = distances(run("wasserstein", START, 0.1, method, penalty)[-1000:])
        assert late.min() > 0.1
        assert late.max() < 1
        assert distances(run("wasserstein", START, 0.1, method, Stabilizers(r1=1.0))[-1]) < 1e-6

    def test_many_starts_and_no_steps(self):
        starts = jnp.asarray(POINTS, jnp.float32)
        np.testing.assert_array_equal(
            jax.vmap(lambda s: simulate(LOSSES["hinge"], s, 0.1, 0))(starts)[:, 0], starts
        )

    def test_wrong_input(self):
        loss = LOSSES["minimax"]
        with pytest.raises(ValueError, match="simulate: expected a floating point"):
            simulate(loss, jnp.zeros(3), 0.1, 2)
        both: Any = "both"
        with pytest.raises(ValueError, match="simulate: expected method in .* got 'both'"):
            simulate(loss, START, 0.1, 2, both)
        with pytest.raises(ValueError, match=r"simulate: expected step_size \[\] or \[2\], got \(3,\)"):
            simulate(loss, START, jnp.ones(3), 2)
        with pytest.raises(ValueError, match="simulate: expected steps of 0 or more, got -1"):
            simulate(loss, START, 0.1, -1)
