"""Segmentation and detection of sets of TFDS: of unequal images, in memory and streamed."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow_datasets as tfds

from mi203jax.configs import Detection, Segmentation, SlidingWindow
from mi203jax.core.errors import UsageError
from mi203jax.core.loop import Group
from mi203jax.tasks import detection, segmentation, sliding_window
from tests.data.tiny import png, prepare

features = tfds.features
FIELDS = {
    "data": "pictures",
    "train_split": "train[:8]",
    "eval_split": "train[8:]",
    "size": 32,
    "channels": (4,),
    "convs": 1,
    "batch_size": 4,
    "total_steps": 24,
    "eval_every": 12,
    "augment": ("flip", "affine", "noise"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twelve pictures of one bright rectangle each; the last has none."""
    rng = np.random.default_rng(0)
    examples = []
    for i in range(12):
        height, width = rng.integers(20, 60, 2)
        (y0, y1), (x0, x1) = (
            sorted(rng.choice(np.arange(0, n + 1, 4), 2, replace=False)) for n in (height, width)
        )
        mask, image = np.zeros((height, width), np.uint8), rng.integers(0, 80, (height, width, 3), np.uint8)
        objects = (
            []
            if i == 11
            else [{"bbox": features.BBox(y0 / height, x0 / width, y1 / height, x1 / width), "label": i % 2}]
        )
        if objects:
            mask[y0:y1, x0:x1], image[y0:y1, x0:x1] = 1 + i % 2, 200
        examples.append({"image": png(image), "segmentation_mask": png(mask), "objects": objects})
    kinds = {
        "image": features.Image(shape=(None, None, 3)),
        "segmentation_mask": features.Image(shape=(None, None, 1)),
        "objects": features.Sequence(
            {"bbox": features.BBoxFeature(), "label": features.ClassLabel(names=["even", "odd"])}
        ),
    }
    return str(prepare(tmp_path_factory.mktemp("sets"), kinds, examples, "pictures"))


CASES = {
    "segmentation": (segmentation.task, Segmentation(**FIELDS, mask_classes=3, frames=0)),
    "detection": (detection.task, Detection(**FIELDS, stride=1, max_objects=2)),
}


@pytest.mark.parametrize("name", CASES)
def test_memory_and_stream_give_the_same_run(name, folder):
    task, c = CASES[name]
    runs = []
    for feed in ("memory", "stream"):
        trial = replace(c, data_dir=folder, feed=feed)
        *_, last = Group(task, [trial], task.data(trial)).run(lambda: 10**6)
        runs.append({n: float(v[0]) for n, v in {**last.training, **last.evaluation}.items()})
    memory, streamed = runs
    assert memory.keys() == streamed.keys()
    for metric, value in memory.items():
        assert streamed[metric] == pytest.approx(value, rel=1e-3, abs=1e-4, nan_ok=True), metric


def test_classes_are_those_of_the_set(folder):
    _, c = CASES["segmentation"]
    assert segmentation.classes(replace(c, data_dir=folder)) == ("0", "1", "2")
    _, c = CASES["detection"]
    assert detection.classes(replace(c, data_dir=folder)) == ("even", "odd")


def test_statistics_are_of_the_training_examples(folder):
    c = replace(CASES["segmentation"][1], data_dir=folder)
    data = segmentation.data(c)
    maps = np.asarray(data.train.arrays["classes"])
    counts = np.array([(maps == k).sum() for k in range(3)])
    np.testing.assert_allclose(data.statistics.frequencies, counts / counts.sum(), rtol=1e-5)
    images = np.asarray(data.train.arrays["image"], np.float32)
    np.testing.assert_allclose(data.statistics.image.mean, images.mean((0, 1, 2)), rtol=1e-4)


@pytest.mark.parametrize(
    ("task", "c", "message"),
    [
        (
            segmentation.task,
            Segmentation(data="mnist_5k"),
            "data=mnist_5k has no segmentation_mask: .*oxford_iiit_pet",
        ),
        (detection.task, Detection(data="mnist_5k"), "data=mnist_5k has no objects with boxes: .*voc"),
        (
            sliding_window.task,
            SlidingWindow(data="mnist_5k"),
            "data=mnist_5k has no objects with boxes: .*voc",
        ),
    ],
)
def test_sets_without_truth(task, c, message):
    with pytest.raises(UsageError, match=message):
        task.data(c)
