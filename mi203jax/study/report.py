"""What a study found, in words and tables."""

from collections.abc import Sequence

from mi203jax.study.figures import place, scores, statement
from mi203jax.study.result import Result
from mi203jax.study.sensitivity import chance_of


def table(results: Sequence[Result]) -> str:
    """A line a comparison, for the screen."""
    head = ("claim", "where", "first", "second", "difference", "95 %", "verdict")
    rows = [head, *(_cells(r) for r in results)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def markdown(results: Sequence[Result]) -> str:
    """A row a comparison, as a table of Markdown."""
    head = ("claim", "where", "A", "B", "A − B", "95 %", "effect", "A better in", "with 1 draw", "verdict")
    rows = []
    for r in results:
        c, words = r.comparison, _cells(r)
        one = chance_of(scores(r.first.tuning, r.best), scores(r.second.tuning, r.best), 1)
        effect = "–" if c.effect != c.effect else f"{c.effect:+.1f}"
        wins = f"{c.wins:.0%} of {c.n} seeds"
        rows.append((*words[:6], effect, wins, f"{one:.0%}", words[6]))
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ("---",) * len(head), *rows])


def _cells(r: Result) -> tuple[str, ...]:
    c = r.comparison
    means = [sum(arm.scores) / len(arm.scores) for arm in (r.first, r.second)]
    first, second = (f"{m:.3f}" if abs(m) < 10 else f"{m:.1f}" for m in means)
    interval = f"{c.low:+.3f} to {c.high:+.3f}"
    return (statement(r), place(r), first, second, f"{c.difference:+.3f}", interval, c.verdict)
