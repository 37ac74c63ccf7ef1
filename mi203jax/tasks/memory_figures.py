"""Figures of how far recurrent cells remember: gradients through time, and what is answered."""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure as MatplotlibFigure
from matplotlib.ticker import MaxNLocator

from mi203jax.configs import Memory
from mi203jax.core.task import Figure
from mi203jax.data.feed import Arrays
from mi203jax.data.remembering import TOLERANCE
from mi203jax.tasks.pictures import class_colours

COLOURS = {"rnn": "#d55e00", "lstm": "#0072b2", "gru": "#009e73"}  # Okabe and Ito's
SHOWN, DIFFERENTIATED = 500, 64
"""Judged examples that are shown, and those whose gradients are."""
LINES, SQUARES = 8, 40
"""Lines of the table of copies, and symbols in a line."""
FADED = 1e-20
"""Below this share of its size at the end, a gradient is drawn as if it were this."""


class Flows(NamedTuple):
    """Norms of gradients by the state after each step, `[examples, time]` each."""

    trained: np.ndarray
    untrained: dict[str, np.ndarray]  # of each cell


def figures(c: Memory, scores: Any, batch: Arrays, flows: Flows, baseline: float) -> dict[str, Figure]:
    """All figures of a trained network.

    Args:
        c: the configuration.
        scores: for some examples.
        batch: these examples.
        flows: how gradients fade.
        baseline: the loss of who remembers nothing.
    """
    scores, target = np.asarray(scores), np.asarray(batch["target"])
    if c.problem == "adding":
        predictions = sums(scores[:, 0], target, baseline)
    else:
        predictions = copies(scores[:, -c.symbols :].argmax(-1), target[:, -c.symbols :], c.alphabet)
    return {"gradient_norm": gradient_norm(c, flows), "predictions": predictions}


def fading(norms: np.ndarray) -> np.ndarray:
    """The geometric mean over examples of the norm, by that at the last step: `[examples, time]` -> `[time]`.

    Examples without any gradient are left out; without others, all is nan.
    """
    norms = np.asarray(norms, np.float64)
    norms = norms[norms[:, -1] > 0]
    if not len(norms):
        return np.full(norms.shape[1], np.nan)
    with np.errstate(divide="ignore"):  # what underflows is 0 here too
        return np.exp((np.log(norms) - np.log(norms[:, -1:])).mean(0))


def gradient_norm(c: Memory, flows: Flows) -> MatplotlibFigure:
    """How the gradient fades on the way back, in the trained cell and in all of them untrained."""
    figure = MatplotlibFigure(figsize=(7.2, 4.8), layout="constrained")
    axes = figure.subplots()
    curves = {f"{cell}, untrained": (cell, fading(norms)) for cell, norms in flows.untrained.items()}
    curves[f"{c.cell}, trained"] = c.cell, fading(flows.trained)
    for name, (cell, curve) in curves.items():
        own = {"lw": 1.8 if cell == c.cell else 1.0, "alpha": 1.0 if cell == c.cell else 0.6}
        style: dict[str, Any] = {"lw": 2.8} if name.endswith(", trained") else {"ls": "--", **own}
        text = f"{name}: {curve[0]:.1g} at the first step"
        distance = np.arange(len(curve))[::-1]
        axes.plot(distance, np.maximum(curve, FADED), color=COLOURS[cell], label=text, **style)
    axes.set(yscale="log", xlabel="steps until the end", ylabel="gradient's norm, by that at the last step")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.invert_xaxis()  # time goes to the right
    axes.grid(alpha=0.25)
    bias = f"first bias of the gate that keeps the past: {float(c.forget_bias):g}"
    axes.set_title(
        f"The gradient of the loss on its way back through time\n({bias}; geometric mean of examples)"
    )
    axes.legend(fontsize=8)
    return figure


def sums(predicted: np.ndarray, target: np.ndarray, baseline: float) -> MatplotlibFigure:
    """Each predicted sum against the true one, and the mean, which is best for who remembers nothing."""
    figure = MatplotlibFigure(figsize=(5.4, 5.2), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 2], [0, 2], color="black", lw=1, label="the sum")
    axes.axhline(1, color="#d55e00", ls="--", lw=1.5, label="without a memory")
    axes.plot(target, predicted, "o", color="#0072b2", ms=3, alpha=0.6, label="the network")
    error = predicted - target
    axes.set(xlabel="sum of the two marked numbers", ylabel="prediction")
    axes.set_title(
        f"Squared error {np.mean(error**2):.3g}, without a memory {baseline:.3g}\n"
        f"within {TOLERANCE:g}: {(np.abs(error) < TOLERANCE).mean():.1%}"
    )
    axes.legend(fontsize=9)
    return figure


def copies(recalled: np.ndarray, target: np.ndarray, alphabet: int) -> MatplotlibFigure:
    """Symbols and, below them, what was recalled; what is wrong is struck through.

    Args:
        recalled: `[examples, symbols]`, `alphabet` for a blank.
        target: the same of what should have been.
        alphabet: how many symbols there are.
    """
    share = (recalled == target).mean()
    columns = min(target.shape[1], SQUARES)
    across = min(len(target), (SQUARES + 1) // (columns + 1))  # examples in a line
    number = min(len(target) // across, LINES) * across
    recalled, target = recalled[:number, :columns], target[:number, :columns]
    colours = class_colours([*map(str, range(alphabet)), "background"])
    pairs = colours[np.stack([target, recalled], 1)]  # [examples, 2, symbols, 3]
    framed = np.pad(pairs, ((0, 0), (0, 1), (0, 1), (0, 0)), constant_values=1.0)
    lines = framed.reshape(-1, across, *framed.shape[1:]).swapaxes(1, 2)
    picture = lines.reshape(3 * len(lines), across * (columns + 1), 3)[:-1, :-1]
    size = (max(4.6, 0.8 + 0.2 * picture.shape[1]), 0.7 + 0.2 * len(picture))
    figure = MatplotlibFigure(figsize=size, layout="constrained")
    axes = figure.subplots()
    axes.imshow(picture, aspect="auto")
    axes.set_yticks(np.arange(len(picture)), (["shown", "recalled", ""] * len(lines))[:-1], fontsize=7)
    axes.set(xticks=[])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for example, column in np.argwhere(recalled != target):
        line, place = divmod(example, across)
        x, y = place * (columns + 1) + column, 3 * line + 1
        for colour, width in (("black", 1.8), ("white", 0.8)):  # seen on any colour
            axes.plot([x - 0.4, x + 0.4], [y + 0.4, y - 0.4], color=colour, lw=width)
    axes.set_title(f"Recalled symbols that are right:\n{share:.1%} (by guessing {1 / alphabet:.1%})")
    return figure
