"""Tasks that learn from labelled examples: what they share, on small networks and real digits."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mi203jax import UsageError, stack, train
from mi203jax.configs import ImageClassification, Vectors
from mi203jax.core.loop import Group, trial
from mi203jax.data import Info, load
from mi203jax.tasks import image_classification, labelled_images, vectors
from mi203jax.tasks.supervised import in_chunks, optimizer, snapshot_iterations

DIGITS = ImageClassification(
    data="digits/blocks", channels=(8,), convs=1, batch_size=32, total_steps=6_000, eval_every=3_000,
    learning_rate=1e-2, augment=(), weight_decay=0.0,
)  # fmt: skip
MOONS = Vectors(total_steps=9_600, eval_every=9_600, frames=4, hidden=(16,), learning_rate=2e-2)


def last(task, config, **kwargs):
    """The final evaluation of one trial, as the command line runs it, and its final state."""
    group = Group(task, [config], task.data(config))
    *_, end = group.run(lambda: 10**6)
    return {n: float(v[0]) for n, v in end.evaluation.items()}, trial(end.carry.state, 0)


@pytest.fixture(scope="module")
def digits():
    """A trained network's measures and state."""
    return last(image_classification.task, DIGITS)


class TestImages:
    def test_learns_real_digits_of_hands_that_it_never_saw(self, digits):
        measures, _ = digits
        assert measures["eval/accuracy"] > 0.85
        assert measures["eval/loss"] < 0.6

    def test_a_streamed_set_gives_the_same_run(self):
        """To rounding: gathering batches and receiving them are compiled differently."""
        short = replace(DIGITS, total_steps=320)
        memory, streamed = (
            last(image_classification.task, replace(short, feed=f))[0] for f in ("memory", "stream")
        )
        for name, value in memory.items():
            assert streamed[name] == pytest.approx(value, rel=1e-3, abs=1e-4), name

    def test_statistics_are_those_of_the_training_split_and_kept(self, digits):
        images = load("digits/blocks", "train").arrays["image"]
        np.testing.assert_allclose(digits[1].statistics.mean, [images.mean()], rtol=1e-5)
        np.testing.assert_allclose(digits[1].statistics.deviation, [images.std()], rtol=1e-5)

    def test_trials_side_by_side_equal_solo_runs(self):
        configs = [
            replace(DIGITS, total_steps=320, learning_rate=r, seed=s) for r, s in ((1e-3, 0), (3e-3, 5))
        ]
        data = image_classification.task.data(configs[0])
        *_, together = Group(image_classification.task, configs, data).run(lambda: 10**6)
        for k, c in enumerate(configs):
            alone, _ = last(image_classification.task, c)
            for name, values in together.evaluation.items():
                assert float(values[k]) == pytest.approx(alone[name], rel=5e-3, abs=5e-3), name

    def test_as_a_pure_function_under_jit_and_vmap(self):
        data = image_classification.task.data(DIGITS)
        configs = stack([replace(DIGITS, total_steps=96, learning_rate=r) for r in (1e-3, 1e-2)])
        keys = jax.random.split(jax.random.key(0), 2)
        f = jax.jit(jax.vmap(lambda c, k: train(image_classification.task, c, data, k)[1]["train/loss"]))
        assert f(configs, keys).shape == (2, 1)

    @pytest.mark.parametrize("loss", ["focal", "hinge"])
    def test_other_costs_learn_too(self, loss):
        config = replace(DIGITS, loss=loss, total_steps=3_000)
        assert last(image_classification.task, config)[0]["eval/accuracy"] > 0.7

    def test_every_choice_at_once(self):
        """Each optional part runs in one network, and it still learns."""
        config = replace(
            DIGITS, augment=("shift", "flip", "affine", "cutout", "noise", "mix_up"), shift=1.0, cutout=2.0,
            rotation=5.0, translation=0.5, hidden=(16,), use_dropout=True, dropout=0.1, spectral_norm=True,
            normalization="layer", pooling="stride", label_smoothing=0.1, clip_norm=10.0, clip_value=1.0,
            weight_decay=1e-4, invariance="max", invariant_training=True, standardize="feature",
            optimizer="nesterov", learning_rate=0.02, schedule="cosine", warmup=0.05, channels=(4,),
            total_steps=1_000,
        )  # fmt: skip
        group = Group(image_classification.task, [config], image_classification.task.data(config))
        losses = [float(p.evaluation["eval/loss"][0]) for p in group.run(lambda: 10**6) if p.evaluation]
        assert losses[-1] < 0.95 * losses[0]

    def test_training_images_are_augmented_and_others_are_not(self, key):
        c = replace(DIGITS, augment=("noise",), noise=1.0)
        batch = {n: v[:4] for n, v in image_classification.task.data(c).test.items()}
        statistics = image_classification.task.data(c).statistics
        plain, again = (image_classification.prepare(c, batch, statistics, None)["x"] for _ in range(2))
        noisy = image_classification.prepare(c, batch, statistics, key)["x"]
        np.testing.assert_array_equal(plain, again)
        assert jnp.std(noisy - plain) == pytest.approx(1.0, abs=0.2)  # in standard deviations of the data

    @pytest.mark.parametrize("loss", ["squared", "logistic"])
    def test_margin_losses_compare_each_class_with_the_rest(self, loss):
        scores = jnp.array([[2.0, -1.0, 0.5]])
        batch = {"target": jnp.array([[0.0, 1.0, 0.0]])}
        y = np.array([-1.0, 1.0, -1.0])
        expected = {"squared": (scores - y) ** 2, "logistic": np.log1p(np.exp(-y * scores))}[loss].sum()
        np.testing.assert_allclose(
            image_classification.loss(replace(DIGITS, loss=loss), scores, batch), [expected], rtol=1e-6
        )


class TestVectors:
    @pytest.mark.parametrize(("data", "least"), [("moons", 0.95), ("xor", 0.95), ("breast_cancer", 0.93)])
    def test_learns(self, data, least):
        measures, state = last(vectors.task, replace(MOONS, data=data, noise=0.1))
        assert measures["eval/accuracy"] > least
        assert bool(jax.tree.leaves(state.snapshots)) == (data != "breast_cancer")

    def test_the_last_snapshot_is_the_end(self):
        _, state = last(vectors.task, replace(MOONS, total_steps=640))
        kept, _ = state.snapshots
        jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[-1], b), kept, state.params)
        first = jax.tree.leaves(jax.tree.map(lambda a: (a[0] != a[-1]).any(), kept))
        assert all(first)

    def test_trials_share_their_points_and_differ_in_the_rest(self):
        configs = [replace(MOONS, total_steps=640, seed=s) for s in (0, 1)]
        assert vectors.task.data(configs[0]) is vectors.task.data(configs[1])
        *_, end = Group(vectors.task, configs, vectors.task.data(configs[0])).run(lambda: 10**6)
        w = end.carry.state.params["Dense_0"]["w"]
        assert (w[0] != w[1]).any()


def test_a_set_is_in_memory_once_whatever_the_trials():
    """Programs of a static sweep share it too."""
    one, other = (image_classification.task.data(replace(DIGITS, channels=c)) for c in ((8,), (4, 4)))
    for a, b in zip(
        jax.tree.leaves((one.train, one.test)), jax.tree.leaves((other.train, other.test)), strict=True
    ):
        assert a is b


class TestOptimizer:
    def test_zero_never_clips(self):
        c = replace(DIGITS, optimizer="sgd", learning_rate=1.0, schedule="constant", warmup=0.0)
        gradient = {"w": jnp.array([[3e4, -4e4]])}

        def step_of(c):
            opt = optimizer(c, 0)
            return opt.update(gradient, opt.init(gradient), gradient)[0]["w"]

        np.testing.assert_allclose(step_of(c), -gradient["w"])
        np.testing.assert_allclose(optax.tree.norm(step_of(replace(c, clip_norm=2.0))), 2.0, rtol=1e-6)
        np.testing.assert_allclose(step_of(replace(c, clip_value=0.5)), [[-0.5, 0.5]])

    def test_the_step_size_follows_the_schedule(self):
        c = replace(DIGITS, optimizer="sgd", learning_rate=1.0, schedule="linear", warmup=0.0)
        gradient = {"w": jnp.ones((1, 1))}
        for t in (0, c.num_iterations // 2):
            opt = optimizer(c, t)
            update, _ = opt.update(gradient, opt.init(gradient), gradient)
            np.testing.assert_allclose(update["w"], -(1 - t / c.num_iterations), rtol=1e-6)


class TestInChunks:
    @pytest.mark.parametrize(("n", "size"), [(1, 5), (5, 5), (7, 3), (12, 4)])
    def test_equals_all_at_once(self, n, size):
        x = jnp.arange(n * 2.0).reshape(n, 2)
        largest = []

        def f(x):
            largest.append(len(x))
            return {"sum": x.sum(-1)}

        np.testing.assert_array_equal(in_chunks(f, x, size)["sum"], x.sum(-1))
        assert max(largest) <= size


def test_snapshots_are_taken_at_first_early_and_at_the_end():
    times = snapshot_iterations(11, 1000)
    np.testing.assert_array_equal(times, [10 * k * k for k in range(11)])


@pytest.mark.parametrize(
    ("task", "config", "message"),
    [
        (image_classification.task, replace(DIGITS, batch_size=1438), "batch_size=1438 is larger than train of digits/blocks/1.0.0: expected at most 1437, all of it"),
        (image_classification.task, replace(DIGITS, channels=(4,) * 4), "4 stages halve images of 8×8 pixels too often"),
        (image_classification.task, replace(DIGITS, data="breast_cancer"), "has no 'image'"),
        (image_classification.task, replace(DIGITS, data="japanese_vowels"), "has no 'image'"),
        (image_classification.task, replace(DIGITS, data="digit"), "Unknown data=digit"),
        (image_classification.task, replace(DIGITS, train_split="trian"), "has no split 'trian'"),
        (image_classification.task, replace(DIGITS, eval_split="val"), "has no split 'val'"),
        (vectors.task, replace(MOONS, data="mnist_5k"), "has no 'features'"),
        (vectors.task, replace(MOONS, data="moon"), "Unknown data=moon"),
        (vectors.task, replace(MOONS, batch_size=513), "larger than the 512 points of moons: expected at most 512"),
    ],
)  # fmt: skip
def test_data_that_cannot_be_used(task, config, message):
    with pytest.raises(UsageError, match=message):
        task.data(config)


@pytest.mark.parametrize(
    ("shapes", "classes", "message"),
    [
        ({"image": (8, 8, 1), "label": ()}, ("a",), "has 1 named classes and labels of shape"),
        ({"image": (8, 8, 1), "label": ()}, (), "has 0 named classes"),
        (
            {"image": (8, 8, 1), "label": (1,)},
            ("a", "b"),
            r"labels of shape \(1,\): expected .* one label an",
        ),
        (
            {"image": (8, 8), "label": ()},
            ("a", "b"),
            r"images of shape \(8, 8\): expected \(height, width, ch",
        ),
        ({"image": (3, 8, 8, 1), "label": ()}, ("a", "b"), r"images of shape \(3, 8, 8, 1\)"),
    ],
)
def test_sets_that_are_no_images_with_a_class(shapes, classes, message, monkeypatch):
    info = load("digits/blocks", "test[:1]")
    info = Info(classes, info.name, "train", "", "", {n: (s, np.dtype("uint8")) for n, s in shapes.items()})
    monkeypatch.setattr(labelled_images, "split_source", lambda *args: (None, info))
    with pytest.raises(UsageError, match=message):
        image_classification.task.data(DIGITS)
