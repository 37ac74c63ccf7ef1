"""The gradient before training, layer by layer, in networks of several depths.

Slide "Batch normalisation": "the gradient can propagate through 100 layers!"
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from mi203jax.configs import Deep
from mi203jax.tasks import image_classification, vectors
from mi203jax.tasks.gradient_norms import expected_growth, gradient_norms, growth
from mi203jax.tasks.gradient_norms_figures import DIFFERENTIATED
from mi203jax.tasks.supervised import init

PROBLEMS = {"image_classification": image_classification.problem, "vectors": vectors.problem}
SEEDS = 4
DECADES = 12
"""Powers of ten that colours tell apart, up and down."""


class Gradient(NamedTuple):
    """What came of one kind of network."""

    initializer: str
    normalization: str
    residual: bool
    norms: list[float]  # of each layer, the first one first: geometric mean over seeds
    growth: float  # a layer, on the way back
    theory: float | None  # of that growth


def initial_gradients(experiment: str, configs: Sequence[Deep]) -> list[Gradient]:
    """The norms of the loss's gradient by the output of each layer, before training: of each kind of network.

    Args:
        experiment: "image_classification" or "vectors".
        configs: networks with depth; their data must be the same.
    """
    kinds = {(c.depth, c.initializer, c.normalization, c.residual): c for c in reversed(configs)}
    problem = PROBLEMS[experiment]
    data = problem.data(configs[0]).shared
    raw = {n: values[: min(configs[0].batch_size, DIFFERENTIATED)] for n, values in data.test.items()}
    # Programs are shared: of gradients by all first weights, of first weights with and without skips.
    begin = functools.cache(lambda c: _once(functools.partial(init, problem, c), (None, 0)))

    differentiate = functools.cache(
        lambda c: _once(functools.partial(gradient_norms, problem, c), (0, None, None, None))
    )

    def of(c: Deep) -> Gradient:
        keys = jax.random.split(jax.random.key(0), SEEDS)
        states = begin(dataclasses.replace(c, residual=False))(data, keys)
        shared = dataclasses.replace(c, initializer="he")
        return _gradient(c, differentiate(shared)(states, data, raw, jax.random.key(0)))

    return [of(c) for c in reversed(kinds.values())]


def _once(f: Callable[..., Any], axes: tuple[int | None, ...]) -> Callable[..., Any]:
    """The function over seeds, compiled for a single call: quickly, not well."""
    return jax.jit(jax.vmap(f, axes), compiler_options={"xla_backend_optimization_level": 0})


def _gradient(c: Deep, norms: jax.Array) -> Gradient:
    """Of the norms of several seeds, `[seeds, depth]`."""
    factor = float(jnp.exp(jnp.log(growth(norms)).mean()))
    mean = np.asarray(jnp.exp(jnp.log(norms).mean(0)), np.float64)
    return Gradient(c.initializer, c.normalization, c.residual, mean.tolist(), factor, expected_growth(c))


def depth_map(gradients: Sequence[Gradient]) -> Figure:
    """A panel for each kind of network: depth down, layer across, colour for the gradient."""
    across = list(dict.fromkeys(g.initializer for g in gradients))
    down = list(dict.fromkeys((g.normalization, g.residual) for g in gradients))
    depths = sorted({len(g.norms) for g in gradients})
    size = (1.6 + 1.9 * len(across), 1.0 + 1.35 * len(down))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(down), len(across), squeeze=False, sharex=True, sharey=True)
    for i, kind in enumerate(down):
        for j, name in enumerate(across):
            own = [g for g in gradients if (g.initializer, g.normalization, g.residual) == (name, *kind)]
            image = _panel(grid[i][j], own, depths)
        words = "batch norm" if kind[0] == "batch" else "no normalisation"
        grid[i][0].set_ylabel(f"{words},\n{'skips' if kind[1] else 'plain'}\ndepth", fontsize=8)
    for j, name in enumerate(across):
        grid[0][j].set_title(name, fontsize=9)
        grid[-1][j].set_xlabel("layer", fontsize=8)
    bar = figure.colorbar(image, ax=grid, extend="both", shrink=0.8)
    bar.set_label("norm of the gradient, in powers of ten of the last layer's", fontsize=8)
    return figure


def _panel(axes: Any, gradients: Sequence[Gradient], depths: Sequence[int]) -> Any:
    table = np.full((len(depths), max(depths)), np.nan)
    for g in gradients:
        with np.errstate(divide="ignore", invalid="ignore"):
            table[depths.index(len(g.norms)), : len(g.norms)] = np.log10(np.array(g.norms) / g.norms[-1])
    extent = (0.5, max(depths) + 0.5, len(depths) - 0.5, -0.5)
    image = axes.imshow(table, cmap="RdBu_r", vmin=-DECADES, vmax=DECADES, aspect="auto", extent=extent)
    axes.set_yticks(range(len(depths)), depths, fontsize=7)
    axes.tick_params(axis="x", labelsize=7)
    for g in gradients:
        if len(g.norms) == max(depths):
            words = f"×{g.growth:.3g} a layer" if g.growth > 0 else "vanishes"
            axes.text(max(depths), 0, words, ha="right", va="center", fontsize=7)
    return image
