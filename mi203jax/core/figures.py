"""Figures that any run has, and how figures become files."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure as MatplotlibFigure
from PIL import Image

from mi203jax.core.config import RunConfig
from mi203jax.core.run_directory import Record
from mi203jax.core.task import Animation, Figure
from mi203jax.core.trials import label, varied_fields


def save_figure(path: Path, figure: Figure) -> Path:
    """Writes `path`.png, or `path`.gif for an `Animation`; gives the name of the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(figure, Animation):
        file = path.with_suffix(".png")
        figure.savefig(file, dpi=150)
        return file
    # One palette for all frames: smaller, and colours do not flicker.
    images = [Image.fromarray(f) for f in figure.frames]
    palette = images[len(images) // 2].quantize(64, dither=Image.Dither.NONE)
    images = [i.quantize(palette=palette, dither=Image.Dither.NONE) for i in images]
    milliseconds = round(1000 / figure.frames_per_second)
    file = path.with_suffix(".gif")
    images[0].save(file, save_all=True, append_images=images[1:], duration=milliseconds, loop=0)
    return file


def learning_curves(
    trials: Sequence[RunConfig], records: Sequence[Record], metric: str, title: str
) -> MatplotlibFigure:
    """One line a trial; trials that differ in their seed alone share a colour, and get a bold mean.

    Args:
        trials: the configurations.
        records: lines of `metrics.jsonl`.
        metric: what is drawn, such as "eval/return".
        title: of the figure.
    """
    figure = MatplotlibFigure(figsize=(7, 4.3), layout="constrained")
    axes = figure.subplots()
    colours = matplotlib.color_sequences["tab10"]
    of_arm, own = _arms(trials), _by_trial(trials, records)
    for (name, members), colour in zip(of_arm.items(), colours * (1 + len(of_arm) // 10), strict=False):
        lines = [_line(own[i], metric) for i in members]
        for line in lines if len(members) > 1 else []:
            axes.plot(*_points(line), color=colour, alpha=0.3, lw=0.9)
        of = f"mean of {len(members)} seeds" if len(members) > 1 else ""
        axes.plot(*_points(_mean(lines)), color=colour, lw=2, label=f"{name} {of}".strip())
    axes.set(xlabel="steps", ylabel=metric, title=title)
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if len(trials) > 1 and len(of_arm) <= 16:
        axes.legend(frameon=False, fontsize="small", ncols=1 + len(of_arm) // 8)
    return figure


def comparison(
    trials: Sequence[RunConfig], records: Sequence[Record], metric: str, title: str
) -> MatplotlibFigure:
    """The last value of a metric: a row for each arm of a sweep, a dot for each seed, a stroke at their mean.

    Args:
        trials: the configurations.
        records: lines of `metrics.jsonl`.
        metric: what is drawn, such as "eval/accuracy".
        title: of the figure.
    """
    of_arm, own = _arms(trials), _by_trial(trials, records)
    figure = MatplotlibFigure(figsize=(7, 1.2 + 0.3 * len(of_arm)), layout="constrained")
    axes = figure.subplots()
    for row, members in enumerate(of_arm.values()):
        values = [line[-1][1] for line in (_line(own[i], metric) for i in members) if line]
        axes.plot(values, [row] * len(values), "o", color="tab:blue", alpha=0.6)
        if len(values) > 1:
            axes.plot([sum(values) / len(values)], [row], "|", color="black", ms=16, mew=2)
    axes.set_yticks(range(len(of_arm)), list(of_arm), fontsize="small")
    axes.set(xlabel=metric, title=title, ylim=(len(of_arm) - 0.5, -0.5))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _arms(trials: Sequence[RunConfig]) -> dict[str, list[int]]:
    """Trials that differ in their seed alone: their common label -> their indices."""
    fields = [n for n in varied_fields(trials) if n != "seed"]
    arms: dict[str, list[int]] = {}
    for i, c in enumerate(trials):
        arms.setdefault(label(c, fields), []).append(i)
    return arms


def _by_trial(trials: Sequence[RunConfig], records: Sequence[Record]) -> dict[int, list[Record]]:
    own: dict[int, list[Record]] = {i: [] for i in range(len(trials))}
    for record in records:
        own[record["trial"]].append(record)
    return own


def _line(records: Sequence[Record], metric: str) -> list[tuple[int, float]]:
    return [(r["step"], r[metric]) for r in records if r.get(metric) is not None]


def _points(line: list[tuple[int, float]]) -> tuple[list[int], list[float]]:
    return [step for step, _ in line], [value for _, value in line]


def _mean(lines: list[list[tuple[int, float]]]) -> list[tuple[int, float]]:
    """The mean of the lines where all of them have a point."""
    tables = [dict(line) for line in lines]
    steps = sorted(set.intersection(*map(set, tables))) if tables else []
    return [(s, sum(t[s] for t in tables) / len(tables)) for s in steps]
