"""Figures of auto-encoders: what is lost of an image, where codes lie, what lies between them."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure as MatplotlibFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogFormatter

from mi203jax.configs import Autoencoder
from mi203jax.core.task import Figure
from mi203jax.data.feed import Data, Resident
from mi203jax.models import Coded
from mi203jax.pca import fit_pca
from mi203jax.tasks.pictures import class_colours, evenly, grid, show
from mi203jax.tasks.supervised import Problem, State, at_once, in_chunks, predict

Decode = Callable[[jax.Array], jax.Array]
"""Codes `[n, code]` -> images in [0, 1], `[n, height, width, channels]`."""
PURPLE, ORANGE = "#5e3c99", "#d55e00"
IMAGES, PAIRS, STEPS, BETWEEN_PIXELS = 10, 6, 9, 2
"""Images reconstructed; pairs with what is between them, its steps, and pairs whose pixels are mixed too."""
MAPPED, FITTED, DRAWN = 1_000, 10_000, 64
"""Test images on the map of codes, training images for principal components, images from random codes."""


class Seen(NamedTuple):
    """What becomes of the evaluation's images, `[n, ...]`."""

    images: jax.Array  # pixels in [0, 1]
    coded: Coded
    linear: jax.Array  # by as many principal components
    error: jax.Array  # squared, sum over the pixels of an image, [n]
    linear_error: jax.Array


def figures(
    problem: Problem, c: Autoencoder, state: State, data: Data, decode: Decode, classes: Sequence[str]
) -> dict[str, Figure]:
    """All figures of a trained auto-encoder, on the images of the evaluation's split."""
    seen = jax.jit(functools.partial(see, problem, c))(state, data)
    drawn: dict[str, Figure] = {
        "reconstructions": reconstructions(problem, c, state, data, seen),
        "code_map": code_map(seen.coded.code, data.test["label"], classes),
        "error_by_code": error_by_code(c, state, data, seen),
    }
    between = pairs(np.asarray(data.test["label"]), PAIRS)
    if len(between):
        drawn["interpolations"] = interpolations(decode, seen, between)
    if c.information_loss == "variational":
        drawn["samples"] = samples(decode, c.code)
    return drawn


def see(problem: Problem, c: Autoencoder, state: State, data: Data) -> Seen:
    """Codes and reconstructions of all images, and those of principal components."""
    raw, statistics = data.test["image"], state.statistics
    images = jnp.asarray(raw, jnp.float32) / statistics.brightest

    def code(chunk):
        return predict(problem, c, state, data, problem.prepare(c, {"image": chunk}, statistics, None)["x"])

    coded = in_chunks(code, raw, at_once(problem, c, data))
    pca = statistics.pca
    linear = pca.decode(pca.encode(images.reshape(len(images), -1))).reshape(images.shape)
    error, linear_error = (jnp.square(x - images).sum((1, 2, 3)) for x in (coded.image, linear))
    return Seen(images, coded, linear, error, linear_error)


def put(axes: Any, image: Any) -> None:
    """An image in [0, 1], as bright as it is; black where it is no number."""
    show(axes, np.clip(np.nan_to_num(np.asarray(image)), 0, 1), vmin=0, vmax=1)


def reconstructions(
    problem: Problem, c: Autoencoder, state: State, data: Data, seen: Seen
) -> MatplotlibFigure:
    """Images from the best to the worst by their squared error, and what is made of them."""
    error, linear_error = np.asarray(seen.error), np.asarray(seen.linear_error)
    chosen = evenly(np.argsort(error, kind="stable"), IMAGES)
    components = len(state.statistics.pca.components)
    rows: dict[str, tuple[Any, Any]] = {
        "image": (seen.images[chosen], None),
        "auto-encoder": (seen.coded.image[chosen], error[chosen]),
        f"PCA, {components}": (seen.linear[chosen], linear_error[chosen]),
    }
    if c.information_loss in ("noise", "masking"):
        corrupted, restored, errors = restoration(problem, c, state, data, chosen)
        rows |= {"corrupted": (corrupted, None), "restored": (restored, errors)}
    figure, axes = grid(len(rows), len(chosen), 1.1, 0.8)
    for row, (name, (images, errors)) in zip(axes, rows.items(), strict=True):
        row[0].set_ylabel(name, fontsize=9)
        for i, (one, image) in enumerate(zip(row, images, strict=True)):
            put(one, image)
            if errors is not None:
                one.set_xlabel(f"{errors[i]:.2f}", fontsize=8, labelpad=1)
    means = f"auto-encoder {error.mean():.2f}, PCA {linear_error.mean():.2f}"
    figure.suptitle(f"From the best to the worst of {len(error):,} images\nmean squared error: {means}")
    return figure


def restoration(
    problem: Problem, c: Autoencoder, state: State, data: Data, chosen: np.ndarray
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Some images as the encoder sees them in training, what it restores, and the squared errors of that."""
    statistics, raw = state.statistics, data.test["image"][chosen]
    where_they_are = replace(c, augment=())
    batch = problem.prepare(where_they_are, {"image": raw}, statistics, jax.random.key(0))
    scale = statistics.image
    corrupted = (batch["x"] * scale.deviation + scale.mean) / statistics.brightest
    restored = predict(problem, c, state, data, batch["x"]).image
    return corrupted, restored, jnp.square(restored - batch["target"]).sum((1, 2, 3))


def code_map(codes: jax.Array, labels: jax.Array, classes: Sequence[str]) -> MatplotlibFigure:
    """Where codes of images lie, by class: of more than two numbers, on their first principal components."""
    finite = np.asarray(jnp.isfinite(codes).all(-1))
    chosen = np.flatnonzero(finite)[:MAPPED]
    label = np.asarray(labels)[chosen]
    places, title, names = _places(jnp.asarray(codes)[chosen], label)
    figure = MatplotlibFigure(figsize=(8, 7), layout="constrained")
    axes = figure.subplots()
    named = len(classes) <= 10 and all(name.isalnum() and len(name) <= 2 for name in classes)
    legend = []
    for k, (name, colour) in enumerate(zip(classes, class_colours(classes), strict=True)):
        marker, size = (rf"$\mathrm{{{name}}}$", 32) if named else ("o", 14)
        x, y = places[label == k].T
        axes.scatter(x, y, size, [colour], marker=marker, linewidths=0.2)
        legend.append(Line2D([], [], ls="", marker=marker, color=colour, label=name))
    if codes.shape[1] == 1:
        axes.set_yticks(range(len(classes)), classes)
    axes.set(xlabel=names[0], ylabel=names[1], title=f"{title}\n{len(chosen):,} images")
    figure.legend(handles=legend, loc="outside right upper", ncols=-(-len(classes) // 30), fontsize=9)
    return figure


def _places(codes: jax.Array, labels: np.ndarray) -> tuple[np.ndarray, str, tuple[str, str]]:
    """Points of the plane for codes, what they are, and the names of the axes."""
    numbers = codes.shape[1]
    if numbers == 1:
        spread = np.random.default_rng(0).uniform(-0.35, 0.35, len(labels))
        return np.stack([np.asarray(codes)[:, 0], labels + spread], 1), "The code", ("code", "class")
    if numbers == 2 or len(codes) < 2:
        return np.asarray(codes)[:, :2], "The code", ("first number", "second number")
    pca = fit_pca(codes, 2)
    share = np.asarray(pca.variances) / max(1e-30, float(codes.var(0, ddof=1).sum()))
    names = tuple(f"principal component {k + 1} ({s:.0%})" for k, s in enumerate(share))
    title = f"Codes of {numbers} numbers, of whose variance two components show {share.sum():.0%}"
    return np.asarray(pca.encode(codes)), title, (names[0], names[1])


def pairs(labels: np.ndarray, number: int) -> np.ndarray:
    """Examples of different classes, none twice, `[number, 2]` or fewer."""
    found: list[tuple[int, int]] = []
    left = np.arange(len(labels))
    while len(found) < number:
        others = left[labels[left] != labels[left[:1]]]
        if not len(others):
            break
        found.append((left[0], others[0]))
        left = left[(left != left[0]) & (left != others[0])]
    return np.array(found, int).reshape(-1, 2)


def interpolations(decode: Decode, seen: Seen, between: np.ndarray) -> MatplotlibFigure:
    """Images of the straight line between two codes; of some pairs, of the line between their pixels too."""
    t = jnp.linspace(0, 1, STEPS)
    code, pixels = (_line(x[between[:, 0]], x[between[:, 1]], t) for x in (seen.coded.code, seen.images))
    decoded = decode(code.reshape(-1, code.shape[-1])).reshape(pixels.shape)
    rows = []
    for k, pair in enumerate(between):
        rows.append((pair, "codes", decoded[k]))
        if k < BETWEEN_PIXELS:
            rows.append((pair, "pixels", pixels[k]))
    figure, axes = grid(len(rows), STEPS + 2, 0.9)
    for row, (pair, name, images) in zip(axes, rows, strict=True):
        first, last = seen.images[pair]
        for one, image in zip(row, (first, *images, last), strict=True):
            put(one, image)
        row[0].set_ylabel(name, fontsize=9)
    for one, text in zip(axes[0], ("image", *(f"{float(s):.2g}" for s in t), "image"), strict=True):
        one.set_title(text, fontsize=9)
    figure.suptitle("On the line between the codes of two images, and between their pixels")
    return figure


def _line(first: jax.Array, last: jax.Array, t: jax.Array) -> jax.Array:
    """Points of the straight lines between `[n, ...]` and `[n, ...]`, `[n, steps, ...]`."""
    return jax.vmap(lambda s: first + s * (last - first), out_axes=1)(t)


def error_by_code(c: Autoencoder, state: State, data: Data, seen: Seen) -> MatplotlibFigure:
    """Squared error of PCA by the number of its components, and the auto-encoder's."""
    training = data.train.arrays if isinstance(data.train, Resident) else state.statistics.probed
    fitted = jnp.asarray(training["image"][:FITTED], jnp.float32) / state.statistics.brightest
    fitted, x = (images.reshape(len(images), -1) for images in (fitted, seen.images))
    most = min(4 * c.code, *fitted.shape)
    components = 1 + np.arange(most)
    linear = _pca_errors(fitted, x, most)
    error, linear_error = float(seen.error.mean()), float(seen.linear_error.mean())
    figure = MatplotlibFigure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    shown = linear > 1e-6 * np.square(x - fitted.mean(0)).sum(-1).mean()  # below is rounding
    text = f"PCA of {len(fitted):,} training images"
    axes.loglog(components[shown], linear[shown], ".-", color=PURPLE, ms=4, label=text)
    axes.plot(c.code, error, "*", ms=16, color=ORANGE, label="auto-encoder")
    axes.axhline(error, color=ORANGE, lw=1, ls=":")
    axes.set(xlabel="numbers in the code", ylabel="squared error of an image")
    axes.grid(which="both", alpha=0.3)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(LogFormatter())
        axis.set_minor_formatter(LogFormatter(minor_thresholds=(1.3, 0.5)))
    axes.legend(loc="lower left")
    enough = components[linear <= error]
    needs = f"{enough[0]}" if len(enough) else f"more than {most}"
    ratio = f"PCA {linear_error:.2f} / auto-encoder {error:.2f} = {linear_error / error:.2f}"
    axes.set_title(f"A code of {c.code}: {ratio}\nComponents that PCA needs for as small an error: {needs}")
    return figure


def _pca_errors(fitted: jax.Array, x: jax.Array, most: int) -> np.ndarray:
    """Mean squared error of x by 1, 2, … components of `fitted`, `[most]`: one decomposition for all."""
    pca = fit_pca(fitted, most)
    squares = np.square(np.asarray(pca.encode(x), np.float64)).mean(0)
    rest = np.square(np.asarray(x - pca.decode(pca.encode(x)), np.float64)).sum(-1).mean()
    # Orthogonal: what is left by k components are the later ones, and what all of them leave.
    return rest + squares[::-1].cumsum()[::-1] - squares


def samples(decode: Decode, numbers: int) -> MatplotlibFigure:
    """Images of codes drawn from N(0, 1), as the KL term wants them to be."""
    images = decode(jax.random.normal(jax.random.key(0), (DRAWN, numbers)))
    figure, axes = grid(8, DRAWN // 8, 0.8)
    for one, image in zip(axes.flat, images, strict=True):
        put(one, image)
    figure.suptitle("Images of codes drawn from N(0, 1)")
    return figure
