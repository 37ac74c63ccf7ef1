"""Masks and boxes of tiny sets: against closed forms, and TFDS's own descriptions."""

import io
import pickle
import types
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow_datasets as tfds

from mi203jax.core.errors import UsageError
from mi203jax.data.located import open_boxed, open_masked
from mi203jax.data.squares import fit_image
from tests.data.tiny import png, prepare

features = tfds.features


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


PETS = [np.array(m, np.uint8) for m in ([[1, 2], [3, 255], [1, 1], [2, 2]], [[3, 1, 2]])]


class TestOpenMasked:
    @pytest.fixture
    def pets(self, tmp_path):
        """TFDS's own description of the set, and two examples of it."""
        kinds = dict(tfds.builder("oxford_iiit_pet", data_dir=tmp_path).info.features.items())
        other = {
            "label": "beagle",
            "species": "Dog",
            "file_name": "a",
            "head_bbox": features.BBox(0.0, 0.0, 0.5, 1.0),
        }
        examples = [
            {"image": png(noise(*m.shape, 3)), "segmentation_mask": png(m[..., None][..., 0]), **other}
            for m in PETS
        ]
        return prepare(tmp_path, kinds, examples, "oxford_iiit_pet")

    def test_pets(self, pets):
        source, info = open_masked("oxford_iiit_pet", "train", str(pets), 4)
        assert info.classes == ("pet", "background", "outline")
        assert info.name == "oxford_iiit_pet/1.0.0"
        assert info.shapes == source.shapes == {"image": ((4, 4, 3), np.uint8), "classes": ((4, 4), np.int32)}
        first, second = source.__getitems__([0, 1])
        u = 255
        assert first["classes"].tolist() == [[0, 1, u, u], [2, u, u, u], [0, 0, u, u], [1, 1, u, u]]
        assert second["classes"].tolist() == [[2, 0, 0, 1], [u, u, u, u], [u, u, u, u], [u, u, u, u]]
        np.testing.assert_array_equal(first["image"][:, :2], noise(4, 2, 3))
        for name, (shape, dtype) in source.shapes.items():
            assert (first[name].shape, first[name].dtype) == (shape, dtype)

    def test_is_opened_once(self, pets):
        one, two = (open_masked("oxford_iiit_pet", "train", str(pets), 4)[0] for _ in range(2))
        assert one is two

    def test_may_be_pickled_and_read_by_several_threads(self, pets):
        source, _ = open_masked("oxford_iiit_pet", "train", str(pets), 8)
        again = pickle.loads(pickle.dumps(source))
        with ThreadPoolExecutor(4) as pool:
            read = list(pool.map(lambda i: again[i % 2], range(40)))
        for i, example in enumerate(read):
            for name, value in source[i % 2].items():
                np.testing.assert_array_equal(example[name], value)

    def test_classes_of_another_set_are_given(self, tmp_path):
        kinds = {
            "image": features.Image(shape=(None, None, 1)),
            "segmentation_mask": features.Image(shape=(2, 2, 1)),
        }
        mask = np.array([[0, 4], [255, 2]], np.uint8)
        prepare(tmp_path, kinds, [{"image": png(noise(2, 2)), "segmentation_mask": png(mask)}])
        source, info = open_masked("tiny", "train", str(tmp_path), 2, 5)
        assert info.classes == ("0", "1", "2", "3", "4")
        np.testing.assert_array_equal(source[0]["classes"], mask)
        with pytest.raises(UsageError, match="^data=tiny does not say how many .* give mask_classes=K"):
            open_masked("tiny", "train", str(tmp_path), 2)
        for number in (-1, 256):
            with pytest.raises(UsageError, match=f"^mask_classes={number}: expected 1 to 255 for data=tiny"):
                open_masked("tiny", "train", str(tmp_path), 2, number)

    def test_classes_of_a_known_set_are_known(self, pets):
        assert open_masked("oxford_iiit_pet", "train", str(pets), 4, 3)[1].classes[0] == "pet"
        with pytest.raises(UsageError, match="mask_classes=4: expected 3 for data=oxford_iiit_pet"):
            open_masked("oxford_iiit_pet", "train", str(pets), 4, 4)

    def test_bad_examples(self, tmp_path):
        kinds = {"image": features.Image(), "segmentation_mask": features.Image(shape=(None, None, 1))}
        good = png(noise(4, 3, 3)).getvalue()
        cases = [
            (
                good,
                np.full((3, 4), 1, np.uint8),
                r"image of shape \(4, 3, 3\) and a segmentation_mask of \(3, 4, 1\)",
            ),
            (good, np.full((4, 3), 2, np.uint8), "2 in its segmentation_mask: expected 0 to 1, or 255"),
            (good[:40], np.full((4, 3), 1, np.uint8), "cannot be read: .+ prepare the set again"),
            (
                png(noise(4, 3, 4)).getvalue(),
                np.full((4, 3), 1, np.uint8),
                r"\(4, 3, 4\): expected 3 channels",
            ),
            (good, np.full((4, 3), 1, np.uint8), None),
        ]
        examples = [{"image": io.BytesIO(image), "segmentation_mask": png(mask)} for image, mask, _ in cases]
        source, _ = open_masked("tiny", "train", str(prepare(tmp_path, kinds, examples)), 4, 2)
        for i, (_, _, message) in enumerate(cases[:-1]):
            with pytest.raises(UsageError, match=f"^tiny: example {i} .*{message}") as e:
                source.__getitems__([len(cases) - 1, i])
            assert "\n" not in str(e.value)

    def test_sets_without(self, tmp_path):
        with pytest.raises(UsageError, match="^data=mnist_5k has no segmentation_mask: .* oxford_iiit_pet"):
            open_masked("mnist_5k", "train", "", 8)
        with pytest.raises(UsageError, match="^data=breast_cancer has no image: "):
            open_masked("breast_cancer", "train", "", 8)
        kinds = {"image": features.Image(), "segmentation_mask": features.Image()}
        prepare(tmp_path, kinds, [{k: png(noise(2, 2, 3)) for k in kinds}], "coloured")
        with pytest.raises(UsageError, match="^data=coloured: segmentation_mask is an image in colour"):
            open_masked("coloured", "train", str(tmp_path), 8, 2)
        kinds = {
            "image": features.Tensor(shape=(2, 2, 1), dtype=np.float32),
            "segmentation_mask": features.Image(),
        }
        example = {"image": np.zeros((2, 2, 1), np.float32), "segmentation_mask": png(noise(2, 2, 3))}
        prepare(tmp_path, kinds, [example], "real")
        with pytest.raises(
            UsageError, match="^data=real: image is Tensor.*float32.*: expected an image in uint8"
        ):
            open_masked("real", "train", str(tmp_path), 8, 2)


WHOLE, HALF = features.BBox(0.0, 0.0, 1.0, 1.0), features.BBox(0.5, 0.25, 1.0, 0.5)


def one_object(**kinds):
    return {"image": features.Image(), "objects": features.Sequence(kinds)}


class TestOpenBoxed:
    def test_voc(self, tmp_path):
        kinds = dict(tfds.builder("voc/2007", data_dir=tmp_path).info.features.items())
        person, dog = ({"label": k, "pose": "left", "is_truncated": False} for k in ("person", "dog"))
        objects = [
            [{**person, "bbox": WHOLE, "is_difficult": False}, {**dog, "bbox": HALF, "is_difficult": True}],
            [],
        ]
        examples = [
            {
                "image": png(noise(20, 40, 3)),
                "image/filename": "a",
                "objects": o,
                "labels": [],
                "labels_no_difficult": [],
            }
            for o in objects
        ]
        source, info = open_boxed("voc", "train", str(prepare(tmp_path, kinds, examples, "voc")), 80, 3)
        assert (len(info.classes), info.classes[0], info.classes[14]) == (20, "aeroplane", "person")
        first, empty = source.__getitems__([0, 1])
        np.testing.assert_array_equal(first["boxes"], [[0, 0, 40, 80], [20, 20, 40, 40], [0, 0, 0, 0]])
        assert first["labels"].tolist() == [14, 11, 0]
        assert first["mask"].tolist() == [True, True, False]
        assert first["crowd"].tolist() == [False, True, False]
        assert not any(empty[name].any() for name in ("boxes", "labels", "mask", "crowd"))
        for example in (first, empty):
            assert info.shapes == {n: (v.shape, v.dtype) for n, v in example.items()}
        again = pickle.loads(pickle.dumps(source))
        np.testing.assert_array_equal(again[0]["image"], fit_image(noise(20, 40, 3), 80))

    def test_coco(self, tmp_path, monkeypatch):
        from tensorflow_datasets.object_detection import coco

        monkeypatch.setattr(coco, "tf", types.SimpleNamespace(int64=np.int64))  # all that it takes from it
        kinds = dict(tfds.builder("coco/2017", data_dir=tmp_path).info.features.items())
        kinds["objects"]["label"].names = [
            f"thing {k}" for k in range(80)
        ]  # as the builder does once it reads
        boxes = [
            {"id": 1, "area": 9, "bbox": WHOLE, "label": "thing 79", "is_crowd": c} for c in (True, False)
        ]
        # A grey image in a coloured set.
        example = {"image": png(noise(5, 5)), "image/filename": "a", "image/id": 3, "objects": boxes}
        source, info = open_boxed("coco", "train", str(prepare(tmp_path, kinds, [example], "coco")), 5, 2)
        assert info.classes == tuple(f"thing {k}" for k in range(80))
        (found,) = source
        assert found["labels"].tolist() == [79, 79]
        assert found["crowd"].tolist() == [True, False]
        np.testing.assert_array_equal(found["image"], np.repeat(noise(5, 5)[..., None], 3, axis=2))

    def test_without_flags_there_is_no_crowd(self, tmp_path):
        kinds = one_object(bbox=features.BBoxFeature(), label=features.ClassLabel(num_classes=2))
        examples = [{"image": png(noise(4, 4, 3)), "objects": [{"bbox": WHOLE, "label": 1}]}]
        source, _ = open_boxed("tiny", "train", str(prepare(tmp_path, kinds, examples)), 4, 1)
        assert not source[0]["crowd"].any()

    # With features that TFDS does not look at when it writes.
    CASES = (
        (
            [(0.2, 0.5, 0.1, 0.75), (0, 0, 1, 1)],
            0,
            "0.2, 0.5, 0.1, 0.75: expected a positive .*invalid_boxes=drop",
        ),
        ([(0.25, 0.5, 0.25, 0.75)], 0, "0.25, 0.5, 0.25, 0.75: expected a positive height and width"),
        ([(0.25, 0.5, 0.5, 0.5)], 0, "expected a positive height and width"),
        ([(-0.0005, 0, -0.0001, 1)], 0, "expected a positive height and width"),
        ([(0, 0, 1.002, 1)], 0, "0, 0, 1.002, 1: expected them from 0 to 1"),
        ([(0, -0.002, 1, 1)], 0, "0, -0.002, 1, 1: expected them from 0 to 1"),
        ([(0, 0, np.nan, 1)], 0, "0, 0, nan, 1: expected numbers"),
        ([(0, 0, np.inf, 1)], 0, "0, 0, inf, 1: expected numbers"),
        ([(0, 0, 1, 1)], 3, "the label 3: its 3 classes begin at 0"),
        ([(0, 0, 1, 1)], -1, "the label -1: its 3 classes begin at 0"),
        ([(0, 0, 1, 1)] * 3, 0, "3 objects: raise max_objects=2"),
        ([(-0.0009, 0, 1.0009, 1)] * 2, 2, None),
    )

    @pytest.fixture
    def bad(self, tmp_path):
        class Label(features.ClassLabel):
            def encode_example(self, label):
                return np.int64(label)

        kinds = one_object(bbox=features.Tensor(shape=(4,), dtype=np.float32), label=Label(num_classes=3))
        examples = [
            {
                "image": png(noise(10, 20, 3)),
                "objects": [{"bbox": np.array(b, np.float32), "label": label} for b in boxes],
            }
            for boxes, label, _ in self.CASES
        ]
        return str(prepare(tmp_path, kinds, examples))

    def test_bad_examples(self, bad):
        source, _ = open_boxed("tiny", "train", bad, 20, 2)
        for i, (_, _, message) in enumerate(self.CASES[:-1]):
            with pytest.raises(UsageError, match=f"^tiny: example {i} has .*{message}") as e:
                source[i]
            assert "\n" not in str(e.value)
        # What rounding put outside is clipped.
        np.testing.assert_array_equal(source[len(source) - 1]["boxes"], [[0, 0, 10, 20]] * 2)

    def test_invalid_boxes_may_be_dropped(self, bad):
        source, _ = open_boxed("tiny", "train", bad, 20, 1, "drop")
        assert source[0]["mask"].tolist() == [True]
        np.testing.assert_array_equal(source[0]["boxes"], [[0, 0, 10, 20]])
        for i in (1, 2, 3):
            assert not source[i]["mask"].any()
        for i, message in (
            (4, "from 0 to 1"),
            (6, "expected numbers"),
            (8, "the label 3"),
            (10, "3 objects"),
        ):
            with pytest.raises(UsageError, match=message):
                source[i]

    def test_a_damaged_image(self, tmp_path):
        kinds = one_object(bbox=features.BBoxFeature(), label=features.ClassLabel(num_classes=2))
        examples = [{"image": io.BytesIO(png(noise(4, 4, 3)).getvalue()[:40]), "objects": []}]
        source, _ = open_boxed("tiny", "train", str(prepare(tmp_path, kinds, examples)), 4, 1)
        with pytest.raises(UsageError, match="^tiny: example 0 cannot be read: .+ prepare the set again"):
            source[0]

    def test_sets_without(self, tmp_path):
        with pytest.raises(UsageError, match="^data=mnist_5k has no objects with boxes: .* or voc"):
            open_boxed("mnist_5k", "train", "", 8, 2)
        with pytest.raises(UsageError, match="^data=breast_cancer has no image: "):
            open_boxed("breast_cancer", "train", "", 8, 2)
        kinds = one_object(label=features.ClassLabel(num_classes=2))
        prepare(tmp_path, kinds, [{"image": png(noise(2, 2, 3)), "objects": []}], "no_boxes")
        with pytest.raises(UsageError, match="^data=no_boxes has no objects with boxes"):
            open_boxed("no_boxes", "train", str(tmp_path), 8, 2)
        kinds = one_object(
            bbox=features.BBoxFeature(bbox_format="XYWH"), label=features.ClassLabel(num_classes=2)
        )
        prepare(tmp_path, kinds, [{"image": png(noise(2, 2, 3)), "objects": []}], "other")
        with pytest.raises(UsageError, match="^data=other: bbox is XYWH: expected ymin, xmin, ymax, xmax"):
            open_boxed("other", "train", str(tmp_path), 8, 2)

    @pytest.mark.parametrize(("most", "invalid"), [(0, "error"), (1, "ignore")])
    def test_arguments(self, most, invalid):
        with pytest.raises(ValueError, match="open_boxed: expected max_objects"):
            open_boxed("voc", "train", "", 8, most, invalid)
