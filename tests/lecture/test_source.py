"""Signatures and first sentences, read from a file that is not run."""

import pytest

from mi203jax.lecture import source
from mi203jax.lecture.source import source_of

FILE = '''"""Docs."""
import nowhere

def f(x: "Array", *more: int, k: int = 2, **others) -> int:
    """One line.

    And more.
    """
    return nowhere.g(x)

@decorated(
    by=1
)
class C(NamedTuple):
    """A class."""

    a: int
    b: tuple[int, ...] = (1, 2)

    def method(self): ...

class Plain:
    """Without fields."""

TABLE: dict[str, int] = {"f": 1}
"""By name."""

BARE = 3

def silent(): ...
'''


@pytest.fixture
def package(tmp_path, monkeypatch):
    (tmp_path / "p" / "q").mkdir(parents=True)
    (tmp_path / "p" / "m.py").write_text(FILE, encoding="utf-8")
    (tmp_path / "p" / "q" / "__init__.py").write_text("def g(): ...\n")
    monkeypatch.setattr(source, "ROOT", tmp_path)


@pytest.mark.parametrize(
    ("name", "signature", "summary"),
    [
        ("f", "(x, *more, k=2, **others)", "One line."),
        ("C", "(a, b=(1, 2))", "A class."),
        ("Plain", "", "Without fields."),
        ("TABLE", "", "By name."),
        ("BARE", "", ""),
        ("silent", "()", ""),
    ],
)
def test_what_stands_there(package, name, signature, summary):
    found = source_of(f"p.m.{name}")
    assert found[:2] == (name, source.path_of("p.m"))
    assert (found.signature, found.summary) == (signature, summary)
    assert name in FILE.splitlines()[found.line - 1]


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("f", 'def f(x: "Array", *more: int, k: int = 2, **others) -> int:', "    return nowhere.g(x)"),
        ("C", "@decorated(", "    def method(self): ..."),
        ("TABLE", 'TABLE: dict[str, int] = {"f": 1}', 'TABLE: dict[str, int] = {"f": 1}'),
    ],
)
def test_its_lines(package, name, first, last):
    lines = source_of(f"p.m.{name}").code.split("\n")
    assert (lines[0], lines[-1]) == (first, last)


def test_packages(package):
    assert source_of("p.q.g").path.as_posix() == "p/q/__init__.py"


@pytest.mark.parametrize("dotted", ["p.m.method", "p.m.nowhere", "p.n.f"])
def test_what_is_not_there(package, dotted):
    with pytest.raises(LookupError):
        source_of(dotted)
