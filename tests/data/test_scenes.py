"""Scenes of digits: what must hold in each, how often things happen, and one digit drawn by loops."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mi203jax.data.scenes import INK, digit_scenes, draw_digit, make_scene

ndimage = pytest.importorskip("scipy.ndimage")
stats = pytest.importorskip("scipy.stats")

pytestmark = pytest.mark.usefixtures("strict")

SCENES, SIZE, SLOTS = 300, 64, 8


def some_digits(n=40, side=28):
    """Soft blobs on black, as different from each other as digits are; image i is of class i % 10."""
    y, x = np.mgrid[:side, :side, :1][:2] / side
    cy, cx = np.random.default_rng(0).uniform(0.25, 0.75, (2, n, 1, 1, 3))
    images = np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 0.01).sum(-1, keepdims=True)
    return jnp.asarray(255 * np.minimum(images, 1), jnp.uint8), jnp.arange(n, dtype=jnp.uint8) % 10


DIGITS, LABELS = some_digits()
SQUARES = jnp.full_like(DIGITS, 255)
SMALL_SQUARES = jnp.zeros_like(DIGITS).at[:, 3:19, 8:24].set(255)  # of 16 pixels, off the centre


@jax.jit
def _draw(key, digits, overlap, visible):
    return digit_scenes(key, SCENES, digits, LABELS, overlap=overlap, visible=visible)


@cache
def draw(number, overlap=0.3, visible=0.5, digits="blobs"):
    """Many scenes as numpy arrays; all by one compiled program."""
    images = {"blobs": DIGITS, "squares": SQUARES, "small squares": SMALL_SQUARES}[digits]
    return jax.tree.map(np.asarray, _draw(jax.random.key(number), images, overlap, visible))


@pytest.fixture
def crowded():
    """Scenes with many overlaps, and the same when nothing is left out."""
    return draw(3, overlap=1.0, visible=0.75), draw(3, overlap=1.0, visible=0.0)


@pytest.fixture
def usual():
    return draw(4)


def objects(scenes):
    """(scene, slot) of each object that is there."""
    return zip(*np.nonzero(scenes.mask), strict=True)


class TestInvariants:
    def test_shapes_and_dtypes(self, usual):
        fields = {name: (a.shape, a.dtype.name) for name, a in usual._asdict().items()}
        assert fields == {
            "image": ((SCENES, SIZE, SIZE, 1), "uint8"),
            "classes": ((SCENES, SIZE, SIZE), "int32"),
            "instances": ((SCENES, SIZE, SIZE), "int32"),
            "boxes": ((SCENES, SLOTS, 4), "float32"),
            "labels": ((SCENES, SLOTS), "int32"),
            "mask": ((SCENES, SLOTS), "bool"),
        }

    def test_maps_and_objects_agree(self, crowded):
        for scenes in crowded:
            for i in range(SCENES):
                slots = np.unique(scenes.instances[i])
                assert set(slots[slots > 0] - 1) == set(np.flatnonzero(scenes.mask[i]))
                class_of_instance = np.r_[0, scenes.labels[i] + 1]
                np.testing.assert_array_equal(scenes.classes[i], class_of_instance[scenes.instances[i]])

    def test_empty_slots_are_zero(self, usual):
        assert not usual.boxes[~usual.mask].any()
        assert not usual.labels[~usual.mask].any()

    def test_boxes_are_legal_and_hold_their_pixels(self, crowded):
        scenes, _ = crowded
        for i, slot in objects(scenes):
            y, x = np.nonzero(scenes.instances[i] == slot + 1)
            top, left, bottom, right = scenes.boxes[i, slot]
            assert 0 <= top <= y.min()
            assert y.max() < bottom <= SIZE
            assert 0 <= left <= x.min()
            assert x.max() < right <= SIZE

    def test_boxes_are_tight_where_nothing_is_in_front(self, crowded):
        scenes, _ = crowded
        seen = 0
        for i in range(SCENES):
            if not scenes.mask[i].any():
                continue
            slot = np.flatnonzero(scenes.mask[i])[-1]  # in front of all others
            y, x = np.nonzero(scenes.instances[i] == slot + 1)
            np.testing.assert_array_equal(scenes.boxes[i, slot], [y.min(), x.min(), y.max() + 1, x.max() + 1])
            seen += 1
        assert seen > SCENES / 2

    def test_objects_are_brighter_than_the_background(self, usual):
        """Pixels with half the ink of a digit or more; and the background shows no digit."""
        assert usual.image[usual.instances > 0].min() >= 0.5 * 160
        empty = usual.image[~usual.mask.any(1)]
        assert len(empty) > 10
        assert empty.max() <= 128
        assert (empty.std((1, 2, 3)) > 1).all()


class TestOverlaps:
    def test_what_is_left_out_leaves_no_trace(self, crowded):
        """The same scenes, but for the objects that are too much covered and what they had covered."""
        scenes, whole = crowded
        assert (scenes.mask <= whole.mask).all()
        assert (scenes.mask < whole.mask).sum() > 20
        same = (scenes.mask == whole.mask).all(1)
        assert 20 < same.sum() < SCENES
        np.testing.assert_array_equal(scenes.image[same], whole.image[same])
        np.testing.assert_array_equal(scenes.boxes[scenes.mask], whole.boxes[scenes.mask])
        removed = (scenes.mask != whole.mask).any(1)
        assert (scenes.image[removed] != whole.image[removed]).any((1, 2, 3)).all()

    def test_enough_of_each_object_is_visible(self):
        """With squares, whose whole area is that of their box."""
        scenes = draw(0, overlap=1.0, visible=0.7, digits="squares")
        shares = []
        for i, slot in objects(scenes):
            top, left, bottom, right = scenes.boxes[i, slot]
            shares.append((scenes.instances[i] == slot + 1).sum() / ((bottom - top) * (right - left)))
        assert 0.7 <= min(shares) < 0.75
        assert max(shares) == 1

    def test_boxes_are_kept_apart(self, crowded, usual):
        """By most of the 16 places: never far above the limit, and far below what chance gives."""

        def in_common(scenes):
            shares = []
            for boxes, mask in zip(scenes.boxes, scenes.mask, strict=True):
                a, b = (boxes[mask][i] for i in np.triu_indices(mask.sum(), 1))
                sides = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
                areas = [(c[:, 2:] - c[:, :2]).prod(1) for c in (a, b)]
                shares.extend(np.maximum(sides, 0).prod(1) / np.minimum(*areas))
            return np.array(shares)

        # Boxes of whole pixels differ a little from those of real numbers by which places are chosen.
        limited, free = in_common(usual), in_common(crowded[1])
        assert (free > 0.4).mean() > 0.04
        assert (limited > 0.4).mean() < 0.002
        # And no farther than need be: below the limit, a place is as good as any.
        small = [((s > 0.05) & (s < 0.25)).mean() for s in (limited, free)]
        assert small[0] > 0.8 * small[1]

    def test_few_are_left_out_by_default(self, usual):
        whole = draw(4, visible=0.0)
        assert usual.mask.sum() > 0.99 * whole.mask.sum()


class TestChance:
    def test_number_of_objects_is_uniform(self):
        number = np.concatenate([draw(i, visible=0.0).mask.sum(1) for i in range(4, 8)])
        assert stats.chisquare(np.bincount(number, minlength=SLOTS + 1)).pvalue > 0.01

    def test_digits_are_chosen_uniformly(self, usual):
        counts = np.bincount(usual.labels[usual.mask], minlength=10)
        assert stats.chisquare(counts).pvalue > 0.01

    def test_scale_and_place_are_uniform(self):
        """The first square's box says where it is, and how large, up to a pixel: anywhere within the image."""
        some = [draw(i, visible=0.0, digits="small squares") for i in (1, 2)]
        boxes = np.concatenate([scenes.boxes[scenes.mask[:, 0], 0] for scenes in some])
        height, width = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
        assert abs(height - width).max() <= 1
        assert len(boxes) > 500
        assert stats.kstest((height / 16 - 0.6) / 0.8, stats.uniform.cdf).statistic < 0.1
        for start, side in ((boxes[:, 0], height), (boxes[:, 1], width)):
            assert stats.kstest(start / (SIZE - side), stats.uniform.cdf).statistic < 0.07


class TestKeys:
    def test_same_key_same_scene(self, usual):
        again = _draw(jax.random.key(4), DIGITS, 0.3, 0.5)
        jax.tree.map(np.testing.assert_array_equal, usual, again)
        assert (draw(5).image != usual.image).any((1, 2, 3)).all()
        assert (usual.image[1:] != usual.image[:-1]).any((1, 2, 3)).all()

    def test_many_are_single_scenes(self, usual):
        make = jax.jit(jax.vmap(lambda k: make_scene(k, DIGITS, LABELS)))
        single = jax.tree.map(np.asarray, make(jax.random.split(jax.random.key(4), SCENES)[-3:]))
        for name in ("instances", "classes", "boxes", "labels", "mask"):
            np.testing.assert_array_equal(getattr(single, name), getattr(usual, name)[-3:])
        np.testing.assert_allclose(single.image.astype(int), usual.image[-3:].astype(int), atol=1)


def drawn_by_loops(ink, zoom, corner, size):
    """Each pixel is the mean of its neighbours' ink, weighed by a triangle as wide as a pixel of either grid."""
    out, width = np.zeros((size, size)), max(1.0, 1 / zoom)
    side = len(ink)

    def weights(position, start):
        source = (position + 0.5 - start) / zoom - 0.5
        w = np.array([max(0.0, 1 - abs(source - k) / width) for k in range(side)])
        return w / w.sum() if -0.5 <= source <= side - 0.5 else 0 * w

    for y in range(size):
        for x in range(size):
            out[y, x] = weights(y, corner[0]) @ ink @ weights(x, corner[1])
    return out


class TestDrawDigit:
    @pytest.mark.parametrize("zoom", [0.6, 1.0, 1.37])
    def test_equals_loops(self, zoom):
        ink, corner = np.asarray(DIGITS[3, :, :, 0], np.float32) / 255, np.asarray([7.3, -2.6], np.float32)
        ours = jax.jit(draw_digit, static_argnums=3)(jnp.asarray(ink), jnp.float32(zoom), corner, 48)
        np.testing.assert_allclose(ours, drawn_by_loops(ink, zoom, corner, 48), atol=1e-5)

    def test_at_its_own_size_it_is_a_copy(self):
        ink = jnp.asarray(DIGITS[0, :, :, 0], jnp.float32) / 255
        drawn = draw_digit(ink, jnp.float32(1), jnp.float32([5, 9]), 40)
        np.testing.assert_allclose(drawn, np.pad(ink, ((5, 7), (9, 3))), atol=1e-6)

    def test_a_scene_shows_it(self):
        """Of one digit at its own size, the pixels are those of a drawing at some corner, of one brightness."""
        digit = jnp.zeros((1, 28, 28, 1), jnp.uint8).at[0, 6:22, 9:14].set(255).at[0, 17:22, 9:24].set(255)
        make = jax.jit(partial(make_scene, max_objects=1, scale=(1.0, 1.0)))
        scenes = (make(k, digits=digit, labels=LABELS[5:6]) for k in jax.random.split(jax.random.key(0), 9))
        scene = next(s for s in scenes if s.mask[0])
        ink = jnp.asarray(digit[0, :, :, 0], jnp.float32) / 255
        shifts = np.linspace(-1, 1, 21)
        near = np.asarray(scene.boxes[0, :2]) - [6, 9]
        corners = jnp.asarray([[near[0] + i, near[1] + j] for i in shifts for j in shifts], jnp.float32)
        drawn = jax.jit(jax.vmap(partial(draw_digit, ink, jnp.float32(1), size=SIZE)))(corners)
        wrong = ((drawn >= INK) != (scene.instances == 1)[None]).sum((1, 2))
        assert wrong.min() == 0
        inner = ndimage.binary_erosion(scene.instances == 1, np.ones((3, 3)))
        values = np.asarray(scene.image[..., 0])[inner]
        assert len(values) > 60
        assert 160 <= values.min() == values.max()
        assert (scene.classes == 6 * scene.instances).all()


class TestWrongInput:
    @pytest.mark.parametrize(
        ("digits", "labels", "message"),
        [
            (DIGITS[..., 0], LABELS, r"expected digits \[n, side, side, 1\]"),
            (DIGITS[:, :20], LABELS, r"expected digits \[n, side, side, 1\]"),
            (DIGITS[:0], LABELS[:0], "n > 0"),
            (DIGITS.astype(jnp.float32), LABELS, "expected digits in uint8, got float32"),
            (DIGITS, LABELS[:-1], r"expected integer labels \[40\]"),
            (DIGITS, LABELS.astype(jnp.float32), r"expected integer labels \[40\]"),
        ],
    )
    def test_arrays(self, key, digits, labels, message):
        with pytest.raises(ValueError, match=f"make_scene: .*{message}"):
            make_scene(key, digits, labels)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"size": 39}, "expected size of at least 28 · 1.4 pixels, got 39"),
            ({"size": 64.0}, "expected size to be a positive int"),
            ({"max_objects": 0}, "expected max_objects to be a positive int"),
            ({"scale": (1.2, 0.8)}, "expected scale"),
            ({"scale": (0.0, 1.0)}, "expected scale"),
            ({"scale": 1.0}, "expected scale"),
        ],
    )
    def test_options(self, key, options, message):
        with pytest.raises(ValueError, match=f"make_scene: {message}"):
            make_scene(key, DIGITS, LABELS, **options)

    @pytest.mark.parametrize("number", [0, 2.0])
    def test_number(self, key, number):
        with pytest.raises(ValueError, match="digit_scenes: expected num_scenes to be a positive int"):
            digit_scenes(key, number, DIGITS, LABELS)
