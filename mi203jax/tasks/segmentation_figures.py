"""Figures of segmentation: maps of classes beside their truth, how good each class is, and the learning."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure as MatplotlibFigure
from matplotlib.patches import Patch

from mi203jax import metrics
from mi203jax.configs import Segmentation
from mi203jax.core.task import Animation, Figure
from mi203jax.data.feed import Arrays, Data
from mi203jax.tasks import supervised
from mi203jax.tasks.pictures import class_colours, evenly, frame_of, grid, show
from mi203jax.tasks.supervised import Problem, State

RIGHT, WRONG, UNKNOWN = "#b0b0b0", "#c00000", "#ffffff"
IMAGES, LEARNT = 6, 3
"""Images of the predictions, and of the animation."""


def figures(
    problem: Problem, c: Segmentation, state: State, data: Data, classes: Sequence[str]
) -> dict[str, Figure]:
    """All figures of a trained network, on the examples of the evaluation's split."""
    judged = jax.jit(functools.partial(supervised.judged, problem, c))(state, data)
    drawn: dict[str, Figure] = {
        "predictions": predictions(problem, c, state, data, judged["mean_iou_per_image"], classes),
        "iou_by_class": iou_by_class(judged["matrix"], classes),
    }
    if jax.tree.leaves(state.snapshots):
        varied = (np.asarray(judged["matrix"]).sum(-1) > 0).sum(-1)  # number of classes in each image
        some = np.argsort(-varied, kind="stable")[:LEARNT]
        drawn["learning"] = learning(problem, c, state, data, some, classes)
    return drawn


def class_maps(problem: Problem, c: Segmentation, state: State, data: Data, examples: Arrays) -> jax.Array:
    """The predicted class of each pixel, `[n, height, width]`."""
    batch = problem.prepare(c, examples, state.statistics, None)
    return supervised.predict(problem, c, state, data, batch["x"]).argmax(-1)


def predictions(
    problem: Problem, c: Segmentation, state: State, data: Data, iou: jax.Array, classes: Sequence[str]
) -> MatplotlibFigure:
    """Images from the best to the worst by their mean IoU: truth, prediction and errors."""
    values = np.asarray(iou)
    counted = int((~np.isnan(values)).sum()) or len(values)
    chosen = evenly(np.argsort(-values, kind="stable")[:counted], IMAGES)  # nan are the last
    some = {name: array[chosen] for name, array in data.test.items()}
    predicted = np.asarray(jax.jit(functools.partial(class_maps, problem, c))(state, data, some))
    true, colours = np.asarray(some["classes"]), class_colours(classes)
    figure, axes = grid(4, len(chosen), 1.45, 1.3)
    for column, i, image, truth, found in zip(axes.T, chosen, some["image"], true, predicted, strict=True):
        show(column[0], image, vmin=0, vmax=255)
        column[0].set_title(f"IoU {values[i]:.2f}", fontsize=10)
        maps = paint(truth, colours), paint(found, colours), errors(found, truth, len(classes))
        for one, picture in zip(column[1:], maps, strict=True):
            one.imshow(picture, interpolation="nearest")
    for one, name in zip(axes[:, 0], ("image", "truth", "prediction", "errors"), strict=True):
        one.set_ylabel(name)
    there = np.intersect1d(np.union1d(true, predicted), np.arange(len(classes)))
    legend = [Patch(color=to_hex(colours[k]), label=classes[k]) for k in there]
    legend += [Patch(color=RIGHT, label="right"), Patch(color=WRONG, label="wrong")]
    if ((true < 0) | (true >= len(classes))).any():
        legend.append(Patch(facecolor=UNKNOWN, edgecolor="black", label="unknown"))
    columns = min(7, 2 + len(chosen))
    figure.legend(handles=legend, loc="outside lower center", ncols=columns, fontsize=8)
    figure.suptitle(f"From the best to the worst of {counted:,} images" if counted > 1 else "The only image")
    return figure


def paint(maps: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """The colour of each pixel's class, `[..., 3]`; white where the class is none of them."""
    known = (maps >= 0) & (maps < len(colours))
    return np.concatenate([colours, [to_rgb(UNKNOWN)]])[np.where(known, maps, len(colours))]


def errors(predicted: np.ndarray, true: np.ndarray, num_classes: int) -> np.ndarray:
    """Grey where a map of classes is right, red where it is wrong, white where that is unknown."""
    known = ((true >= 0) & (true < num_classes))[..., None]
    grey, red, white = map(to_rgb, (RIGHT, WRONG, UNKNOWN))
    return np.where(known, np.where((predicted == true)[..., None], grey, red), white)


def iou_by_class(matrices: jax.Array, classes: Sequence[str]) -> MatplotlibFigure:
    """Intersection over union of each class on the whole set, and the mean over those that are there."""
    matrix = np.asarray(matrices, np.float64).sum(0)  # exact, however large the set
    iou = np.asarray(metrics.intersection_over_union(jnp.asarray(matrix, jnp.float32)))
    share = matrix.sum(1) / max(1.0, matrix.sum())
    places = np.arange(len(classes))
    figure = MatplotlibFigure(figsize=(6.4, 1.4 + 0.28 * len(classes)), layout="constrained")
    axes = figure.subplots()
    axes.barh(places, np.nan_to_num(iou), color=class_colours(classes))
    for place, value in enumerate(iou):
        text, right = "in no map" if np.isnan(value) else f"{value:.2f}", 0.01 + np.nan_to_num(value)
        axes.text(right, place, text, va="center", fontsize=9, bbox={"fc": "white", "ec": "none", "pad": 0})
    axes.set_yticks(places, [f"{name}   {s:.1%}" for name, s in zip(classes, share, strict=True)])
    axes.invert_yaxis()
    axes.set(xlim=(0, 1.08), xlabel="intersection over union", ylabel="class, its share of the true pixels")
    if np.isnan(iou).all():
        axes.set_title("No pixel counts")
        return figure
    mean = np.nanmean(iou)
    axes.axvline(mean, color="black", lw=1, ls="--", zorder=0)
    axes.set_title(f"Mean IoU {mean:.3f} (dashed) on {len(matrices):,} images")
    return figure


def learning(
    problem: Problem, c: Segmentation, state: State, data: Data, chosen: np.ndarray, classes: Sequence[str]
) -> Animation:
    """What is predicted for some images at each kept moment of the run, below the images and their truth."""
    some = {name: array[chosen] for name, array in data.test.items()}
    true = np.asarray(some["classes"])

    def moment(snapshot):
        params, layers = snapshot
        maps = class_maps(problem, c, state._replace(params=params, layers=layers), data, some)
        return maps, metrics.mean_iou(metrics.confusion_matrix(maps, jnp.asarray(true), len(classes)))

    maps, iou = map(np.asarray, jax.jit(lambda s: jax.lax.map(moment, s))(state.snapshots))
    steps = np.asarray(supervised.snapshot_iterations(len(maps), c.num_iterations)) * c.steps_per_iteration
    titles = [f"{c.data}   step {s:,}   mean IoU {value:.2f}" for s, value in zip(steps, iou, strict=True)]
    frames = _frames(some["image"], true, maps, titles, class_colours(classes))
    return Animation([*frames, *frames[-1:] * 12], 8.0)


def _frames(
    images: np.ndarray, true: np.ndarray, maps: np.ndarray, titles: list[str], colours: np.ndarray
) -> list[np.ndarray]:
    """A picture of each moment: the maps `[moments, n, height, width]`, below what stays the same."""
    figure, axes = grid(3, len(images), 1.65, 0.4)
    canvas = FigureCanvasAgg(figure)
    for one, image in zip(axes[0], images, strict=True):
        show(one, image, vmin=0, vmax=255)

    def put(row, classes):
        each = zip(row, paint(classes, colours), strict=True)
        return [one.imshow(picture, interpolation="nearest") for one, picture in each]

    put(axes[1], true)
    shown = put(axes[2], maps[0])
    for one, name in zip(axes[:, 0], ("image", "truth", "prediction"), strict=True):
        one.set_ylabel(name)
    figure.suptitle(titles[0])
    canvas.draw()
    figure.set_layout_engine("none")  # so that nothing moves but what is predicted
    frames = []
    for predicted, title in zip(maps, titles, strict=True):
        for picture, m in zip(shown, predicted, strict=True):
            picture.set_data(paint(m, colours))
        figure.suptitle(title)
        frames.append(frame_of(canvas))
    return frames
