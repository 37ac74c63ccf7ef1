"""What figures show, read back from them, and small images to draw."""

import jax.numpy as jnp
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg


def draw(figure):
    FigureCanvasAgg(figure).draw()


def labels_under(figure):
    return [axes.get_xlabel() for axes in figure.axes if axes.get_xlabel()]


def points(line):
    """x and y."""
    return np.array(line.get_data(), float)


def shown_in(axes):
    """The picture."""
    return np.asarray(axes.images[0].get_array())


def pixels(images):
    return np.asarray(images, np.float32).reshape(len(images), -1) / 16


def blobs(n, channels=1, seed=0):
    """Images of 8×8 pixels, of numbers from 0 to 16."""
    places = np.random.default_rng(seed).uniform(1, 6, (n, 2, channels))
    y, x = np.mgrid[:8, :8][..., None]
    images = 16 * np.exp(-((y - places[:, 0, None, None]) ** 2 + (x - places[:, 1, None, None]) ** 2) / 4)
    images[0, 0, 0] = 16  # the brightest
    return jnp.asarray(images.round(), jnp.uint8)
