"""Images, masks and boxes on squares: against torch and closed forms."""

import numpy as np
import pytest

from mi203jax.data.squares import fit_boxes, fit_image, fit_mask, fit_shape

torch = pytest.importorskip("torch")

SHAPES = [(40, 80), (97, 61), (16, 16), (7, 20), (300, 41), (1, 200)]
SIZE = 32


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


class TestFitShape:
    @pytest.mark.parametrize(
        ("shape", "size", "expected"),
        [
            ((480, 640), 64, (48, 64)),
            ((640, 480), 64, (64, 48)),
            ((3, 4), 8, (6, 8)),
            ((5, 5), 9, (9, 9)),
            ((333, 500), 128, (85, 128)),  # 85.2
            ((335, 500), 128, (86, 128)),  # 85.8
            ((500, 335), 128, (128, 86)),
            ((1, 1000), 64, (1, 64)),
        ],
    )
    def test_closed_form(self, shape, size, expected):
        assert fit_shape(shape, size) == expected

    @pytest.mark.parametrize(("shape", "size"), [((0, 5), 8), ((5, 5), 0)])
    def test_refusals(self, shape, size):
        with pytest.raises(ValueError, match="fit_shape: expected positive"):
            fit_shape(shape, size)


class TestFitImage:
    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize("channels", [1, 3, 4])
    def test_is_torchs_interpolation_padded(self, shape, channels):
        image = noise(*shape, channels)
        height, width = fit_shape(shape, SIZE)
        expected = torch.nn.functional.interpolate(
            torch.tensor(image).movedim(-1, 0)[None].float(), (height, width), mode="bilinear", antialias=True
        )[0].movedim(0, -1)
        square = fit_image(image, SIZE)
        assert (square.shape, square.dtype) == ((SIZE, SIZE, channels), np.uint8)
        # Pillow rounds after each of the two axes.
        assert np.abs(square[:height, :width] - expected.numpy()).max() <= 1.01
        assert not square[height:].any()
        assert not square[:, width:].any()

    @pytest.mark.parametrize("image", [noise(4, 4), noise(4, 4, 3).astype(np.float32)])
    def test_refusals(self, image):
        with pytest.raises(ValueError, match="fit_image: expected uint8 .height, width, channels., got"):
            fit_image(image, SIZE)


class TestFitMask:
    @pytest.mark.parametrize("shape", SHAPES)
    def test_takes_the_pixel_in_which_the_centre_lies(self, shape):
        mask = noise(*shape)
        fitted = fit_shape(shape, SIZE)
        rows, columns = ((2 * np.arange(m) + 1) * n // (2 * m) for m, n in zip(fitted, shape, strict=True))
        square = fit_mask(mask, SIZE, fill=9)
        np.testing.assert_array_equal(square[: fitted[0], : fitted[1]], mask[np.ix_(rows, columns)])
        assert (square[fitted[0] :] == 9).all()
        assert (square[:, fitted[1] :] == 9).all()

    def test_padding_is_unknown(self):
        assert fit_mask(np.zeros((1, 2), np.uint8), 2).tolist() == [[0, 0], [255, 255]]

    @pytest.mark.parametrize("mask", [noise(4, 4, 1), noise(4, 4).astype(np.int32)])
    def test_refusals(self, mask):
        with pytest.raises(ValueError, match="fit_mask: expected uint8 .height, width., got"):
            fit_mask(mask, SIZE)


class TestFitBoxes:
    def test_closed_form(self):
        boxes = np.array([[0, 0, 20, 10], [5, 2, 10, 4]])
        fitted = fit_boxes(boxes, (20, 10), 50)
        np.testing.assert_array_equal(fitted, [[0, 0, 50, 25], [12.5, 5, 25, 10]])
        assert fitted.dtype == np.float32

    def test_the_whole_image_stays_whole_where_its_shape_is_rounded(self):
        for shape in SHAPES:
            fitted = fit_boxes(np.array([[0, 0, *shape]]), shape, SIZE)
            np.testing.assert_array_equal(fitted[0], [0, 0, *fit_shape(shape, SIZE)])

    def test_none(self):
        assert fit_boxes(np.zeros((0, 4)), (3, 4), 8).shape == (0, 4)

    def test_refusals(self):
        with pytest.raises(ValueError, match="fit_boxes: expected boxes .n, 4., got .4,."):
            fit_boxes(np.zeros(4), (3, 4), 8)


@pytest.mark.parametrize("shape", [(60, 90), (97, 61), (20, 13), (32, 32), (150, 40)])
def test_image_mask_and_box_agree(shape):
    rng = np.random.default_rng(1)
    scale = SIZE / max(shape)
    for _ in range(20):
        # More than two pixels of the square and of the image, so that no blur goes through.
        least = int(np.ceil(3 * max(1, 1 / scale)))
        y0, x0 = (rng.integers(0, n - least + 1) for n in shape)
        y1, x1 = rng.integers(y0 + least, shape[0] + 1), rng.integers(x0 + least, shape[1] + 1)
        image = np.zeros((*shape, 1), np.uint8)
        image[y0:y1, x0:x1] = 255
        mask = (image[..., 0] > 0).astype(np.uint8)
        top, left, bottom, right = fit_boxes(np.array([[y0, x0, y1, x1]]), shape, SIZE)[0]
        y, x = np.indices((SIZE, SIZE)) + 0.5
        within = np.minimum(np.minimum(y - top, bottom - y), np.minimum(x - left, right - x))
        height, width = fit_shape(shape, SIZE)
        inside = (y < height) & (x < width) & (np.abs(within) > 1e-4)  # on an edge, either is right
        np.testing.assert_array_equal(fit_mask(mask, SIZE)[inside] == 1, within[inside] > 0)
        sure = np.abs(within) > 0.5 * max(1, scale)  # where a box's corner is not rounded off
        painted = fit_image(image, SIZE)[..., 0] > 127
        np.testing.assert_array_equal(painted[sure], within[sure] > 0)
