"""Figures that any run has: how its trials learnt, and how what they end at depends on what varies."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from mi203jax.core.config import BaseConfig
from mi203jax.core.fields import format_value
from mi203jax.core.plots import legend_below, line_colours, plain_axes
from mi203jax.core.recorded import Best, Curves, Recorded
from mi203jax.core.results import Row, t_interval
from mi203jax.core.trials import arms, label, step_unit, varied_fields

FEW, MANY = 8, 40
"""Arms beyond which a figure shows no bands, and no names."""

Values = Sequence[float | None]
"""Of each trial; None: there is none."""

NOTHING: Mapping[str, Values] = {}
MARKS = ("D", "s", "^", "v")

LOGARITHMIC = 20.0
"""Ratio of the largest to the smallest value from which on an axis goes by ratios."""


def sweep_figures(
    trials: Sequence[BaseConfig],
    rows: Sequence[Row],
    recorded: Recorded,
    metric: str,
    best: Best,
    title: str,
    beside: Sequence[str] = (),
    curves: Sequence[str] = (),
) -> dict[str, Figure]:
    """The figures that fit the number of arms and of fields that vary.

    Args:
        trials: the configurations.
        rows: what became of each, as `results` gives it.
        recorded: what they recorded, with those curves.
        metric: what is drawn, such as "eval/return".
        best: whether a larger or a smaller one is better.
        title: of the figures.
        beside: metrics that are drawn beside it, such as a baseline's.
        curves: metrics that get a learning curve of their own, if they were measured.

    Returns:
        file name -> figure.
    """
    figures = {"learning_curve": learning_curves(trials, recorded.curves[metric], metric, title)}
    for name in curves:
        if (own := recorded.curves[name]).values:
            figures["learning_curve_" + name.rpartition("/")[2]] = learning_curves(trials, own, name, title)

    def last_of(metric):
        return [row.get(metric) if row["status"] == "done" else None for row in rows]

    last, others = last_of(metric), {name: last_of(name) for name in beside}
    fields = [n for n in varied_fields(trials) if n != "seed"]
    if len(trials) > 1 and len(arms(trials)) <= MANY:
        figures["comparison"] = comparison(trials, last, metric, title, others)
    if all(v is None for v in last):
        return figures
    if len(fields) == 1 and _are_numbers(trials, fields[0]) and len(arms(trials)) > 2:
        figures["against_" + fields[0]] = against_field(trials, last, fields[0], metric, title, others)
    if len(fields) == 2:
        draw = heat_map if _is_grid(trials, fields) else scatter
        figures["_by_".join(fields)] = draw(trials, last, fields, metric, best, title)
    if len(fields) > 2:
        figures["parallel_coordinates"] = parallel_coordinates(trials, last, fields, metric, best, title)
    return figures


def learning_curves(trials: Sequence[BaseConfig], curves: Curves, metric: str, title: str) -> Figure:
    """A line an arm: the mean over its seeds, of few arms with its 95 % interval; many arms are grey.

    Args:
        trials: the configurations.
        curves: the values of the metric.
        metric: its name, such as "eval/return".
        title: of the figure.
    """
    figure, axes = plain_axes((7, 4.3))
    of_arm = _by_value(trials, _named_arms(trials))
    is_named, has_bands = len(of_arm) <= MANY, len(of_arm) <= FEW
    lines_are = _lines_are([len(members) for members in of_arm.values()], has_bands)
    colours = line_colours(len(of_arm)) if is_named else ["grey"] * len(of_arm)
    for colour, (name, members) in zip(colours, of_arm.items(), strict=True):
        each = [(trials[i].frames_per_step, curves.of(i)) for i in members]
        tables = [{n * step: value for step, value in own.items()} for n, own in each]
        steps = sorted(set.intersection(*map(set, tables)))
        values = [[table[s] for table in tables] for s in steps]
        shown = {"color": colour, "lw": 1.8 if is_named else 0.6, "label": name or lines_are}
        axes.plot(steps, [np.mean(v) for v in values], **shown)
        if len(members) > 1 and has_bands:
            intervals = np.array([t_interval(v) for v in values], float).reshape(-1, 2)
            axes.fill_between(steps, *intervals.T, color=colour, alpha=0.15, lw=0)
    seen = curves.values
    if seen and np.ptp(seen) > 0:  # intervals of few seeds may be far wider
        axes.set_ylim(min(seen) - 0.05 * np.ptp(seen), max(seen) + 0.05 * np.ptp(seen))
    axes.set(xlabel=step_unit(trials), ylabel=metric, title=title)
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
    if is_named and (len(of_arm) > 1 or lines_are):
        legend_below(figure, axes, lines_are if len(of_arm) > 1 else "")
    return figure


def comparison(
    trials: Sequence[BaseConfig],
    last: Values,
    metric: str,
    title: str,
    beside: Mapping[str, Values] = NOTHING,
) -> Figure:
    """A row for each arm of a sweep, a dot for each seed, a stroke at their mean.

    Args:
        trials: the configurations.
        last: the last value of the metric of each trial; None: there is none.
        metric: its name.
        title: of the figure.
        beside: the same of other metrics, of which small marks show each arm's mean.
    """
    of_arm = _named_arms(trials)
    figure, axes = plain_axes((7, 1.2 + 0.3 * len(of_arm)))
    for row, members in enumerate(of_arm.values()):
        values = _of(last, members)
        axes.plot(values, [row] * len(values), "o", color="tab:blue", alpha=0.6)
        if len(values) > 1:
            axes.plot([np.mean(values)], [row], "|", color="black", ms=16, mew=2)
    for (name, others), mark in zip(beside.items(), MARKS, strict=False):
        means = _means([*of_arm.values()], others)
        axes.plot(means, range(len(of_arm)), mark, color="tab:orange", ms=5, label=name)
    if beside:
        figure.legend(loc="outside lower center", frameon=False, fontsize="small", ncols=2)
    axes.set_yticks(range(len(of_arm)), list(of_arm), fontsize="small")
    axes.set(xlabel=metric, title=title, ylim=(len(of_arm) - 0.5, -0.5))
    return figure


def against_field(
    trials: Sequence[BaseConfig],
    last: Values,
    field: str,
    metric: str,
    title: str,
    beside: Mapping[str, Values] = NOTHING,
) -> Figure:
    """The metric against a number that varies: dots are trials, the line is the mean, bars 95 % intervals.

    The means of other metrics are lines with other marks; then axes of values go by ratios where they can.
    """
    figure, axes = plain_axes((7, 4.3))
    points, of_arm = [], arms(trials)
    for members in of_arm:
        x, values = getattr(trials[members[0]], field), _of(last, members)
        axes.plot([x] * len(values), values, "o", color="tab:blue", alpha=0.35, ms=5)
        if values:
            points.append((x, float(np.mean(values)), *t_interval(values)))
    points.sort()
    axes.plot([p[0] for p in points], [p[1] for p in points], color="tab:blue", lw=1.8, label=metric)
    shown = [p[1] for p in points]
    for (name, others), mark in zip(beside.items(), MARKS, strict=False):
        means = sorted(
            zip((getattr(trials[m[0]], field) for m in of_arm), _means(of_arm, others), strict=True)
        )
        axes.plot(*zip(*means, strict=True), f"{mark}--", color="tab:orange", lw=1.4, ms=5, label=name)
        shown += [mean for _, mean in means if not math.isnan(mean)]
    for x, mean, low, high in points:
        if low is not None and high is not None:
            axes.errorbar(x, mean, [[mean - low], [high - mean]], color="black", capsize=4, lw=1.2)
    if _by_ratios([p[0] for p in points]):
        axes.set_xscale("log")
    if beside:
        axes.legend(frameon=False, fontsize="small")
        if _by_ratios(shown):
            axes.set_yscale("log")
    axes.set(xlabel=field, ylabel=metric, title=title)
    return figure


def heat_map(
    trials: Sequence[BaseConfig],
    last: Values,
    fields: Sequence[str],
    metric: str,
    best: Best,
    title: str,
) -> Figure:
    """The mean of the metric over seeds, for each pair of values of two fields."""
    down, across = ([*dict.fromkeys(getattr(c, n) for c in trials)] for n in fields)
    down, across = (
        sorted(v) if _are_numbers(trials, n) else v for v, n in zip((down, across), fields, strict=True)
    )
    table = np.full((len(down), len(across)), np.nan)
    of_arm = arms(trials)
    for members, mean in zip(of_arm, _means(of_arm, last), strict=True):
        c = trials[members[0]]
        table[down.index(getattr(c, fields[0])), across.index(getattr(c, fields[1]))] = mean
    size = (2.5 + 0.75 * len(across), 1.8 + 0.45 * len(down))
    figure = Figure(figsize=(max(4.5, min(16, size[0])), max(3, min(12, size[1]))), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(table, cmap=_colours(best), aspect="auto")
    middle = np.nanmean([np.nanmin(table), np.nanmax(table)])
    for (i, j), value in np.ndenumerate(table) if table.size <= 150 else ():
        dark = (value < middle) == (best == "max")
        text = "–" if np.isnan(value) else f"{value:.3g}"
        axes.text(j, i, text, ha="center", va="center", color="white" if dark else "black", fontsize=8)
    axes.set_xticks(range(len(across)), [format_value(v) for v in across], rotation=45, ha="right")
    axes.set_yticks(range(len(down)), [format_value(v) for v in down])
    axes.set(xlabel=fields[1], ylabel=fields[0], title=title)
    figure.colorbar(image, label=metric)
    return figure


def scatter(
    trials: Sequence[BaseConfig],
    last: Values,
    fields: Sequence[str],
    metric: str,
    best: Best,
    title: str,
) -> Figure:
    """A dot for each pair of drawn values, coloured by the mean of the metric; a cross: it has none."""
    figure, axes = plain_axes((6, 4.6))
    of_arm, places = arms(trials), [_places(trials, n) for n in fields]
    x, y = (np.array([p[members[0]] for members in of_arm]) for p in places)
    z = np.array(_means(of_arm, last))
    there = ~np.isnan(z)
    axes.plot(x[~there], y[~there], "x", color="grey")
    dots = axes.scatter(x[there], y[there], c=z[there], cmap=_colours(best), s=50, edgecolors="black", lw=0.4)
    for field, axis in zip(fields, (axes.xaxis, axes.yaxis), strict=True):
        _ticks(axis, trials, field)
    axes.set(xlabel=fields[0], ylabel=fields[1], title=title)
    figure.colorbar(dots, label=metric)
    return figure


def parallel_coordinates(
    trials: Sequence[BaseConfig],
    last: Values,
    fields: Sequence[str],
    metric: str,
    best: Best,
    title: str,
) -> Figure:
    """A line for each arm through its value of each field, coloured by the mean of the metric."""
    figure = Figure(figsize=(max(6, 1.7 * len(fields) + 2), 4.6), layout="constrained")
    axes = figure.subplots()
    of_arm = arms(trials)
    means = _means(of_arm, last)
    low, high = np.nanmin(means), np.nanmax(means)
    norm = matplotlib.colors.Normalize(low, high)
    colours = matplotlib.colormaps[_colours(best)]
    # The best on top.
    order = np.argsort([-math.inf if math.isnan(m) else (m if best == "max" else -m) for m in means])
    heights = [_heights(trials, n) for n in fields]
    for k in order:
        first = of_arm[k][0]
        colour = "lightgrey" if math.isnan(means[k]) else colours(norm(means[k]))
        axes.plot(range(len(fields)), [h[first] for h in heights], color=colour, lw=1.3, alpha=0.8)
    for column, field in enumerate(fields):
        axes.axvline(column, color="black", lw=0.8)
        for height, text in _height_labels(trials, field):
            axes.text(column + 0.02, height, text, fontsize=7, va="center")
    axes.set_xticks(range(len(fields)), fields)
    axes.set(yticks=[], title=title, xlim=(-0.1, len(fields) - 0.7))
    axes.spines[:].set_visible(False)
    figure.colorbar(matplotlib.cm.ScalarMappable(norm, _colours(best)), ax=axes, label=metric)
    return figure


# ---- parts ----


def _lines_are(seeds: Sequence[int], has_bands: bool) -> str:
    """What the lines of arms with so many seeds are."""
    if max(seeds) == 1:
        return ""
    number = str(seeds[0]) if len(set(seeds)) == 1 else f"up to {max(seeds)}"
    return f"mean of {number} seeds" + (", band: 95 % interval" if has_bands else "")


def _colours(best: Best) -> str:
    return "viridis" if best == "max" else "viridis_r"


def _of(last: Values, members: Sequence[int]) -> list[float]:
    return [v for v in (last[i] for i in members) if v is not None]


def _means(of_arm: Sequence[Sequence[int]], last: Values) -> list[float]:
    """The mean over seeds of each arm; nan where every trial was lost."""
    return [float(np.mean(v)) if (v := _of(last, members)) else math.nan for members in of_arm]


def _named_arms(trials: Sequence[BaseConfig]) -> dict[str, list[int]]:
    fields = [n for n in varied_fields(trials) if n != "seed"]
    return {label(trials[members[0]], fields): members for members in arms(trials)}


def _by_value(trials: Sequence[BaseConfig], of_arm: Mapping[str, list[int]]) -> dict[str, list[int]]:
    """The arms in the order of their values: neighbours in colour are neighbours in value."""
    places = [_places(trials, n) for n in varied_fields(trials) if n != "seed"]
    return dict(sorted(of_arm.items(), key=lambda arm: [place[arm[1][0]] for place in places]))


def _are_numbers(trials: Sequence[BaseConfig], field: str) -> bool:
    return all(type(getattr(c, field)) in (int, float) for c in trials)


def _is_grid(trials: Sequence[BaseConfig], fields: Sequence[str]) -> bool:
    counts = [len({getattr(c, n) for c in trials}) for n in fields]
    return len(arms(trials)) == math.prod(counts)


def _by_ratios(values: Any) -> bool:
    return min(values) > 0 and max(values) / min(values) > LOGARITHMIC


def _places(trials: Sequence[BaseConfig], field: str) -> list[float]:
    """Where values stand on an axis: numbers at themselves, anything else in the order of appearance."""
    values = [getattr(c, field) for c in trials]
    if _are_numbers(trials, field):
        return [float(v) for v in values]
    order = {v: float(i) for i, v in enumerate(dict.fromkeys(values))}
    return [order[v] for v in values]


def _ticks(axis: Any, trials: Sequence[BaseConfig], field: str) -> None:
    if not _are_numbers(trials, field):
        values = list(dict.fromkeys(getattr(c, field) for c in trials))
        axis.set_ticks(range(len(values)), [format_value(v) for v in values])
    elif _by_ratios([getattr(c, field) for c in trials]):
        axis.axes.set(**{f"{axis.axis_name}scale": "log"})


def _heights(trials: Sequence[BaseConfig], field: str) -> list[float]:
    """Where each trial's value stands on a coordinate from 0 to 1."""
    places = np.array(_places(trials, field))
    places = np.log(places) if _are_numbers(trials, field) and _by_ratios(places) else places
    return list((places - places.min()) / max(np.ptp(places), 1e-30))


def _height_labels(trials: Sequence[BaseConfig], field: str) -> list[tuple[float, str]]:
    """The values that are written on a coordinate: all of a few, the ends of many."""
    at = {h: _short(getattr(c, field)) for h, c in zip(_heights(trials, field), trials, strict=True)}
    heights = sorted(at)
    return [(h, at[h]) for h in (heights if len(heights) <= 8 else (heights[0], heights[-1]))]


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else format_value(value)
