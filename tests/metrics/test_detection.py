"""Average precision against pycocotools on random sets, and what can be said in closed form."""

import contextlib
import io
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.metrics.detection import Detections, GroundTruth, average_precision, precision_recall

coco_module = pytest.importorskip("pycocotools.coco")
cocoeval = pytest.importorskip("pycocotools.cocoeval")
sklearn_metrics = pytest.importorskip("sklearn.metrics")

pytestmark = pytest.mark.usefixtures("strict")

IMAGES, FOUND, THERE, CLASSES = 4, 20, 8, 10
ours = jax.jit(average_precision, static_argnames="num_classes")
curve = jax.jit(precision_recall, static_argnames="threshold")


def annotations(boxes, labels, mask, **fields):
    for i, j in np.argwhere(mask):
        y0, x0, y1, x1 = map(float, boxes[i, j])
        yield {
            "image_id": int(i),
            "category_id": int(labels[i, j]),
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "area": (x1 - x0) * (y1 - y0),
            "iscrowd": 0,
            **{name: values[i, j].item() for name, values in fields.items() if values is not None},
        }


def dataset(rows, images, classes):
    coco = coco_module.COCO()
    coco.dataset = {
        "images": [{"id": i} for i in range(images)],
        "categories": [{"id": k} for k in range(classes)],
        "annotations": [row | {"id": n} for n, row in enumerate(rows, 1)],
    }
    coco.createIndex()
    return coco


def evaluated(detections, truth, classes=CLASSES, borders=(32**2, 96**2)):
    """pycocotools' evaluation of the same set."""
    d, t = (jax.tree.map(np.asarray, x) for x in (detections, truth))
    with contextlib.redirect_stdout(io.StringIO()):
        there = annotations(t.boxes, t.labels, t.mask, iscrowd=t.crowd, area=t.area)
        found = annotations(d.boxes, d.labels, d.mask, score=d.scores)
        sets = [dataset(rows, len(t.mask), classes) for rows in (there, found)]
        evaluation = cocoeval.COCOeval(*sets, "bbox")
        low, high = borders
        evaluation.params.areaRng = [[0, 1e10], [0, low], [low, high], [high, 1e10]]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def assert_equal(result, evaluation):
    for name in ("precision", "recall"):
        expected = evaluation.eval[name]
        np.testing.assert_allclose(
            getattr(result, name), np.where(expected == -1, np.nan, expected), rtol=2e-7, err_msg=name
        )
    summary = np.array(list(result.summary().values()))
    np.testing.assert_allclose(summary, np.where(evaluation.stats == -1, np.nan, evaluation.stats), rtol=2e-6)


def random_boxes(rng, n, size):
    """Boxes of integers, many alike when they are small, some empty, some squares at the borders of areas."""
    extent = rng.integers(0, 1 + size // 2, (IMAGES, n, 2))
    square = rng.choice([32, 96], (IMAGES, n, 1))
    extent = np.where((rng.random((IMAGES, n, 1)) < 0.3) & (square < size), square, extent)
    corner = rng.integers(0, size - extent)
    return np.concatenate([corner, corner + extent], -1)


def copied(rng, source, index, size, share):
    """Boxes of the same image moved by little or nothing, and which of them replace the others."""
    reach = rng.choice([0, 1, max(1, size // 20)])
    moved = np.take_along_axis(source, index[..., None], 1) + rng.integers(
        -reach, reach + 1, (*index.shape, 4)
    )
    return moved, (rng.random(index.shape) < share) & (moved[..., 2:] > moved[..., :2]).all(-1)


def random_set(rng, size) -> tuple[Detections, GroundTruth]:
    """Crowds, ties, duplicates, areas at the borders, images without one or the other, absent classes."""
    used = rng.permutation(CLASSES)[: rng.choice([2, 5, CLASSES])]
    there, found = random_boxes(rng, THERE, size), random_boxes(rng, FOUND, size)
    labels, found_labels = (rng.choice(used, (IMAGES, n)) for n in (THERE, FOUND))
    index = rng.integers(0, THERE, (IMAGES, THERE))
    moved, chosen = copied(rng, there, index, size, 0.3)
    there = np.where(chosen[..., None], moved, there)
    labels = np.where(chosen, np.take_along_axis(labels, index, 1), labels)
    index = rng.integers(0, THERE, (IMAGES, FOUND))
    moved, chosen = copied(rng, there, index, size, 0.8)
    found = np.where(chosen[..., None], moved, found)
    found_labels = np.where(chosen, np.take_along_axis(labels, index, 1), found_labels)
    levels = rng.choice([1, 5, 1000])
    density = rng.choice([0.0, 0.6, 1.0], (2, IMAGES, 1), p=[0.15, 0.5, 0.35])
    crowd = rng.random((IMAGES, THERE)) < rng.choice([0.0, 0.1, 0.5])
    area = (there[..., 2:] - there[..., :2]).prod(-1)
    if rng.random() < 0.5:
        area = rng.choice([0, 1, 1023, 1024, 1025, 9215, 9216, 9217, 1e10, 2e10], (IMAGES, THERE))
    return (
        Detections(
            jnp.asarray(found, jnp.float32),
            jnp.asarray(rng.integers(0, levels, (IMAGES, FOUND)) / levels, jnp.float32),
            jnp.asarray(found_labels, jnp.int32),
            jnp.asarray(rng.random((IMAGES, FOUND)) < density[0]),
        ),
        GroundTruth(
            jnp.asarray(there, jnp.float32),
            jnp.asarray(labels, jnp.int32),
            jnp.asarray(rng.random((IMAGES, THERE)) < density[1]),
            jnp.asarray(crowd),
            jnp.asarray(area, jnp.float32),
        ),
    )


def one_class(found, there):
    """Boxes of class 0, `[images, n, 4]`, in order of score; filled up to 100 images of 2 boxes."""

    def filled(boxes):
        boxes = np.asarray(boxes, np.float32)
        mask = np.ones(boxes.shape[:2], bool)
        missing = [(0, 100 - len(boxes)), (0, 2 - boxes.shape[1])]
        return jnp.asarray(np.pad(boxes, [*missing, (0, 0)])), jnp.asarray(np.pad(mask, missing))

    (found, some), (there, all_of_them) = filled(found), filled(there)
    none = jnp.zeros((100, 2), jnp.int32)
    return Detections(found, jnp.float32([[2, 1]] * 100), none, some), GroundTruth(there, none, all_of_them)


class TestAveragePrecision:
    @pytest.mark.parametrize("size", [8, 300])
    def test_equals_pycocotools(self, size):
        """On more than 500 random problems of a class each."""
        rng, problems = np.random.default_rng(size), 0
        while problems < 500:
            sets = random_set(rng, size)
            evaluation = evaluated(*sets)
            assert_equal(ours(*sets, num_classes=CLASSES), evaluation)
            problems += (evaluation.eval["recall"][0, :, 0, -1] >= 0).sum()

    def test_only_the_hundred_best(self):
        rng = np.random.default_rng(0)
        corner = rng.integers(0, 30, (2, 130, 2))
        found = np.concatenate([corner, corner + rng.integers(1, 12, (2, 130, 2))], -1).astype(np.float32)
        labels = (rng.random((2, 130)) < 0.1).astype(np.int32)
        # Scores grow, so that the first ones of class 0, each on an object of its own, are cut off.
        scores = np.tile(np.arange(130, dtype=np.float32), (2, 1))
        detections = Detections(found, scores, labels, labels >= 0)
        for some in (slice(0, 9), slice(15, 24), slice(60, 69)):
            truth = GroundTruth(found[:, some], labels[:, some], labels[:, some] >= 0)
            assert_equal(ours(detections, truth, num_classes=2), evaluated(detections, truth, 2))
        score = np.asarray(curve(detections, truth, 0, threshold=0.5)[2])
        best = [np.sort(s[k == 0])[-100:] for s, k in zip(detections.scores, labels, strict=True)]
        np.testing.assert_array_equal(score[~np.isnan(score)], np.sort(np.concatenate(best))[::-1])

    @pytest.mark.parametrize("width", [1, 20, 217, 2**24 - 15, 2**24 - 3])
    def test_threshold_is_reached_when_equal(self, width):
        """Detections inside an object: the largest of less than k / 20 of it, and the smallest of no less."""
        k, there = np.arange(10, 20), np.tile([0, 0, 1, width], (10, 1, 1))
        for inside in ((k * width - 1) // 20, (k * width + 19) // 20):
            found = [[[0, 0, 1, n]] for n in inside]
            recall = ours(*one_class(found, there), num_classes=1).recall[:, 0, 0, -1]
            expected = (20 * inside[:, None] >= k * width).mean(0)
            np.testing.assert_allclose(recall, expected, rtol=1e-6)

    def test_takes_the_larger_of_two_that_hardly_differ(self):
        """n / (n + 1) is more than (n − 1) / n, by 2⁻⁴⁸. What is left has IoU 1/2, the other would have less."""
        n = 2**24 - 3
        found = [[0, 0, 1, n], [0, 0, 1, (n - 1) // 2]]
        there = [[0, 0, 1, n + 1], [0, 0, 1, n - 1]]
        detections, truth = one_class([found, found], [there, there[::-1]])
        assert ours(detections, truth, num_classes=1).recall[0, 0, 0, -1] == 1

    @pytest.mark.parametrize(("hits", "n"), [(7, 20), (14, 20), (57, 100), (58, 100), (29, 100), (100, 100)])
    def test_recalls_are_pycocotools_own(self, hits, n):
        boxes = np.tile([0, 0, 5, 5], (100, 2, 1))
        precision = ours(*one_class(boxes[:hits], boxes[:n]), num_classes=1).precision[0, :, 0, 0, -1]
        np.testing.assert_array_equal(precision, hits / n >= np.linspace(0, 1, 101))

    def test_own_borders_and_neither_crowd_nor_area(self):
        detections, truth = random_set(np.random.default_rng(7), 64)
        truth = truth._replace(crowd=None, area=None)
        own = jax.jit(lambda d, t: average_precision(d, t, CLASSES, borders=(100, jnp.float32(400))))
        result = own(detections, truth)
        assert_equal(result, evaluated(detections, truth, borders=(100, 400)))

    def test_what_the_mask_hides_does_not_matter(self):
        sets = random_set(np.random.default_rng(3), 64)

        def spoilt(x):
            fill = {"f": jnp.nan, "i": 3, "b": True}
            hidden = {
                name: jnp.where(x.mask.reshape(*x.mask.shape, *(1,) * (a.ndim - 2)), a, fill[a.dtype.kind])
                for name, a in x._asdict().items()
            }
            return x._replace(**hidden | {"mask": x.mask})

        results = [ours(*s, num_classes=CLASSES) for s in (sets, map(spoilt, sets))]
        assert not all(x.mask.all() for x in sets)
        assert results[0].summary()["ap"] > 0
        jax.tree.map(np.testing.assert_array_equal, *results)

    @pytest.mark.parametrize("label", [-2, -1, CLASSES, CLASSES + 1])
    def test_what_is_no_class_does_not_count(self, label):
        detections, truth = random_set(np.random.default_rng(3), 64)

        def without(x):
            return x._replace(mask=x.mask & ~third(x))

        def other(x):
            return x._replace(labels=jnp.where(third(x), label, x.labels))

        def third(x):
            return jnp.arange(x.mask.size).reshape(x.mask.shape) % 3 == 0

        results = [
            ours(change(detections), change(truth), num_classes=CLASSES) for change in (without, other)
        ]
        jax.tree.map(np.testing.assert_array_equal, *results)

    def test_nothing(self):
        detections, truth = random_set(np.random.default_rng(3), 64)
        nothing = detections._replace(mask=jnp.zeros((IMAGES, FOUND), bool))
        for value in ours(nothing, truth, num_classes=CLASSES).summary().values():
            assert value == 0 or np.isnan(value)
        truth = truth._replace(mask=jnp.zeros((IMAGES, THERE), bool))
        result = ours(detections, truth, num_classes=CLASSES)
        assert np.isnan(jnp.stack(jax.tree.leaves((result.summary(), result.recall.mean())))).all()

    def test_vmap(self):
        sets = [random_set(np.random.default_rng(i), 64) for i in range(3)]
        stacked = jax.tree.map(lambda *x: jnp.stack(x), *sets)
        results = jax.jit(jax.vmap(partial(average_precision, num_classes=CLASSES)))(*stacked)
        summaries = results.summary()
        for i, one in enumerate(sets):
            alone = ours(*one, num_classes=CLASSES)
            jax.tree.map(lambda a, b, i=i: np.testing.assert_array_equal(a[i], b), results, alone)
            for name, value in alone.summary().items():
                np.testing.assert_allclose(summaries[name][i], value, rtol=1e-6)

    @pytest.mark.parametrize("num_classes", [0, 1.0, True])
    def test_wrong_num_classes(self, num_classes):
        sets = random_set(np.random.default_rng(0), 64)
        with pytest.raises(ValueError, match="average_precision: expected num_classes to be a positive int"):
            average_precision(*sets, num_classes)


def judged(evaluation, label, t):
    """Scores, hits and what is ignored, in order of score, and how many are to be found, by pycocotools."""
    images = [image for image in evaluation.evalImgs[4 * IMAGES * label :][:IMAGES] if image is not None]
    columns = [(e["dtScores"], e["dtMatches"][t] > 0, e["dtIgnore"][t]) for e in images]
    score, hit, ignored = (np.concatenate(column) for column in zip(*columns, strict=True))
    order = np.argsort(-score)
    return score[order], hit[order], ignored[order], sum((e["gtIgnore"] == 0).sum() for e in images)


class TestPrecisionRecall:
    @pytest.mark.parametrize("threshold", [0.5, 0.75])
    def test_equals_scikit_learn(self, threshold):
        """Given what pycocotools takes to be true and to be ignored, with scores that differ."""
        rng = np.random.default_rng(11)
        for _ in range(20):
            detections, truth = random_set(rng, 64)
            scores = rng.permutation(IMAGES * FOUND).reshape(IMAGES, FOUND) / 8
            detections = detections._replace(scores=jnp.asarray(scores, jnp.float32))
            evaluation = evaluated(detections, truth)
            t = list(evaluation.params.iouThrs).index(threshold)
            label = np.argmax(evaluation.eval["recall"][t, :, 0, -1])
            score, hit, ignored, n = judged(evaluation, label, t)
            recall, precision, found = curve(detections, truth, label, threshold=threshold)
            np.testing.assert_array_equal(found[: len(score)], score)
            assert np.isnan(jnp.stack([recall, precision, found])[:, len(score) :]).all()
            # From the largest score on, without scikit-learn's end; its recall is a share of what was found.
            p, r, _ = sklearn_metrics.precision_recall_curve(hit[~ignored], score[~ignored])
            np.testing.assert_allclose(precision[: len(score)][~ignored], p[-2::-1], rtol=1e-6)
            expected = r[-2::-1] * hit[~ignored].sum() / n
            np.testing.assert_allclose(recall[: len(score)][~ignored], expected, rtol=1e-6)

    @pytest.mark.parametrize("threshold", [0.0, 1.5, float("nan")])
    def test_wrong_threshold(self, threshold):
        sets = random_set(np.random.default_rng(0), 64)
        with pytest.raises(ValueError, match=r"precision_recall: expected a threshold in \(0, 1\]"):
            precision_recall(*sets, 0, threshold)


@pytest.mark.parametrize("function", [average_precision, precision_recall])
class TestBoth:
    @pytest.mark.parametrize(
        ("which", "field", "change"),
        [
            (0, "boxes", lambda x: x[..., :3]),
            (0, "boxes", lambda x: x.astype(jnp.int32)),
            (0, "scores", lambda x: x[:, 1:]),
            (0, "scores", lambda x: x > 0),
            (0, "labels", lambda x: x.astype(jnp.float32)),
            (0, "mask", lambda x: x.astype(jnp.int32)),
            (1, "labels", lambda x: x[:, 1:]),
            (1, "crowd", lambda x: x.astype(jnp.float32)),
            (1, "area", lambda x: x[:, None]),
        ],
    )
    def test_wrong_shapes_and_dtypes(self, function, which, field, change):
        sets = list(random_set(np.random.default_rng(0), 64))
        sets[which] = sets[which]._replace(**{field: change(getattr(sets[which], field))})
        name = ("detections", "truth")[which]
        with pytest.raises(ValueError, match=rf"{function.__name__}: expected \w+ {name}.{field} of shape"):
            function(*sets, 3)

    def test_wrong_number_of_images(self, function):
        detections, truth = random_set(np.random.default_rng(0), 64)
        for other in (truth._replace(mask=truth.mask[1:]), truth._replace(mask=truth.mask[0])):
            with pytest.raises(ValueError, match=f"{function.__name__}: expected masks .* as many images"):
                function(detections, other, 3)
