"""What sets of labelled images must be for the tasks that use them."""

from mi203jax.configs import GAN
from mi203jax.configs.images import Images
from mi203jax.core.errors import UsageError
from mi203jax.data.splits import split_source

FEATURES = ("image", "label")


def labelled_images(c: Images | GAN) -> tuple[int, int, int]:
    """Height, width and channels of the images of the configuration's set.

    Raises:
        UsageError: if the set cannot be read, or has no images with one label each.
    """
    _, info = split_source(c.data, c.train_split, c.data_dir, FEATURES)
    image, label = (info.shapes[name][0] for name in FEATURES)
    if len(info.classes) < 2 or label != ():
        raise UsageError(
            f"data={c.data} has {len(info.classes)} named classes and labels of shape {label}: expected two "
            "classes or more, and one label an image."
        )
    known = tuple(n for n in image if n is not None)
    if len(image) != 3 or len(known) != 3:
        raise UsageError(f"data={c.data} has images of shape {image}: expected (height, width, channels).")
    return known


def halved_images(c: Images | GAN) -> tuple[int, int, int]:
    """As `labelled_images`, for networks that halve images in each stage, and double them again.

    Raises:
        UsageError: also if the sides of the images cannot be halved so often.
    """
    height, width, channels = labelled_images(c)
    least = 2 ** len(c.channels)
    if height % least or width % least:
        raise UsageError(
            f"data={c.data} has images of {height}×{width} pixels, and {len(c.channels)} stages of "
            f"channels=(…) halve them: expected multiples of {least}, or fewer stages."
        )
    return height, width, channels
