"""On the site, links to source files lead to the reference; on the disk and in a repository they are files.

A Markdown extension: `[`conv2d`](../mi203jax/nn/conv.py)` becomes a reference to `mi203jax.nn.conv.conv2d`,
and to the module if the link's text is no name of it. The build fails at one that the reference lacks.
"""

import ast
import functools
import re
from pathlib import Path
from xml.etree.ElementTree import Element

from markdown import Markdown
from markdown.extensions import Extension
from markdown.treeprocessors import Treeprocessor

ROOT = Path(__file__).resolve().parent.parent
SOURCE = re.compile(r"(?:\.\./)+((?:mi203jax|experiments)/[\w/]+)\.py")


@functools.cache
def names(path: Path) -> frozenset[str]:
    """What a module defines."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    defined = (n.name for n in body if isinstance(n, ast.FunctionDef | ast.ClassDef))
    assigned = (t for n in body if isinstance(n, ast.Assign) for t in n.targets)
    return frozenset([*defined, *(t.id for t in assigned if isinstance(t, ast.Name))])


class References(Treeprocessor):
    """Turns the links of a page."""

    def run(self, root: Element) -> None:
        """Changes the page's elements in place."""
        for link in root.iter("a"):
            source = SOURCE.fullmatch(link.get("href", ""))
            if source:
                first = next((e.text for e in link.iter("code") if e.text), "")
                module = source[1].replace("/", ".").removesuffix(".__init__")
                member = f".{first}" if first in names(ROOT / f"{source[1]}.py") else ""
                link.tag, link.attrib = "autoref", {"identifier": module + member}


class SourceLinks(Extension):
    """The extension."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802
        """Adds it after inline elements, of which links are, have been read."""
        md.treeprocessors.register(References(md), "source_links", 15)


def makeExtension(**options) -> SourceLinks:  # noqa: N802
    """As Markdown calls it."""
    return SourceLinks(**options)
