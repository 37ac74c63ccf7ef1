"""Several runs beside each other: a table, and their learning curves in one figure."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from mi203jax.core.fields import format_value
from mi203jax.core.html_report.markup import Child, Safe, join, tag
from mi203jax.core.html_report.reading import Run
from mi203jax.core.html_report.tables import best_arms, field_values, table, trial_count
from mi203jax.core.results import Row
from mi203jax.core.trials import arms, step_unit, varied_fields

Curve = Mapping[int, float]
"""Steps, or frames of an environment -> the objective."""

DPI = 110
SIZE = (8.0, 4.4)
"""Inches, without the names below."""


def comparison(runs: Sequence[Run]) -> Safe:
    """What two or more runs came to, side by side."""
    return join([comparison_table(runs), *_curve_figures(runs)])


def anchors(runs: Sequence[Run]) -> list[str]:
    """Where the section of each run is found."""
    return [f"run-{i}" for i, _ in enumerate(runs, 1)]


def names(runs: Sequence[Run]) -> list[str]:
    """A name a run: its experiment and its folder, with the whole path where that is needed to tell them."""
    folders = [run.path.resolve().name for run in runs]
    whole = [str(run.path) if folders.count(f) > 1 else f for run, f in zip(runs, folders, strict=True)]
    return [w if w.startswith(run.name) else f"{run.name} {w}" for run, w in zip(runs, whole, strict=True)]


def comparison_table(runs: Sequence[Run]) -> Safe:
    """A row a run: what it came to, how far that is from the best run, and the fields that differ."""
    fields, settings = differing_fields(runs), [field_values(run) for run in runs]
    best = [next(iter(best_arms(run)), {}) for run in runs]
    came = ["objective", "best mean", "from the best run", "95 % from", "to", "seeds"]
    rows: list[list[Child | Any]] = []
    for i, (run, anchor) in enumerate(zip(runs, anchors(runs), strict=True)):
        link = tag("a", str(run.path), href=f"#{anchor}")
        row = [link, run.name, run.objective or None, best[i].get("mean"), _difference(runs, best, i)]
        row += [best[i].get(n) for n in ("low", "high", "seeds")]
        row += [trial_count(run), run.seconds, run.state]
        rows.append([*row, *(settings[i].get(n) for n in fields)])
    columns = ["run", "experiment", *came, "trials", "seconds", "status", *fields]
    return table(f"{len(runs)} runs", columns, rows)


def differing_fields(runs: Sequence[Run]) -> list[str]:
    """The fields in which runs that have them differ, in the order in which they are declared."""
    settings = [field_values(run) for run in runs]
    every = dict.fromkeys(n for values in settings for n in values)
    return [n for n in every if len({values[n] for values in settings if n in values}) > 1]


def _difference(runs: Sequence[Run], best: Sequence[Row], own: int) -> float | None:
    """A run's mean less that of the best run of the same objective; None where one run alone has it."""
    means = [
        row.get("mean") if (run.objective, run.best) == (runs[own].objective, runs[own].best) else None
        for run, row in zip(runs, best, strict=True)
    ]
    mean, known = means[own], [m for m in means if m is not None]
    if mean is None or len(known) < 2:
        return None
    return float(mean) - (max if runs[own].best == "max" else min)(known)


# ---- learning curves ----


def _curve_figures(runs: Sequence[Run]) -> list[Safe]:
    """A figure an objective that two runs or more have measured."""
    found: dict[str, dict[str, Curve]] = {}
    units: dict[str, set[str]] = {}
    for run, name in zip(runs, names(runs), strict=True):
        if curve := curve_of(run):
            found.setdefault(run.objective, {})[name] = curve
            units.setdefault(run.objective, set()).add(step_unit(run.trials))
    drawn = [
        _figure(curves, objective, " or ".join(sorted(units[objective])))
        for objective, curves in found.items()
        if len(curves) > 1
    ]
    return [tag("div", *drawn, class_="figures")] if drawn else []


def curve_of(run: Run) -> Curve:
    """The objective of the best arm while it learnt, its mean over seeds; none where nothing is recorded."""
    if not (best := next(iter(best_arms(run)), None)):
        return {}
    fields = [n for n in varied_fields(run.trials) if n != "seed"]
    members = next(
        own
        for own in arms(run.trials)
        if all(format_value(getattr(run.trials[own[0]], n)) == best[n] for n in fields)
    )
    curves = run.recorded.curves[run.objective]
    frames = {i: run.trials[i].frames_per_step for i in members}
    measured = [{n * s: value for s, value in curves.of(i).items()} for i, n in frames.items()]
    measured = [curve for curve in measured if curve]
    steps = sorted(set.intersection(*map(set, measured))) if measured else []
    return {s: sum(curve[s] for curve in measured) / len(measured) for s in steps}


def _figure(curves: Mapping[str, Curve], objective: str, unit: str) -> Safe:
    """A line a run, as a PNG within the page."""
    from mi203jax.core.plots import legend_below, line_colours, plain_axes  # matplotlib takes its time

    figure, axes = plain_axes(SIZE)
    for (name, curve), colour in zip(curves.items(), line_colours(len(curves)), strict=True):
        shown = {"color": colour, "lw": 1.8, "marker": "." * (len(curve) == 1), "label": _plain(name)}
        axes.plot(list(curve), list(curve.values()), **shown)
    axes.set(xlabel=unit, ylabel=_plain(objective), title=f"{len(curves)} runs")
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
    legend_below(figure, axes)
    file = io.BytesIO()
    figure.savefig(file, dpi=DPI)
    width, height = Image.open(file).size
    source = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
    words = f"Lines of {objective} against {unit}, one a run: {', '.join(curves)}."
    caption = "Learning curves: of each run its best setting, the mean over seeds"
    return tag(
        "figure", tag("img", src=source, alt=words, width=width, height=height), tag("figcaption", caption)
    )


def _plain(text: str) -> str:
    """A text in which matplotlib finds no formula, and nothing that is no letter."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("$", r"\$")
