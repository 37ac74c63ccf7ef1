"""Figures of detection: boxes on images, precision by recall, by size, the worst misses, heat maps.

All but `heat` are of any detector that is judged by "boxes" `[n, k, 4]`, "labels" and "scores" `[n, k]`.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure as MatplotlibFigure

from mi203jax import boxes, metrics
from mi203jax.configs.detection import Boxes
from mi203jax.core.task import Figure
from mi203jax.data.feed import Arrays, Data
from mi203jax.metrics.detection import THRESHOLDS
from mi203jax.tasks import supervised
from mi203jax.tasks.pictures import class_colours, crop, draw_box, evenly, grid, name_box, show
from mi203jax.tasks.supervised import Problem, State

MATCHED, SURE = 0.5, 0.3
"""IoU from which a detection finds an object, and score from which it is shown."""
NEAR = 0.1
"""IoU from which a false detection is said to be near an object."""
IMAGES, HEAT_MAPS, ACROSS = 8, 4, 6
WHOLE: dict[str, Any] = {"vmin": 0, "vmax": 255}  # of uint8, so that images can be compared
ORANGE, BLUE = "#e69f00", "#0072b2"


def figures(
    problem: Problem, c: Boxes, state: State, data: Data, classes: Sequence[str]
) -> dict[str, Figure]:
    """All figures of a trained detector, on the examples of the evaluation's split."""
    judged = jax.jit(functools.partial(supervised.judged, problem, c))(state, data)
    found, truth = found_and_true(judged, data.test)
    borders = [float(side) ** 2 for side in c.borders]
    precision = jax.jit(
        lambda f, t: metrics.average_precision(f, t, len(classes), borders=borders).precision[..., -1]
    )(found, truth)
    matches, images = match(found, truth), data.test["image"]
    scores = np.where(np.asarray(truth.mask).any(1), f_scores(matches, found), np.nan)
    ranked = np.argsort(-scores, kind="stable")  # images without objects are the last
    ranked = ranked[: (~np.isnan(scores)).sum() or len(ranked)]
    drawn: dict[str, Figure] = {
        "detections": detections(images, evenly(ranked, IMAGES), found, truth, matches, classes),
        "precision_recall": precision_recall(precision, classes),
        "ap_by_size": ap_by_size(precision, truth, c.borders),
        "misses": misses(images, found, truth, matches, classes),
    }
    return drawn


def found_and_true(judged: Arrays, examples: Arrays) -> tuple[metrics.Detections, metrics.GroundTruth]:
    """What a detector finds, a score of 0 being none, and what there is."""
    scores = judged["scores"]
    found = metrics.Detections(judged["boxes"], scores, judged["labels"], scores > 0)
    arrays = {n: jnp.asarray(examples[n]) for n in ("boxes", "labels", "mask", "crowd") if n in examples}
    return found, metrics.GroundTruth(**arrays)


class Matches(NamedTuple):
    """Which detections find which objects, where an IoU of `MATCHED` finds."""

    iou: np.ndarray  # [n, k, g]; 0 with what is not there
    right: np.ndarray  # detections that find an object which no surer one has, [n, k]
    false: np.ndarray  # those that find none and are not on a crowd, [n, k]
    wanted: np.ndarray  # objects that are to be found, [n, g]
    found: np.ndarray  # those of them on which there is a detection of their class, [n, g]


def match(found: metrics.Detections, truth: metrics.GroundTruth) -> Matches:
    """Gives each object to the surest detection of its class that finds it, and to each detection one."""
    mask = np.asarray(found.mask)
    there = mask[:, :, None] & np.asarray(truth.mask)[:, None]
    a, b = (jnp.asarray(x.boxes, jnp.float32) for x in (found, truth))
    iou = np.where(there, np.asarray(boxes.intersection_over_union(a, b)), 0)
    same = np.asarray(found.labels)[:, :, None] == np.asarray(truth.labels)[:, None]
    crowd = np.zeros(truth.mask.shape, bool) if truth.crowd is None else np.asarray(truth.crowd)
    own = np.where(same & ~crowd[:, None], iou, 0)
    right, taken, rows = np.zeros_like(mask), np.zeros_like(crowd), np.arange(len(mask))
    for surest in np.argsort(-np.asarray(found.scores), 1, kind="stable").T:
        free = np.where(taken, 0, own[rows, surest])
        best = free.argmax(1)
        right[rows, surest] = free[rows, best] >= MATCHED
        taken[rows, best] |= right[rows, surest]
    # |A ∩ B| / |A| of detections A and crowds B, as COCO takes it, from |A ∩ B| / |A ∪ B|.
    areas = (np.asarray(boxes.area(x)) for x in (a, b))
    area, true_area = np.maximum(next(areas), 1e-9)[:, :, None], next(areas)[:, None]
    within = iou / (1 + iou) * (1 + true_area / area)
    on_crowd = (same & crowd[:, None] & (within >= MATCHED)).any(2)
    wanted = np.asarray(truth.mask) & ~crowd
    return Matches(iou, right, mask & ~right & ~on_crowd, wanted, np.any(own >= MATCHED, 1))


def f_scores(matches: Matches, found: metrics.Detections) -> np.ndarray:
    """2 P R / (P + R) of the sure detections in each image, `[n]`; 1 where nothing is, and nothing found."""
    sure = np.asarray(found.scores) >= SURE
    right, false = (matches.right & sure).sum(1), (matches.false & sure).sum(1)
    number = right + false + matches.wanted.sum(1)
    return np.where(number > 0, 2 * right / np.maximum(1, number), 1.0)


def detections(
    images: np.ndarray,
    chosen: np.ndarray,
    found: metrics.Detections,
    truth: metrics.GroundTruth,
    matches: Matches,
    classes: Sequence[str],
) -> MatplotlibFigure:
    """What is found in some images, with scores, and dashed, what there is."""
    colours, scores = class_colours(classes), f_scores(matches, found)
    columns = min(4, len(chosen))
    figure, axes = grid(-(-len(chosen) // columns), columns, 2.5, 1.0)
    for one, i in zip(axes.flat, chosen, strict=False):
        height, width = images[i].shape[:2]
        show(one, images[i], extent=(0, width, height, 0), **WHOLE)
        one.set(xlim=(0, width), ylim=(height, 0), title=f"F-score {scores[i]:.2f}")
        for j in np.flatnonzero(np.asarray(truth.mask[i])):
            y0, x0, y1, x1 = np.asarray(truth.boxes[i, j])
            draw_box(one, (y0, x0, y1, x1), "white", lw=0.9, ls="--")
            one.text(x1, y1, classes[int(truth.labels[i, j])], color="white", fontsize=7, ha="left", va="top")
        named: dict[tuple[float, ...], list[int]] = {}
        for j in np.argsort(-np.asarray(found.scores[i]), kind="stable"):
            if found.scores[i, j] >= SURE:  # a place may have one box for several classes
                named.setdefault(tuple(np.asarray(found.boxes[i, j]).tolist()), []).append(j)
        for box, those in reversed(named.items()):  # the surest on top
            labels = [int(found.labels[i, j]) for j in those]
            texts = [f"{classes[k]} {found.scores[i, j]:.2f}" for k, j in zip(labels, those, strict=True)]
            draw_box(one, box, colours[labels[0]], lw=1.4)
            name_box(one, box, ", ".join([*texts[:2], *("…" for _ in texts[2:3])]), colours[labels[0]])
    for one in axes.flat[len(chosen) :]:
        one.axis("off")
    number = int(np.asarray(truth.mask).any(1).sum())
    which = f"From the best to the worst of {number:,} images with objects"
    figure.suptitle(f"{which}\nsolid: found, with scores from {SURE}; dashed: truth", fontsize=11)
    return figure


def precision_recall(precision: jax.Array, classes: Sequence[str]) -> MatplotlibFigure:
    """Precision by recall, mean over the classes at some IoU, and of each class at one half.

    Args:
        precision: with the most detections, `[thresholds, recalls, classes, areas]`.
        classes: names.
    """
    values = np.asarray(precision)[..., 0]
    recall, colours = np.linspace(0, 1, values.shape[1]), class_colours(classes)
    figure = MatplotlibFigure(figsize=(7.4, 4.8), layout="constrained")
    axes = figure.subplots()
    for threshold, style in ((0.5, "-"), (0.75, "--"), (0.9, ":")):
        curve = _mean(values[THRESHOLDS.index(threshold)], 1)
        text = f"IoU {threshold:.2f}: AP {_mean(curve):.3f}"
        axes.plot(recall, curve, style, color="black", lw=2.6, label=text, zorder=3)
    for k, curve in enumerate(values[THRESHOLDS.index(0.5)].T):
        name = (
            f"{classes[k]}: {'no object' if np.isnan(curve[0]) else f'AP {curve.mean():.3f}'}"
            if len(classes) <= 12
            else None
        )
        axes.plot(recall, curve, color=colours[k], lw=1, label=name)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.03))
    nothing = np.isnan(values).all()
    axes.set_title(
        "No object to be found" if nothing else "Precision by recall (thin: each class at IoU 0.50)"
    )
    figure.legend(loc="outside right upper", fontsize=8)
    return figure


def ap_by_size(
    precision: jax.Array, truth: metrics.GroundTruth, borders: tuple[int, ...]
) -> MatplotlibFigure:
    """Average precision of all objects, and of small, medium and large ones.

    Args:
        precision: with the most detections, `[thresholds, recalls, classes, areas]`.
        truth: for the number of objects.
        borders: sides of squares between small, medium and large.
    """
    values, (low, high) = np.asarray(precision), borders
    wanted = np.asarray(truth.mask) & (True if truth.crowd is None else ~np.asarray(truth.crowd))
    area = np.asarray(boxes.area(truth.boxes))[wanted]
    ranges = ((0, np.inf), (0, low**2), (low**2, high**2), (high**2, np.inf))  # with their ends
    numbers = [((area >= least) & (area <= most)).sum() for least, most in ranges]
    names = "all", f"small\nto {low}² pixels", f"medium\n{low}² to {high}²", f"large\nfrom {high}²"
    figure = MatplotlibFigure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    bars = {
        "AP, IoU 0.50 to 0.95": (BLUE, _mean(values, (0, 1, 2))),
        "AP, IoU 0.50": (ORANGE, _mean(values[THRESHOLDS.index(0.5)], (0, 1))),
    }
    for side, (name, (colour, heights)) in zip((-0.2, 0.2), bars.items(), strict=True):
        axes.bar(np.arange(4) + side, np.nan_to_num(heights), 0.38, color=colour, label=name)
        for place, height in enumerate(heights):
            text = "none" if np.isnan(height) else f"{height:.2f}"
            axes.text(place + side, 0.01 + np.nan_to_num(height), text, ha="center", fontsize=9)
    axes.set_xticks(range(4), [f"{name}\n{n:,} objects" for name, n in zip(names, numbers, strict=True)])
    axes.set(ylabel="average precision", ylim=(0, 1.08), title="Average precision by the size of objects")
    figure.legend(loc="outside lower center", ncols=2, fontsize=9)
    return figure


def _mean(values: np.ndarray, axis: Any = None) -> np.ndarray:
    """The mean over what is not nan; nan if all is."""
    there = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return values.sum(axis, where=there) / there.sum(axis)


def misses(
    images: np.ndarray,
    found: metrics.Detections,
    truth: metrics.GroundTruth,
    matches: Matches,
    classes: Sequence[str],
) -> MatplotlibFigure:
    """The largest objects that are not found, and below them the surest false detections."""
    missed, scores = matches.wanted & ~matches.found, np.asarray(found.scores)
    objects, errors = _first(missed, np.asarray(boxes.area(truth.boxes))), _first(matches.false, scores)
    above, below = (max(1, -(-len(some) // ACROSS)) for some in (objects, errors))
    figure, axes = grid(above + below, ACROSS, 1.6, 1.0)
    for one, (i, j) in zip(axes[:above].flat, objects, strict=False):
        crop(one, images[i], np.asarray(truth.boxes[i, j]), "white")
        one.set_title(f"{_a(classes[int(truth.labels[i, j])])}, not found", fontsize=8)
    for one, (i, j) in zip(axes[above:].flat, errors, strict=False):
        crop(one, images[i], np.asarray(found.boxes[i, j]), ORANGE)
        label = int(found.labels[i, j])
        instead = what_there_is(matches.iou[i, j], np.asarray(truth.labels[i]), label, classes)
        text = f"{classes[label]} ({scores[i, j]:.2f}), {instead}"
        one.set_title(text if len(text) < 26 else text.replace(", ", ",\n"), fontsize=8)
    for one in (*axes[:above].flat[len(objects) :], *axes[above:].flat[len(errors) :]):
        one.axis("off")
    wanted, sure = matches.wanted.sum(), (matches.false & (scores >= SURE)).sum()
    none = f"No miss: all of {wanted:,} objects found, no detection false"
    some = f"{missed.sum():,} of {wanted:,} objects not found by any detection: the largest\n"
    some += f"{sure:,} false detections with a score of {SURE} or more: the surest of all"
    figure.suptitle(some if len(objects) + len(errors) else none, fontsize=11)
    return figure


def _first(there: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Indices of those that are there and largest, two rows of them at most, `[m, 2]`."""
    indices = np.argwhere(there)
    return indices[np.argsort(-size[there], kind="stable")[: 2 * ACROSS]]


def what_there_is(iou: np.ndarray, labels: np.ndarray, label: int, classes: Sequence[str]) -> str:
    """What there is where something of a class was falsely found: by the IoU with each object, `[g]`."""
    same, best = np.where(labels == label, iou, 0).max(), int(iou.argmax())
    if same >= MATCHED:
        return "found twice"
    if iou[best] >= MATCHED:
        return f"is {_a(classes[labels[best]])}"
    if same >= NEAR:
        return f"IoU only {same:.2f}"
    return f"overlaps {_a(classes[labels[best]])}" if iou[best] >= NEAR else "is nothing"


def _a(name: str) -> str:
    return f"an {name}" if name[0].lower() in "aeio8" else f"a {name}"


def heat(problem: Problem, c: Boxes, state: State, data: Data) -> MatplotlibFigure:
    """How probable a centre of any class is in each cell, below the images with the most objects."""
    chosen = np.argsort(-np.asarray(data.test["mask"]).sum(1), kind="stable")[:HEAT_MAPS]
    some = {name: values[chosen] for name, values in data.test.items()}

    @jax.jit
    def probabilities(state: State, examples: Arrays) -> jax.Array:
        x = problem.prepare(c, examples, state.statistics, None)["x"]
        return jax.nn.sigmoid(supervised.predict(problem, c, state, data, x).heat.max(-1))

    figure, axes = grid(2, len(chosen), 2.2, 0.8)
    each = zip(axes.T, some["image"], np.asarray(probabilities(state, some)), strict=True)
    for (above, below), image, heat_map in each:
        show(above, image, **WHOLE)
        shown = below.imshow(heat_map, "magma", vmin=0, vmax=1, interpolation="nearest")
    figure.colorbar(shown, ax=axes[1], label="probability")
    figure.suptitle("How probable a centre is in each cell (of the likeliest class)")
    return figure
