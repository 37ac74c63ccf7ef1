"""Images of any size on squares of one size, with their masks and boxes.

An image keeps its aspect: its longer side becomes that of the square. What is left of the square, below or to
the right, is padding: black in the image, of no class in the mask, without boxes.
"""

import numpy as np
from PIL import Image

UNKNOWN = 255
"""The class of pixels that do not count."""


def fit_shape(shape: tuple[int, int], size: int) -> tuple[int, int]:
    """Height and width whose longer is `size`, in the proportion of `shape`, rounded, at least 1 pixel.

    Args:
        shape: (height, width) of an image.
        size: height and width of the square.

    Raises:
        ValueError: if a number is not positive.
    """
    height, width = shape
    if min(height, width, size) < 1:
        raise ValueError(f"fit_shape: expected positive shape and size, got {shape} and {size}.")
    longer = max(height, width)
    return max(1, round(height * size / longer)), max(1, round(width * size / longer))


def fit_image(image: np.ndarray, size: int) -> np.ndarray:
    """Resizes an image by linear interpolation, averaging where it shrinks, and pads it with 0 to a square.

    Args:
        image: `[height, width, channels]`, uint8.
        size: height and width of the square.

    Returns:
        `[size, size, channels]`, uint8; the image is in its upper left part, of `fit_shape`.

    Raises:
        ValueError: if shape, dtype or size do not fit.
    """
    if image.ndim != 3 or image.dtype != np.uint8:
        raise ValueError(
            f"fit_image: expected uint8 [height, width, channels], got {image.dtype} {image.shape}."
        )
    height, width = fit_shape((image.shape[0], image.shape[1]), size)
    square = np.zeros((size, size, image.shape[2]), np.uint8)
    for channel in range(image.shape[2]):
        plane = Image.fromarray(np.ascontiguousarray(image[..., channel]))
        resized = plane.resize((width, height), Image.Resampling.BILINEAR)
        square[:height, :width, channel] = np.asarray(resized)
    return square


def fit_mask(mask: np.ndarray, size: int, fill: int = UNKNOWN) -> np.ndarray:
    """Resizes a mask as `fit_image` does its image; each pixel takes the value of the nearest one.

    Args:
        mask: `[height, width]`, uint8.
        size: height and width of the square.
        fill: value of the padding.

    Returns:
        `[size, size]`, uint8.

    Raises:
        ValueError: if shape, dtype or size do not fit.
    """
    if mask.ndim != 2 or mask.dtype != np.uint8:
        raise ValueError(f"fit_mask: expected uint8 [height, width], got {mask.dtype} {mask.shape}.")
    height, width = fit_shape((mask.shape[0], mask.shape[1]), size)
    square = np.full((size, size), fill, np.uint8)
    plane = Image.fromarray(np.ascontiguousarray(mask))
    square[:height, :width] = np.asarray(plane.resize((width, height), Image.Resampling.NEAREST))
    return square


def fit_boxes(boxes: np.ndarray, shape: tuple[int, int], size: int) -> np.ndarray:
    """Moves boxes as `fit_image` does their image; not rounded.

    Args:
        boxes: (y0, x0, y1, x1) in pixels of the image, ends exclusive, `[n, 4]`, of any number type.
        shape: (height, width) of the image.
        size: height and width of the square.

    Returns:
        In pixels of the square, `[n, 4]`, float32.

    Raises:
        ValueError: if shapes or size do not fit.
    """
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"fit_boxes: expected boxes [n, 4], got {boxes.shape}.")
    scale = np.divide(fit_shape(shape, size), shape)
    return (boxes * np.tile(scale, 2)).astype(np.float32)
