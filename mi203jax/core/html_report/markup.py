"""HTML out of function calls: whatever is not `Safe` already is escaped, so that forgetting is harmless."""

import html
from collections.abc import Iterable


class Safe(str):
    """Text that is HTML already."""

    __slots__ = ()


Child = str | None
Attribute = str | int | bool | None

VOID = {"img", "meta", "link"}


def tag(name: str, /, *children: Child, **attributes: Attribute) -> Safe:
    """An element.

    Args:
        name: such as "p".
        *children: texts, which are escaped, and `Safe` elements, which are not; None is left out.
        **attributes: `class_="x"` is `class="x"`, `aria_label` is `aria-label`; True is the name alone, and
            False and None leave the attribute out.
    """
    given = "".join(_attribute(n, v) for n, v in attributes.items() if v is not None and v is not False)
    start = f"<{name}{given}>"
    return Safe(start if name in VOID else f"{start}{join(children)}</{name}>")


def join(children: Iterable[Child]) -> Safe:
    """Texts and elements, one after the other."""
    return Safe("".join(escape(c) for c in children if c is not None))


def escape(text: str) -> Safe:
    """The text as HTML shows it, within elements and attributes; what is `Safe` stays."""
    if isinstance(text, Safe):
        return text
    # Names of files may hold bytes that are no UTF-8, which no page can hold.
    return Safe(html.escape(text.encode("utf-8", "replace").decode("utf-8")))


def _attribute(name: str, value: str | int) -> str:
    name = name.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'
