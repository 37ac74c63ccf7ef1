"""Losses and their gradients against torch, scikit-learn and closed forms in 64 bits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.losses import (
    MARGIN_LOSSES,
    dice,
    exponential,
    focal,
    hinge,
    logistic,
    penalty_reduced_focal,
    softmax_cross_entropy,
    squared,
)

torch = pytest.importorskip("torch")
sklearn_metrics = pytest.importorskip("sklearn.metrics")

pytestmark = pytest.mark.usefixtures("strict")

RNG = np.random.default_rng(0)
SCORE = jnp.asarray([*RNG.normal(0, 3, 20), 40.0, -40.0, 0.0, 0.0], jnp.float32)
Y = jnp.where(jnp.arange(24) % 2 == 1, 1, -1)
LOGITS = jnp.asarray(RNG.normal(0, 3, (4, 3, 5)), jnp.float32)
LABELS = jnp.asarray(RNG.integers(0, 5, (4, 3)), jnp.int32)
SOFT = jnp.asarray(RNG.dirichlet(np.ones(5), (4, 3)), jnp.float32).at[0, 0].set(jnp.eye(5)[1])


def assert_same_with_gradients(ours, theirs, x, rtol=1e-5, atol=1e-6):
    """Equal values and, by a weighted sum, equal gradients with respect to x."""
    x64 = torch.tensor(np.asarray(x), dtype=torch.float64, requires_grad=True)
    expected = theirs(x64)
    weights = np.float32(np.cos(np.arange(expected.numel()))).reshape(expected.shape)
    (expected * torch.tensor(weights)).sum().backward()
    value, pull = jax.vjp(jax.jit(ours), x)
    assert value.dtype == x.dtype
    np.testing.assert_allclose(value, expected.detach(), rtol, atol)
    np.testing.assert_allclose(pull(jnp.asarray(weights))[0], x64.grad, rtol, atol)


class TestMarginLosses:
    y64 = torch.tensor(np.asarray(Y), dtype=torch.float64)

    def test_hinge_equals_scikit_learn(self):
        value = hinge(SCORE, Y).mean()
        np.testing.assert_allclose(value, sklearn_metrics.hinge_loss(Y, SCORE), rtol=1e-6)

    def test_hinge(self):
        assert_same_with_gradients(lambda s: hinge(s, Y), lambda s: torch.relu(1 - self.y64 * s), SCORE)

    def test_hinge_is_flat_at_the_margin(self):
        assert jax.grad(hinge)(jnp.float32(1), jnp.int32(1)) == 0

    def test_logistic(self):
        def theirs(s):
            return torch.nn.functional.soft_margin_loss(s, self.y64, reduction="none")

        assert_same_with_gradients(lambda s: logistic(s, Y), theirs, SCORE, atol=0)

    def test_logistic_neither_overflows_nor_vanishes(self):
        value, slope = jax.vmap(jax.value_and_grad(logistic))(
            jnp.float32([-1e4, 1e4, 30]), jnp.int32([1, 1, 1])
        )
        np.testing.assert_allclose(value, [1e4, 0, np.exp(-30)], rtol=1e-5)
        np.testing.assert_allclose(slope, [-1, 0, -np.exp(-30)], rtol=1e-5)

    def test_squared(self):
        def theirs(s):
            return torch.nn.functional.mse_loss(s, self.y64, reduction="none")

        assert_same_with_gradients(lambda s: squared(s, Y), theirs, SCORE)

    def test_exponential(self):
        def theirs(s):
            return torch.exp(-self.y64 * s)

        assert_same_with_gradients(lambda s: exponential(s, Y), theirs, SCORE, atol=0)

    def test_by_name(self):
        s, y = jnp.float32(-0.5), jnp.float32(1)
        by_hand = {
            "hinge": 1.5,
            "logistic": np.log1p(np.exp(0.5)),
            "squared": 2.25,
            "exponential": np.exp(0.5),
        }
        assert {n: float(f(s, y)) for n, f in MARGIN_LOSSES.items()} == pytest.approx(by_hand, rel=1e-6)

    @pytest.mark.parametrize("name", MARGIN_LOSSES)
    def test_wrong_input(self, name):
        loss = MARGIN_LOSSES[name]
        s = jnp.zeros(3)
        with pytest.raises(ValueError, match=f"{name}: expected score and y of one shape"):
            loss(s, jnp.zeros((3, 1)))
        with pytest.raises(ValueError, match=f"{name}: expected a floating score"):
            loss(jnp.zeros(3, int), jnp.zeros(3))
        for dtype in (jnp.uint8, bool):
            with pytest.raises(ValueError, match=f"{name}: expected y in"):
                loss(s, jnp.ones(3, dtype))


def cross_entropy_of_torch(logits, labels, smoothing):
    labels = torch.tensor(np.asarray(labels))
    labels = labels.long() if labels.ndim < logits.ndim else labels.double()
    loss = torch.nn.functional.cross_entropy(
        logits.reshape(-1, 5), labels.flatten(0, 1), label_smoothing=smoothing, reduction="none"
    )
    return loss.reshape(logits.shape[:-1])


class TestSoftmaxCrossEntropy:
    @pytest.mark.parametrize("labels", [LABELS, LABELS.astype(jnp.uint8), SOFT], ids=["int", "uint8", "soft"])
    @pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
    def test_equals_torch(self, labels, smoothing):
        assert_same_with_gradients(
            lambda z: softmax_cross_entropy(z, labels, smoothing),
            lambda z: cross_entropy_of_torch(z, labels, smoothing),
            LOGITS,
            rtol=1e-4,
        )

    def test_smoothing_varies_under_vmap(self):
        smoothings = jnp.float32([0, 0.3])
        values = jax.jit(jax.vmap(softmax_cross_entropy, (None, None, 0)))(LOGITS, LABELS, smoothings)
        expected = [cross_entropy_of_torch(torch.tensor(np.asarray(LOGITS)), LABELS, s) for s in (0, 0.3)]
        np.testing.assert_allclose(values, np.stack(expected), rtol=1e-5)

    def test_gradient_in_smoothing_also_at_zero(self):
        """The loss is linear in the smoothing."""

        def loss(s):
            return softmax_cross_entropy(LOGITS, LABELS, s).mean()

        ends, slopes = jax.jit(jax.vmap(jax.value_and_grad(loss)))(jnp.float32([0, 1]))
        np.testing.assert_allclose(slopes[0], ends[1] - ends[0], rtol=1e-5)

    def test_a_class_left_out(self):
        logits, without = jnp.array([1.0, -jnp.inf, 3.0]), jnp.array([1.0, 3.0])
        both = jax.jit(jax.value_and_grad(softmax_cross_entropy))
        value, slope = both(logits, jnp.int32(2))
        expected, expected_slope = both(without, jnp.int32(1))
        np.testing.assert_allclose(value, expected, rtol=1e-6)
        np.testing.assert_allclose(slope[jnp.array([0, 2])], expected_slope, rtol=1e-6)
        assert slope[1] == 0

    def test_large_logits(self):
        logits = jnp.float32([[1e4, -1e4], [-1e4, 1e4]])
        both = jax.jit(jax.vmap(jax.value_and_grad(softmax_cross_entropy)))
        value, slope = both(logits, jnp.int32([0, 0]))
        np.testing.assert_array_equal(value, [0, 2e4])
        np.testing.assert_array_equal(slope, [[0, 0], [-1, 1]])


def focal_in_64_bits(logits, labels, gamma):
    """(1 − p)^γ · (−log p), with 1 − p as the sum of the other probabilities so that no digit is lost."""
    exponentials = torch.exp(logits - logits.max(-1, keepdim=True).values.detach())
    p = exponentials / exponentials.sum(-1, keepdim=True)
    others = (p[..., None, :] * (1 - torch.eye(p.shape[-1], dtype=p.dtype))).sum(-1)
    return (torch.tensor(np.asarray(labels)) * others**gamma * -torch.log1p(-others)).sum(-1)


focal_with_slope = jax.jit(jax.vmap(jax.value_and_grad(focal), (0, 0, None)))


class TestFocal:
    hard = np.eye(5)[np.asarray(LABELS)]

    @pytest.mark.parametrize("gamma", [0.5, 2.0])
    def test_equals_the_closed_form(self, gamma):
        for labels, probabilities in ((LABELS, self.hard), (SOFT, np.asarray(SOFT, np.float64))):
            assert_same_with_gradients(
                lambda z, labels=labels: focal(z, labels, gamma),
                lambda z, p=probabilities: focal_in_64_bits(z, p, gamma),
                LOGITS,
                rtol=2e-5,
            )

    @pytest.mark.parametrize("labels", [LABELS, SOFT], ids=["int", "soft"])
    def test_is_cross_entropy_at_gamma_zero(self, labels):
        assert_same_with_gradients(
            lambda z: focal(z, labels, 0.0), lambda z: cross_entropy_of_torch(z, labels, 0.0), LOGITS
        )

    @pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0])
    def test_keeps_its_digits_where_p_rounds_to_one(self, gamma):
        """Label 0 leads by 20: in float32 p is 1 and 1 − p is 0. And where it trails by as much."""
        z = jnp.asarray([[20.0, 0.0, 0.5], [0.0, 20.0, 1.0]])
        labels = jnp.zeros(2, jnp.int32)
        assert_same_with_gradients(
            lambda z: focal(z, labels, gamma),
            lambda z: focal_in_64_bits(z, np.eye(3)[[0, 0]], gamma),
            z,
            rtol=1e-4,
            atol=0,
        )

    @pytest.mark.parametrize("gamma", [0.0, 0.3, 2.0])
    def test_gradient_is_finite_at_any_confidence(self, gamma):
        logits = jnp.float32([[1e4, -1e4, 0], [-1e4, 1e4, 0], [7, 7, 7]])
        value, slope = focal_with_slope(logits, jnp.int32([0, 0, 0]), gamma)
        np.testing.assert_allclose(value, [0, 2e4, (2 / 3) ** gamma * np.log(3)], rtol=1e-6)
        np.testing.assert_allclose(slope[:2], [[0, 0, 0], [-1, 1, 0]], atol=1e-6)
        assert jnp.isfinite(slope).all()

    def test_gamma_varies_under_vmap(self):
        gammas = jnp.float32([0, 2])
        values = jax.jit(jax.vmap(focal, (None, None, 0)))(LOGITS, LABELS, gammas)
        expected = [focal_in_64_bits(torch.tensor(np.asarray(LOGITS)).double(), self.hard, g) for g in (0, 2)]
        np.testing.assert_allclose(values, np.stack(expected), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("loss", [softmax_cross_entropy, focal])
class TestBoth:
    def test_a_label_outside_the_classes_is_seen(self, loss):
        values = jax.jit(loss)(jnp.zeros((3, 4)), jnp.int32([-1, 3, 4]))
        np.testing.assert_array_equal(jnp.isnan(values), [True, False, True])

    @pytest.mark.parametrize(
        ("logits", "labels", "message"),
        [
            (jnp.zeros((2, 3)), jnp.zeros((2, 3), int), "expected labels, integer \\(2,\\)"),
            (jnp.zeros((2, 3)), jnp.zeros(2), "or floating \\(2, 3\\)"),
            (jnp.zeros((2, 3)), jnp.zeros((2, 3), bool), "got bool"),
            (jnp.zeros((2, 3), int), jnp.zeros(2, int), "expected floating logits"),
            (jnp.zeros((2, 1)), jnp.zeros(2, int), "two classes or more"),
            (jnp.zeros(()), jnp.zeros((), int), "two classes or more"),
        ],
    )
    def test_wrong_arrays(self, loss, logits, labels, message):
        with pytest.raises(
            ValueError, match=f"{loss.__name__}: expected .*{message.removeprefix('expected ')}"
        ):
            loss(logits, labels)

    def test_the_parameter_is_a_scalar(self, loss):
        with pytest.raises(ValueError, match=f"{loss.__name__}: expected .* to be a scalar"):
            loss(jnp.zeros((2, 3)), jnp.zeros(2, int), jnp.zeros(2))

    def test_each_pixel_is_an_example(self, loss):
        """Of one image of 4 × 3."""
        values = jax.jit(loss)(LOGITS[None], LABELS[None].astype(jnp.uint8))
        single = jax.jit(jax.vmap(jax.vmap(loss)))(LOGITS, LABELS)
        np.testing.assert_allclose(values, single[None], rtol=1e-5, atol=1e-7)

    def test_wrong_weights(self, loss):
        for weights in (jnp.ones(4), jnp.ones((1, 5)), jnp.ones(5, int)):
            with pytest.raises(ValueError, match=f"{loss.__name__}: expected floating weights \\[5\\]"):
                loss(LOGITS, LABELS, weights=weights)


class TestClassWeights:
    weights = np.asarray([0.0, 0.5, 1.0, 2.0, 7.0], np.float32)

    @pytest.mark.parametrize("labels", [LABELS, SOFT], ids=["int", "soft"])
    def test_cross_entropy_equals_torch(self, labels):
        targets = torch.tensor(np.asarray(labels))
        targets = targets.long() if labels is LABELS else targets.double()

        def theirs(z):
            loss = torch.nn.functional.cross_entropy(
                z.reshape(-1, 5),
                targets.flatten(0, 1),
                weight=torch.tensor(self.weights).double(),
                label_smoothing=0.2,
                reduction="none",
            )
            return loss.reshape(z.shape[:-1])

        def ours(z):
            return softmax_cross_entropy(z, labels, 0.2, jnp.asarray(self.weights))

        assert_same_with_gradients(ours, theirs, LOGITS, rtol=1e-4)

    def test_focal_equals_the_closed_form(self):
        weighted = np.asarray(SOFT, np.float64) * self.weights
        assert_same_with_gradients(
            lambda z: focal(z, SOFT, 2.0, jnp.asarray(self.weights)),
            lambda z: focal_in_64_bits(z, weighted, 2.0),
            LOGITS,
            rtol=2e-5,
        )


MAPS = jnp.asarray(RNG.normal(0, 3, (2, 6, 7, 4)), jnp.float32)
CLASS_MAPS = jnp.asarray(RNG.integers(0, 3, (2, 6, 7)), jnp.int32)  # class 3 is in neither image
SOFT_MAPS = jnp.asarray(RNG.dirichlet(np.ones(4), (2, 6, 7)), jnp.float32)
KEPT = jnp.asarray(RNG.random((2, 6, 7)) < 0.7)


def dice_in_64_bits(logits, targets, smooth, kept):
    """Class by class and image by image, over the pixels that are kept."""
    probabilities = torch.softmax(logits, -1)
    losses = []
    for image, target, m in zip(probabilities, np.asarray(targets, np.float64), np.array(kept), strict=True):
        p, t = image[m], torch.tensor(target[m])
        scores = [
            (2 * torch.dot(p[:, k], t[:, k]) + smooth)
            / ((p[:, k] ** 2).sum() + (t[:, k] ** 2).sum() + smooth)
            for k in range(p.shape[1])
        ]
        losses.append(1 - torch.stack(scores).mean())
    return torch.stack(losses)


class TestDice:
    @pytest.mark.parametrize(
        ("labels", "targets"),
        [(CLASS_MAPS, np.eye(4)[CLASS_MAPS]), (SOFT_MAPS, SOFT_MAPS)],
        ids=["int", "soft"],
    )
    def test_equals_the_formula(self, labels, targets):
        for smooth, mask in ((1.0, None), (0.1, KEPT)):
            kept = np.ones(KEPT.shape, bool) if mask is None else KEPT
            assert_same_with_gradients(
                lambda z, s=smooth, m=mask: dice(z, labels, s, m),
                lambda z, s=smooth, m=kept: dice_in_64_bits(z, targets, s, m),
                MAPS,
            )

    def test_certainty(self):
        """Right: 0. Wrong on the two classes of three that are there: only the smoothing keeps it from 2/3."""
        labels = jnp.int32([[0, 0], [1, 1]])
        sure = 1e4 * jax.nn.one_hot(labels, 3)
        value, slope = jax.jit(jax.value_and_grad(dice))(sure, labels)
        assert value == 0
        np.testing.assert_array_equal(slope, 0)
        assert jax.jit(dice)(sure, 1 - labels, 1e-6) == pytest.approx(2 / 3, rel=1e-5)

    def test_smooth_varies_under_vmap(self):
        values = jax.jit(jax.vmap(dice, (None, None, 0)))(MAPS, CLASS_MAPS, jnp.float32([0.5, 2]))
        everything = np.ones(KEPT.shape, bool)
        logits, targets = torch.tensor(np.asarray(MAPS)).double(), np.eye(4)[CLASS_MAPS]
        expected = [dice_in_64_bits(logits, targets, s, everything) for s in (0.5, 2)]
        np.testing.assert_allclose(values, np.stack(expected), rtol=1e-5)

    def test_masked_pixels_need_no_class(self):
        ignored = jnp.where(KEPT, CLASS_MAPS, 255)
        loss = jax.jit(jax.value_and_grad(lambda z, labels: dice(z, labels, mask=KEPT).sum()))
        value, slope = loss(MAPS, ignored)
        assert value == pytest.approx(loss(MAPS, CLASS_MAPS)[0])
        assert (slope[~KEPT] == 0).all()
        assert jnp.isfinite(slope).all()
        assert jnp.isnan(jax.jit(dice)(MAPS, ignored)).all()
        assert (jax.jit(dice)(MAPS, ignored, mask=jnp.zeros_like(KEPT)) == 0).all()

    def test_wrong_input(self):
        with pytest.raises(ValueError, match="dice: expected floating logits .*height, width, classes"):
            dice(MAPS[0, 0], CLASS_MAPS[0, 0])
        with pytest.raises(ValueError, match="dice: expected labels"):
            dice(MAPS, CLASS_MAPS[0])
        for mask in (KEPT[0], KEPT.astype(jnp.float32)):
            with pytest.raises(ValueError, match="dice: expected a bool mask"):
                dice(MAPS, CLASS_MAPS, mask=mask)
        with pytest.raises(ValueError, match="dice: expected smooth to be a scalar"):
            dice(MAPS, CLASS_MAPS, jnp.ones(2))


HEAT = (
    SOFT_MAPS.at[0, 2, 3, 1].set(1).at[0, 5, 0, 2].set(1)
)  # two peaks in the first image, none in the other


def penalty_reduced_in_64_bits(logits, targets, alpha, beta):
    """Equation (1) of Zhou et al. 2019, image by image."""
    t = torch.tensor(np.asarray(targets, np.float64))
    p, q = torch.sigmoid(logits), torch.sigmoid(-logits)
    positive = q**alpha * torch.log(p)
    negative = (1 - t) ** beta * p**alpha * torch.log(q)
    number = (t == 1).sum((1, 2, 3)).clamp(min=1)
    return -torch.where(t == 1, positive, negative).sum((1, 2, 3)) / number


class TestPenaltyReducedFocal:
    @pytest.mark.parametrize(("alpha", "beta"), [(2.0, 4.0), (1.5, 0.5)])
    def test_equals_the_formula(self, alpha, beta):
        assert_same_with_gradients(
            lambda z: penalty_reduced_focal(z, HEAT, alpha, beta),
            lambda z: penalty_reduced_in_64_bits(z, HEAT, alpha, beta),
            MAPS,
        )

    def test_defaults(self):
        expected = penalty_reduced_in_64_bits(torch.tensor(np.asarray(MAPS)).double(), HEAT, 2, 4)
        np.testing.assert_allclose(jax.jit(penalty_reduced_focal)(MAPS, HEAT), expected, rtol=1e-5)

    def test_is_binary_cross_entropy_at_zero(self):
        hard = (HEAT == 1).astype(jnp.float32)
        number = torch.tensor([2.0, 1.0]).double()

        def theirs(z):
            entropies = torch.nn.functional.binary_cross_entropy_with_logits(
                z, torch.tensor(np.asarray(hard)).double(), reduction="none"
            )
            return entropies.sum((1, 2, 3)) / number

        assert_same_with_gradients(lambda z: penalty_reduced_focal(z, hard, 0.0, 0.0), theirs, MAPS)

    def test_extreme_logits(self):
        """At a peak, then beside it (t = 0.5): wrong by z costs z, times (1 − t)⁴; right costs nothing."""
        for t, factor, sign in ((1.0, 1.0, -1), (0.5, 0.5**4, 1)):
            targets = jnp.full((1, 1, 1), t)
            grad = jax.value_and_grad(lambda z, targets=targets: penalty_reduced_focal(z, targets))
            value, slope = jax.jit(jax.vmap(grad))(
                sign * jnp.float32([1e4, -1e4, 1e30, -1e30]).reshape(4, 1, 1, 1)
            )
            np.testing.assert_allclose(value, factor * np.array([1e4, 0, 1e30, 0]), rtol=1e-6)
            np.testing.assert_allclose(slope.ravel(), [sign * factor, 0, sign * factor, 0], rtol=1e-6)

    @pytest.mark.parametrize("z", [-20.0, 20.0])
    def test_keeps_its_digits_where_p_rounds(self, z):
        logits = jnp.full((1, 2, 2, 4), z)
        assert_same_with_gradients(
            lambda z: penalty_reduced_focal(z, HEAT[:1, 2:4, 3:5]),
            lambda z: penalty_reduced_in_64_bits(z, HEAT[:1, 2:4, 3:5], 2, 4),
            logits,
            atol=0,
        )

    def test_powers_vary_under_vmap(self):
        powers = jnp.float32([2, 3])
        values = jax.jit(jax.vmap(penalty_reduced_focal, (None, None, 0, 0)))(MAPS, HEAT, powers, powers)
        logits = torch.tensor(np.asarray(MAPS)).double()
        expected = [penalty_reduced_in_64_bits(logits, HEAT, a, a) for a in (2, 3)]
        np.testing.assert_allclose(values, np.stack(expected), rtol=1e-5)

    def test_wrong_input(self):
        with pytest.raises(ValueError, match="penalty_reduced_focal: expected floating logits"):
            penalty_reduced_focal(MAPS[0, 0], HEAT[0, 0])
        for targets in (HEAT[0], HEAT.astype(jnp.bfloat16)):
            with pytest.raises(ValueError, match="penalty_reduced_focal: expected targets float32"):
                penalty_reduced_focal(MAPS, targets)
        for powers in ({"alpha": jnp.ones(2)}, {"beta": jnp.ones(2)}):
            with pytest.raises(ValueError, match="penalty_reduced_focal: expected .* to be a scalar"):
                penalty_reduced_focal(MAPS, HEAT, **powers)
