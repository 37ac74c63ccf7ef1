"""What segmentation and detection share: made scenes, and images that move with their truth."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from mi203jax.configs import Detection, Segmentation
from mi203jax.core.errors import UsageError
from mi203jax.data import load
from mi203jax.tasks import scenes
from mi203jax.tasks.motion import random_motion

C = Segmentation(
    size=32, smallest=0.5, largest=1.0, max_objects=4, channels=(4, 8), eval_scenes=6, batch_size=4
)
pytestmark = pytest.mark.usefixtures("few_fitted")
made_batch = jax.jit(lambda feed, key, t, n: feed.batch(key, t, n), static_argnums=3)
KEY = jax.random.key(0)


def tight(mask):
    rows, columns = np.nonzero(mask)
    return [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]


class TestMadeScenes:
    def test_training_never_repeats_and_does_not_depend_on_the_trial_alone(self):
        feed = scenes.made_scenes(C).train
        batches = [made_batch(feed, key, t, 4)["image"] for key in jax.random.split(KEY) for t in (0, 1)]
        images = np.concatenate([np.asarray(b) for b in batches]).reshape(16, -1)
        assert len(np.unique(images, axis=0)) == 16
        np.testing.assert_array_equal(batches[0], made_batch(feed, jax.random.split(KEY)[0], 0, 4)["image"])

    def test_splits_have_other_digits(self):
        data = scenes.made_scenes(C)
        train, test = (load("mnist_5k", s).arrays["image"] for s in ("train", "test"))
        np.testing.assert_array_equal(data.train.digits, train)
        both = {i.tobytes() for i in train} & {i.tobytes() for i in test}
        assert not both

    def test_digits_are_those_of_their_split(self):
        """With one digit in each split there is one label in each."""
        c = replace(C, train_split="train[0:1]", eval_split="test[1:2]")
        train, test = (load("mnist_5k", s).arrays["label"][0] for s in (c.train_split, c.eval_split))
        assert train != test
        data = scenes.made_scenes(c)
        batch = made_batch(data.train, KEY, 0, 8)
        for arrays, label in ((batch, train), (data.test, test)):
            np.testing.assert_array_equal(np.unique(arrays["labels"][arrays["mask"]]), [label])
            np.testing.assert_array_equal(np.unique(arrays["classes"]), [0, 1 + label])

    def test_they_are_the_same_for_all_trials_and_seeds(self):
        a, b = (scenes.made_scenes(replace(C, seed=s, learning_rate=0.1 * (s + 1))).test for s in (0, 1))
        np.testing.assert_array_equal(a["image"], b["image"])


class TestMoved:
    """Against masks that are painted, moved with their image, and measured again."""

    @pytest.mark.parametrize(
        "augmentations", [("flip",), ("shift",), ("affine",), ("shift", "flip", "affine")]
    )
    def test_image_classes_and_boxes_stay_together(self, augmentations):
        c = replace(C, augment=augmentations, rotation=30.0, zoom=0.2, translation=3.0, shear=0.1)
        classes = jnp.zeros((32, 32), jnp.int32).at[10:18, 12:22].set(3)
        example = {
            "image": 255.0 * (classes == 3)[..., None].astype(jnp.float32),
            "classes": classes,
            "boxes": jnp.array([[10.0, 12, 18, 22], [0, 0, 0, 0]]),
            "mask": jnp.array([True, False]),
        }

        @jax.jit
        def move(keys):
            return jax.vmap(lambda k: scenes.moved(example, random_motion(c, k)))(keys)

        moved = move(jax.random.split(KEY, 40))
        changed = 0
        for image, classes, boxes, mask in zip(
            *(np.asarray(moved[n]) for n in ("image", "classes", "boxes", "mask")), strict=True
        ):
            inside = classes == 3
            # The interpolated image is bright where the nearest pixel's class is that of the thing.
            assert ((image[..., 0] > 128) == inside)[ndimage.binary_erosion(inside)].all()
            assert not (image[..., 0] > 128)[~ndimage.binary_dilation(inside)].any()
            np.testing.assert_array_equal(mask, [True, False])
            np.testing.assert_allclose(boxes[0], tight(inside), atol=1.5)
            if "affine" not in augmentations:
                np.testing.assert_array_equal(boxes[0], tight(inside))
            changed += boxes[0].tolist() != [10, 12, 18, 22]
        assert changed > 10

    def test_what_comes_in_is_of_no_class(self):
        example = {"image": jnp.ones((8, 8, 1)), "classes": jnp.ones((8, 8), jnp.int32)}
        matrix = jnp.array([[1.0, 0, 3], [0, 1, 0]])  # three pixels down
        moved = scenes.moved(example, matrix)
        np.testing.assert_array_equal(moved["classes"][:3], np.full((3, 8), 255))
        np.testing.assert_array_equal(moved["classes"][3:], np.ones((5, 8)))
        np.testing.assert_array_equal(moved["image"][:3], np.zeros((3, 8, 1)))

    def test_things_that_leave_are_not_to_be_found(self):
        example = {
            "image": jnp.ones((8, 8, 1)),
            "boxes": jnp.array([[0.0, 0, 4, 4], [4, 4, 8, 8], [2, 2, 6, 6]]),
            "mask": jnp.ones(3, bool),
        }
        moved = scenes.moved(example, jnp.array([[1.0, 0, 3], [0, 1, 0]]))
        np.testing.assert_array_equal(moved["mask"], [True, False, True])  # 4/4, 1/4 and 3/4 are left
        np.testing.assert_array_equal(moved["boxes"], [[3, 0, 7, 4], [7, 4, 8, 8], [5, 2, 8, 6]])


def grey(size):
    return {
        "image": jnp.full((2, size, size, 1), 10, jnp.uint8),
        "classes": jnp.ones((2, size, size), jnp.int32),
    }


ready_of = jax.jit(scenes.ready)
STATISTICS = scenes.Statistics(jnp.array([8.0]), jnp.array([2.0]))


class TestReady:
    def test_judged_images_are_only_standardised(self):
        c = replace(C, augment=("flip", "affine", "noise"))
        ready = ready_of(c, grey(8), STATISTICS, None)
        np.testing.assert_array_equal(ready["x"], np.ones((2, 8, 8, 1)))
        np.testing.assert_array_equal(ready["classes"], grey(8)["classes"])

    def test_noise_is_in_standard_deviations_and_changes_no_truth(self):
        c = replace(C, augment=("noise",), noise=3.0)
        ready = ready_of(c, grey(64), STATISTICS, KEY)
        assert float(ready["x"].std()) == pytest.approx(3.0, rel=0.05)
        assert float(ready["x"].mean()) == pytest.approx(1.0, abs=0.2)
        np.testing.assert_array_equal(ready["classes"], grey(64)["classes"])

    def test_each_image_moves_by_itself(self):
        c = replace(C, augment=("affine",), translation=3.0)
        image = jax.random.uniform(KEY, (1, 16, 16, 1), maxval=255).repeat(4, 0)
        ready = ready_of(c, {"image": image}, scenes.Statistics(jnp.zeros(1), jnp.ones(1)), KEY)
        assert len(np.unique(np.asarray(ready["x"]).reshape(4, -1), axis=0)) == 4


@pytest.mark.parametrize(
    ("config", "fields", "message"),
    [
        (Segmentation, {"size": 68}, "size=68: expected a multiple of 8, since 4 stages halve it"),
        (Segmentation, {"channels": ()}, "channels=\\(\\): expected one stage or more"),
        (Segmentation, {"size": 32}, "size=32 is too small for digits of 28 × largest=1.4 pixels"),
        (Segmentation, {"smallest": 1.5}, "smallest=1.5 is larger than largest=1.4"),
        (Segmentation, {"feed": "stream"}, "feed=stream: data=digit_scenes is made, not read"),
        (Segmentation, {"data_dir": "x"}, "data_dir=x: data=digit_scenes is made, not read"),
        (Segmentation, {"data": "voc", "overlap": 0.1}, "overlap=0.1 is of data=digit_scenes, not of voc"),
        (Segmentation, {"mask_classes": 3}, "mask_classes=3: data=digit_scenes has 11"),
        (Segmentation, {"frames": 1}, "frames=1: expected 0, or 2 or more"),
        (
            Segmentation,
            {"augment": ("mix_up",)},
            "augment=\\(mix_up\\): Choose one of: affine, flip, noise, shift",
        ),
        (Detection, {"stride": 3}, "stride=3: expected a power of 2, at most 8"),
        (Detection, {"stride": 16}, "stride=16: expected a power of 2, at most 8"),
        (Detection, {"borders": (20, 10)}, "borders=\\(20, 10\\): expected two sides in order"),
        (Detection, {"invalid_boxes": "drop"}, "invalid_boxes=drop: data=digit_scenes has none"),
    ],
)
def test_fields_that_do_not_fit(config, fields, message):
    with pytest.raises(UsageError, match=message):
        config(**fields)
