"""Figures of a study: what was found of all claims, where each holds, and how lucky one must be."""

import math
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mi203jax.study.result import Looked, Result
from mi203jax.study.sensitivity import quantile_of_best

COLOURS = {"holds": "tab:blue", "reversed": "tab:red", "not distinguishable": "grey"}
MARKS = {"holds": "o", "reversed": "D", "not distinguishable": "s"}
"""By verdict; marks too, for who does not see the colours."""

CELLS = 40
"""Rows of a forest plot at most; more cells than that are drawn as maps alone."""


def figures(results: Sequence[Result], looked: Sequence[Looked] = ()) -> dict[str, Figure]:
    """All figures that fit what was found: file name -> figure."""
    found: dict[str, Figure] = {}
    for metric in dict.fromkeys(r.metric for r in results):
        own = [r for r in results if r.metric == metric]
        suffix = "" if metric == "eval/accuracy" else "_" + metric.rpartition("/")[2]
        if len(own) <= CELLS:
            found["forest" + suffix] = forest(own)
            found["luck" + suffix] = luck(own)
    if len({r.claim for r in results}) > 1 and len({r.setting for r in results}) > 1:
        found["where"] = where(results)
    for (claim, setting), cells in grids(results).items():
        found[f"map_{claim}_{setting}"] = cell_map(cells)
    for claim in dict.fromkeys(x.claim for x in looked):
        found[f"looks_{claim}"] = looks([x for x in looked if x.claim == claim])
    return found


def forest(results: Sequence[Result]) -> Figure:
    """A row a comparison: the mean difference of the paired seeds with its interval; all of one metric."""
    figure = Figure(figsize=(8.5, 1.4 + 0.27 * len(results)), layout="constrained")
    axes = figure.subplots()
    compared = [r.comparison for r in results]
    ends = [e for c in compared for e in (c.low, c.high, c.difference) if math.isfinite(e)]
    linear = 10.0 ** (math.floor(math.log10(max(*map(abs, ends), 1e-6))) - 1)
    axes.set_xscale("symlog", linthresh=linear)
    axes.set_xlim(-200 * linear, 200 * linear)
    ticks = linear * np.array([1, 10, 100])
    axes.set_xticks([*-ticks[::-1], 0, *ticks], [f"{x:+g}" if x else "0" for x in [*-ticks[::-1], 0, *ticks]])
    for row, c in enumerate(compared):
        inside = np.clip([c.low, c.high], *axes.get_xlim())  # an end that nothing limits goes to the border
        axes.plot(inside, [row, row], color=COLOURS[c.verdict], lw=2, solid_capstyle="butt")
        axes.plot(c.difference, row, MARKS[c.verdict], color=COLOURS[c.verdict], ms=5)
    axes.axvline(0, color="black", lw=0.8)
    axes.set_yticks(range(len(results)), [f"{statement(r)}   {place(r)}" for r in results], fontsize=8)
    axes.set_ylim(len(results) - 0.4, -0.6)
    unit = f"{results[0].metric} of the first minus the second, mean of paired seeds, {_level(results)}"
    axes.set_xlabel(f"{unit}\n(linear within ±{linear:g}, by ratios beyond)", fontsize=9)
    axes.grid(alpha=0.25, axis="x")
    axes.spines[["top", "right", "left"]].set_visible(False)
    _above(axes, [Line2D([], [], color=COLOURS[v], marker=MARKS[v], label=v) for v in COLOURS])
    return figure


def _level(results: Sequence[Result]) -> str:
    if any(r.looked_at > 1 for r in results):
        return "95 % after correction for all that were looked at"
    return "95 %"


def _above(axes: Any, handles: Sequence[Any]) -> None:
    """What the colours of the verdicts mean."""
    place = {"loc": "lower center", "bbox_to_anchor": (0.4, 1.0)}
    axes.legend(handles=handles, frameon=False, fontsize=8, ncols=3, **place)


def statement(result: Result) -> str:
    """The claim in words, with what both arms had the same of."""
    words = f"{result.first.name} > {result.second.name}"
    return words if result.budget == "examples" else f"{words}, equal {result.budget}"


def place(result: Result) -> str:
    """Where it was asked."""
    return f"{result.setting} {result.cell}".strip()


def luck(results: Sequence[Result]) -> Figure:
    """For each comparison, what the best of k draws reaches in half of the cases, in each arm, held-out data."""
    columns = min(4, len(results))
    rows = math.ceil(len(results) / columns)
    figure = Figure(figsize=(3.1 * columns + 0.6, 2.3 * rows + 0.5), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(results) :]:
        axes.remove()
    for axes, result in zip(grid.flat, results, strict=False):
        for arm, colour in ((result.first, "tab:blue"), (result.second, "tab:orange")):
            tried = scores(arm.tuning, result.best)
            curve = quantile_of_best(tried, larger_is_better=result.best == "max")
            axes.plot(range(1, len(curve) + 1), curve, color=colour, label=arm.name)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_title(f"{statement(result)}\n{place(result)}", fontsize=7)
        axes.legend(frameon=False, fontsize=6, loc="lower right")
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("configurations tried", fontsize=9)
    figure.supylabel(f"best {results[0].metric}, held-out data, median", fontsize=9)
    return figure


def scores(tuning: Sequence[float | None], best: str) -> np.ndarray:
    """Scores of a tuning; what has none counts as worse than any."""
    worst = -np.inf if best == "max" else np.inf
    return np.array([worst if s is None else s for s in tuning])


def where(results: Sequence[Result]) -> Figure:
    """The verdict on each claim (down) in each setting (across), and the difference."""
    down = list(dict.fromkeys(statement(r) for r in results))
    across = list(dict.fromkeys(r.setting for r in results))
    size = (3.5 + 1.1 * len(across), 1.4 + 0.36 * len(down))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    for i, claim in enumerate(down):
        for j, setting in enumerate(across):
            own = [r for r in results if statement(r) == claim and r.setting == setting]
            _verdict_cells(axes, i, j, own)
    axes.set_xticks(range(len(across)), across, rotation=30, ha="right", fontsize=8)
    axes.set_yticks(range(len(down)), down, fontsize=8)
    axes.set(xlim=(-0.5, len(across) - 0.5), ylim=(len(down) - 0.5, -0.5))
    axes.spines[:].set_visible(False)
    handles = [matplotlib.patches.Patch(color=COLOURS[v], alpha=0.55, label=v) for v in COLOURS]
    axes.legend(
        handles=handles, frameon=False, fontsize=8, ncols=3, loc="lower center", bbox_to_anchor=(0.3, 1.0)
    )
    return figure


def _verdict_cells(axes: Any, i: int, j: int, results: Sequence[Result]) -> None:
    """The cell of a claim in a setting, cut into as many strips as the setting has cells."""
    for k, result in enumerate(results):
        c, width = result.comparison, 0.94 / len(results)
        corner = (j - 0.47 + k * width, i - 0.45)
        colour = COLOURS[c.verdict]
        axes.add_patch(matplotlib.patches.Rectangle(corner, width, 0.9, color=colour, alpha=0.55, lw=0))
    if len(results) == 1:
        axes.text(j, i, f"{results[0].comparison.difference:+.2g}", ha="center", va="center", fontsize=8)


def grids(results: Sequence[Result]) -> dict[tuple[str, str], list[Result]]:
    """The claims and settings with many cells, and what came of each cell."""
    found: dict[tuple[str, str], list[Result]] = {}
    for r in results:
        found.setdefault((r.claim, r.setting), []).append(r)
    return {k: own for k, own in found.items() if len(own) > 3 and own[0].looked_at == 1}


def coordinates(cell: str) -> dict[str, str]:
    """`"depth=5 residual=true"` -> {"depth": "5", "residual": "true"}."""
    return dict(part.split("=", 1) for part in cell.split())


def cell_map(results: Sequence[Result]) -> Figure:
    """The difference in each cell of a grid: two fields down and across, a panel for each value of others."""
    cells = [coordinates(r.cell) for r in results]
    fields = sorted(cells[0], key=lambda n: -len({c[n] for c in cells}))
    across, down, others = fields[0], fields[1] if len(fields) > 1 else "", fields[2:]
    panels = list(dict.fromkeys(tuple((n, c[n]) for n in others) for c in cells))
    columns, rows = (list(dict.fromkeys(c.get(n, "") for c in cells)) for n in (across, down))
    size = (1.6 + len(panels) * (0.8 + 0.72 * len(columns)), 1.9 + 0.42 * len(rows))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    largest = max(abs(r.comparison.difference) for r in results) or 1.0
    for axes, panel in zip(grid, panels, strict=True):
        table = np.full((len(rows), len(columns)), np.nan)
        for c, r in zip(cells, results, strict=True):
            if tuple((n, c[n]) for n in others) == panel:
                i, j = rows.index(c.get(down, "")), columns.index(c[across])
                table[i, j] = r.comparison.difference
                sure = "" if r.comparison.verdict == "not distinguishable" else "*"
                axes.text(j, i, f"{table[i, j]:+.2f}{sure}", ha="center", va="center", fontsize=7)
        image = axes.imshow(table, cmap="RdBu", vmin=-largest, vmax=largest, aspect="auto", alpha=0.8)
        axes.set_xticks(range(len(columns)), columns, rotation=40, ha="right", fontsize=8)
        axes.set_yticks(range(len(rows)), rows, fontsize=8)
        axes.set_title(" ".join(f"{n}={v}" for n, v in panel), fontsize=9)
        axes.set_xlabel(across)
    grid[0].set_ylabel(down)
    figure.colorbar(image, ax=grid, label=f"difference of {results[0].metric}")
    figure.suptitle(f"{statement(results[0])}, {results[0].setting} (*: 95 % interval without 0)", fontsize=9)
    return figure


def looks(looked: Sequence[Looked]) -> Figure:
    """A panel for each field that was drawn: the first arm's advantage after tuning against its values."""
    cells = [coordinates(x.cell) for x in looked]
    fields = [n for n in cells[0] if len({c.get(n) for c in cells}) > 1]
    figure = Figure(figsize=(2.4 * max(2, len(fields)) + 0.6, 3.2), layout="constrained")
    grid = figure.subplots(1, max(1, len(fields)), squeeze=False, sharey=True)[0]
    for axes, field in zip(grid, fields, strict=False):
        values = sorted({c.get(field, "") for c in cells}, key=_number_or_text)
        at = np.array([values.index(c.get(field, "")) for c in cells])
        advantage = np.array([x.advantage for x in looked])
        shift = np.random.default_rng(0).uniform(-0.15, 0.15, len(at))
        axes.axhline(0, color="black", lw=0.8)
        axes.scatter(
            at + shift, advantage, s=14, c=np.where(advantage >= 0, "tab:blue", "tab:red"), alpha=0.7
        )
        means = [advantage[at == k].mean() for k in range(len(values))]
        axes.plot(range(len(values)), means, "k_", ms=16, mew=2)
        axes.set_xticks(range(len(values)), values, rotation=40, ha="right", fontsize=8)
        axes.set_xlabel(field)
        axes.spines[["top", "right"]].set_visible(False)
    grid[0].set_ylabel("first − second, held-out data,\nbest of the draws of each", fontsize=9)
    figure.suptitle(f"{looked[0].claim}: every setting that was looked at (stroke: mean)", fontsize=10)
    return figure


def _number_or_text(value: str) -> tuple[int, float, str]:
    try:
        return 0, float(value), ""
    except ValueError:
        return 1, 0.0, value
