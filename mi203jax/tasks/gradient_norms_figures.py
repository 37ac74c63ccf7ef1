"""Figure of how the loss's gradient grows or fades from layer to layer."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure as MatplotlibFigure
from matplotlib.ticker import MaxNLocator

from mi203jax.configs import Deep
from mi203jax.core.task import Figure
from mi203jax.data.feed import Data
from mi203jax.tasks.gradient_norms import expected_growth, gradient_norms, growth
from mi203jax.tasks.supervised import Problem, State, init

BLUE, ORANGE = "#0072b2", "#d55e00"  # Okabe and Ito's
DIFFERENTIATED = 512
"""Judged examples in the batch, at most."""


def of_depth(problem: Problem, c: Deep, state: State, data: Data) -> dict[str, Figure]:
    """The figure of a trained network with `depth`; none of another."""
    if not c.depth:
        return {}
    raw = {name: values[: min(c.batch_size, DIFFERENTIATED)] for name, values in data.test.items()}
    norms = jax.jit(lambda s: gradient_norms(problem, c, s, data, raw, jax.random.key(0)))
    first = jax.jit(functools.partial(init, problem, c))(data, jax.random.key(c.seed))  # as the run began
    return {"gradient_norms": draw(c, np.asarray(norms(first)), np.asarray(norms(state)))}


def draw(c: Deep, before: np.ndarray, after: np.ndarray) -> MatplotlibFigure:
    """The norms `[depth]` before and after training, and what theory says of the slope."""
    figure = MatplotlibFigure(figsize=(7.2, 4.8), layout="constrained")
    axes = figure.subplots()
    layers = np.arange(1, len(before) + 1)
    for name, norms, colour in (("before training", before, BLUE), ("after training", after, ORANGE)):
        axes.plot(layers, _seen(norms), ".-", color=colour, ms=4, lw=1.5, label=f"{name}: {describe(norms)}")
    factor = expected_growth(c)
    if factor is not None:
        line = before[-1] * np.float64(factor) ** (len(before) - layers)
        axes.plot(layers, _seen(line), "--", color="black", lw=1, label=f"theory: ×{factor:.4g} a layer")
    axes.set(yscale="log", xlabel="layer", ylabel="norm of the gradient by the layer's output")
    axes.set_xlim(0, len(before) + 1)  # where nothing can be drawn too
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.25)
    skips = "with skips" if c.residual else "without skips"
    axes.set_title(
        f"The gradient of the loss on its way back through {c.depth} layers\n"
        f"(normalization={c.normalization}, initializer={c.initializer}, {skips})"
    )
    axes.legend(fontsize=9)
    return figure


def describe(norms: np.ndarray) -> str:
    """The growth of norms in words, and how many of them are no positive numbers."""
    kinds = {"0": norms == 0, "infinite": np.isinf(norms), "no number": np.isnan(norms)}
    words = [f"{name} in {of.sum()} of {len(norms)} layers" for name, of in kinds.items() if of.any()]
    factor = float(growth(jnp.asarray(norms)))
    if np.isfinite(factor) and factor > 0:
        words.insert(0, f"×{factor:.4g} a layer")
    return ", ".join(words) or "one layer"


def _seen(norms: np.ndarray) -> np.ndarray:
    """What a logarithmic axis shows; of the rest, nan, which leaves a gap. Within what float32 holds."""
    held = np.finfo(np.float32)
    with np.errstate(invalid="ignore"):
        return np.where((norms >= held.tiny) & (norms <= held.max), norms, np.nan)
