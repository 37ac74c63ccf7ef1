"""What a study found, in words and tables."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mi203jax.core.config import format_value
from mi203jax.core.trials import counted
from mi203jax.study.figures import measure, names, place, scores
from mi203jax.study.result import Result, corrected, from_json
from mi203jax.study.sensitivity import chance_of, spread

Record = Mapping[str, Any]
"""What `study.json` holds."""

LEGEND = (
    "*A* and *B*: means over fresh seeds, on test data. *A better by*: the mean of their differences, seed "
    "by seed, positive where A is better, and its interval of *95 %*. *effect*: that mean in standard "
    "deviations of the differences (Cohen's d_z). *seeds*: those in which A is better, ties counting half. "
    "*p*: of no difference, corrected for the number of rows (Holm); above 0.05, a verdict may be one of "
    "those that chance gives among so many. A claim holds where the whole interval is above 0, and is "
    "reversed where it is below. An infinite end says that these seeds set no limit there; one beyond what "
    "is possible, that they are few; an interval without width, that all differences were equal."
)


def table(results: Sequence[Result]) -> str:
    """A line a comparison, for the screen."""
    head = ("claim", "where", "metric", "first", "second", "first better by", "95 %", "verdict")
    words = names(results)
    rows = [head, *((words[r.claim], *_cells(r)) for r in results)]
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
    parts = [markdown(results), LEGEND, *notes(record), "## Sensitivity", sensitivity(results)]
    return "\n\n".join(["# What was found", *parts, *shown]) + "\n"


def notes(record: Record) -> list[str]:
    """How it was found, what it took, and what could not be judged."""
    return [method(record), work(record), *(f"Not judged: {words}." for words in record.get("left_out", ()))]


def results_of(record: Record) -> list[Result]:
    """The results that a record holds."""
    return [from_json(r) for r in record["results"]]


def markdown(results: Sequence[Result]) -> str:
    """A row a comparison, as a table of Markdown."""
    own = ("metric", "A", "B", "A better by", "95 %", "effect", "seeds", "p", "verdict")
    rows, words = [], names(results)
    for r, p in zip(results, corrected(results), strict=True):
        c, cells = r.comparison, _cells(r)[:-1]
        wins = f"{c.wins * c.n:g} of {c.n}"
        lost = r.first.diverged + r.second.diverged
        verdict = f"**{c.verdict}**" if c.verdict == "reversed" else c.verdict
        verdict += f"; {counted(lost, 'run')} diverged" if lost else ""
        rows.append((words[r.claim], *cells, f"{c.effect:+.1f}", wins, f"{p:.2g}", verdict))
    return _table(("A > B", "where", *own), rows)


def sensitivity(results: Sequence[Result]) -> str:
    """How the configurations that each arm was tuned over did, on held-out data: a row an arm.

    How lucky must one be? `one draw` is the chance that a random one of A beats a random one of B.
    """
    own = ("arm", "best", "better quarter from", "median", "worse quarter to", "chosen", "one draw")
    rows, words = [], names(results)
    for r in results:
        larger = r.best == "max"
        first, second = (scores(arm.tuning, r.best) for arm in (r.first, r.second))
        one = float(chance_of(first, second, 1, larger_is_better=larger))
        for arm, tried, chance in ((r.first, first, one), (r.second, second, 1 - one)):
            s = spread(tried, larger_is_better=larger)
            numbers = (f"{v:.3g}" for v in (s.best, s.better_quartile, s.median, s.worse_quartile))
            chosen = " ".join(f"{n}={_value(v)}" for n, v in arm.chosen.items()) + "†" * arm.is_at_edge
            rows.append((words[r.claim], place(r), arm.name, *numbers, chosen, f"{chance:.0%}"))
    edge = "†: the largest or smallest value that was tried: a better one may lie beyond."
    return _table(("A > B", "where", *own), rows) + f"\n\n{edge}"


def _value(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else format_value(value)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ("---",) * len(head), *rows])


def _cells(r: Result) -> tuple[str, ...]:
    c = r.comparison
    first, second = (sum(arm.scores) / len(arm.scores) for arm in (r.first, r.second))
    largest = max(abs(first), abs(second)) or 1.0
    digits = max(3, 2 - math.floor(math.log10(largest))) if largest < 10 else 1
    interval = f"{c.low:+.{digits}f} to {c.high:+.{digits}f}"
    numbers = (f"{first:.{digits}f}", f"{second:.{digits}f}", f"{c.difference:+.{digits}f}", interval)
    return (place(r), measure(r), *numbers, c.verdict)


def method(record: Record) -> str:
    """How it was found, in two sentences."""
    e = record["effort"]
    tuning = f"{counted(e['draws'], 'configuration')} with {counted(e['tuning_seeds'], 'seed')} each"
    words = f"Each arm was tuned over {tuning}, the best judged with {e['judging_seeds']} fresh seeds."
    if e["looks"]:
        asked = max([len(record["looked"]), *(r["looked_at"] for r in record["results"])])
        words = (
            f"{asked} pairs of a claim and a setting were looked at, and the {e['candidates']} most reversed "
            f"of each claim judged: intervals are of level 1 − 0.05 / {asked}, not 95 %. {words}"
        )
    return words


def work(record: Record) -> str:
    """What it took, and where it ran."""
    parts, origin = record["work"].values(), record["provenance"]
    trials, programs = (sum(p[n] for p in parts) for n in ("trials", "programs"))
    minutes = sum(p["seconds"] for p in parts) / 60
    devices = ", ".join(sorted(set(origin["devices"])))
    where = f"{origin['cores']} cores, {devices}, jax {origin['packages']['jax']}"
    git = origin.get("git") or {}
    commit = git.get("commit", "unknown")[:10] + ", changed since" * bool(git.get("modified"))
    resumed = len(origin.get("resumed", ()))
    return (
        f"`{origin['command']}`: {trials:,} trials in {programs} programs, {minutes:.0f} minutes of training "
        f"and compiling on {where}; commit {commit}, {origin['time'][:10]}"
        + (f"; resumed {counted(resumed, 'time')}." if resumed else ".")
    )
