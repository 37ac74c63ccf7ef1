"""Auto-encoders on real digits of 8×8 pixels, whose brightest value is 16."""

from dataclasses import replace
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax import UsageError
from mi203jax.configs import Autoencoder
from mi203jax.configs.autoencoder import InformationLoss
from mi203jax.core.loop import Group, trial
from mi203jax.data import load
from mi203jax.models import Coded
from mi203jax.tasks import autoencoder
from mi203jax.tasks.sample_judge import SampleJudge

decomposition = pytest.importorskip("sklearn.decomposition")
linear_model = pytest.importorskip("sklearn.linear_model")
distributions = pytest.importorskip("torch.distributions")
torch = pytest.importorskip("torch")

C = Autoencoder(
    data="digits/blocks", code=8, hidden=(64,), batch_size=64, total_steps=38_400, eval_every=38_400,
    learning_rate=1e-2, augment=(),
)  # fmt: skip
TRAIN, TEST = (load("digits/blocks", split).arrays for split in ("train", "test"))
X, X_TEST = (arrays["image"].reshape(-1, 64) / 16.0 for arrays in (TRAIN, TEST))


def last(c):
    """The final evaluation of one trial, its final state, and the data."""
    data = autoencoder.task.data(c)
    *_, end = Group(autoencoder.task, [c], data).run(lambda: 10**6)
    return {n: float(v[0]) for n, v in end.evaluation.items()}, trial(end.carry.state, 0), data


@pytest.fixture(scope="module")
def trained():
    return last(C)


class TestBesidePca:
    def test_the_baseline_is_scikit_learns(self, trained):
        measures, _, _ = trained
        pca = decomposition.PCA(8).fit(X)
        found = pca.transform(X_TEST)
        error = np.square(pca.inverse_transform(found) - X_TEST).sum(1).mean()
        assert measures["eval/pca_squared_error"] == pytest.approx(error, rel=1e-4)
        codes, labels = pca.transform(X)[:2000], TRAIN["label"][:2000]
        right = (
            linear_model.LogisticRegression(C=1e3, max_iter=5000)
            .fit(codes, labels)
            .score(found, TEST["label"])
        )
        assert measures["eval/pca_probe_accuracy"] == pytest.approx(right, abs=0.02)

    def test_it_beats_the_best_linear_code_and_keeps_as_much_of_the_classes(self, trained):
        measures, _, _ = trained
        assert measures["eval/pca_error_ratio"] > 1.1
        assert measures["eval/probe_accuracy"] > 0.8

    def test_its_errors_are_those_of_its_reconstructions(self, trained):
        measures, state, data = trained
        codes = autoencoder.encode(C, state, data, TEST["image"])
        images = autoencoder.decode(C, state, data, codes)
        assert codes.shape == (len(X_TEST), 8)
        error = np.square(np.asarray(images).reshape(len(X_TEST), -1) - X_TEST).sum(1).mean()
        assert measures["eval/squared_error"] == pytest.approx(error, rel=1e-4)
        assert measures["eval/squared_error_per_pixel"] == pytest.approx(error / 64, rel=1e-4)
        ratio = measures["eval/pca_squared_error"] / error
        assert measures["eval/pca_error_ratio"] == pytest.approx(ratio, rel=1e-4)


@pytest.mark.parametrize("loss", get_args(InformationLoss))
@pytest.mark.parametrize("channels", [(), (4, 6)])
def test_every_loss_of_information_is_a_step(trained, loss, channels):
    """Traced, dense and convolutional: a mistake in shapes or dtypes would show."""
    c = replace(C, information_loss=loss, channels=channels)
    data = trained[2]
    state = jax.eval_shape(lambda key: autoencoder.task.init(c, data, key), jax.random.key(0))
    after, measures = jax.eval_shape(lambda s, t: autoencoder.task.step(c, s, data, t), state, jnp.int32(0))
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert jax.tree.leaves(after) == jax.tree.leaves(state)
    assert ("kl" in measures) == (loss == "variational")


def test_a_streamed_set_gives_the_same_run():
    """To rounding: gathering batches and receiving them are compiled differently."""
    short = replace(C, total_steps=640, eval_every=640)
    memory, stream = (last(replace(short, feed=feed))[0] for feed in ("memory", "stream"))
    assert stream["eval/squared_error"] == pytest.approx(memory["eval/squared_error"], rel=1e-3)


class TestPrepare:
    """What the encoder sees, and what it is to restore."""

    statistics = autoencoder.task.data(replace(C, total_steps=64)).statistics

    def prepare(self, key, **fields):
        images = {"image": jnp.asarray(TEST["image"][:50])}
        batch = autoencoder.prepare(replace(C, **fields), images, self.statistics, key)
        scale = self.statistics.image
        return (np.asarray(batch["x"]) * scale.deviation + scale.mean) / 16, np.asarray(batch["target"])

    @pytest.mark.parametrize("loss", ["bottleneck", "noise", "masking"])
    def test_what_is_judged_is_whole(self, loss):
        for shown in self.prepare(None, information_loss=loss, augment=("shift",)):
            np.testing.assert_allclose(shown.reshape(50, -1), X_TEST[:50], atol=1e-5)

    def test_noise_is_on_the_input_alone(self, key):
        x, target = self.prepare(key, information_loss="noise", corruption=0.3)
        np.testing.assert_allclose(target.reshape(50, -1), X_TEST[:50], atol=1e-6)
        assert (x - target).std() == pytest.approx(0.3, rel=0.05)

    def test_masks_are_on_the_input_alone(self, key):
        x, target = self.prepare(key, information_loss="masking", masked=0.25, patch=4)
        np.testing.assert_allclose(target.reshape(50, -1), X_TEST[:50], atol=1e-6)
        patches = np.abs(x - target).reshape(50, 2, 4, 2, 4).max((2, 4))
        assert ((patches > 1e-3).sum((1, 2)) <= 1).all()
        assert (np.abs(x - target).max((1, 2, 3)) > 0.1).mean() > 0.9

    def test_what_is_moved_is_to_be_restored_where_it_is(self, key):
        x, target = self.prepare(key, augment=("shift",), shift=2.0)
        np.testing.assert_allclose(x, target, atol=1e-5)
        assert np.abs(target.reshape(50, -1) - X_TEST[:50]).max() > 0.5


class TestLoss:
    rng = np.random.default_rng(0)
    target = jnp.asarray(rng.uniform(size=(6, 8, 8, 1)), jnp.float32)
    image = jnp.asarray(rng.uniform(size=(6, 8, 8, 1)), jnp.float32)
    code = jnp.asarray(rng.uniform(0.1, 0.9, (6, 8)), jnp.float32)
    log_variance = jnp.asarray(rng.normal(size=(6, 8)), jnp.float32)

    @pytest.mark.parametrize("loss", ["bottleneck", "noise", "variational", "sparsity"])
    def test_squared_error_and_what_the_code_costs(self, loss):
        c = replace(C, information_loss=loss, penalty=0.5, activity=0.2)
        error = np.square(np.asarray(self.image) - self.target).sum((1, 2, 3))
        mean, deviation = (torch.tensor(np.asarray(a)) for a in (self.code, jnp.exp(self.log_variance / 2)))
        kl = distributions.kl_divergence
        normal = kl(distributions.Normal(mean, deviation), distributions.Normal(0.0, 1.0)).sum(1).numpy()
        bernoulli = distributions.Bernoulli
        sparse = kl(bernoulli(torch.tensor(0.2)), bernoulli(mean.mean(0))).sum().numpy()
        costs = {"variational": 0.5 * normal, "sparsity": 0.5 * sparse}
        coded = Coded(self.image, self.code, self.log_variance)
        found = autoencoder.loss(c, coded, {"target": self.target})
        np.testing.assert_allclose(found, error + costs.get(loss, 0), rtol=1e-5)


class TestVariational:
    def test_its_samples_are_judged_as_a_gans_are(self, trained, monkeypatch):
        _, state, data = trained
        judge = SampleJudge(None, jnp.float32(16), jnp.zeros((500, 4)), {}, {})
        data = data.with_statistics(data.statistics._replace(judge=judge))
        state = state._replace(statistics=data.statistics)
        seen = []
        monkeypatch.setattr(
            autoencoder, "judge_samples", lambda c, judge, x: seen.append(x) or {"modes": 1.0}
        )
        assert autoencoder.evaluate(C, state, data)["modes"] == 1.0
        images = np.asarray(seen[0]).reshape(500, 64)
        # Of codes from N(0, 1), which this network's codes are not.
        codes = jax.random.normal(jax.random.key(7), (500, 8))
        expected = np.asarray(autoencoder.decode(C, state, data, codes)).reshape(500, 64)
        np.testing.assert_allclose(images.mean(0), expected.mean(0), atol=0.1)
        np.testing.assert_allclose(images.std(0), expected.std(0), atol=0.1)


class TestBadInput:
    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"augment": ("noise",)}, "noise on the input alone is information_loss=noise"),
            ({"use_dropout": True}, "the code's dropout is information_loss=dropout"),
            ({"augment": ("blur",)}, r"augment=\(blur\)"),
        ],
    )
    def test_fields_that_do_not_fit(self, fields, message):
        with pytest.raises(UsageError, match=message):
            replace(C, **fields).check()

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"channels": (4, 4, 4, 4)}, "8×8 pixels, and 4 stages .* expected multiples of 16"),
            (
                {"information_loss": "masking", "patch": 3},
                "patch=3: expected a divisor of the image's 8×8 pixels",
            ),
            ({"data": "moons"}, "moons"),
        ],
    )
    def test_a_set_that_does_not_fit(self, fields, message):
        with pytest.raises(UsageError, match=message):
            autoencoder.task.data(replace(C, **fields))

    def test_a_code_that_loses_nothing_is_warned_of(self, capsys, monkeypatch):
        monkeypatch.setattr(autoencoder, "_fitted", lambda *_: None)
        autoencoder.task.data(replace(C, code=64))
        assert "warning: code=64 loses nothing of images of 64 numbers" in capsys.readouterr().err
        autoencoder.task.data(replace(C, code=63))
        assert not capsys.readouterr().err
