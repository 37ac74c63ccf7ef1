"""Writes the table of docs/course.md anew, of mi203jax/lecture; the text around it stays.

    python -m benchmarks.course_page

Change a row in `mi203jax/lecture/classifying.py` or `beyond.py`, not in the page.
"""

import itertools
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.measure import table as markdown
from mi203jax.lecture.slide import Ran, Row, Shown, Slide
from mi203jax.lecture.slides import SLIDES
from mi203jax.lecture.source import path_of

PAGE = Path(__file__).parent.parent / "docs/course.md"

HEAD = ("slide", "formula or claim", "function", "experiment", "figure")


def page(text: str, slides: Sequence[Slide]) -> str:
    """The text with a new table in place of its table."""
    (old,) = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    return text.replace(old, table(slides))


def table(slides: Iterable[Slide]) -> str:
    """A row a formula or claim, the slide's title in its first."""
    rows = [
        (slide.title if i == 0 else "", row.text, functions(row), *map(", ".join, seen(row)))
        for slide in slides
        for i, row in enumerate(slide.rows)
    ]
    return markdown([dict(zip(HEAD, map(escaped, row), strict=True)) for row in rows]) + "\n"


def escaped(cell: str) -> str:
    """Text whose stars stay stars."""
    return cell.replace("*", "\\*")


def functions(row: Row) -> str:
    """Links to the files that define the functions, those of one file together."""
    words = ", ".join(links(row.functions)) + row.remark
    return words + "".join(f", and the standard {link}" for link in links(row.standard))


def links(dotted: Iterable[str]) -> list[str]:
    """A link a file."""
    found = []
    for module, own in itertools.groupby((d.rpartition(".") for d in dotted), lambda parts: parts[0]):
        found.append(f"[{', '.join(f'`{name}`' for _, _, name in own)}](../{path_of(module).as_posix()})")
    return found


def seen(row: Row) -> tuple[list[str], list[str]]:
    """Links to the experiments, and to the figures."""
    return [experiment(ran) for ran in row.runs], [figure(shown) for shown in row.figures]


def experiment(ran: Ran) -> str:
    """A link to an experiment, and the sweep."""
    sweep = f" `--sweep={ran.sweep}`" if ran.sweep else ""
    return f"[`{ran.experiment}`](../experiments/{ran.experiment}.py){sweep}"


def figure(shown: Shown) -> str:
    """A link to what a figure looks like."""
    return f"[`{shown.file}`]({shown.target})"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), SLIDES), encoding="utf-8")
