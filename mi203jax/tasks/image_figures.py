"""Figures of the classification of images: what the network gets wrong, what it looks at, what it ignores."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure as MatplotlibFigure

from mi203jax import augment, metrics
from mi203jax.configs import ImageClassification
from mi203jax.core.task import Figure
from mi203jax.data.feed import Data
from mi203jax.nn import receptive_field_of
from mi203jax.tasks.pictures import confusion, grid, show
from mi203jax.tasks.supervised import Function, Problem, State, scorer

PURPLE, ORANGE = "#5e3c99", "#d55e00"
MISTAKES, MAPS, INPUTS, SHIFTED = 20, 8, 10, 1_000


def figures(
    problem: Problem, c: ImageClassification, state: State, data: Data, classes: Sequence[str]
) -> dict[str, Figure]:
    """All figures of a trained network, on the examples of the evaluation's split."""
    judged = scorer(problem, c, state, data)
    scores, costs = judged(data.test)
    drawn: dict[str, Figure] = {
        "confusion": confusion(scores, data.test["label"], classes),
        "mistakes": mistakes(scores, costs, data, classes),
        "inputs": inputs(problem, c, state, data),
        "shifts": shift_curve(lambda examples: judged(examples)[0], data),
        "filters": filters(state, data),
    }
    if c.loss in ("cross_entropy", "focal"):  # other scores are no logits of probabilities
        drawn["calibration"] = calibration(scores, data.test["label"])
    stages = stage_functions(problem, c, state, data)
    if stages:
        drawn["feature_maps"] = feature_maps(stages, data)
        drawn["receptive_field"] = receptive_fields(stages, data)
    return drawn


def calibration(scores: jax.Array, labels: jax.Array) -> MatplotlibFigure:
    """How often it is right, by how sure it is."""
    probabilities = jax.nn.softmax(scores)
    measure = jax.jit(
        lambda p, label: (metrics.reliability(p, label, 15), metrics.calibration_error(p, label, 15))
    )
    reliability, error = measure(probabilities, labels)
    confidence, accuracy, count = map(np.asarray, reliability)
    figure = MatplotlibFigure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="black", lw=1, ls=":")
    there = count > 0
    axes.plot(confidence[there], accuracy[there], color=PURPLE, lw=1)
    axes.scatter(confidence[there], accuracy[there], 12 + 200 * count[there] / count.sum(), PURPLE)
    axes.set(
        xlabel="confidence of the prediction", ylabel="share that is right", xlim=(0, 1.03), ylim=(0, 1.03)
    )
    axes.set_title(f"Expected calibration error {float(error):.3f}\n(a dot's area: how many examples)")
    return figure


def mistakes(scores: jax.Array, costs: jax.Array, data: Data, classes: Sequence[str]) -> MatplotlibFigure:
    """The examples whose cost is largest among those that it gets wrong."""
    cost, images, labels = (np.asarray(x) for x in (costs, data.test["image"], data.test["label"]))
    predicted = np.asarray(scores).argmax(-1)
    wrong = np.flatnonzero(predicted != labels)
    worst = wrong[np.argsort(-cost[wrong])][:MISTAKES]
    figure, axes = grid(max(1, -(-len(worst) // 5)), 5, 1.35)
    for one, i in zip(axes.flat, worst, strict=False):
        show(one, images[i])
        one.set_title(f"{classes[labels[i]]} taken for {classes[predicted[i]]}", fontsize=8)
    for one in axes.flat[len(worst) :]:
        one.axis("off")
    figure.suptitle(f"The worst of {len(wrong)} mistakes" if len(wrong) else "No mistake")
    return figure


def inputs(problem: Problem, c: ImageClassification, state: State, data: Data) -> MatplotlibFigure:
    """Images as the network gets them: standardised, and below, augmented as in training, twice."""
    some = {name: values[:INPUTS] for name, values in data.test.items()}
    keys = (None, *jax.random.split(jax.random.key(0)))
    prepared = jax.jit(lambda key: problem.prepare(c, some, state.statistics, key)["x"])
    rows = [np.asarray(prepared(key)) for key in keys]
    figure, axes = grid(len(rows), len(rows[0]), 1.0)
    for row, images, name in zip(axes, rows, ("judged", "trained on", "or"), strict=True):
        row[0].set_ylabel(name)
        for one, image in zip(row, images, strict=True):
            show(one, image, vmin=rows[0].min(), vmax=rows[0].max())
    figure.suptitle("What the network gets")
    return figure


def shift_curve(scores_of, data: Data) -> MatplotlibFigure:
    """Accuracy on images that are shifted, by how far; on the first ones of a large set."""
    some = {name: values[:SHIFTED] for name, values in data.test.items()}

    @jax.jit
    def accuracy(dy, dx):
        image = jnp.asarray(some["image"], jnp.float32)
        moved = jax.vmap(augment.translate, (0, None, None))(image, dy, dx)
        return metrics.accuracy(scores_of({**some, "image": moved}).argmax(-1), some["label"])

    furthest = min(8, min(data.test["image"].shape[1:3]) // 2)
    shifts = range(-furthest, furthest + 1)
    figure = MatplotlibFigure(figsize=(6.4, 4), layout="constrained")
    axes = figure.subplots()
    for name, direction, colour in (("to the right", (0, 1), PURPLE), ("downwards", (1, 0), ORANGE)):
        values = [100 * float(accuracy(s * direction[0], s * direction[1])) for s in shifts]
        axes.plot(shifts, values, "o-", color=colour, label=name, ms=4)
    axes.set(xlabel="shift in pixels", ylabel="accuracy in %", title="Invariance to shifts")
    axes.legend()
    return figure


def filters(state: State, data: Data) -> MatplotlibFigure:
    """The weights of the first layer, each filter by itself; blue is negative."""
    first = "Conv_0" if "Conv_0" in state.params else "Dense_0"
    w = np.asarray(state.params[first]["w"])
    if w.ndim == 2:  # a dense layer on all pixels
        w = w.reshape(*data.test["image"].shape[1:], -1)
    w = w.mean(2).transpose(2, 0, 1)[:64]
    figure, axes = grid(-(-len(w) // 8), min(8, len(w)), 0.9)
    limit = np.abs(w).max()
    for one, filter_ in zip(axes.flat, w, strict=False):
        one.imshow(filter_, cmap="RdBu_r", vmin=-limit, vmax=limit)
    for one in axes.flat[len(w) :]:
        one.axis("off")
    figure.suptitle("Filters of the first layer")
    return figure


def stage_functions(
    problem: Problem, c: ImageClassification, state: State, data: Data
) -> dict[str, Function]:
    """The name of each stage -> function from raw images `[n, ...]` to what the stage computes."""
    network = problem.network(c, data)

    @jax.jit
    def features(image: jax.Array) -> dict[str, Any]:
        examples = {"image": image, "label": jnp.zeros(len(image), jnp.int32)}
        x = problem.prepare(c, examples, state.statistics, None)["x"]
        variables = {"params": state.params, **state.layers}
        kept = network.apply(variables, x, mutable=["features"])[1]["features"]
        return {name: values for name, values in kept.items() if name.startswith("stage")}

    names = jax.eval_shape(features, jnp.asarray(data.test["image"][:1], jnp.float32))

    def stage(name: str) -> Function:
        return lambda image: features(image)[name][0]

    return {name: stage(name) for name in sorted(names, key=lambda n: int(n.removeprefix("stage")))}


def feature_maps(stages: dict[str, Function], data: Data) -> MatplotlibFigure:
    """What some filters of each stage answer to one image."""
    image = jnp.asarray(data.test["image"][:1], jnp.float32)
    figure, axes = grid(len(stages), MAPS + 1)
    for row, (name, f) in zip(axes, stages.items(), strict=True):
        maps = np.asarray(f(image)[0]).transpose(2, 0, 1)
        strongest = np.argsort(-maps.var((1, 2)))[:MAPS]
        show(row[0], np.asarray(image[0]))
        row[0].set_ylabel(f"{name}\n{maps.shape[1]}×{maps.shape[2]}", fontsize=8)
        for one, i in zip(row[1:], strongest, strict=False):
            one.imshow(maps[i], cmap="magma")
        for one in row[1 + len(strongest) :]:
            one.axis("off")
    figure.suptitle("What the filters with the most varied answers see")
    return figure


def _of_one(f: Function) -> Function:
    """A function of one image, of one of a batch."""
    return lambda image: f(image[None])[0]


def receptive_fields(stages: dict[str, Function], data: Data) -> MatplotlibFigure:
    """The pixels on which the middle of each stage depends."""
    image = np.asarray(data.test["image"][0], np.float32)
    figure, axes = grid(1, len(stages), 2.2, 0.6)
    for one, (name, f) in zip(axes.flat, stages.items(), strict=True):
        shape = jax.eval_shape(f, jnp.asarray(image[None])).shape[1:]
        middle = (shape[0] // 2, shape[1] // 2)
        mask = np.asarray(receptive_field_of(_of_one(f), image.shape, middle, key=jax.random.key(0)))
        show(one, image)
        one.imshow(np.where(mask, 1.0, np.nan), cmap="spring", alpha=0.35, vmin=0, vmax=1)
        rows, columns = mask.any(1).sum(), mask.any(0).sum()
        one.set_title(f"{name}: {rows}×{columns} pixels", fontsize=9)
    figure.suptitle("Receptive field of the middle of each stage")
    return figure
