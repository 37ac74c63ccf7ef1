"""`lecture.html`: the lecture on one page that can be opened and mailed, in the order of the slides.

It loads nothing, as `report.html`. Links lead to the reports of the parts in the run's folder.
"""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mi203jax.core.html_report.document import budget, document, heading
from mi203jax.core.html_report.figure import Pictures
from mi203jax.core.html_report.markup import Safe, join, tag
from mi203jax.core.html_report.pictures import ABSENT, Picture
from mi203jax.core.html_report.sections import duration
from mi203jax.core.html_report.tables import fact_list
from mi203jax.core.series_pages import RUNNING
from mi203jax.lecture.judges import Verdict
from mi203jax.lecture.outcome import Outcome, outcome_of
from mi203jax.lecture.pictures import embed_smaller
from mi203jax.lecture.sections import (
    MOST,
    Shelf,
    anchor,
    figures_of,
    holes_of,
    other_section,
    remedy,
    slide_section,
    title_of,
    verdict_word,
    verdicts,
)
from mi203jax.lecture.slide import Slide, experiments_of

NAME = "lecture.html"

LIMIT = 4_900_000
"""Bytes of the page, with all its pictures."""

OTHERS = "Not on the slides"


def page(
    folder: Path, slides: Sequence[Slide], outcomes: Sequence[Outcome], provenance: Mapping[str, Any]
) -> str:
    """The page.

    Args:
        folder: of the run, where the figures and the reports of its parts lie.
        slides: all of the lecture; those of which nothing was run are left out, and named.
        outcomes: of each run of the lecture, those of an experiment in the order of its forms.
        provenance: where the run came from.
    """
    came = {o.name: o for o in outcomes}
    shown, on_slides = _shown(slides, came), experiments_of(slides)
    others = [o for o in outcomes if o.experiment not in on_slides]
    first: dict[Path, str] = {}
    for i, slide in enumerate(shown):
        for j, row in enumerate(slide.rows):
            for path in figures_of(row, folder, came):
                first.setdefault(path, anchor(i, j))
    paths = [*first, *(path for o in others for path in o.figures(folder)[:MOST])]

    again = shlex.join(["python", "launch.py", f"--resume={folder}"])

    def drawn(pictures: Pictures) -> str:
        shelf = Shelf(folder, came, pictures, again, first)
        return _page(shelf, slides, shown, others, provenance)

    without = drawn(dict.fromkeys(paths, Picture("data:,")))
    noted = {path: sha256 for o in outcomes for path, sha256 in o.drawn(folder).items()}
    return drawn(embed_smaller(paths, budget(without, LIMIT), noted))


def told(slides: Sequence[Slide], outcomes: Sequence[Outcome]) -> str:
    """What the screen shows: each claim that was judged, and what failed."""
    came = {o.name: o for o in outcomes}
    lines = [f"{v.kind:<10}{slide.title}: {v.words}" for _, slide, v in _judged(_shown(slides, came), came)]
    failed = [o for o in outcomes if o.error]
    lines += [
        f"{'missing' if o.is_measured else 'failed':<10}{o.name}: {o.error.rstrip('.')}. Alone: {o.command}"
        for o in failed
    ]
    return "\n".join(lines)


def _shown(slides: Iterable[Slide], came: Mapping[str, Outcome]) -> list[Slide]:
    """The slides, and the rows, of what was to run."""
    found, experiments = [], {o.experiment for o in came.values()}
    for slide in slides:
        rows = tuple(row for row in slide.rows if any(ran.experiment in experiments for ran in row.runs))
        found += [slide._replace(rows=rows)] if rows else []
    return found


def _judged(shown: Sequence[Slide], came: Mapping[str, Outcome]) -> list[tuple[str, Slide, Verdict]]:
    """Anchor, slide and verdict of each claim that has a judge."""
    return [
        (anchor(i, j), slide, verdict)
        for i, slide in enumerate(shown)
        for j, row in enumerate(slide.rows)
        for verdict in verdicts(row, came)
    ]


def _page(
    shelf: Shelf,
    slides: Sequence[Slide],
    shown: Sequence[Slide],
    others: Sequence[Outcome],
    provenance: Mapping[str, Any],
) -> str:
    title = "The lecture, slide by slide"
    links: dict[str, str] = {
        anchor(i): join([title_of(slide), _mark(slide, shelf)]) for i, slide in enumerate(shown)
    }
    links |= {"others": OTHERS} if others else {}
    header = heading(title, "ENSTA MI203 · deep learning", str(shelf.folder), links, "Slides")
    text = (
        "Links to reports and to errors.txt work in the run's folder only. So that this page can be mailed, "
    )
    text += "pictures may have fewer colours and frames than those in the folder."
    content = [
        tag("section", tag("p", text, class_="note")),
        _missing(shelf, shown, RUNNING in provenance),
        _facts(shelf, shown),
        _verdicts(shelf, shown),
    ]
    content += [slide_section(i, slide, shelf) for i, slide in enumerate(shown)]
    if others:
        parts = (other_section(outcome, shelf) for outcome in others)
        content.append(tag("section", tag("h2", OTHERS), *parts, id="others"))
    content.append(_end(slides, shown, provenance))
    return document(title, header, join(content))


def _mark(slide: Slide, shelf: Shelf) -> str:
    came = [outcome_of(ran, shelf.outcomes) for row in slide.rows for ran in row.runs]
    lost = [outcome for outcome in came if outcome and not outcome.is_measured]
    if lost:
        is_damaged = all(outcome.damaged for outcome in lost)
        over = " (damaged)" if is_damaged else " (failed)"
        return over if any(outcome.is_over for outcome in lost) else " (not over)"
    lacks = any(outcome.error for outcome in came if outcome) or any(holes_of(r, shelf) for r in slide.rows)
    return " (without all figures)" * lacks


def _missing(shelf: Shelf, shown: Sequence[Slide], is_running: bool) -> Safe | None:
    """What is missing, before anything else."""
    found = [*_failures(shelf, is_running), *_lost_figures(shelf, shown)]
    return tag("div", *found, class_="banner", role="note") if found else None


def _failures(shelf: Shelf, is_running: bool) -> list[Safe]:
    """Which runs are missing, and what helps."""
    failed = [o for o in shelf.outcomes.values() if o.error]
    if not failed:
        return []
    said = {
        "failed": any(o.is_over and not (o.is_measured or o.damaged) for o in failed),
        "cannot be read": any(o.damaged for o in failed),
        "are not over" if is_running else "did not come to their end": not all(o.is_over for o in failed),
        "lack figures": any(o.is_measured for o in failed),
    }
    what = ", or ".join(words for words, is_so in said.items() if is_so)
    text = [f"{len(failed)} of {len(shelf.outcomes)} runs {what}. "]
    if is_running:
        text.append("The lecture is going on: what follows is what there was until now. ")
    if not is_running or any(o.is_over for o in failed):
        once = ", once it has ended" * is_running
        text += [tag("code", shelf.again), f" tries them again{once}."]
    lines = [tag("li", tag("code", o.name), *remedy(o, shelf)) for o in failed]
    return [tag("p", *text), tag("ul", *lines)]


def _lost_figures(shelf: Shelf, shown: Sequence[Slide]) -> list[Safe]:
    """Which figures are missing, where, and what draws them; but of runs that lack all of them."""
    lines = []
    for path, (where, outcome) in _holes(shelf, shown).items():
        if not outcome.error:
            link = tag("a", path.relative_to(shelf.folder).as_posix(), href=f"#{where}")
            note = f": {shelf.pictures.get(path, ABSENT).note} "
            lines.append(tag("li", link, note, tag("code", outcome.command), " draws it."))
    text = f"Figures that are not there, or cannot be read: {len(lines)}. Each command makes a new folder."
    return [tag("p", text), tag("ul", *lines)] if lines else []


def _holes(shelf: Shelf, shown: Sequence[Slide]) -> dict[Path, tuple[str, Outcome]]:
    """The figures that slides lack: where each is missed first, and whose it is."""
    found: dict[Path, tuple[str, Outcome]] = {}
    for i, slide in enumerate(shown):
        for j, row in enumerate(slide.rows):
            for path, outcome in holes_of(row, shelf).items():
                found.setdefault(path, (anchor(i, j), outcome))
    return found


def _facts(shelf: Shelf, shown: Sequence[Slide]) -> Safe:
    outcomes = shelf.outcomes.values()
    kinds = [verdict.kind for _, _, verdict in _judged(shown, shelf.outcomes)]
    facts = {"runs": f"{sum(o.is_measured for o in outcomes)} of {len(outcomes)}"}
    facts |= {"claims that hold": str(kinds.count("holds")), "that fail": str(kinds.count("fails"))}
    others = {
        "undecided": kinds.count("undecided"),
        "not run": kinds.count("not run"),
        "figures missing": len(_holes(shelf, shown)),
    }
    facts |= {name: str(number) for name, number in others.items() if number}
    return fact_list(facts | {"time of the programs": duration(sum(o.seconds for o in outcomes))})


def _verdicts(shelf: Shelf, shown: Sequence[Slide]) -> Safe | None:
    """What holds and what fails, at a glance."""
    found = _judged(shown, shelf.outcomes)
    if not found:
        return None
    words = "As these runs bear the slides out: mostly one seed, so that small differences say little."
    lines = [
        tag(
            "li",
            verdict_word(verdict),
            tag("a", slide.title, href=f"#{where}", lang=slide.language),
            f": {verdict.words}",
        )
        for where, slide, verdict in found
    ]
    contents = (tag("h2", "What holds"), tag("p", words, class_="note"), tag("ul", *lines, class_="verdicts"))
    return tag("section", *contents, id="verdicts")


def _end(slides: Sequence[Slide], shown: Sequence[Slide], provenance: Mapping[str, Any]) -> Safe:
    """Where it came from, and what was left out."""
    titles = [slide.title for slide in shown]
    left = [title_of(slide) for slide in slides if slide.title not in titles]
    packages, devices = (provenance.get(n) or {} for n in ("packages", "devices"))
    origin = f"{provenance.get('time', '')}, {provenance.get('cores', '?')} cores, "
    origin += f"{', '.join(sorted(set(devices)))}, jax {dict(packages).get('jax', '?')}. "
    more = tag("a", "More on versions and commit", href="report.html")
    made = tag("p", tag("code", str(provenance.get("command", ""))), f" {origin}", more, ".")
    out = tag("p", "Not part of this run: ", Safe("; ".join(left)), ".", class_="note") if left else None
    return tag("section", tag("h2", "How it was made"), made, out, id="made")
