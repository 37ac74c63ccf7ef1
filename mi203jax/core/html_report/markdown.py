"""The Markdown that a study writes, as HTML: headings, tables, emphasis, code, and names of figures.

All else stays the text that it is, escaped.
"""

import itertools
import re
from collections.abc import Iterator, Sequence

from mi203jax.core.html_report.markup import Safe, join, tag
from mi203jax.core.html_report.tables import table

INLINE = re.compile(
    r"`(?P<code>[^`]+)`|\*\*(?P<strong>[^*]+)\*\*|\*(?P<em>[^\s*](?:[^*]*[^\s*])?)\*"
    r"|!\[(?P<name>[^][]*)\]\((?P<file>[^()]*)\)"
)
HEADING = re.compile(r"(#{1,3}) +(.+)")


def markdown(text: str, name: str, level: int) -> Iterator[Safe]:
    """The blocks of a text.

    Args:
        text: Markdown.
        name: what its tables are called.
        level: of its first headings: 3 makes `# x` an `<h3>`, and `## x` an `<h4>`.
    """
    for kind, lines in itertools.groupby(text.splitlines(), _kind):
        block = list(lines)
        if kind == "heading":
            yield from (_heading(line, level) for line in block)
        elif kind == "table":
            yield _table(block, name)
        elif kind == "text":
            yield tag("p", inline("\n".join(block)), class_="text")


def _kind(line: str) -> str:
    if not line.strip():
        return "blank"
    return "table" if line.startswith("|") else "heading" if HEADING.fullmatch(line) else "text"


def _heading(line: str, level: int) -> Safe:
    marks, _, words = line.partition(" ")
    return tag(f"h{min(level + len(marks) - 1, 6)}", inline(words.strip()))


def _table(lines: Sequence[str], name: str) -> Safe:
    """A table whose second line is a rule; lines that are none stay text."""
    rows = [[c.strip() for c in line.strip().strip("|").split("|")] for line in lines]
    is_ruled = len(rows) > 1 and all(re.fullmatch("-+", cell) for cell in rows[1])
    if not is_ruled or len({len(row) for row in rows}) > 1:
        return tag("p", inline("\n".join(lines)), class_="text")
    names, _, *cells = rows
    return table(name, names, [[inline(c) for c in row] for row in cells], sortable=False)


def inline(text: str) -> Safe:
    """Words with emphasis and code; a figure is named, for it stands among the figures of the page."""
    found: list[str] = []
    end = 0
    for match in INLINE.finditer(text):
        found += [text[end : match.start()], _element(match)]
        end = match.end()
    return join([*found, text[end:]])


def _element(match: re.Match[str]) -> Safe:
    if match["file"] is not None:
        return join(["Among the figures: ", tag("code", match["file"]), "."])
    kind = next(n for n in ("code", "strong", "em") if match[n] is not None)
    return tag(kind, match[kind])
