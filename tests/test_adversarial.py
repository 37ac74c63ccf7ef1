"""Adversarial losses and gradient penalties against torch, with gradients, and against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.adversarial import (
    LOSSES,
    gradient_penalty,
    hinge_discriminator,
    linear_generator,
    logistic_discriminator,
    minimax_generator,
    non_saturating_generator,
    r1,
    r2,
    relativistic_discriminator,
    relativistic_generator,
    wasserstein_discriminator,
)

torch = pytest.importorskip("torch")
stats = pytest.importorskip("scipy.stats")

pytestmark = pytest.mark.usefixtures("strict")

RNG = np.random.default_rng(0)
REAL = jnp.asarray([*RNG.normal(0, 3, 20), 40.0, -40.0, 40.0, 0.0], jnp.float32)
FAKE = jnp.asarray([*RNG.normal(0, 3, 20), 40.0, 40.0, -40.0, 0.0], jnp.float32)


def entropy_of_torch(score, target):
    targets = torch.full_like(score, target)
    return torch.nn.functional.binary_cross_entropy_with_logits(score, targets, reduction="none")


def assert_same_with_gradients(ours, theirs):
    """Equal values and, by a weighted sum, equal gradients with respect to both scores."""
    real, fake = (torch.tensor(np.asarray(x)).double().requires_grad_() for x in (REAL, FAKE))
    expected = theirs(real, fake)
    weights = np.cos(np.arange(24, dtype=np.float32))
    slopes = torch.autograd.grad((expected * torch.tensor(weights)).sum(), (real, fake), allow_unused=True)
    value, pull = jax.vjp(jax.jit(ours), REAL, FAKE)
    assert value.dtype == jnp.float32
    np.testing.assert_allclose(value, expected.detach(), rtol=1e-5, atol=1e-6)
    for slope, other in zip(pull(jnp.asarray(weights)), slopes, strict=True):
        np.testing.assert_allclose(slope, np.zeros(24) if other is None else other, rtol=1e-5, atol=1e-15)


class TestLogisticDiscriminator:
    @pytest.mark.parametrize("smoothing", [0.0, 0.1])
    def test_equals_torch(self, smoothing):
        assert_same_with_gradients(
            lambda real, fake: logistic_discriminator(real, fake, smoothing),
            lambda real, fake: entropy_of_torch(real, 1 - smoothing) + entropy_of_torch(fake, 0.0),
        )

    def test_has_no_smoothing_by_default(self):
        np.testing.assert_array_equal(
            logistic_discriminator(REAL, FAKE), logistic_discriminator(REAL, FAKE, 0.0)
        )

    @pytest.mark.parametrize("smoothing", [0.0, 0.1])
    def test_optimum(self, smoothing):
        """Where the data have density p and the samples q, D = (1 − s) p / (p + q) is best."""
        p, q = jnp.float32([0.5, 0.2, 0.3]), jnp.float32([0.1, 0.2, 0.7])
        best = (1 - smoothing) * p / (p + q)
        scores = jnp.log(best) - jnp.log1p(-best)

        def expected(scores):  # one-sided: the term of samples is that of smoothing 0
            loss = logistic_discriminator(scores, jnp.full(3, -1e4), smoothing)
            return (p * loss + q * logistic_discriminator(jnp.full(3, 1e4), scores)).sum()

        value, slope = jax.jit(jax.value_and_grad(expected))(scores)
        # Σ (p + q) · (entropy of the best D): for s = 0, log 4 less twice the Jensen-Shannon divergence.
        entropy = -((p + q) * (best * jnp.log(best) + (1 - best) * jnp.log1p(-best))).sum()
        np.testing.assert_allclose(slope, 0, atol=1e-6)
        np.testing.assert_allclose(value, entropy, rtol=1e-5)

    def test_smoothing_varies_under_vmap(self):
        values = jax.jit(jax.vmap(logistic_discriminator, (None, None, 0)))(REAL, FAKE, jnp.float32([0, 0.3]))
        real, fake = (torch.tensor(np.asarray(x)).double() for x in (REAL, FAKE))
        expected = [entropy_of_torch(real, 1 - s) + entropy_of_torch(fake, 0.0) for s in (0, 0.3)]
        np.testing.assert_allclose(values, np.stack(expected), rtol=1e-5, atol=1e-15)

    def test_smoothing_is_a_scalar(self):
        with pytest.raises(ValueError, match="logistic_discriminator: expected smoothing to be a scalar"):
            logistic_discriminator(REAL, FAKE, jnp.zeros(24))


def test_minimax_generator():
    assert_same_with_gradients(minimax_generator, lambda real, fake: -entropy_of_torch(fake, 0.0))


def test_non_saturating_generator():
    assert_same_with_gradients(non_saturating_generator, lambda real, fake: entropy_of_torch(fake, 1.0))


class TestHingeDiscriminator:
    def test_equals_torch(self):
        def theirs(real, fake):
            return torch.relu(1 - real) + torch.relu(1 + fake)

        assert_same_with_gradients(hinge_discriminator, theirs)

    def test_is_flat_at_the_margin(self):
        assert jax.grad(hinge_discriminator, (0, 1))(jnp.float32(1), jnp.float32(-1)) == (0, 0)


def test_wasserstein_discriminator():
    assert_same_with_gradients(wasserstein_discriminator, lambda real, fake: fake - real)


def test_linear_generator():
    assert_same_with_gradients(linear_generator, lambda real, fake: -fake)


def test_relativistic_discriminator():
    assert_same_with_gradients(
        relativistic_discriminator, lambda real, fake: entropy_of_torch(real - fake, 1.0)
    )


def test_relativistic_generator():
    assert_same_with_gradients(relativistic_generator, lambda real, fake: entropy_of_torch(fake - real, 1.0))


class TestLosses:
    def test_by_name(self):
        real, fake = 0.5, -0.25
        softplus = [np.log1p(np.exp(x)) for x in (-real, fake, -fake, fake - real, real - fake)]
        by_hand = {
            "minimax": (softplus[0] + softplus[1], -softplus[1]),
            "non_saturating": (softplus[0] + softplus[1], softplus[2]),
            "hinge": (0.5 + 0.75, 0.25),
            "wasserstein": (-0.75, 0.25),
            "relativistic": (softplus[3], softplus[4]),
        }
        pair = jnp.float32(real), jnp.float32(fake)
        assert LOSSES.keys() == by_hand.keys()
        for name, values in by_hand.items():
            ours = LOSSES[name].discriminator(*pair), LOSSES[name].generator(*pair)
            assert ours == pytest.approx(values, rel=1e-6), name

    @pytest.mark.parametrize("name", LOSSES)
    def test_what_reaches_the_generator(self, name):
        """Its slope in the score as the discriminator becomes surer of its fakes, in closed form."""
        fake = jnp.float32([3.0, 0.0, -3.0, -30.0, -80.0, -1e4])
        real = -fake
        doubt = np.exp(-np.logaddexp(0, -np.asarray(fake, np.float64)))  # D(fake)
        sure = np.exp(-np.logaddexp(0, np.asarray(fake - real, np.float64)))  # 1 − D of the pair
        expected = {"minimax": -doubt, "non_saturating": doubt - 1, "relativistic": -sure}
        slope = jax.jit(jax.vmap(jax.grad(LOSSES[name].generator, 1)))(real, fake)
        np.testing.assert_allclose(slope, expected.get(name, np.full(6, -1.0)), rtol=1e-5, atol=1e-38)
        assert (abs(slope[-1]) < 1e-30) == (name == "minimax")

    @pytest.mark.parametrize("name", LOSSES)
    def test_is_finite_at_any_score(self, name):
        scores = jnp.float32([-1e4, -90, 0, 90, 1e4])
        real, fake = (x.ravel() for x in jnp.meshgrid(scores, scores))
        sides = [LOSSES[name].discriminator, LOSSES[name].generator]
        if LOSSES[name].smooths:
            sides.append(lambda real, fake: LOSSES[name].discriminator(real, fake, 0.1))
        for side in sides:
            values, slopes = jax.jit(jax.vmap(jax.value_and_grad(side, (0, 1))))(real, fake)
            assert jnp.isfinite(values).all()
            assert jnp.isfinite(jnp.stack(slopes)).all()
            assert (abs(jnp.stack(slopes)) <= 1).all()

    @pytest.mark.parametrize("name", LOSSES)
    def test_needs_lipschitz_where_a_steeper_discriminator_always_gains(self, name):
        scale = jnp.float32([1e2, 1e4])
        flat, steep = LOSSES[name].discriminator(scale, -scale)
        assert LOSSES[name].needs_lipschitz == (steep < flat - 1)

    @pytest.mark.parametrize("name", LOSSES)
    def test_smooths_where_there_is_a_smoothing(self, name):
        if LOSSES[name].smooths:
            assert (
                LOSSES[name].discriminator(REAL, FAKE, 0.1) != LOSSES[name].discriminator(REAL, FAKE)
            ).any()
        else:
            with pytest.raises(TypeError, match="positional arguments"):
                LOSSES[name].discriminator(REAL, FAKE, 0.1)

    @pytest.mark.parametrize(
        "side", dict.fromkeys(side for loss in LOSSES.values() for side in loss[:2]), ids=lambda f: f.__name__
    )
    def test_wrong_input(self, side):
        name = side.__name__
        for other in (FAKE[:, None], FAKE[:3], FAKE.astype(jnp.bfloat16)):
            with pytest.raises(ValueError, match=f"{name}: expected real and fake of one shape and dtype"):
                side(REAL, other)
        with pytest.raises(ValueError, match=f"{name}: expected floating real and fake, got int32"):
            side(jnp.zeros(3, jnp.int32), jnp.zeros(3, jnp.int32))


IMAGES = jnp.asarray(RNG.normal(size=(5, 2, 3)), jnp.float32)
SAMPLES = jnp.asarray(RNG.normal(size=(5, 2, 3)), jnp.float32)
PARAMETERS = tuple(jnp.asarray(RNG.normal(size=s), jnp.float32) for s in ((6, 4), (4, 4), (4, 1)))


def score(parameters, x):
    """Of a small network, whose slope depends on x."""
    first, second, last = parameters
    return (jnp.tanh(jnp.tanh(x.reshape(len(x), -1) @ first) @ second) @ last)[:, 0]


def slopes_of_torch(parameters, x):
    """‖∇f(x)‖² of each example, one at a time."""
    norms = []
    for example in x:
        hidden = torch.tanh(torch.tanh(example.reshape(-1) @ parameters[0]) @ parameters[1])
        (slope,) = torch.autograd.grad((hidden @ parameters[2])[0], example, create_graph=True)
        norms.append((slope**2).sum())
    return torch.stack(norms)


def assert_penalty_equals_torch(ours, theirs, *examples):
    """Values, and the gradients of a weighted sum in the parameters and in the examples."""
    weights = np.cos(np.arange(5, dtype=np.float32))
    value, pull = jax.vjp(jax.jit(ours), PARAMETERS, *examples)
    leaves = [torch.tensor(np.asarray(a)).double().requires_grad_() for a in (*PARAMETERS, *examples)]
    expected = theirs(leaves[:3], *leaves[3:])
    (expected * torch.tensor(weights)).sum().backward()
    np.testing.assert_allclose(value, expected.detach(), rtol=1e-4)
    for slope, leaf in zip(jax.tree.leaves(pull(jnp.asarray(weights))), leaves, strict=True):
        assert abs(leaf.grad).max() > 1e-3
        np.testing.assert_allclose(slope, leaf.grad, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("penalty", [r1, r2])
class TestR1AndR2:
    def test_equals_torch(self, penalty):
        def ours(parameters, x):
            return penalty(lambda x: score(parameters, x), x)

        assert_penalty_equals_torch(ours, slopes_of_torch, IMAGES)

    def test_of_a_line_is_its_squared_slope(self, penalty):
        assert penalty(lambda x: -3 * x, jnp.zeros(2)).tolist() == [9, 9]

    def test_vmap_over_networks(self, penalty):
        pair = jax.tree.map(lambda a: jnp.stack([a, 2 * a]), PARAMETERS)
        values = jax.jit(jax.vmap(lambda p: penalty(lambda x: score(p, x), IMAGES)))(pair)
        one_by_one = [
            slopes_of_torch(
                [torch.tensor(np.array(a[i])) for a in pair],
                torch.tensor(np.array(IMAGES), requires_grad=True),
            )
            for i in (0, 1)
        ]
        np.testing.assert_allclose(values, torch.stack(one_by_one).detach(), rtol=1e-4)

    def test_wrong_input(self, penalty):
        name = penalty.__name__
        with pytest.raises(ValueError, match=rf"{name}: expected f to return \(5,\), got \(5, 2\)"):
            penalty(lambda x: x.sum(-1), IMAGES)
        with pytest.raises(ValueError, match=rf"{name}: expected f to return \(5,\), got \(\)"):
            penalty(jnp.sum, IMAGES)
        for x in (jnp.float32(1), jnp.zeros(3, jnp.int32)):
            with pytest.raises(ValueError, match=f"{name}: expected floating examples"):
                penalty(lambda x: x, x)


def bowl(x):
    """Its slope at x is x."""
    return jnp.square(x).sum(tuple(range(1, x.ndim))) / 2


class TestGradientPenalty:
    def test_equals_torch(self, key):
        # Of a bowl from 1 to 0 the slope is 1 − ε, which tells torch our ε.
        ends = jnp.zeros((5, 1)), jnp.ones((5, 1))
        epsilon = 1 - np.sqrt(gradient_penalty(bowl, *ends, key, 0.0))
        share = torch.tensor(np.float64(epsilon))[:, None, None]

        def ours(parameters, real, fake):
            return gradient_penalty(lambda x: score(parameters, x), real, fake, key, 0.3)

        def theirs(parameters, real, fake):
            return (slopes_of_torch(parameters, share * real + (1 - share) * fake).sqrt() - 0.3) ** 2

        assert_penalty_equals_torch(ours, theirs, IMAGES, SAMPLES)

    def test_asks_for_a_slope_of_1(self, key):
        ends = jnp.zeros(2), jnp.ones(2)
        assert gradient_penalty(lambda x: -3 * x, *ends, key).tolist() == [4, 4]
        assert gradient_penalty(lambda x: x, *ends, key).tolist() == [0, 0]

    def test_one_uniform_place_for_each_pair(self, key):
        """Along each pair's segment, the same for all its pixels: else slopes would gather at their mean."""
        n = 2000
        ends = jnp.zeros((n, 5, 5)), jnp.full((n, 5, 5), 0.2)
        places = np.sqrt(gradient_penalty(bowl, *ends, key, 0.0))
        assert stats.kstest(places, "uniform").pvalue > 0.01
        assert abs(np.corrcoef(places[1:], places[:-1])[0, 1]) < 4 / np.sqrt(n)
        assert (places != np.sqrt(gradient_penalty(bowl, *ends, jax.random.key(1), 0.0))).all()

    def test_gradient_is_finite_without_slope(self, key):
        def penalty(w):
            return gradient_penalty(lambda x: x @ w, jnp.ones((5, 3)), jnp.zeros((5, 3)), key).sum()

        value, slope = jax.jit(jax.value_and_grad(penalty))(jnp.zeros(3))
        assert value == 5
        np.testing.assert_array_equal(slope, 0)

    def test_target_varies_under_vmap(self, key):
        def penalty(target):
            return gradient_penalty(lambda x: 3 * x, jnp.zeros(1), jnp.ones(1), key, target)

        assert jax.vmap(penalty)(jnp.float32([0, 1, 5])).ravel().tolist() == [9, 4, 4]

    def test_wrong_input(self, key):
        with pytest.raises(ValueError, match="gradient_penalty: expected real and fake of one shape"):
            gradient_penalty(bowl, IMAGES, SAMPLES[:2], key)
        with pytest.raises(ValueError, match="gradient_penalty: expected floating real and fake"):
            gradient_penalty(bowl, jnp.zeros(3, int), jnp.zeros(3, int), key)
        with pytest.raises(ValueError, match="gradient_penalty: expected floating examples"):
            gradient_penalty(bowl, jnp.float32(0), jnp.float32(0), key)
        with pytest.raises(ValueError, match="gradient_penalty: expected f to return"):
            gradient_penalty(lambda x: x, IMAGES, SAMPLES, key)
        with pytest.raises(ValueError, match="gradient_penalty: expected target to be a scalar"):
            gradient_penalty(bowl, IMAGES, SAMPLES, key, jnp.ones(5))
