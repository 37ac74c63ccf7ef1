"""Fields of a configuration: how they are declared, what they take, how their values are read and written.

Does not import jax, so that a command line that is wrong is answered at once.
"""

import dataclasses
import functools
import math
import re
import typing
from typing import Any, Literal, TypeVar

from mi203jax.core.errors import UsageError, did_you_mean

T = TypeVar("T")
MAX_INT = 2**31 - 1  # jax computes with 32 bits
MIN_FLOAT, MAX_FLOAT = 1.2e-38, 3.4e38


# ---- declaring fields ----


def traced(default: T, doc: str, interval: str = "") -> T:
    """Declares a number that may differ from trial to trial of one compiled program.

    Args:
        default: an int or a float.
        doc: one line that says what the number is, with its unit.
        interval: where it must lie, as in mathematics: `"(0, 1]"`, `"[0, inf)"`.
    """
    return _field(default, doc, interval, is_static=False)


def static(default: T, doc: str, interval: str = "") -> T:
    """Declares a structural choice: trials that differ in it are compiled apart.

    Args:
        default: an int, float, bool, str, or a tuple of these.
        doc: one line that says what the choice is, with its unit.
        interval: where numbers (or the numbers of a tuple) must lie, as in mathematics: `"[1, inf)"`.
    """
    return _field(default, doc, interval, is_static=True)


def _field(default: T, doc: str, interval: str, is_static: bool) -> T:
    metadata = {"doc": doc, "interval": Interval.parse(interval), "static": is_static}
    return dataclasses.field(default=default, metadata=metadata)


class Interval(typing.NamedTuple):
    """An interval of numbers, written as in mathematics."""

    text: str
    low: float
    high: float

    @classmethod
    def parse(cls, text: str) -> "Interval | None":
        """`"(0, 1]"` -> the interval without 0 and with 1; `""` -> None."""
        if not text:
            return None
        match = re.fullmatch(r"[\[(]\s*(\S+)\s*,\s*(\S+)\s*[\])]", text)
        if match is None:
            raise ValueError(f"not an interval: {text!r}")
        return cls(text, float(match[1]), float(match[2]))

    def __contains__(self, value: object) -> bool:
        number = typing.cast(float, value)
        above = number >= self.low if self.text[0] == "[" else number > self.low
        below = number <= self.high if self.text[-1] == "]" else number < self.high
        return above and below


def is_static(field: dataclasses.Field) -> bool:
    """Whether trials that differ in this field need a program each."""
    return field.metadata["static"]


def type_of(cls: type, name: str) -> Any:
    """The annotated type of a field."""
    return _types(cls)[name]


@functools.cache
def _types(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


# ---- values: from text, from JSON, and checked ----

_NO_TEXT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def is_text(value: str) -> bool:
    """Whether it can be stored and shown: without control characters, and without bytes that are no UTF-8.

    Line breaks and tabs may be in it. Bytes that are no UTF-8 come from a command line as half characters.
    """
    return _NO_TEXT.search(value) is None


def field_of(cls: type, name: str) -> dataclasses.Field:
    """The field of that name.

    Raises:
        UsageError: naming the nearest field, if there is none of that name.
    """
    fields = {f.name: f for f in dataclasses.fields(cls)}
    if name not in fields:
        raise UsageError(f"Unknown field {name!r}. {did_you_mean(name, fields)}")
    return fields[name]


def parse_value(cls: type, name: str, text: str) -> Any:
    """The value of `name=text` on a command line, by the field's type.

    Integers may be written `1e6` or `1_000_000`, booleans `true` or `false`, tuples `(32,64)`.

    Raises:
        UsageError: if there is no such field, or it does not take that value.
    """
    field = field_of(cls, name)
    kind = type_of(cls, name)
    try:
        value = _from_text(kind, text.strip())
    except ValueError:
        raise UsageError(_refusal(field, kind, text)) from None
    return check_value(field, kind, value)


def _from_text(kind: Any, text: str) -> Any:
    if kind is bool:
        return {"true": True, "false": False, "1": True, "0": False}.get(text.lower(), text)
    if kind in (int, float) and not text.isascii():  # digits of other scripts
        raise ValueError(text)
    if kind is int:
        return int(text) if re.fullmatch(r"[+-]?[\d_]+", text) else _whole(float(text))
    if kind is float:
        return float(text)
    if typing.get_origin(kind) is tuple:
        if not (text.startswith("(") and text.endswith(")")):
            raise ValueError(text)
        item = typing.get_args(kind)[0]
        return tuple(_from_text(item, part) for part in _parts(text[1:-1]))
    return text


def _parts(text: str) -> list[str]:
    """`"1, 2,"` -> `["1", "2"]`: a comma may stand after the last, as in Python."""
    parts = [part.strip() for part in text.split(",")]
    if parts[-1] == "":
        parts.pop()
    if "" in parts:
        raise ValueError(text)
    return parts


def _whole(number: float) -> int:
    if not math.isfinite(number) or number != int(number):
        raise ValueError(number)
    return int(number)


def check_value(field: dataclasses.Field, kind: Any, value: Any) -> Any:
    """The value as its field stores it: an int given for a float becomes a float.

    Raises:
        UsageError: if the type is another, the number is not finite, or outside the interval.
    """
    origin = typing.get_origin(kind)
    if origin is tuple and isinstance(value, tuple | list):
        return tuple(check_value(field, typing.get_args(kind)[0], v) for v in value)
    if origin is Literal and value in typing.get_args(kind):
        return value
    value = value.item() if is_numpy_scalar(value) else value
    if kind is float and type(value) is int:
        value = float(value) if abs(value) < MAX_FLOAT else (1 if value > 0 else -1) * math.inf
    wrong_type = origin is not None or not isinstance(value, kind)
    if wrong_type or (isinstance(value, bool) and kind is not bool) or not _in_range(field, value):
        raise UsageError(_refusal(field, kind, value))
    return value


def _in_range(field: dataclasses.Field, value: Any) -> bool:
    if isinstance(value, bool):
        return True
    if isinstance(value, str):
        return is_text(value)
    if isinstance(value, int) and abs(value) > MAX_INT:
        return False
    if isinstance(value, float) and value != 0.0 and not MIN_FLOAT < abs(value) < MAX_FLOAT:
        return False  # nor if it is not a number: that compares false with any
    interval = field.metadata["interval"]
    return interval is None or value in interval


def _refusal(field: dataclasses.Field, kind: Any, value: Any) -> str:
    interval = field.metadata["interval"]
    where = f" in {interval.text}" if interval else ""
    expected = f"{field.name}={value}: expected {type_name(kind)}{where}"
    if typing.get_origin(kind) is Literal:
        return f"{expected}. {did_you_mean(str(value), map(str, typing.get_args(kind)))}"
    if isinstance(value, str) and kind is str:
        expected += " without control characters, in UTF-8"
    if isinstance(value, int | float) and 0 < abs(value) < math.inf:
        small, large = (1, MAX_INT) if isinstance(value, int) else (MIN_FLOAT, MAX_FLOAT)
        if not small <= abs(value) <= large:
            expected += ", and of a size that 32 bits hold"
    return f"{expected} ({field.metadata['doc']})."


def type_name(kind: Any) -> str:
    """What a field takes, in words."""
    plain = {bool: "true or false", int: "a whole number", float: "a finite number", str: "a text"}
    if kind in plain:
        return plain[kind]
    if typing.get_origin(kind) is Literal:
        return "one of " + ", ".join(map(str, typing.get_args(kind)))
    item = typing.get_args(kind)[0]
    example = "(one,two)" if item is str else "(32,64)"
    return f"a tuple such as {example}, each {plain[item]}"


def describe(c: Any) -> list[dict[str, str]]:
    """One row a field: name, value, what it takes, how it is swept, meaning."""
    rows = []
    for f in dataclasses.fields(c):
        interval = f.metadata["interval"]
        row = {"field": f.name, "value": format_value(getattr(c, f.name))}
        row["takes"] = _short_name(type_of(type(c), f.name)) + (f" in {interval.text}" if interval else "")
        row["swept"] = "apart" if is_static(f) else "together"
        rows.append(row | {"meaning": f.metadata["doc"]})
    return rows


def _short_name(kind: Any) -> str:
    if typing.get_origin(kind) is Literal:
        return "|".join(map(str, typing.get_args(kind)))
    if typing.get_origin(kind) is tuple:
        return f"({_short_name(typing.get_args(kind)[0])},...)"
    return kind.__name__


def format_value(value: Any) -> str:
    """The value as one would type it on the command line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "(" + ",".join(map(format_value, value)) + ")"
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def is_numpy_scalar(value: Any) -> bool:
    """Whether this is a number of numpy's, which is to be stored as Python's."""
    return type(value).__module__ == "numpy" and type(value).__name__ != "ndarray" and hasattr(value, "item")
