"""What figures share: grids of images, boxes in them, colours of classes, which to show, confusions."""

from collections.abc import Sequence
from typing import Any

import jax
import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure as MatplotlibFigure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from mi203jax import metrics

BACKGROUND = "#1f1f1f"
# Okabe and Ito's, and three of Tol's: colour-blind readers tell them apart, and from white and BACKGROUND.
OKABE_ITO = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")
COLOURS = (*OKABE_ITO, "#882255", "#ddcc77", "#117733")


def grid(rows: int, columns: int, size: float = 1.1, top: float = 0.5) -> tuple[MatplotlibFigure, np.ndarray]:
    """A figure with axes for images, without ticks.

    Args:
        rows: number of rows.
        columns: number of columns.
        size: of an image, in inches.
        top: height of what is above the images, in inches.

    Returns:
        The figure, and its axes `[rows, columns]`.
    """
    # Wide enough for the title.
    figure = MatplotlibFigure(figsize=(max(4.2, columns * size), rows * size + top), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for one in axes.flat:
        one.set(xticks=[], yticks=[])
    return figure, axes


def show(axes: Any, image: np.ndarray, **kwargs: Any) -> None:
    """An image of one channel in grey, of three in colour."""
    image = np.asarray(image, np.float32)
    if image.ndim == 3 and image.shape[-1] == 3:
        axes.imshow((image - min(0.0, image.min())) / max(1.0, np.ptp(image), image.max()), **kwargs)
    else:
        axes.imshow(image if image.ndim == 2 else image.mean(-1), **{"cmap": "gray", **kwargs})


def frame_of(canvas: FigureCanvasAgg) -> np.ndarray:
    """The figure as it is now, `[height, width, 3]`, uint8: a frame of an animation."""
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def class_colours(classes: Sequence[str]) -> np.ndarray:
    """A colour for each class, `[classes, 3]` in [0, 1]: one that is called background is dark."""
    things = sum(name != "background" for name in classes)
    few = [to_rgb(colour) for colour in COLOURS]
    many = matplotlib.colormaps["turbo"](np.linspace(0.05, 0.95, things))[:, :3]
    of_things = iter(few if things <= len(few) else many)
    dark = to_rgb(BACKGROUND)
    return np.array([dark if name == "background" else next(of_things) for name in classes])


def evenly(ranked: np.ndarray, number: int) -> np.ndarray:
    """The first, the last and some between them at even steps of rank, `number` or all if they are fewer."""
    return ranked[np.unique(np.linspace(0, len(ranked) - 1, number).round().astype(int))]


def draw_box(axes: Any, box: Sequence[float] | np.ndarray, colour: Any, **kwargs: Any) -> None:
    """The outline of a box (y0, x0, y1, x1), on axes that count pixels from the image's corner."""
    y0, x0, y1, x1 = box
    # The black edge sets it off from bright images.
    edge = withStroke(linewidth=kwargs.get("lw", 1.0) + 1.2, foreground="black")
    axes.add_patch(
        Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, ec=colour, path_effects=[edge], **kwargs)
    )


def name_box(axes: Any, box: Sequence[float] | np.ndarray, text: str, colour: np.ndarray) -> None:
    """A text above a box, or within where there is no room."""
    (_, width), (height, _) = axes.get_xlim(), axes.get_ylim()
    y, on_left = max(0.0, float(box[0])), box[1] < 0.7 * width
    axes.text(
        max(0.0, float(box[1])) if on_left else min(width, float(box[3])),
        y,
        text,
        ha="left" if on_left else "right",
        va="bottom" if y > 0.08 * height else "top",
        fontsize=7,
        color="black" if np.asarray(colour) @ (0.3, 0.6, 0.1) > 0.5 else "white",
        bbox={"fc": colour, "ec": "none", "pad": 0.6},
        clip_on=True,
    )


def crop(axes: Any, image: np.ndarray, box: np.ndarray, colour: Any) -> None:
    """A box with as much again around it, as far as the image goes."""
    shape = np.array(image.shape[:2])
    side = np.minimum(shape, max(16, int(2 * np.max(box[2:] - box[:2]))))
    y, x = np.clip(np.round((box[:2] + box[2:] - side) / 2), 0, shape - side).astype(int)
    height, width = side
    extent = (x, x + width, y + height, y)
    show(axes, np.asarray(image)[y : y + height, x : x + width], extent=extent)
    draw_box(axes, box, colour, lw=1.2)
    axes.set(xlim=extent[:2], ylim=extent[2:])


def confusion(scores: jax.Array, labels: jax.Array, classes: Sequence[str]) -> MatplotlibFigure:
    """Which class is taken for which."""
    matrix_of = jax.jit(metrics.confusion_matrix, static_argnums=2)
    table = np.asarray(matrix_of(np.asarray(scores).argmax(-1), labels, len(classes)))
    figure = MatplotlibFigure(figsize=(6.4, 6), layout="constrained")
    axes = figure.subplots()
    shares = table / np.maximum(1, table.sum(1, keepdims=True))
    axes.imshow(np.sqrt(shares), cmap="Purples", vmin=0, vmax=1)  # the root, to see the few mistakes
    for (i, j), count in np.ndenumerate(table) if len(classes) <= 20 else ():
        if count:
            axes.text(j, i, count, ha="center", va="center", color="white" if shares[i, j] > 0.3 else "black")
    ticks = range(len(classes))
    axes.set_xticks(ticks, classes, rotation=45 if max(map(len, classes)) > 3 else 0, ha="center")
    axes.set_yticks(ticks, classes)
    right = np.trace(table) / table.sum()
    axes.set(xlabel="predicted", ylabel="true", title=f"{right:.2%} of {table.sum():,} right")
    return figure
