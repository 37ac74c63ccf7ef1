"""The report of one run, or of several beside each other."""

from collections.abc import Sequence

from mi203jax.core.html_report.comparison import anchors, comparison, names
from mi203jax.core.html_report.document import budget, document, heading, link_list
from mi203jax.core.html_report.figure import Pictures
from mi203jax.core.html_report.markup import Safe, join, tag
from mi203jax.core.html_report.pictures import embed
from mi203jax.core.html_report.reading import Run
from mi203jax.core.html_report.sections import SECTIONS, anchor, run_sections

LIMIT = 4_500_000
"""Bytes of a page, with all its pictures."""


def page(runs: Sequence[Run]) -> str:
    """The report of one run, or of several with a comparison before them."""
    compared = comparison(runs) if len(runs) > 1 else Safe()
    every = [part for run in runs for part in (run, *run.parts)]
    paths = [path for run in every for path in run.pictures]
    noted = {path: sha256 for run in every for path, sha256 in run.noted.items()}
    return _page(runs, compared, embed(paths, budget(_page(runs, compared, {}), LIMIT), noted))


def _page(runs: Sequence[Run], compared: Safe, pictures: Pictures) -> str:
    if len(runs) > 1:
        title = f"{len(runs)} runs compared"
        return document(title, _header(title, runs), _several(runs, compared, pictures))
    return document(runs[0].name, _header(runs[0].name, runs), run_sections(runs[0], pictures, "", 2))


def _header(title: str, runs: Sequence[Run]) -> Safe:
    if len(runs) == 1:
        links = {anchor("", name): name for name in SECTIONS}
        return heading(title, "Report of an experiment", str(runs[0].path), links)
    links = {"comparison": "Comparison"} | dict(zip(anchors(runs), names(runs), strict=True))
    return heading(title, "Report", "mi203jax", links)


def _several(runs: Sequence[Run], compared: Safe, pictures: Pictures) -> Safe:
    found = [tag("section", tag("h2", "Comparison"), compared, id="comparison")]
    for run, own, name in zip(runs, anchors(runs), names(runs), strict=True):
        links = link_list({anchor(f"{own}-", section): section for section in SECTIONS})
        inside = tag("nav", links, aria_label=f"Sections of {name}")
        content = run_sections(run, pictures, f"{own}-", 3, name)
        where = tag("p", str(run.path), class_="where")
        found.append(tag("article", tag("h2", name), where, inside, content, id=own))
    return join(found)
