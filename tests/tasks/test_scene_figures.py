"""Figures of segmentation and detection, read back where they hold numbers."""

import functools
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax import metrics
from mi203jax.configs import Detection, Segmentation
from mi203jax.core.task import Animation
from mi203jax.data.feed import Data
from mi203jax.data.standardize import Statistics
from mi203jax.tasks import detection, detection_figures, pictures, segmentation, segmentation_figures
from mi203jax.tasks.supervised import Keys, Problem, State, judged
from tests.tasks.shown import draw

sklearn = pytest.importorskip("sklearn.metrics")

TINY: dict[str, Any] = {"size": 32, "channels": (4, 8), "convs": 1, "smallest": 0.5, "largest": 1.0}
SCALE = Statistics(jnp.full((), 100.0), jnp.full((), 50.0))


def texts(axes):
    return [text.get_text() for text in axes.texts]


def titles(figure):
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def rectangles():
    """Six images of 0 to 5 rectangles each, with all that is known of them."""
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 20, (6, 5, 2))
    boxes = np.concatenate([corners, corners + rng.integers(4, 12, (6, 5, 2))], -1).astype(np.float32)
    labels, mask = rng.integers(0, 10, (6, 5)), np.arange(5) < np.arange(6)[:, None]
    image, classes = rng.integers(0, 100, (6, 32, 32, 1)), np.zeros((6, 32, 32), np.int32)
    for i, j in np.argwhere(mask):
        y0, x0, y1, x1 = boxes[i, j].astype(int)
        image[i, y0:y1, x0:x1], classes[i, y0:y1, x0:x1] = 100 + 10 * labels[i, j], 1 + labels[i, j]
    arrays = {"image": image.astype(np.uint8), "classes": classes, "boxes": boxes}
    arrays |= {"labels": labels.astype(np.int32), "mask": mask}
    return {name: jnp.asarray(values) for name, values in arrays.items()}


def start(task, c, data):
    return jax.jit(functools.partial(task.init, c))(data, jax.random.key(0))


@pytest.fixture(scope="module")
def segmenter():
    c = Segmentation(frames=3, **TINY)
    statistics = segmentation.PixelStatistics(SCALE, jnp.full(11, 1 / 11))
    data = Data(None, rectangles(), statistics)
    return c, start(segmentation.task, c, data), data


@pytest.fixture(scope="module")
def detector():
    c = Detection(stride=2, **TINY)
    data = Data(None, rectangles(), SCALE)
    return c, start(detection.task, c, data), data


class TestPictures:
    def test_classes_differ_and_the_background_is_dark(self):
        for number in (1, 10, 80):
            colours = pictures.class_colours(["background", *map(str, range(number))])
            assert len(np.unique(colours, axis=0)) == number + 1
            assert colours[0].max() < 0.2

    @pytest.mark.parametrize(
        ("length", "number", "chosen"), [(1, 6, [0]), (4, 6, [0, 1, 2, 3]), (101, 5, [0, 25, 50, 75, 100])]
    )
    def test_even_ranks(self, length, number, chosen):
        np.testing.assert_array_equal(pictures.evenly(7 + np.arange(length), number), 7 + np.array(chosen))

    @pytest.mark.parametrize("box", [(0, 0, 4, 4), (20, 28, 36, 40), (0, 0, 24, 32), (8, 8, 8, 8)])
    def test_a_crop_lies_in_the_image_and_shows_the_box_where_it_is(self, box):
        image = np.arange(24 * 32, dtype=np.float32).reshape(24, 32, 1)
        _, axes = pictures.grid(1, 1)
        pictures.crop(axes[0, 0], image, np.array(box, np.float32), "white")
        x0, x1, y1, y0 = axes[0, 0].images[0].get_extent()
        assert 0 <= y0 < y1 <= 24
        assert 0 <= x0 < x1 <= 32
        np.testing.assert_array_equal(
            axes[0, 0].images[0].get_array(), image[int(y0) : int(y1), int(x0) : int(x1), 0]
        )
        (shown,) = axes[0, 0].patches
        assert (shown.get_y(), shown.get_x(), shown.get_y() + shown.get_height()) == box[:3]

    def test_a_crop_keeps_its_scale_in_both_directions(self):
        _, axes = pictures.grid(1, 1)
        pictures.crop(axes[0, 0], np.zeros((40, 40, 3)), np.array([10.0, 10, 20, 14]), "white")
        assert axes[0, 0].images[0].get_extent() == [2, 22, 25, 5]


class TestSegmentation:
    def test_all_of_them(self, segmenter):
        c, state, data = segmenter
        classes = segmentation.classes(c)
        drawn = segmentation_figures.figures(segmentation.problem, c, state, data, classes)
        assert set(drawn) == {"predictions", "iou_by_class", "learning"}
        draw(drawn["predictions"])
        draw(drawn["iou_by_class"])
        animation = drawn["learning"]
        assert isinstance(animation, Animation)
        assert len(animation.frames) > 3
        assert animation.frames[0].dtype == np.uint8
        assert animation.frames[0].shape[1] < 520
        np.testing.assert_array_equal(animation.frames[-1], animation.frames[2])

    def test_no_snapshots_no_animation(self, segmenter):
        c, state, data = segmenter
        state = state._replace(snapshots=())
        drawn = segmentation_figures.figures(segmentation.problem, c, state, data, segmentation.classes(c))
        assert set(drawn) == {"predictions", "iou_by_class"}

    def test_the_animation_shows_each_snapshot(self, segmenter):
        c, state, data = segmenter
        params, layers = state.snapshots
        last = jax.tree.map(lambda a: a.at[-1].multiply(-1), params)
        classes = segmentation.classes(c)
        animation = segmentation_figures.learning(
            segmentation.problem, c, state._replace(snapshots=(last, layers)), data, np.array([0, 1]), classes
        )
        height = len(animation.frames[0])
        # Of equal snapshots, only the step in the title differs; above the predictions, that is all.
        first, second, third = (frame[height // 6 :] for frame in animation.frames[:3])
        np.testing.assert_array_equal(first, second)
        assert (second != third).any()
        np.testing.assert_array_equal(second[: height // 3], third[: height // 3])

    def test_iou_bars(self):
        rng = np.random.default_rng(0)
        true, predicted = rng.integers(0, 4, (2, 5, 8, 8))  # class 4 is nowhere
        true[:, 0] = 255
        matrices = jax.vmap(lambda p, t: metrics.confusion_matrix(p.ravel(), t.ravel(), 5))(predicted, true)
        figure = segmentation_figures.iou_by_class(matrices, ("background", *"abcd"))
        known = true != 255
        expected = sklearn.jaccard_score(true[known], predicted[known], average=None)
        axes: Any = figure.axes[0]
        np.testing.assert_allclose([bar.get_width() for bar in axes.patches], [*expected, 0], rtol=1e-6)
        np.testing.assert_allclose(axes.lines[0].get_xdata(), [expected.mean()] * 2, rtol=1e-6)
        assert texts(axes) == [*(f"{value:.2f}" for value in expected), "in no map"]
        assert axes.get_title() == f"Mean IoU {expected.mean():.3f} (dashed) on 5 images"
        share = (true == 1).sum() / known.sum()
        assert axes.get_yticklabels()[1].get_text() == f"a   {share:.1%}"

    def test_predictions_from_the_best_to_the_worst(self, segmenter):
        c, state, data = segmenter
        iou = jnp.array([0.2, jnp.nan, 1.0, 0.5, 0.7, 0.1])
        classes = segmentation.classes(c)
        figure = segmentation_figures.predictions(segmentation.problem, c, state, data, iou, classes)
        assert titles(figure) == ["IoU 1.00", "IoU 0.70", "IoU 0.50", "IoU 0.20", "IoU 0.10"]
        accuracy = judged(segmentation.problem, c, state, data)["accuracy"]
        errors = [axes.images[0].get_array() for axes in figure.axes[15:]]
        # Red is what is neither grey nor white.
        wrong = [np.ptp(np.asarray(e), axis=-1).astype(bool).mean() for e in errors]
        np.testing.assert_allclose(wrong, 1 - accuracy[np.array([2, 4, 3, 0, 5])], atol=1e-6)

    def test_errors_are_grey_red_white(self):
        true, predicted = np.array([[0, 1, 255], [2, 2, 3]]), np.array([[0, 0, 0], [2, 1, 1]])
        picture = segmentation_figures.errors(predicted, true, 3)
        grey, red, white = picture[0]
        assert grey[0] == grey[1] == grey[2] < 1
        assert red[0] > 2 * red[1]
        np.testing.assert_array_equal(white, 1)
        np.testing.assert_array_equal(picture[1], [grey, red, white])  # 3 is no class

    @pytest.mark.parametrize("unknown", [0.5, 1.0])
    def test_one_colour_image_of_which_some_pixels_are_unknown(self, segmenter, unknown):
        c, _, made = segmenter
        c = replace(c, frames=0)
        classes = np.where(np.arange(32)[:, None] < 32 * unknown, 255, np.ones((1, 32, 32), np.int32))
        image = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3)).astype(np.uint8)
        test = {"image": jnp.asarray(image), "classes": jnp.asarray(classes, jnp.int32)}
        data = made._replace(test=test)
        state = start(segmentation.task, c, data)
        names = segmentation.classes(c)
        drawn = segmentation_figures.figures(segmentation.problem, c, state, data, names)
        draw(drawn["predictions"])
        assert legend(drawn["predictions"])[-1] == "unknown"
        title = drawn["iou_by_class"].axes[0].get_title()
        assert title == "No pixel counts" if unknown == 1 else title.startswith("Mean IoU")


class _Same(nn.Module):
    """A network that does nothing."""

    @nn.compact
    def __call__(self, x, train=False):
        return x


def fake_detector(judge):
    """The problem of a detector that says what `judge` says of a batch."""
    return Problem(
        data=lambda c: None,
        network=lambda c, data: _Same(),
        prepare=lambda c, batch, statistics, key: {**batch, "x": batch["image"]},
        loss=lambda c, scores, batch: jnp.zeros(len(scores)),
        measure=lambda c, scores, batch: {},
        judge=lambda c, scores, batch: judge(batch),
    )


def right_boxes(batch):
    return {"boxes": batch["boxes"], "labels": batch["labels"], "scores": 0.9 * batch["mask"]}


def figures_of(examples, judge=right_boxes, classes="abc"):
    c, key = cast(Any, SimpleNamespace(borders=(8, 16))), jax.random.key(0)
    state = State({}, {}, (), SCALE, (), Keys(key, key))
    return detection_figures.figures(fake_detector(judge), c, state, Data(None, examples, SCALE), classes)


def an_image(boxes, labels, channels=1, **others):
    """One example with these objects, in five slots: equal shapes are compiled once."""
    mask = jnp.arange(5) < len(boxes)
    boxes = jnp.zeros((5, 4)).at[: len(boxes)].set(jnp.asarray(boxes, jnp.float32).reshape(-1, 4))
    labels = [*labels, *[0] * (5 - len(labels))]
    image = jnp.arange(32 * 32 * channels, dtype=jnp.uint8).reshape(1, 32, 32, channels)
    arrays = {"boxes": boxes, "labels": jnp.array(labels, jnp.int32), "mask": mask}
    return {"image": image, **{name: value[None] for name, value in (arrays | others).items()}}


def what_is_found(boxes, labels, scores):
    """What is judged of one example, filled up to seven detections by what has no score."""
    rest = 7 - len(scores)
    return {
        "boxes": jnp.array([[*boxes, *[(0, 0, 9, 9)] * rest]], jnp.float32),
        "labels": jnp.array([[*labels, *[0] * rest]], jnp.int32),
        "scores": jnp.array([[*scores, *[0] * rest]], jnp.float32),
    }


class TestDetection:
    def test_all_of_them_untrained(self, detector):
        c, state, data = detector
        drawn = detection.task.figures(c, state, data)
        assert set(drawn) == {"detections", "precision_recall", "ap_by_size", "misses", "heat"}
        for figure in drawn.values():
            draw(figure)
        maps = [axes.images[0].get_array() for axes in drawn["heat"].axes[4:8]]
        assert {m.shape for m in maps} == {(c.size // c.stride,) * 2}
        assert all(((m > 0) & (m < 1)).all() for m in maps)

    def test_a_detector_without_heat_map_that_is_right(self, detector):
        test = detector[2].test
        drawn = figures_of({n: test[n] for n in ("image", "boxes", "labels", "mask")}, classes="0123456789")
        assert set(drawn) == {"detections", "precision_recall", "ap_by_size", "misses"}
        assert set(titles(drawn["detections"])) == {"F-score 1.00"}
        aps = [f"IoU {threshold}: AP 1.000" for threshold in ("0.50", "0.75", "0.90")]
        assert legend(drawn["precision_recall"])[:3] == aps
        number = int(test["mask"].sum())
        assert f"all of {number} objects found" in drawn["misses"].get_suptitle()
        solid, dashed = (
            [p for a in drawn["detections"].axes for p in a.patches if p.get_ls() in style]
            for style in (("-", "solid"), ("--", "dashed"))
        )
        assert len(dashed) == number
        assert len(solid) == number

    @pytest.mark.parametrize("channels", [1, 3])
    def test_one_image_with_nothing_in_it(self, channels):
        drawn = figures_of(an_image([], [], channels))
        for figure in drawn.values():
            draw(figure)
        assert titles(drawn["precision_recall"]) == ["No object to be found"]
        assert titles(drawn["detections"]) == ["F-score 1.00"]
        assert texts(drawn["ap_by_size"].axes[0]) == ["none"] * 8

    def test_average_precision_in_the_legend_and_by_size(self):
        # a: one of two found, with IoU 0.8: precision 1 at 51 of 101 recalls. c: found after a false one.
        truth = [(0, 0, 10, 10), (0, 20, 10, 30), (20, 0, 26, 6)]
        found = [(0, 0, 8, 10), (20, 20, 26, 26), (20, 0, 26, 6)]
        judge = what_is_found(found, [0, 2, 2], [0.9, 0.8, 0.7])
        drawn = figures_of(an_image(truth, [0, 0, 2]), lambda batch: judge)
        half, a, c = (51 / 101 + 0.5) / 2, 51 / 101, 0.5
        assert legend(drawn["precision_recall"]) == [
            f"IoU 0.50: AP {half:.3f}",
            f"IoU 0.75: AP {half:.3f}",
            f"IoU 0.90: AP {c / 2:.3f}",
            f"a: AP {a:.3f}",
            "b: no object",
            f"c: AP {c:.3f}",
        ]
        axes = drawn["ap_by_size"].axes[0]
        of_a = a * 7 / 10  # at 0.50 to 0.80
        heights = [(of_a + c) / 2, c, of_a, 0, half, c, a, 0]
        np.testing.assert_allclose([bar.get_height() for bar in axes.patches], heights, rtol=1e-5)
        labels = [label.get_text() for label in axes.get_xticklabels()]
        assert [label.split("\n")[-1] for label in labels] == [f"{n} objects" for n in (3, 1, 2, 0)]
        assert texts(axes)[3] == texts(axes)[7] == "none"

    def test_misses(self):
        truth = [(0, 0, 10, 10), (0, 20, 8, 28), (20, 0, 26, 6), (20, 20, 30, 30)]
        found = {
            "right": ((0, 0, 10, 9), 0, 0.95),
            "twice": ((0, 0, 10, 10), 0, 0.9),
            "other class": ((0, 20, 8, 28), 0, 0.8),
            "too small": ((20, 0, 22, 6), 2, 0.6),  # IoU 1/3
            "overlaps": ((20, 20, 30, 23), 0, 0.5),  # IoU 0.3
            "nothing": ((12, 12, 16, 16), 1, 0.2),
            "no detection": ((20, 20, 30, 30), 1, 0.0),
        }
        judge = what_is_found(*zip(*found.values(), strict=True))
        examples = an_image(truth, [0, 1, 2, 1])
        drawn = figures_of(examples, lambda batch: judge, ("a7", "8", "c"))
        assert titles(drawn["misses"]) == [
            "an 8, not found",  # the largest
            "an 8, not found",
            "a c, not found",
            "a7 (0.90), found twice",
            "a7 (0.80), is an 8",
            "c (0.60), IoU only 0.33",
            "a7 (0.50), overlaps an 8",
            "8 (0.20), is nothing",
        ]
        assert "3 of 4 objects not found" in drawn["misses"].get_suptitle()
        assert "4 false detections" in drawn["misses"].get_suptitle()
        assert titles(drawn["detections"]) == [f"F-score {2 / (5 + 4):.2f}"]
        shown = [axes.patches[0].get_bbox() for axes in drawn["misses"].axes if axes.patches]
        assert (shown[0].y0, shown[0].x0, shown[0].y1, shown[0].x1) == truth[3]
        assert (shown[7].y0, shown[7].x0, shown[7].y1, shown[7].x1) == found["nothing"][0]

    def test_a_crowd_need_not_be_found_and_what_is_on_it_is_not_false(self):
        crowd = jnp.arange(5) == 1
        examples = an_image([(0, 0, 10, 10), (0, 10, 20, 30)], [0, 0], crowd=crowd)
        # IoU with the crowd is small, but three of these lie in it, and one by two fifths.
        found = [(0, 0, 10, 10), (2, 12, 6, 16), (8, 12, 12, 16), (8, 20, 12, 24), (16, 24, 26, 34)]
        judge = what_is_found(found, [0] * 5, [0.9, 0.8, 0.7, 0.6, 0.5])
        truth = detection_figures.found_and_true(judge, examples)
        matches = detection_figures.match(*truth)
        np.testing.assert_array_equal(matches.right, [[True, *[False] * 6]])
        np.testing.assert_array_equal(matches.false, [[*[False] * 4, True, False, False]])
        np.testing.assert_array_equal(matches.wanted, [[True, *[False] * 4]])
        np.testing.assert_allclose(detection_figures.f_scores(matches, truth[0]), [2 / 3])

    def test_matches_are_those_of_average_precision(self):
        """With one class, precision and recall after all detections follow from the numbers of matches."""
        keys = jax.random.split(jax.random.key(0), 4)
        corners = jax.random.randint(keys[0], (20, 11, 2), 0, 20).astype(jnp.float32)
        boxes = jnp.concatenate([corners, corners + jax.random.randint(keys[1], (20, 11, 2), 6, 14)], -1)
        scores = jax.random.uniform(keys[2], (20, 7))
        found = metrics.Detections(boxes[:, :7], scores, jnp.zeros((20, 7), jnp.int32), scores > 0.2)
        mask = jax.random.bernoulli(keys[3], 0.7, (20, 4))
        truth = metrics.GroundTruth(boxes[:, 7:], jnp.zeros((20, 4), jnp.int32), mask)
        matches = detection_figures.match(found, truth)
        recall, precision, _ = jax.jit(metrics.precision_recall)(found, truth, 0)
        last = int(found.mask.sum()) - 1
        right, false = matches.right.sum(), matches.false.sum()
        assert 0 < right < last
        np.testing.assert_allclose(recall[last], right / matches.wanted.sum(), rtol=1e-6)
        np.testing.assert_allclose(precision[last], right / (right + false), rtol=1e-6)

    def test_classes_of_one_box_are_named_together(self):
        box = (4.0, 4.0, 20.0, 20.0)
        judge = what_is_found([box] * 4, [2, 0, 1, 1], [0.9, 0.4, 0.6, 0.1])
        axes = figures_of(an_image([box], [2]), lambda batch: judge)["detections"].axes[0]
        assert texts(axes) == ["c", "c 0.90, b 0.60, …"]  # the truth, then what is found
        assert len(axes.patches) == 2
