"""Figures of a model of a text: what it writes, what surprises it, what it expects, what it remembers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.figure import Figure as MatplotlibFigure
from PIL import Image, ImageDraw, ImageFont

from mi203jax.core.task import Animation, Figure
from mi203jax.tasks.play import BACKGROUND, CHOSEN, FAINT, INK

MONOSPACE = "DejaVu Sans Mono"
TICKS: dict[str, Any] = {"family": MONOSPACE, "fontsize": 8, "parse_math": False}
COLUMNS, LINE = 80, 60
"""Characters in a line: of samples, of the passage."""
EXPECTED, LIKELY = 60, 16
"""Of the passage, characters whose probabilities are shown; and of how many characters of the alphabet."""
FOLLOWED, UNITS = 150, 8
"""Of the passage, characters through which units are followed; and how many units."""
FRAMES, BARS, WIDTH, ROWS = 160, 5, 44, 16
"""Characters of the animation; of its bars; and of its text: in a line, and lines."""


class Passage(NamedTuple):
    """Some of the text that is judged on, as the model reads it."""

    codes: np.ndarray  # [time]
    scores: np.ndarray  # of each character before it was read, [time, codes]
    outputs: np.ndarray  # of the layers at that moment, [time, hidden]


class Written(NamedTuple):
    """A text of the model's own."""

    temperature: float
    prompt: str
    text: str
    scores: np.ndarray  # from which each character of the text was drawn, [time, codes]


def figures(passage: Passage, samples: Sequence[Written], alphabet: str, part: str) -> dict[str, Figure]:
    """All figures of a trained model.

    Args:
        passage: what it reads.
        samples: what it writes at several temperatures; the one in the middle is the configuration's.
        alphabet: the character of each code but the last, which is of the unknown ones.
        part: what the passage is of.
    """
    return {
        "sample": sample(samples),
        "writing": writing(samples[len(samples) // 2], alphabet),
        "surprise": surprise(passage, alphabet, part),
        "next_character": next_character(passage, alphabet),
        "hidden_state": hidden_state(passage, alphabet),
    }


# ---- text ----


def sign(character: str) -> str:
    """One sign that can be seen, for any character."""
    special = {" ": "␣", "\n": "↵", "\t": "⇥"}
    return special.get(character, character if character.isprintable() else "·")


def signs(codes: np.ndarray, alphabet: str) -> list[str]:
    """One sign that can be seen for each code."""
    of_code = [*map(sign, alphabet), "\ufffd"]
    return [of_code[k] for k in codes.tolist()]


def lines_of(text: str, columns: int) -> list[str]:
    """The text's lines, those cut that are too long; what cannot be seen is a dot."""
    lines = []
    for line in text.split("\n"):
        seen = "".join(k if k.isprintable() else "·" for k in line.expandtabs(4))
        lines += [seen[i : i + columns] for i in range(0, max(1, len(seen)), columns)]
    return lines


def softmax(scores: np.ndarray) -> np.ndarray:
    """Probabilities of scores `[..., codes]`, float64."""
    e = np.exp(scores.astype(np.float64) - scores.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


# ---- what it writes ----


def sample(samples: Sequence[Written]) -> MatplotlibFigure:
    """Texts of the model's own, at several temperatures, from the prompt on."""
    blocks = [lines_of(s.prompt + s.text, COLUMNS) for s in samples]
    heights = [0.48 + 0.137 * len(lines) for lines in blocks]
    figure = MatplotlibFigure(figsize=(6.4, sum(heights)))
    top = 1.0
    for written, lines, height in zip(samples, blocks, heights, strict=True):
        title = f"temperature {written.temperature:.3g}"
        figure.text(0.02, top - 0.12 / sum(heights), title, va="top", weight="bold", fontsize=10)
        y = top - 0.34 / sum(heights)
        figure.text(0.02, y, "\n".join(lines), va="top", linespacing=1.2, **TICKS)
        top -= height / sum(heights)
    return figure


def writing(written: Written, alphabet: str) -> Animation:
    """The text as it is written: before each character, the most probable ones."""
    scores = written.scores[:FRAMES].astype(np.float64)  # however small the temperature, it stays finite
    probabilities = softmax(scores / written.temperature)
    fonts = _font(14), _font(16)
    frames = []
    for number, p in enumerate(probabilities):
        text = written.prompt + written.text[:number]
        frames.append(_frame(text, p, written.text[number], alphabet, fonts))
    return Animation([*frames, *frames[-1:] * 12], 8.0)


def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSansMono.ttf")), size)


def _frame(text: str, p: np.ndarray, drawn: str, alphabet: str, fonts: Sequence[Any]) -> np.ndarray:
    small, large = fonts
    image = Image.new("RGB", (640, 40 + 18 * ROWS), BACKGROUND)
    draw = ImageDraw.Draw(image)
    for row, line in enumerate(lines_of(text + "▏", WIDTH)[-ROWS:]):
        draw.text((16, 16 + 18 * row), line, INK, small)
    left = 36 + round(small.getlength("x" * WIDTH))
    draw.text((left, 16), "next character", INK, small)
    likely = np.argsort(-p, kind="stable")[:BARS].tolist()
    place = alphabet.index(drawn)
    if place not in likely:  # the last bar is its own
        likely[-1] = place
    for row, code in enumerate(likely):
        y, colour = 50 + 36 * row, CHOSEN if code == place else FAINT
        draw.text((left, y), sign(alphabet[code]), colour if code == place else INK, large)
        draw.rectangle((left + 22, y, left + 22 + 110 * float(p[code]), y + 18), colour)
        draw.text((left + 140, y + 1), f"{p[code]:4.0%}", INK if code == place else FAINT, small)
    return np.asarray(image)


# ---- what it reads ----


def surprise(passage: Passage, alphabet: str, part: str) -> MatplotlibFigure:
    """The passage, each character on the bits that it cost."""
    p = softmax(passage.scores)[np.arange(len(passage.codes)), passage.codes]
    bits = -np.log2(np.maximum(p, 1e-30))
    rows = -(-len(bits) // LINE)
    board = np.pad(bits, (0, rows * LINE - len(bits)), constant_values=np.nan).reshape(rows, LINE)
    figure = MatplotlibFigure(figsize=(9, 1.1 + 0.28 * rows), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(
        board, cmap="YlOrRd", vmin=0, vmax=max(8.0, np.nanpercentile(board, 95)), aspect="auto"
    )
    for number, shown in enumerate(signs(passage.codes, alphabet)):
        y, x = divmod(number, LINE)
        _character(axes, x, y, shown, "white" if board[y, x] > 0.7 * image.get_clim()[1] else "black")
    axes.set(xticks=[], yticks=[])
    axes.set_title(f"What surprises: {part}, first {len(bits):,} characters, {bits.mean():.2f} bits each")
    figure.colorbar(image, label="bits", extend="max")
    return figure


def _character(axes: Any, x: float, y: float, shown: str, colour: str = "black") -> None:
    axes.text(x, y, shown, color=colour, ha="center", va="center", **TICKS)


def next_character(passage: Passage, alphabet: str) -> MatplotlibFigure:
    """Probabilities before each character of the passage, of those that are likeliest on the whole."""
    p, codes = softmax(passage.scores[:EXPECTED]), passage.codes[:EXPECTED]
    likely = np.argsort(-p.sum(0), kind="stable")[:LIKELY]
    figure = MatplotlibFigure(figsize=(9, 4.2), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(p[:, likely].T, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    place, moment = np.nonzero(likely[:, None] == codes)
    axes.plot(moment, place, "o", mfc="none", mec="#d55e00", ms=6, ls="none")
    _axis_of_characters(axes, signs(codes, alphabet))
    axes.set_yticks(range(len(likely)), signs(likely, alphabet), **TICKS)
    axes.set(xlabel="the text", ylabel="next character")
    axes.set_title("What is expected, and what came (circles)")
    figure.colorbar(image, label="probability")
    return figure


def _axis_of_characters(axes: Any, shown: Sequence[str]) -> None:
    axes.set_xticks(range(len(shown)), shown, **TICKS)


def slowest_units(outputs: np.ndarray, number: int) -> np.ndarray:
    """The units that change least from one moment to the next, by how much they vary at all, `[number]`.

    Args:
        outputs: `[time, hidden]`.
        number: at most the units.
    """
    steps, spread = np.square(np.diff(outputs, axis=0)).mean(0), outputs.var(0)
    # Of independent values the ratio is 2. What never moves remembers nothing, and comes last.
    slowness = np.where(spread > 1e-4, steps / np.maximum(spread, 1e-4), np.inf)
    return np.argsort(slowness, kind="stable")[:number]


def hidden_state(passage: Passage, alphabet: str) -> MatplotlibFigure:
    """The last layer's slowest units along the passage: what is remembered over many characters."""
    units = slowest_units(passage.outputs, UNITS)
    shown = passage.outputs[:FOLLOWED, units].T
    figure = MatplotlibFigure(figsize=(15, 1.3 + 0.28 * len(units)), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shown, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    _axis_of_characters(axes, signs(passage.codes[:FOLLOWED], alphabet))
    axes.set_yticks(range(len(units)), [str(k) for k in units])
    axes.set(xlabel="the text", ylabel="unit")
    axes.set_title("What is remembered: the units that change most slowly")
    figure.colorbar(image, label="h")
    return figure
