from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.special import softmax
from sklearn.metrics import confusion_matrix, jaccard_score

from mi203jax.configs import Segmentation
from mi203jax.core.loop import train
from mi203jax.core.task import as_mean
from mi203jax.tasks import segmentation
from mi203jax.tasks.scenes import UNKNOWN

C = Segmentation(
    size=32, smallest=0.5, largest=1.0, max_objects=4, channels=(4, 8), eval_scenes=6, batch_size=4, frames=0
)  # fmt: skip
loss_of = jax.jit(segmentation.loss)  # as a whole: operation by operation, each would be compiled
KEY = jax.random.key(0)


gradient_of = jax.jit(jax.grad(lambda scores, c, batch: segmentation.loss(c, scores, batch).sum()))


def random_batch(classes=4, n=3):
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=(n, 8, 8, classes)), rng.integers(0, classes, (n, 8, 8))
    known = np.where(rng.random(labels.shape) < 0.2, UNKNOWN, labels)
    batch = {"classes": jnp.asarray(known, jnp.int32), "frequencies": jnp.array([0.7, 0.1, 0.1, 0.1])}
    return jnp.asarray(scores, jnp.float32), batch


class TestLoss:
    """Against optax on the pixels that count, image by image."""

    @pytest.mark.parametrize("loss", ["cross_entropy", "weighted", "focal", "dice"])
    def test_of_an_image(self, loss):
        scores, batch = random_batch()
        ours = loss_of(replace(C, loss=loss, focal_gamma=2.0, rarity=1.0), scores, batch)
        known = np.asarray(batch["classes"]) != UNKNOWN
        some_label = jnp.where(known, batch["classes"], 0)
        of_pixels = np.asarray(optax.softmax_cross_entropy_with_integer_labels(scores, some_label))
        for i, counts in enumerate(known):
            labels, costs = np.asarray(batch["classes"])[i][counts], of_pixels[i][counts]
            p, t = softmax(np.asarray(scores)[i][counts], -1), np.eye(4)[labels]
            expected = {
                "cross_entropy": costs.mean(),
                # Weights 1/f are 10/7 and 10, and the mean weight of a pixel, 4, is divided out.
                "weighted": (costs * np.where(labels == 0, 10 / 7, 10.0) / 4).mean(),
                "focal": (costs * (1 - (p * t).sum(-1)) ** 2).mean(),
                "dice": 1 - ((2 * (p * t).sum(0) + 1) / ((p**2).sum(0) + t.sum(0) + 1)).mean(),
            }[loss]
            np.testing.assert_allclose(ours[i], expected, rtol=1e-5)

    @pytest.mark.parametrize("loss", ["cross_entropy", "weighted", "focal", "dice"])
    def test_unknown_pixels_have_no_gradient(self, loss):
        scores, batch = random_batch()
        c = replace(C, loss=loss)
        gradient = gradient_of(scores, c, batch)
        moves = np.abs(np.asarray(gradient)).max(-1) > 0
        np.testing.assert_array_equal(moves, batch["classes"] != UNKNOWN)
        nothing = {**batch, "classes": jnp.full_like(batch["classes"], UNKNOWN)}
        assert jnp.isfinite(loss_of(c, scores, nothing)).all()


class TestClassWeights:
    def test_the_rarer_the_heavier_and_what_was_not_seen_as_the_rarest(self):
        weights = segmentation.class_weights(jnp.array([0.81, 0.09, 0.1, 0.0]), 0.5)
        assert float((weights * jnp.array([0.81, 0.09, 0.1, 0.0])).sum()) == pytest.approx(1)
        assert float(weights[1] / weights[0]) == pytest.approx(3)
        assert weights[3] == weights[1]
        gradient = jax.grad(lambda r: segmentation.class_weights(jnp.array([0.9, 0.1, 0.0]), r)[1])(0.5)
        assert jnp.isfinite(gradient)
        np.testing.assert_array_equal(segmentation.class_weights(jnp.zeros(2), 0.5), [1, 1])

    def test_all_weigh_alike_at_rarity_0(self):
        np.testing.assert_allclose(segmentation.class_weights(jnp.array([0.9, 0.1]), 0.0), [1, 1])


class TestMetrics:
    """Against scikit-learn, on all pixels of all images that count."""

    @staticmethod
    @jax.jit
    def summary(batch, scores):
        judged = {
            "loss": segmentation.loss(C, scores, batch),
            **segmentation.measure(C, scores, batch),
            **segmentation.judge(C, scores, batch),
        }
        return segmentation.summarize(C, judged, {})

    def measured(self, batch, scores):
        metrics = self.summary(batch, scores)
        return {name: float(m.total / m.weight) for name, m in ((n, as_mean(v)) for n, v in metrics.items())}

    def test_of_the_set_and_of_images(self):
        scores, batch = random_batch()
        ours = self.measured(batch, scores)
        true, predicted = np.asarray(batch["classes"]), np.asarray(scores.argmax(-1))
        counts = true != UNKNOWN
        iou = jaccard_score(true[counts], predicted[counts], average=None)
        assert ours["mean_iou"] == pytest.approx(iou.mean(), rel=1e-5)
        assert ours["accuracy"] == pytest.approx((true == predicted)[counts].mean(), rel=1e-5)
        of_images = [
            jaccard_score(t[k], p[k], average="macro")
            for t, p, k in zip(true, predicted, counts, strict=True)
        ]
        assert ours["mean_iou_per_image"] == pytest.approx(np.mean(of_images), rel=1e-5)
        matrices = segmentation.judge(C, scores, batch)["matrix"]
        np.testing.assert_array_equal(matrices.sum(0), confusion_matrix(true[counts], predicted[counts]))

    def test_images_of_unknown_pixels_do_not_count(self):
        scores, batch = random_batch()
        expected = self.measured(batch, scores)
        unknown = jnp.full_like(batch["classes"][:1], UNKNOWN)
        more = {**batch, "classes": jnp.concatenate([batch["classes"], unknown])}
        assert self.measured(more, jnp.concatenate([scores, scores[:1]])) == pytest.approx(expected)

    def test_images_without_a_boundary_do_not_count(self):
        empty = jnp.zeros((1, 8, 8), jnp.int32)
        square = empty.at[0, 2:6, 2:6].set(1)
        truth = jnp.concatenate([empty, square])
        scores = 9.0 * jax.nn.one_hot(truth, 4)
        ours = self.measured({"classes": truth, "frequencies": jnp.ones(4) / 4}, scores)
        assert ours["boundary_f_score"] == ours["mean_iou"] == ours["accuracy"] == 1.0
        wrong = self.measured({"classes": truth, "frequencies": jnp.ones(4) / 4}, scores[::-1])
        assert wrong["boundary_f_score"] == 0.0
        assert wrong["accuracy"] == 48 / 64  # all but the square, in both


class TestTask:
    def test_a_network_that_was_right_everywhere_measures_1(self):
        data = segmentation.data(C)
        batch = segmentation.prepare(C, data.test, data.statistics)
        scores = 20.0 * jax.nn.one_hot(batch["classes"], 11)
        np.testing.assert_allclose(loss_of(C, scores, batch), 0, atol=1e-6)
        metrics = TestMetrics().measured(batch, scores)
        assert metrics["mean_iou"] == metrics["boundary_f_score"] == 1.0

    def test_frequencies_are_of_training_pixels(self):
        data = segmentation.data(C)
        scenes = jax.jit(lambda: data.train.batch(KEY, 0, 200))()["classes"]
        share = np.bincount(np.asarray(scenes).ravel(), minlength=11) / scenes.size
        np.testing.assert_allclose(data.statistics.frequencies, share, atol=0.03)
        assert float(data.statistics.frequencies.sum()) == pytest.approx(1)

    @pytest.mark.usefixtures("few_fitted")
    @pytest.mark.parametrize(("model", "least"), [("unet", 0.8), ("fully_convolutional", 0.6)])
    def test_it_learns_the_one_digit_that_there_is(self, model, least):
        """Skips see the contour, which interpolation blurs."""
        digit = {"train_split": "train[0:1]", "eval_split": "train[0:1]"}
        c = replace(
            C, model=model, total_steps=1_600, eval_every=1_600, learning_rate=0.02, max_objects=2,
            size=16, smallest=0.3, largest=0.5, **digit,
        )  # fmt: skip
        data = segmentation.data(c)
        _, metrics = jax.jit(lambda key: train(segmentation.task, c, data, key))(KEY)
        assert metrics["eval/mean_iou"][-1] > least
