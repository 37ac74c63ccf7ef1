"""Figures of the classification of vectors: the boundary as it comes to be, and the margins."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as MatplotlibFigure

from mi203jax.configs import Vectors
from mi203jax.core.task import Animation, Figure
from mi203jax.data.feed import Data, Resident
from mi203jax.tasks.pictures import frame_of
from mi203jax.tasks.supervised import Problem, State, predict, snapshot_iterations

BLUE, ORANGE = "#0072b2", "#d55e00"  # Okabe and Ito's, which colour-blind readers can tell apart
GRID = 121


def figures(problem: Problem, c: Vectors, state: State, data: Data) -> dict[str, Figure]:
    """The histogram of margins, and where there are two dimensions, the boundary evolving."""
    drawn: dict[str, Any] = {"margins": margins(problem, c, state, data)}
    if jax.tree.leaves(state.snapshots):
        drawn["boundary"] = boundary(problem, c, state, data)
    return drawn


def margins(problem: Problem, c: Vectors, state: State, data: Data) -> MatplotlibFigure:
    """How many examples lie how far on the right side of the boundary, in training and evaluation."""
    figure = MatplotlibFigure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    kinds = {c.eval_split: data.test}
    if isinstance(data.train, Resident):
        kinds = {c.train_split: data.train.arrays, **kinds}
    values = {}
    for name, arrays in kinds.items():
        batch = problem.prepare(c, arrays, state.statistics, None)
        scores = predict(problem, c, state, data, batch["x"])
        values[name] = np.asarray(problem.measure(c, scores, batch)["margin"])
    everything = np.concatenate(list(values.values()))
    low, high = np.percentile(everything, (0.5, 99.5))
    bins = np.linspace(low, high, 41).tolist()
    for (name, margin), colour in zip(values.items(), (ORANGE, BLUE), strict=False):
        share = np.full(len(margin), 100 / len(margin))
        text = f"{name}: {(margin > 0).mean():.1%} right"
        axes.hist(
            np.clip(margin, bins[0], bins[-1]), bins, weights=share, alpha=0.55, color=colour, label=text
        )
    axes.axvline(0, color="black", lw=1)
    axes.set(xlabel="margin: label × DL(x, θ)", ylabel="examples in %", title=f"Margins on {c.data}")
    axes.legend()
    return figure


def boundary(problem: Problem, c: Vectors, state: State, data: Data) -> Animation:
    """DL(x, θ) over the plane at each kept moment of the run, with the examples."""
    assert isinstance(data.train, Resident)
    points, labels = (np.asarray(data.train.arrays[n]) for n in ("features", "label"))
    reach = 1.15 * np.abs(points).max()
    axis = np.linspace(-reach, reach, GRID)
    plane = jnp.asarray(np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2), jnp.float32)
    batch = problem.prepare(c, {"features": plane, "label": jnp.ones(len(plane))}, state.statistics, None)

    def scores(snapshot):
        params, layers = snapshot
        return predict(problem, c, state._replace(params=params, layers=layers), data, batch["x"])

    values = np.asarray(jax.jit(lambda s: jax.lax.map(scores, s))(state.snapshots)).reshape(-1, GRID, GRID)
    steps = np.asarray(snapshot_iterations(len(values), c.num_iterations)) * c.steps_per_iteration
    frames = [
        _frame(axis, v, points, labels, f"{c.data}   step {s:,}") for v, s in zip(values, steps, strict=True)
    ]
    return Animation([*frames, *frames[-1:] * 12], 10.0)


def _frame(
    axis: np.ndarray, values: np.ndarray, points: np.ndarray, labels: np.ndarray, title: str
) -> np.ndarray:
    figure = MatplotlibFigure(figsize=(5.2, 5.2), dpi=90, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.contourf(axis, axis, np.tanh(values), np.linspace(-1, 1, 13), cmap="RdBu", alpha=0.8)
    if values.min() < 0 < values.max():
        axes.contour(axis, axis, values, [0.0], colors="black", linewidths=1.5)
    for label, colour, marker in ((-1, ORANGE, "o"), (1, BLUE, "^")):
        x, y = points[labels == label].T
        axes.scatter(x, y, s=12, c=colour, marker=marker, edgecolors="white", linewidths=0.3)
    axes.set(xlim=axis[[0, -1]], ylim=axis[[0, -1]], xticks=[], yticks=[], title=title)
    return frame_of(canvas)
