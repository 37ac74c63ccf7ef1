"""The report of one run, or of several beside each other."""

from collections.abc import Sequence

from mi203jax.core.html_report.document import budget, document, heading, link_list
from mi203jax.core.html_report.figure import Pictures
from mi203jax.core.html_report.markup import Safe, join, tag
from mi203jax.core.html_report.pictures import embed
from mi203jax.core.html_report.reading import Run
from mi203jax.core.html_report.sections import SECTIONS, anchor, run_sections
from mi203jax.core.html_report.tables import comparison_table

LIMIT = 4_500_000
"""Bytes of a page, with all its pictures."""


def page(runs: Sequence[Run]) -> str:
    """The report of one run, or of several with a comparison before them."""
    paths = [path for run in runs for part in (run, *run.parts) for path in part.pictures]
    return _page(runs, embed(paths, budget(_page(runs, {}), LIMIT)))


def _page(runs: Sequence[Run], pictures: Pictures) -> str:
    title = runs[0].name if len(runs) == 1 else f"{len(runs)} runs compared"
    content = _single(runs[0], pictures) if len(runs) == 1 else _several(runs, pictures)
    return document(title, _header(title, runs), content)


def _header(title: str, runs: Sequence[Run]) -> Safe:
    if len(runs) == 1:
        links = {anchor("", name): name for name in SECTIONS}
        return heading(title, "Report of an experiment", str(runs[0].path), links)
    links = {"comparison": "Comparison"} | {f"run-{i}": _name(run) for i, run in enumerate(runs, 1)}
    return heading(title, "Report", "mi203jax", links)


def _name(run: Run) -> str:
    return f"{run.name} {run.path.name}"


def _single(run: Run, pictures: Pictures) -> Safe:
    return run_sections(run, pictures, "", 2)


def _several(runs: Sequence[Run], pictures: Pictures) -> Safe:
    anchors = [f"run-{i}" for i in range(1, len(runs) + 1)]
    found = [tag("section", tag("h2", "Comparison"), comparison_table(runs, anchors), id="comparison")]
    for run, own in zip(runs, anchors, strict=True):
        links = link_list({anchor(f"{own}-", name): name for name in SECTIONS})
        heading = tag("h2", _name(run))
        inside = tag("nav", links, aria_label=f"Sections of {_name(run)}")
        content = run_sections(run, pictures, f"{own}-", 3)
        found.append(
            tag("article", heading, tag("p", str(run.path), class_="where"), inside, content, id=own)
        )
    return join(found)
