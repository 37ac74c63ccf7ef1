"""What a study found, in words and tables."""

from collections.abc import Mapping, Sequence
from typing import Any

from mi203jax.study.figures import place, scores, statement
from mi203jax.study.result import Result, from_json
from mi203jax.study.sensitivity import chance_of

Record = Mapping[str, Any]
"""What `study.json` holds."""


def table(results: Sequence[Result]) -> str:
    """A line a comparison, for the screen."""
    head = ("claim", "where", "first", "second", "difference", "95 %", "verdict")
    rows = [head, *(_cells(r) for r in results)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def page(record: Record, figures: Sequence[str] = ()) -> str:
    """What was found and how, as Markdown.

    Args:
        record: what `study.json` holds.
        figures: names of files in `figures/` that are to be shown.
    """
    results = results_of(record)
    shown = [f"![{name}](figures/{name}.png)" for name in figures]
    return "\n\n".join(["# What was found", markdown(results), method(record), work(record), *shown, ""])


def results_of(record: Record) -> list[Result]:
    """The results that a record holds."""
    return [from_json(r) for r in record["results"]]


def markdown(results: Sequence[Result]) -> str:
    """A row a comparison, as a table of Markdown."""
    head = ("A > B", "where", "A", "B", "A − B", "95 %", "effect", "seeds", "one draw", "verdict")
    rows = []
    for r in results:
        c, words = r.comparison, _cells(r)
        first, second = (scores(arm.tuning, r.best) for arm in (r.first, r.second))
        one = float(chance_of(first, second, 1, larger_is_better=r.best == "max"))
        wins = f"{c.wins * c.n:g} of {c.n}"
        verdict = f"**{c.verdict}**" if c.verdict == "reversed" else c.verdict
        rows.append((*words[:6], f"{c.effect:+.1f}", wins, f"{one:.0%}", verdict))
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ("---",) * len(head), *rows])


def _cells(r: Result) -> tuple[str, ...]:
    c = r.comparison
    first, second = (sum(arm.scores) / len(arm.scores) for arm in (r.first, r.second))
    digits = 3 if max(abs(first), abs(second)) < 10 else 1
    interval = f"{c.low:+.{digits}f} to {c.high:+.{digits}f}"
    numbers = (f"{first:.{digits}f}", f"{second:.{digits}f}", f"{c.difference:+.{digits}f}", interval)
    return (statement(r), place(r), *numbers, c.verdict)


def method(record: Record) -> str:
    """How it was found, in two sentences."""
    e = record["effort"]
    tuning = f"{e['draws']} configurations with {e['tuning_seeds']} seed{'s' * (e['tuning_seeds'] > 1)} each"
    words = f"Each arm was tuned over {tuning}, the best judged with {e['judging_seeds']} fresh seeds."
    if e["looks"]:
        count = len(record["looked"])
        words = (
            f"{count} settings and claims were looked at, and the {e['candidates']} most reversed of each "
            f"claim judged: intervals are of level 1 − 0.05 / {count}. {words}"
        )
    return words


def work(record: Record) -> str:
    """What it took, and where it ran."""
    parts, origin = record["work"].values(), record["provenance"]
    trials, programs = (sum(p[n] for p in parts) for n in ("trials", "programs"))
    minutes = sum(p["seconds"] for p in parts) / 60
    where = f"{origin['cores']} cores, {', '.join(origin['devices'])}, jax {origin['packages']['jax']}"
    commit = (origin.get("git") or {}).get("commit", "unknown")[:10]
    return (
        f"`{origin['command']}`: {trials:,} trials in {programs} programs, {minutes:.0f} minutes of training "
        f"and compiling on {where}; commit {commit}, {origin['time'][:10]}."
    )
