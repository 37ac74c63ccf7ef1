"""The grammar of a sweep: which values `field=…` stands for.

| typed | stands for |
|---|---|
| `field=a,b,c` | each of them |
| `field=lin(a,b,n)`, `field=log(a,b,n)` | n values from a to b, at equal distances or at equal ratios |
| `field=uniform(a,b)`, `field=loguniform(a,b)` | a number drawn between a and b |
| `field=choice(a,b,c)` | one of them, drawn |

Does not import jax: see `mi203jax.core.config`.
"""

import math
import re
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, cast

from mi203jax.core.errors import UsageError
from mi203jax.core.fields import field_of, format_value, is_static, parse_value, type_of

MOST = 10_000
"""Values of a field that are listed."""

_CALL = re.compile(r"(lin|log|uniform|loguniform|choice)\((.*)\)", re.DOTALL)
_SHAPE = {
    "lin": "lin(LOW,HIGH,COUNT)",
    "log": "log(LOW,HIGH,COUNT)",
    "uniform": "uniform(LOW,HIGH)",
    "loguniform": "loguniform(LOW,HIGH)",
}


class Distribution(NamedTuple):
    """Values of a field that are drawn."""

    kind: Literal["uniform", "loguniform", "choice"]
    low: float = 0.0
    high: float = 1.0
    choices: tuple = ()
    is_whole: bool = False

    def at(self, u: float) -> Any:
        """The value at quantile u, in [0, 1): uniform draws of u give draws of the value."""
        if self.kind == "choice":
            return self.choices[int(u * len(self.choices))]
        # Whole numbers from low to high have as much room each.
        room = 0.5 if self.is_whole else 0.0
        return self._replace(low=self.low - room, high=self.high + room).between(u, self.low, self.high)

    def between(self, u: float, low: float | None = None, high: float | None = None) -> float | int:
        """The number at the part u of the way from the lower to the upper bound, kept within others."""
        if self.kind == "loguniform":
            value = math.exp((1 - u) * math.log(self.low) + u * math.log(self.high))
        else:
            value = (1 - u) * self.low + u * self.high
        kept = self._replace(low=self.low if low is None else low, high=self.high if high is None else high)
        return kept.rounded(value)

    def rounded(self, number: float) -> float | int:
        """The number as a field gets it: whole if it must be, else of so many digits as tell values apart."""
        if self.is_whole:
            return int(min(self.high, max(self.low, round(number))))
        width = max(abs(self.low), abs(self.high)) / (self.high - self.low)
        digits = min(17, 6 + max(0, math.ceil(math.log10(width))))
        return min(self.high, max(self.low, float(f"{number:.{digits}g}")))


Axis = list[Any] | Distribution
"""The values that a field takes in a sweep, or what they are drawn from."""


def parse_axis(cls: type, assignment: str) -> tuple[str, Axis]:
    """The field of `"field=…"` and its values.

    Raises:
        UsageError: for an unknown field, or values that it does not take.
    """
    name, equals, text = assignment.partition("=")
    field_of(cls, name)
    if not equals:
        raise UsageError(f"{name!r} has no value: expected {name}=VALUE.")
    calls = [_CALL.fullmatch(part.strip()) for part in split(text)]
    if len(calls) == 1 and calls[0] and calls[0][1] in ("uniform", "loguniform", "choice"):
        return name, _distribution(cls, name, calls[0][1], calls[0][2])
    values: list[Any] = []
    for part, call in zip(split(text), calls, strict=True):
        values += _grid(cls, name, call[1], call[2]) if call else [parse_value(cls, name, part)]
        if len(values) > MOST:
            raise UsageError(f"{name}: expected at most {MOST} values.")
    refuse_repeated(name, values)
    return name, values


def refuse_repeated(name: str, values: Sequence[Any]) -> None:
    """Whether each value is given once.

    Raises:
        UsageError: naming one that is not.
    """
    seen = set()
    for value in values:
        if value in seen:
            raise UsageError(f"{name}={format_value(value)} is given twice.")
        seen.add(value)


def split(text: str) -> list[str]:
    """Splits at the commas that stand outside parentheses."""
    parts, depth, start = [], 0, 0
    for place, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]]


def _distribution(cls: type, name: str, kind: str, text: str) -> Distribution:
    if kind == "choice":
        choices = [parse_value(cls, name, part) for part in split(text)]
        refuse_repeated(name, choices)
        return Distribution("choice", choices=tuple(choices))
    if is_static(field_of(cls, name)):
        raise UsageError(
            f"{name}={kind}({text}): {name} shapes the program, so that each value is compiled: expected a "
            f"few of them, {name}=choice(VALUE,VALUE) or {name}=VALUE,VALUE."
        )
    low, high = _bounds(cls, name, kind, split(text), 2)
    kind = cast(Literal["uniform", "loguniform"], kind)
    return Distribution(kind, low, high, is_whole=type_of(cls, name) is int)


def _grid(cls: type, name: str, kind: str, text: str) -> list[Any]:
    if kind not in ("lin", "log"):
        raise UsageError(f"{name}={kind}({text}) stands alone: expected no other value beside it.")
    parts = split(text)
    low, high = _bounds(cls, name, kind, parts, 3)
    count = parts[2].strip()
    if not re.fullmatch(r"\d{1,9}", count) or not 2 <= int(count) <= MOST:
        raise UsageError(
            f"{name}={kind}({text}): expected a whole number in [2, {MOST}], not {count!r} values."
        )
    scale = Distribution(
        "loguniform" if kind == "log" else "uniform", low, high, (), type_of(cls, name) is int
    )
    inner = [scale.between(i / (int(count) - 1)) for i in range(1, int(count) - 1)]
    return [parse_value(cls, name, parts[0]), *inner, parse_value(cls, name, parts[1])]


def _bounds(cls: type, name: str, kind: str, parts: list[str], expected: int) -> tuple[float, float]:
    """The first two of a call's arguments, each a value that the field takes."""
    typed = f"{name}={kind}({','.join(parts)})"
    if type_of(cls, name) not in (int, float):
        raise UsageError(f"{typed}: {name} is not a number: expected {name}=VALUE,VALUE.")
    if len(parts) != expected:
        raise UsageError(f"{typed}: expected {name}={_SHAPE[kind]}.")
    low, high = (float(parse_value(cls, name, part)) for part in parts[:2])
    if low >= high:
        raise UsageError(f"{typed}: expected the lower bound first, and another one.")
    if kind.startswith("log") and low <= 0:
        raise UsageError(f"{typed}: expected bounds above 0, since it goes by ratios.")
    return low, high
