import functools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax import centers
from mi203jax.configs import Detection, SlidingWindow
from mi203jax.core.errors import UsageError
from mi203jax.core.loop import train
from mi203jax.core.task import as_mean
from mi203jax.models import CenterMaps
from mi203jax.tasks import detection, sliding_window, supervised

pytestmark = pytest.mark.usefixtures("few_fitted")
KEY = jax.random.key(0)
SCENES = {
    "size": 32,
    "smallest": 0.5,
    "largest": 1.0,
    "max_objects": 4,
    "eval_scenes": 12,
    "batch_size": 4,
    "channels": (4, 8, 8),
}
C = Detection(**SCENES)
W = SlidingWindow(**SCENES, window=8, sides=(12, 20), windows=6)
ONE_DIGIT = {"train_split": "train[0:1]", "eval_split": "train[0:1]", "max_objects": 2}
SMALL = {"size": 16, "smallest": 0.3, "largest": 0.5}

# Compiled as a whole: operation by operation, each would be compiled on its own.
prepare, costs, loss, judge, summarize = map(
    jax.jit, (detection.prepare, detection.costs, detection.loss, detection.judge, detection.summarize)
)
prepare_windows, judge_windows = map(jax.jit, (sliding_window.prepare, sliding_window.judge))
training_batch = jax.jit(lambda data: data.train.batch(KEY, 0, 16))
data_of = functools.cache(lambda of, c: of.data(c))


def values(metrics):
    return {
        n: float(m.total / m.weight) for n, m in ((n, as_mean(v)) for n, v in metrics.items()) if m.weight > 0
    }


@jax.jit
def true_maps(c, truth):
    """What the network should say of the judged scenes."""
    shape = (c.size // c.stride, c.size // c.stride)

    def of_image(boxes, labels, mask):
        return centers.center_targets(boxes, labels, mask, shape, c.stride, 10, c.spread)

    target = jax.vmap(of_image)(*(truth[n] for n in detection.TRUTH))
    return CenterMaps(jnp.where(target.heat == 1, 20.0, -20.0), target.offset, target.size)


class TestCenters:
    @pytest.mark.parametrize("box_loss", ["l1", "giou"])
    def test_true_maps_cost_nothing(self, box_loss):
        c = replace(C, box_loss=box_loss)
        data = data_of(detection, C)
        batch = prepare(c, data.test, data.statistics)
        maps = true_maps(c, data.test)
        np.testing.assert_allclose(loss(c, maps, batch), 0, atol=1e-5)
        wider = maps._replace(size=maps.size + 4)
        boxed = data.test["mask"].any(1)
        heat, box = costs(c, wider, batch)
        np.testing.assert_allclose(heat, 0, atol=1e-5)
        assert (np.asarray(box > 0.1) == boxed).all()

    def test_cost_of_a_box(self):
        """One object in an image, its box twice as high and wide as it is: IoU 1/4, sizes 8 too large."""
        batch = {
            "boxes": jnp.array([[[4.0, 4, 12, 12]]]),
            "labels": jnp.zeros((1, 1), jnp.int32),
            "mask": jnp.ones((1, 1), bool),
            "ignored": jnp.zeros((1, 1), bool),
        }
        maps = CenterMaps(jnp.zeros((1, 8, 8, 10)), jnp.zeros((1, 8, 8, 2)), jnp.full((1, 8, 8, 2), 16.0))
        for box_loss, expected in (("giou", 1 - 1 / 4), ("l1", (8 + 8) / 4)):
            _, box = costs(replace(C, box_loss=box_loss), maps, batch)
            np.testing.assert_allclose(box, [expected], rtol=1e-6)
        assert loss(replace(C, box_weight=0.0), maps, batch) == costs(C, maps, batch)[0]

    def test_true_maps_are_found_and_measure_1(self):
        data = data_of(detection, C)
        judged = judge(C, true_maps(C, data.test), {})
        metrics = values(summarize(C, judged, data.test))
        assert metrics["ap"] == metrics["ap50"] == metrics["ar100"] == 1.0
        wrong = {**judged, "labels": (judged["labels"] + 1) % 10}
        assert values(summarize(C, wrong, data.test))["ap"] < 0.1

    def test_sizes_that_are_not_there_are_not_measured(self):
        data = data_of(detection, C)
        judged = judge(C, true_maps(C, data.test), {})
        metrics = values(summarize(replace(C, borders=(1, 2)), judged, data.test))
        assert "ap_small" not in metrics
        assert metrics["ap_large"] == 1.0

    def test_crowds_are_neither_learnt_nor_counted(self):
        data = data_of(detection, C)
        crowd = data.test["mask"] & (jnp.arange(4) % 2 == 0)
        examples = {**data.test, "crowd": crowd}
        batch = prepare(C, examples, data.statistics)
        np.testing.assert_array_equal(batch["mask"], data.test["mask"] & ~crowd)
        judged = judge(C, true_maps(C, data.test), {})
        others = true_maps(C, {**data.test, "mask": batch["mask"]})
        for found in (judged, judge(C, others, {})):  # with and without boxes on crowds
            assert values(summarize(C, found, examples))["ap"] == 1.0

    def test_nothing_is_learnt_within_crowds(self):
        """One thing to be found, and a crowd beside it."""
        batch = {
            "boxes": jnp.array([[[4.0, 4, 12, 12], [16, 16, 32, 32]]]),
            "labels": jnp.zeros((1, 2), jnp.int32),
            "mask": jnp.array([[True, False]]),
            "ignored": jnp.array([[False, True]]),
        }
        maps = CenterMaps(jnp.zeros((1, 8, 8, 10)), jnp.zeros((1, 8, 8, 2)), jnp.ones((1, 8, 8, 2)))
        gradient = jax.grad(lambda m: loss(C, m, batch).sum())(maps)
        learns = np.abs(np.asarray(gradient.heat))[0].max(-1) > 0
        expected = np.ones((8, 8), bool)
        expected[4:, 4:] = False
        np.testing.assert_array_equal(learns, expected)

    def test_images_without_things_are_legal(self):
        data = data_of(detection, C)
        empty = {**data.test, "mask": jnp.zeros_like(data.test["mask"])}
        batch = prepare(C, empty, data.statistics)
        maps = true_maps(C, empty)
        gradient = jax.grad(lambda m: loss(C, m, batch).sum())(maps)
        assert all(bool(jnp.isfinite(g).all()) for g in jax.tree.leaves(gradient))
        assert "ap" not in values(summarize(C, judge(C, maps, batch), empty))


class TestSlidingWindow:
    def test_training_windows_are_half_on_things(self):
        data = data_of(sliding_window, W)
        batch = prepare_windows(W, training_batch(data), data.statistics, KEY)
        assert batch["x"].shape == (16, 6, 8, 8, 1)
        things = np.asarray((batch["label"] > 0) & batch["counts"]).sum(1)
        scenes = training_batch(data)
        assert (things <= 3).all()
        assert things[~np.asarray(scenes["mask"]).any(1)].sum() == 0
        assert things.sum() > 16

    def test_windows_in_crowds_do_not_count(self):
        data = data_of(sliding_window, W)
        plain = prepare_windows(W, data.test, data.statistics)
        ignored = {**data.test, "crowd": data.test["mask"]}
        crowds = prepare_windows(W, ignored, data.statistics)
        assert not crowds["label"].any()
        there = np.asarray(data.test["mask"]).any(1)
        counted = [np.asarray(b["counts"]).sum(1) for b in (plain, crowds)]
        assert (counted[1][there] < len(sliding_window.grid(W))).all()
        assert (counted[1][~there] == len(sliding_window.grid(W))).all()

    def test_training_windows_are_different_ones(self):
        label, counts = jnp.zeros(10, jnp.int32), jnp.ones(10, bool)
        chosen = sliding_window._some(KEY, label, counts, 6)
        assert len(set(chosen.tolist())) == 6

    def test_training_windows_show_what_their_label_says(self):
        """With a single digit in all scenes, all windows on things are of its class."""
        c = replace(W, **ONE_DIGIT)
        data = data_of(sliding_window, c)
        batch = prepare_windows(c, training_batch(data), data.statistics, KEY)
        label = int(data.test["labels"].max())
        assert set(np.unique(batch["label"])) <= {0, 1 + label}
        bright = np.asarray(batch["x"]).mean((2, 3, 4))
        on, off = (bright[np.asarray(batch["counts"] & (batch["label"] > 0) == k)] for k in (True, False))
        assert on.mean() > off.mean() + 0.32

    def test_a_perfect_classifier_finds_things(self):
        c = replace(W, sides=(10, 12, 14, 16, 20, 24), window_step=0.1)
        data = data_of(sliding_window, c)
        batch = prepare_windows(c, data.test, data.statistics)
        # As sure as it is near: the overlap of a window with the square around its thing.
        grid = sliding_window.grid(c)

        def overlap(boxes, labels, mask):
            squares = sliding_window.windows.square(boxes, c.margin)
            ious = sliding_window.windows.intersection_over_union(grid, squares) * mask[None]
            return jnp.zeros((len(grid), 11)).at[:, 1 + labels].max(ious)

        @jax.jit
        def scores(*truth):
            near = jax.vmap(overlap)(*truth)
            return jnp.log(near.at[..., 0].set(1 - near.max(-1)) + 1e-9)

        judged = judge_windows(c, scores(*(data.test[n] for n in detection.TRUTH)), batch)
        metrics = values(summarize(c, judged, data.test))
        assert metrics["ap50"] > 0.55
        assert metrics["ap"] < 0.9  # boxes are of a class's mean shape

    def test_scores_of_all_windows(self):
        data = data_of(sliding_window, W)
        state = jax.jit(sliding_window.task.init)(W, data, KEY)
        predict = jax.jit(functools.partial(supervised.predict, sliding_window.problem))
        batch = prepare_windows(W, {n: v[:2] for n, v in data.test.items()}, data.statistics)
        scores = predict(W, state, data, batch["x"])
        n = len(sliding_window.grid(W))
        assert scores.shape == (2, n, 11)
        one = predict(W, state, data, batch["x"][1:, 3])
        np.testing.assert_allclose(one[0], scores[1, 3], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"windows": 10_000}, "windows=10000: an image has 667, by its sides and step"),
        ({"window_step": 0.01, "size": 512}, "windows of 24×24 pixels are too many"),
        ({"sides": (65,)}, "expected one or more, at most size=64"),
        ({"sides": ()}, "expected one or more, at most size=64"),
        ({"window": 8, "channels": (4, 4, 4, 4)}, "window=8 is too small for 4 stages"),
        ({"max_objects": 33}, "max_objects=33: data=digit_scenes takes at most 32"),
        ({"batch_size": 5_000}, "batch_size=5000: data=digit_scenes takes at most 4096"),
    ],
)
def test_fields_that_do_not_fit(fields, message):
    with pytest.raises(UsageError, match=message):
        SlidingWindow(**fields)


@pytest.mark.parametrize(
    "fields", [{}, {"sides": (10, 33), "window_step": 0.3}, {"sides": (64, 60)}, {"window_step": 1.0}]
)
def test_number_of_windows(fields):
    c = SlidingWindow(**fields, windows=2)
    assert len(sliding_window.grid(c)) == c.num_windows


@pytest.mark.parametrize(
    ("task", "c", "least"),
    [
        (detection.task, replace(C, **SMALL, convs=1, channels=(4, 8), stride=2, total_steps=1_600, eval_every=1_600, learning_rate=0.02), 0.5),
        (sliding_window.task, replace(W, total_steps=800, eval_every=800, learning_rate=0.01), 0.4),
    ],
)  # fmt: skip
def test_it_learns_the_one_digit_that_there_is(task, c, least):
    c = replace(c, **ONE_DIGIT)
    data = data_of(task, c)
    _, metrics = jax.jit(lambda key: train(task, c, data, key))(KEY)
    assert metrics["eval/ap50"][-1] > least
