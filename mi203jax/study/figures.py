"""Figures of a study: what was found of all claims, where each holds, and how lucky one must be."""

import math
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from mi203jax.study.result import Looked, Result, corrected
from mi203jax.study.sensitivity import quantile_of_best
from mi203jax.study.statistics import Comparison

COLOURS = {"holds": "tab:blue", "reversed": "tab:red", "not distinguishable": "grey"}
MARKS = {"holds": "o", "reversed": "D", "not distinguishable": "s"}
"""By verdict; marks too, for who does not see the colours."""

LEVEL = 0.05
SURE = "*: p < 0.05 by Holm"  # corrected for all that are shown

CELLS = 40
"""Rows of a forest plot at most; where there are more, cells of a grid are drawn as maps alone."""

COLUMNS = 4  # panels beside each other at most
TICKS = 8  # drawn numbers; more get an axis of numbers instead of a place each


def figures(results: Sequence[Result], looked: Sequence[Looked] = ()) -> dict[str, Figure]:
    """All figures that fit what was found: file name -> figure."""
    found: dict[str, Figure] = {}
    maps = grids(results)
    for metric in dict.fromkeys(r.metric for r in results):
        own = [r for r in results if r.metric == metric]
        if len(own) > CELLS:
            own = [r for r in own if (r.claim, r.setting) not in maps]
        suffix = "" if metric == "eval/accuracy" else "_" + metric.rpartition("/")[2]
        if 0 < len(own) <= CELLS:
            found["forest" + suffix] = forest(own)
            found["luck" + suffix] = luck(own)
    chosen = [r for r in results if r.looked_at == 1]  # others are where they are for what they showed
    if len({r.claim for r in chosen}) > 1 and len({r.setting for r in chosen}) > 1:
        found["where"] = where(chosen)
    for (claim, setting), cells in maps.items():
        found[f"map_{claim}_{setting}"] = cell_map(cells)
    for claim in dict.fromkeys(x.claim for x in looked):
        seen, judged = [x for x in looked if x.claim == claim], [r for r in results if r.claim == claim]
        found[f"looks_{claim}"] = looks(seen, judged)
    return found


def forest(results: Sequence[Result]) -> Figure:
    """A row a comparison: the mean difference of the paired seeds with its interval; all of one metric."""
    words = names(results)
    labels = [f"{words[r.claim]}   {r.setting}" + f"\n{r.cell}" * bool(r.cell) for r in results]
    longest = max(len(line) for label in labels for line in label.split("\n"))
    height = 0.4 if any(r.cell for r in results) else 0.27
    figure = Figure(figsize=(5 + 0.062 * longest, 1.5 + height * len(results)), layout="constrained")
    axes = figure.subplots()
    linear = _symmetric_axis(axes, [r.comparison for r in results])
    for row, c in enumerate(r.comparison for r in results):
        ends = np.clip([c.low, c.high], *axes.get_xlim())  # one that nothing limits goes to the border
        axes.plot(ends, [row, row], color=COLOURS[c.verdict], lw=2, solid_capstyle="butt")
        axes.plot(c.difference, row, MARKS[c.verdict], color=COLOURS[c.verdict], ms=5)
    axes.axvline(0, color="black", lw=0.8)
    axes.set_yticks(range(len(results)), labels, fontsize=8)
    axes.set_ylim(len(results) - 0.4, -0.6)
    axes.set_xlabel("←  second better    |    first better  →", fontsize=9)
    level = "95 %" + " after correction for all that were looked at" * (results[0].looked_at > 1)
    unit = f"difference in {measure(results[0])}, mean of paired seeds, {level}"
    figure.supxlabel(f"{unit}\n(linear within ±{linear:g}, by ratios beyond)", fontsize=9)
    axes.grid(alpha=0.25, axis="x")
    axes.spines[["top", "right", "left"]].set_visible(False)
    _above(figure, [Line2D([], [], color=COLOURS[v], marker=MARKS[v], label=v) for v in COLOURS])
    return figure


def _symmetric_axis(axes: Axes, compared: Sequence[Comparison]) -> float:
    """An axis with room for all that is finite; gives up to where it is linear."""
    ends = [abs(e) for c in compared for e in (c.low, c.high, c.difference) if math.isfinite(e)]
    top = math.floor(math.log10(max(*ends, 1e-6))) + 1
    typical = float(np.median([abs(c.difference) for c in compared])) or 1e-6
    bottom = min(max(math.floor(math.log10(typical)), top - 4), top - 2)
    axes.set_xscale("symlog", linthresh=10.0**bottom)
    axes.set_xlim(-2 * 10.0**top, 2 * 10.0**top)
    ticks = 10.0 ** np.arange(bottom, top + 1)
    places = [*-ticks[::-1], 0, *ticks]
    axes.set_xticks(places, [f"{x:+g}" if x else "0" for x in places], fontsize=8)
    return 10.0**bottom


def _above(figure: Figure, handles: Sequence[Any]) -> None:
    """What the colours of the verdicts mean."""
    figure.legend(handles=handles, frameon=False, fontsize=8, ncols=3, loc="outside upper center")


def statement(result: Result) -> str:
    """The claim in words, with what both arms had the same of."""
    words = f"{result.first.name} > {result.second.name}"
    return words if result.budget == "examples" else f"{words}, equal {result.budget}"


def names(results: Iterable[Result]) -> dict[str, str]:
    """Each claim's statement, with the claim's own name where others state the same."""
    words = {r.claim: statement(r) for r in results}
    count = Counter(words.values())
    return {n: w if count[w] == 1 else f"{w} ({n})" for n, w in words.items()}


def place(result: Result) -> str:
    """Where it was asked."""
    return f"{result.setting} {result.cell}".strip()


def measure(result: Result) -> str:
    """The metric; a difference in it is positive where the first arm is better."""
    return result.metric if result.best == "max" else f"{result.metric} (smaller is better)"


def luck(results: Sequence[Result]) -> Figure:
    """For each comparison, what the best of k draws of each arm reaches in half of the cases."""
    figure, panels = _panels(len(results), (3.1, 2.3))
    words = names(results)
    for axes, result in zip(panels, results, strict=True):
        for arm, colour, mark in ((result.first, "tab:blue", "."), (result.second, "tab:orange", "x")):
            tried = scores(arm.tuning, result.best)
            curve = quantile_of_best(tried, larger_is_better=result.best == "max")
            axes.plot(range(1, len(curve) + 1), curve, mark, ls="-", color=colour, ms=4, label=arm.name)
        axes.xaxis.get_major_locator().set_params(integer=True)
        lines = (textwrap.fill(t, 52, break_on_hyphens=False) for t in (words[result.claim], place(result)))
        axes.set_title("\n".join(lines), fontsize=7)
        axes.legend(frameon=False, fontsize=6)
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("configurations tried", fontsize=9)
    figure.supylabel(f"best {measure(results[0])},\nheld-out data, median", fontsize=9)
    return figure


def _panels(n: int, size: tuple[float, float], **shared: Any) -> tuple[Figure, list[Any]]:
    """A figure of n panels, in rows."""
    rows, columns = math.ceil(n / COLUMNS), min(COLUMNS, n)
    figsize = (max(6, size[0] * columns + 0.6), size[1] * rows + 0.6)
    figure = Figure(figsize=figsize, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, **shared)
    for axes in grid.flat[n:]:
        axes.remove()
    return figure, list(grid.flat[:n])


def scores(tuning: Sequence[float | None], best: str) -> np.ndarray:
    """Scores of a tuning; what has none counts as worse than any."""
    worst = -np.inf if best == "max" else np.inf
    return np.array([worst if s is None else s for s in tuning])


def where(results: Sequence[Result]) -> Figure:
    """The verdict on each claim (down) in each setting (across), and the difference."""
    down, sure = names(results), _sure(results)
    across = {r.setting: measure(r) for r in results}
    size = (3.5 + 1.1 * len(across), 1.8 + 0.36 * len(down))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    for i, claim in enumerate(down):
        for j, setting in enumerate(across):
            column = [r for r in results if r.setting == setting]
            own = [r for r in column if r.claim == claim]
            _verdict_cells(axes, i, j, own, max(abs(r.comparison.difference) for r in column), sure)
    one = len(set(across.values())) == 1
    columns = list(across) if one else [f"{s}\n{metric}" for s, metric in across.items()]
    axes.set_xticks(range(len(across)), columns, rotation=30, ha="right", fontsize=8)
    axes.set_yticks(range(len(down)), list(down.values()), fontsize=8)
    axes.set(xlim=(-0.5, len(across) - 0.5), ylim=(len(down) - 0.5, -0.5))
    axes.spines[:].set_visible(False)
    metric = "difference" + f" in {measure(results[0])}" * one
    signs = f"+: the first is better, {SURE}, –: not measured"
    figure.supxlabel(f"{metric} ({signs};\nstrips: cells of a setting)", fontsize=8)
    _above(figure, [Patch(color=COLOURS[v], alpha=0.55, label=v) for v in COLOURS])
    return figure


def _verdict_cells(
    axes: Axes, i: int, j: int, results: Sequence[Result], largest: float, sure: set[int]
) -> None:
    """The cell of a claim in a setting, cut into as many strips as the setting has cells."""
    for k, c in enumerate(r.comparison for r in results):
        width = 0.94 / len(results)
        corner = (j - 0.47 + k * width, i - 0.45)
        axes.add_patch(Rectangle(corner, width, 0.9, color=COLOURS[c.verdict], alpha=0.55, lw=0))
    if len(results) < 2:
        text = _number(results[0], largest / 10, sure) if results else "–"
        axes.text(j, i, text, ha="center", va="center", fontsize=8)


def _number(result: Result, largest: float, sure: set[int]) -> str:
    """The difference, with two digits of the largest beside it and a star where its sign is sure."""
    digits = max(0, 1 - math.floor(math.log10(abs(largest) or 1)))
    return f"{result.comparison.difference:+.{digits}f}" + "*" * (id(result) in sure)


def _sure(results: Sequence[Result]) -> set[int]:
    """Identities of those whose sign is sure, though there are as many of them."""
    return {id(r) for r, p in zip(results, corrected(results), strict=True) if p <= LEVEL}


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
    values = {n: ordered(c[n] for c in cells) for n in cells[0]}
    fields = sorted((n for n in values if len(values[n]) > 1), key=lambda n: -len(values[n]))
    across, down, others = fields[0], fields[1] if len(fields) > 1 else "", fields[2:]
    panels = [*dict.fromkeys(tuple((n, c[n]) for n in others) for c in cells)]
    columns, rows = values[across], values.get(down, [""])
    size = (max(5.5, 1.8 + len(panels) * (0.8 + 0.72 * len(columns))), 2.2 + 0.42 * len(rows))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    largest, sure = max(abs(r.comparison.difference) for r in results) or 1.0, _sure(results)
    for axes, panel in zip(grid, panels, strict=True):
        table = np.full((len(rows), len(columns)), np.nan)
        for c, r in zip(cells, results, strict=True):
            if tuple((n, c[n]) for n in others) == panel:
                i, j = rows.index(c.get(down, "")), columns.index(c[across])
                table[i, j] = r.comparison.difference
                colour = "white" if abs(table[i, j]) > 0.7 * largest else "black"
                text = _number(r, largest, sure)
                axes.text(j, i, text, ha="center", va="center", fontsize=7, color=colour)
        image = axes.imshow(table, cmap="RdBu", vmin=-largest, vmax=largest, aspect="auto", alpha=0.8)
        axes.set_xticks(range(len(columns)), columns, rotation=40, ha="right", fontsize=8)
        axes.set_yticks(range(len(rows)) if down else [], rows if down else [], fontsize=8)
        axes.set_title(" ".join(f"{n}={v}" for n, v in panel), fontsize=9)
        axes.set_xlabel(across)
    grid[0].set_ylabel(down)
    figure.colorbar(image, ax=grid).ax.tick_params(labelsize=8)
    metric = f"difference in {measure(results[0])}"
    signs = f"(+, blue: the first is better; {SURE})"
    title = f"{statement(results[0])}: {results[0].setting}\n{metric}\n{signs}"
    figure.suptitle(title, fontsize=9)
    return figure


def ordered(values: Iterable[str]) -> list[str]:
    """Each value once: numbers ascending, then others in the order in which they came."""
    return sorted(dict.fromkeys(values), key=lambda v: (0, float(v)) if _is_number(v) else (1, 0.0))


def _is_number(value: str) -> bool:
    try:
        return math.isfinite(float(value))
    except ValueError:
        return False


def looks(looked: Sequence[Looked], judged: Sequence[Result]) -> Figure:
    """A panel for each field that was drawn: the first arm's advantage after tuning against its values.

    Args:
        looked: all cells that were, of one claim.
        judged: what came of those that went on.
    """
    cells = [{"setting": x.setting} | coordinates(x.cell) for x in looked]
    all_fields = dict.fromkeys(n for c in cells for n in c)
    fields = [n for n in all_fields if len({c[n] for c in cells if n in c}) > 1] or ["setting"]
    figure, panels = _panels(len(fields), (2.6, 2.6), sharey=True)
    picked = {(r.setting, r.cell) for r in judged}
    for axes, field in zip(panels, fields, strict=True):
        own = [(c[field], x) for c, x in zip(cells, looked, strict=True) if field in c]
        rings = [0.9 * ((x.setting, x.cell) in picked) for _, x in own]
        _against(axes, [v for v, _ in own], np.array([x.advantage for _, x in own]), rings)
        axes.set_xlabel(field)
    figure.supylabel(f"difference in {measure(judged[0])},\nbest draws, held-out data", fontsize=9)
    marks = "+: first better, dash: mean, ring: judged on fresh seeds"
    figure.suptitle(f"{statement(judged[0])}: all {len(looked)} that were looked at\n({marks})", fontsize=9)
    return figure


def _against(axes: Axes, values: Sequence[str], advantage: np.ndarray, rings: Sequence[float]) -> None:
    """A dot a cell; at each value their mean, unless there are too many values."""
    ticks = ordered(values)
    at = np.array([ticks.index(v) for v in values], float)
    if len(ticks) > TICKS and _is_number(ticks[-1]):
        at = np.array(values, float)
        axes.tick_params(labelsize=8)
    else:
        means = [advantage[at == k].mean() for k in range(len(ticks))]
        axes.plot(range(len(ticks)), means, "k_", ms=16, mew=2)
        axes.set_xticks(range(len(ticks)), ticks, rotation=40, ha="right", fontsize=8)
        at += np.random.default_rng(0).uniform(-0.15, 0.15, len(at))
    colours = np.where(advantage >= 0, "tab:blue", "tab:red")
    axes.axhline(0, color="black", lw=0.8)
    axes.scatter(at, advantage, s=16, c=colours, alpha=0.7, linewidths=rings, edgecolors="black")
    axes.spines[["top", "right"]].set_visible(False)
