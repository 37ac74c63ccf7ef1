"""Two opponents on real digits of 8×8 pixels, whose brightest value is 16."""

import functools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mi203jax import UsageError, adversarial
from mi203jax.configs import GAN
from mi203jax.data import load
from mi203jax.data.splits import supervised_data
from mi203jax.tasks import gan
from mi203jax.tasks.sample_judge import SampleJudge

C = GAN(
    data="digits/blocks", channels=(4,), latent=5, batch_size=16, total_steps=640, eval_every=640, frames=4,
    learning_rate=1e-3, normalization="none",
)  # fmt: skip
VARIANTS = {
    "relativistic": {},
    "non_saturating": {"loss": "non_saturating", "penalties": ("r1",), "smoothing": 0.1},
    "wasserstein": {
        "loss": "wasserstein", "penalties": ("gradient_penalty",), "conditional": True, "time_scale": 2.0,
    },
    "hinge": {"loss": "hinge", "penalties": (), "spectral_norm": True, "normalization": "batch"},
}  # fmt: skip
KEY = jax.random.key(3)


@pytest.fixture(scope="module")
def data():
    """Real images, and nobody who judges samples."""
    splits = {"standardization": "none", "batch_size": C.batch_size, "feed": "memory"}
    judge = SampleJudge(None, jnp.float32(16), jnp.zeros((50, 3)), {}, {})
    return supervised_data(C.data, "image", **splits).shared.with_statistics(judge)


@pytest.fixture(scope="module", params=VARIANTS.values(), ids=VARIANTS.keys())
def variant(request, data):
    """A configuration, its first state, a batch, and each network's step on it."""
    c = replace(C, **request.param)
    state = jax.jit(functools.partial(gan.init, c, data))(jax.random.key(0))
    batch = gan._ready(data, data.train.batch(state.keys.order, 0, c.batch_size))

    @jax.jit
    def steps(state):
        return tuple(f(c, state, data, batch, KEY) for f in (gan.discriminator_step, gan.generator_step))

    return c, state, batch, steps


def number_moved(before, after):
    """Parameter arrays that differ."""
    pairs = zip(*map(jax.tree.leaves, (before.params, after.params)), strict=True)
    return sum(bool((a != b).any()) for a, b in pairs)


class TestSteps:
    def test_each_moves_its_network(self, variant):
        _, before, _, steps = variant
        (judge, _), (maker, _) = steps(before)
        # The last bias of the discriminator adds to real and made images alike.
        assert number_moved(before.discriminator, judge) >= len(jax.tree.leaves(judge.params)) - 1
        assert number_moved(before.generator, maker) == len(jax.tree.leaves(maker.params))

    def test_down_its_own_loss(self, variant):
        c, before, _, steps = variant
        if c.spectral_norm:
            pytest.skip("the norms' estimates move too")
        (judge, of_judge), (maker, of_maker) = steps(before)
        (_, later), _ = steps(before._replace(discriminator=judge))
        cost, later_cost = (m["discriminator_loss"] + c.penalty * m["penalty"] for m in (of_judge, later))
        assert later_cost < cost
        _, (_, later) = steps(before._replace(generator=maker))
        assert later["generator_loss"] < of_maker["generator_loss"]

    def test_losses_are_of_the_networks_outputs(self, variant, data):
        c, before, batch, steps = variant
        if c.spectral_norm:
            pytest.skip("the norms' estimates move in the step")
        (_, measures), (_, of_maker) = steps(before)
        z, labels = gan.draw(c, jax.random.split(KEY)[0], c.batch_size, batch["label"])
        fake, _ = gan.generate(c, data, before.generator.params, {}, z)
        of_real, of_fake = (
            gan.score(c, before.discriminator.params, {}, x, labels)[0] for x in (batch["image"], fake)
        )
        assert float(measures["real_score"]) == pytest.approx(float(of_real.mean()), abs=1e-5)
        assert float(measures["fake_score"]) == pytest.approx(float(of_fake.mean()), abs=1e-5)
        cross_entropy = optax.sigmoid_binary_cross_entropy
        expected = {
            "relativistic": jax.nn.softplus(of_fake - of_real),
            "wasserstein": of_fake - of_real,
            "non_saturating": cross_entropy(of_real, jnp.full(16, 0.9))
            + cross_entropy(of_fake, jnp.zeros(16)),
        }[c.loss]
        assert float(measures["discriminator_loss"]) == pytest.approx(float(expected.mean()), rel=1e-4)
        assert measures["penalty"] > 0
        fake, _ = gan.generate(
            c, data, before.generator.params, {}, gan.draw(c, KEY, c.batch_size, labels)[0]
        )
        of_fake, _ = gan.score(c, before.discriminator.params, {}, fake, labels)
        opposite = {
            "relativistic": jax.nn.softplus(of_real - of_fake),
            "wasserstein": -of_fake,
            "non_saturating": cross_entropy(of_fake, jnp.ones(16)),
        }[c.loss]
        assert float(of_maker["generator_loss"]) == pytest.approx(float(opposite.mean()), rel=1e-4)


class TestIteration:
    def test_is_one_program_and_averages_weights(self, data):
        """At first of few: (1 + t) / (10 + t) of the old, until that is more than `average`."""
        c = replace(C, average=0.3)
        state = jax.jit(functools.partial(gan.init, c, data))(jax.random.key(0))
        step = jax.jit(lambda state, t: gan.step(c, state, data, t))
        expected = state.average
        for t, decay in enumerate((1 / 10, 2 / 11, 3 / 12, 0.3, 0.3)):
            before, (state, measures) = state, step(state, jnp.int32(t))
            mean = functools.partial(lambda d, old, new: d * old + (1 - d) * new, decay)
            expected = jax.tree.map(mean, expected, state.generator.params)
            assert number_moved(before.generator, state.generator) > 0
            assert number_moved(before.discriminator, state.discriminator) > 0
            assert all(jnp.isfinite(m) for m in measures.values())
        assert step._cache_size() == 1
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), state.average, expected)

    def test_each_of_the_discriminators_steps_has_a_batch_of_its_own(self, data):
        c = replace(C, discriminator_steps=2)
        assert c.steps_per_iteration == 2 * c.batch_size
        seen = []

        class Feed:
            def batch(self, key, t, size):
                seen.append(t)
                return data.train.batch(key, t, size)

        state = jax.eval_shape(functools.partial(gan.init, c, data), jax.random.key(0))
        jax.eval_shape(lambda s: gan.step(c, s, data._replace(train=Feed()), 3), state)
        assert seen == [6, 7]


class TestConditional:
    c = replace(C, conditional=True)

    def test_latent_numbers_hold_the_label(self, key):
        z, labels = gan.draw(self.c, key, 20)
        np.testing.assert_array_equal(labels, np.arange(20) % 10)
        np.testing.assert_array_equal(z[:, 5:], np.eye(10)[labels])
        given = jnp.array([3, 3, 1])
        assert gan.draw(self.c, key, 3, given)[0][:, 5:].argmax(1).tolist() == [3, 3, 1]

    def test_the_score_is_the_labels_own(self, data):
        state = jax.jit(functools.partial(gan.init, self.c, data))(jax.random.key(0))
        x = jnp.broadcast_to(data.test["image"][:1] / 16.0, (10, 8, 8, 1))
        scores, _ = gan.score(self.c, state.discriminator.params, {}, x, jnp.arange(10))
        all_of_one = gan.discriminator(self.c).apply({"params": state.discriminator.params}, 2 * x[:1] - 1)
        np.testing.assert_allclose(scores, all_of_one[0], atol=1e-5)
        assert len(set(np.asarray(scores).round(5).tolist())) == 10


def test_figures_are_of_what_is_judged(data, monkeypatch):
    state = jax.jit(functools.partial(gan.init, C, data))(jax.random.key(0))
    monkeypatch.setattr(gan, "judge_samples", lambda config, judge, images, labels: {"mean": images.mean()})
    monkeypatch.setattr(gan, "figures", lambda *arguments: arguments)
    *_, draw, made, measured, names = gan.figures_of(C, state, data)
    z, _ = draw(jax.random.fold_in(state.keys.order, 2), 50)
    assert float(made(z).mean()) == pytest.approx(float(measured["mean"]), rel=1e-4)
    assert names == ()


class TestBadInput:
    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"penalties": ("r3",)}, r"penalties=\(r3\)"),
            (
                {"loss": "hinge", "penalties": ("gradient_penalty",)},
                "gradient_penalty.* is for loss=wasserstein",
            ),
            ({"loss": "wasserstein", "penalties": ()}, "needs a smooth critic"),
            ({"channels": ()}, "one stage or more"),
            ({"penalties": ("r1", "r1")}, "has r1 twice"),
            ({"loss": "hinge", "smoothing": 0.1}, "smoothing=0.1 is for loss=minimax or non_saturating"),
        ],
    )
    def test_fields_that_do_not_fit(self, fields, message):
        with pytest.raises(UsageError, match=message):
            replace(C, **fields).check()

    def test_a_set_that_does_not_fit(self):
        with pytest.raises(UsageError, match="8×8 pixels, and 4 stages"):
            gan.data(replace(C, channels=(4, 4, 4, 4)))

    def test_too_few_examples_for_a_covariance(self):
        with pytest.raises(
            UsageError, match=r"eval_split=test\[:64\] have .* and 64 examples: expected 65 or more"
        ):
            gan.data(replace(C, eval_split="test[:64]"))

    def test_every_loss_can_be_named(self):
        assert set(adversarial.LOSSES) == {
            "minimax",
            "non_saturating",
            "hinge",
            "wasserstein",
            "relativistic",
        }
        for name, loss in adversarial.LOSSES.items():
            penalties = ("gradient_penalty",) if loss.needs_lipschitz else ("r1",)
            replace(C, loss=name, penalties=penalties).check()


def test_real_images_are_in_0_1(data):
    batch = gan._ready(data, {"image": load(C.data, "train").arrays["image"]})
    assert (float(batch["image"].min()), float(batch["image"].max())) == (0, 1)
