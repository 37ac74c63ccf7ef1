"""What all plots of a run share: axes, colours that differ, and a legend that hides nothing.

Does not import jax.
"""

from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

COLUMNS = 4
"""Of a legend, at most."""

MARGIN = 0.1
"""Inches around a legend."""


def plain_axes(size: tuple[float, float]) -> tuple[Figure, Any]:
    """A figure of so many inches, and its axes, in the style of all plots of a run."""
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def line_colours(number: int) -> list[Any]:
    """A colour a line, none twice: distinct ones of a few, of more a scale from dark to light."""
    few = matplotlib.color_sequences["tab10"]
    if number <= len(few):
        return list(few[:number])
    return list(matplotlib.colormaps["viridis"](np.linspace(0, 0.92, number)))  # its end is hard to see


def legend_below(figure: Figure, axes: Any, heading: str = "") -> None:
    """Names the lines of the axes below them, in as many columns as fit; the figure grows by what that takes.

    Args:
        figure: in a constrained layout.
        axes: whose lines have labels.
        heading: of the legend; "": none.
    """
    handles, labels = axes.get_legend_handles_labels()

    def inches(columns: int) -> tuple[float, float]:
        for before in figure.legends:
            before.remove()
        drawn = figure.legend(
            handles,
            labels,
            title=heading,
            ncols=columns,
            loc="outside lower center",
            frameon=False,
            fontsize="small",
            title_fontsize="small",
        )
        size = drawn.get_window_extent()
        return size.width / figure.dpi + MARGIN, size.height / figure.dpi + MARGIN

    width, height = figure.get_size_inches()
    columns = min(COLUMNS, len(labels))
    while (needed := inches(columns))[0] > width and columns > 1:
        columns -= 1
    figure.set_size_inches(max(width, needed[0]), height + needed[1])
