"""A page as a file: one that loads nothing and lets nothing in."""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path

from mi203jax.core.html_report.markup import Safe, tag

HERE = Path(__file__).parent

LEAST = 500_000
"""Bytes that pictures get in any case."""


def document(title: str, header: Safe, content: Safe) -> str:
    """The text of a page.

    Args:
        title: of the window.
        header: what stands above the content.
        content: is told from the header by assistive technology, and has the anchor `content`.
    """
    style, script = (_raw(name) for name in ("report.css", "report.js"))
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
    body = tag("body", header, tag("main", content, id="content"), tag("script", script))
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


def heading(title: str, above: str, below: str, links: Mapping[str, str], label: str = "Sections") -> Safe:
    """The header of a page.

    Args:
        title: the page's.
        above: a word on what it is.
        below: where it comes from.
        links: anchor -> name, of what is in it.
        label: what the links lead to.
    """
    return tag(
        "header",
        tag("a", "Skip to the content", href="#content", class_="skip"),
        tag("p", above, class_="eyebrow"),
        tag("h1", title),
        tag("p", below, class_="where"),
        tag("nav", link_list(links), aria_label=label),
    )


def link_list(links: Mapping[str, str]) -> Safe:
    """Links to anchors of the page."""
    return tag("ul", *[tag("li", tag("a", name, href=f"#{where}")) for where, name in links.items()])


def budget(page_without_pictures: str, limit: int) -> int:
    """Bytes that the files of pictures may have, so that the page stays below its limit."""
    rest = limit - len(page_without_pictures.encode())
    return max(rest, LEAST) * 3 // 4  # base64 writes three bytes as four letters
