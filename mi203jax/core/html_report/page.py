"""The page as a whole: one file, which loads nothing and lets nothing in."""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

from mi203jax.core.html_report.markup import Safe, join, tag
from mi203jax.core.html_report.pictures import embed
from mi203jax.core.html_report.reading import Run
from mi203jax.core.html_report.sections import SECTIONS, Pictures, anchor, run_sections
from mi203jax.core.html_report.tables import comparison_table

LIMIT = 4_500_000
"""Bytes of a page, with all its pictures."""

LEAST = 500_000
"""Bytes that pictures get in any case."""

HERE = Path(__file__).parent


def page(runs: Sequence[Run]) -> str:
    """The report of one run, or of several with a comparison before them."""
    rest = len(_page(runs, {}).encode())  # without a picture
    paths = [path for run in runs for part in (run, *run.parts) for path in part.pictures]
    budget = max(LIMIT - rest, LEAST) * 3 // 4  # base64 writes three bytes as four letters
    return _page(runs, embed(paths, budget))


def _page(runs: Sequence[Run], pictures: Pictures) -> str:
    style, script = (_raw(name) for name in ("report.css", "report.js"))
    title = runs[0].name if len(runs) == 1 else f"{len(runs)} runs compared"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_policy(style, script)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("link", rel="icon", href="data:,"),  # or a browser asks a server for one
        tag("title", f"{title} – mi203jax"),
        tag("style", style),
    )
    content = _single(runs[0], pictures) if len(runs) == 1 else _several(runs, pictures)
    body = tag("body", _header(title, runs), tag("main", content, id="content"), tag("script", script))
    return "<!doctype html>\n" + tag("html", head, body, lang="en") + "\n"


def _raw(name: str) -> Safe:
    """A file beside this one, as it stands."""
    return Safe((HERE / name).read_text(encoding="utf-8"))


def _policy(style: str, script: str) -> str:
    """What the page may do: show its own pictures, and this style and this script by their hashes."""

    def allowed(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    return (
        f"default-src 'none'; img-src data:; style-src {allowed(style)}; script-src {allowed(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _header(title: str, runs: Sequence[Run]) -> Safe:
    where = str(runs[0].path) if len(runs) == 1 else "mi203jax"
    links = {anchor("", name): name for name in SECTIONS}
    if len(runs) > 1:
        links = {"comparison": "Comparison"} | {f"run-{i}": _name(run) for i, run in enumerate(runs, 1)}
    return tag(
        "header",
        tag("a", "Skip to the content", href="#content", class_="skip"),
        tag("p", "Report of an experiment" if len(runs) == 1 else "Report", class_="eyebrow"),
        tag("h1", title),
        tag("p", where, class_="where"),
        tag("nav", _links(links), aria_label="Sections"),
    )


def _links(links: dict[str, str]) -> Safe:
    return tag("ul", *[tag("li", tag("a", name, href=f"#{where}")) for where, name in links.items()])


def _name(run: Run) -> str:
    return f"{run.name} {run.path.name}"


def _single(run: Run, pictures: Pictures) -> Safe:
    return run_sections(run, pictures, "", 2)


def _several(runs: Sequence[Run], pictures: Pictures) -> Safe:
    anchors = [f"run-{i}" for i in range(1, len(runs) + 1)]
    found = [tag("section", tag("h2", "Comparison"), comparison_table(runs, anchors), id="comparison")]
    for run, own in zip(runs, anchors, strict=True):
        links = _links({anchor(f"{own}-", name): name for name in SECTIONS})
        heading = tag("h2", _name(run))
        inside = tag("nav", links, aria_label=f"Sections of {_name(run)}")
        content = run_sections(run, pictures, f"{own}-", 3)
        found.append(
            tag("article", heading, tag("p", str(run.path), class_="where"), inside, content, id=own)
        )
    return join(found)
