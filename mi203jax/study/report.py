"""What a study found, in words and tables."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mi203jax.core.fields import format_value
from mi203jax.core.trials import counted
from mi203jax.study.figures import LEVEL, measure, names, place, scores
from mi203jax.study.result import ArmResult, Result, corrected, from_json
from mi203jax.study.sensitivity import chance_of, spread

Record = Mapping[str, Any]
"""What `study.json` holds."""

EDGE = (
    "†: the arm chose the largest or the smallest value that was tried, or all of them did alike: a better "
    "one may lie beyond."
)

LEGEND = (
    "*A* and *B*: means over fresh seeds, on test data. *A better by*: the mean of their differences, seed "
    "by seed, positive where A is better. *interval*: of that mean, of 95 % unless it says more. *effect*: "
    "that mean in standard deviations of the differences (Cohen's d_z). *seeds*: those in which A is better, "
    "ties counting half. *p*: of no difference, corrected for the number of rows (Holm). A claim holds where "
    "the whole interval is above 0, and is reversed where it is below; *taken alone* says that p is above "
    "0.05: among so many rows, chance gives such an interval too. An infinite end says that these seeds set "
    "no limit there; one beyond what is possible, that they are few; an interval without width, that all "
    f"differences were equal. {EDGE}"
)


def table(results: Sequence[Result]) -> str:
    """A line a comparison, for the screen."""
    head = ("claim", "where", "metric", "first", "second", "first better by", "interval", "verdict")
    words = names(results)
    found = [
        (words[r.claim], *_cells(r), verdict(r, p)) for r, p in zip(results, corrected(results), strict=True)
    ]
    rows = [head, *found]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join([*lines, *([EDGE] if any("†" in line for line in lines) else [])])


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


def markdown(results: Sequence[Result], among: Sequence[Result] | None = None) -> str:
    """A row a comparison, as a table of Markdown.

    Args:
        results: those that are shown.
        among: all of their study, for whose number p is corrected; None: they are all.
    """
    own = ("metric", "A", "B", "A better by", "interval", "effect", "seeds", "p", "verdict")
    study = results if among is None else among
    p_of = dict(zip(map(id, study), corrected(study), strict=True))
    rows, words = [], names(results)
    for r in results:
        c, p = r.comparison, p_of[id(r)]
        wins = f"{c.wins * c.n:g} of {c.n}"
        lost = r.first.diverged + r.second.diverged
        said = f"**{verdict(r, p)}**" if c.verdict == "reversed" else verdict(r, p)
        said += f"; {counted(lost, 'run')} diverged" if lost else ""
        rows.append((words[r.claim], *_cells(r), f"{c.effect:+.1f}", wins, f"{p:.2g}", said))
    return _table(("A > B", "where", *own), rows)


def sensitivity(results: Sequence[Result]) -> str:
    """How the configurations that each arm was tuned over did, on held-out data: a row an arm.

    How lucky must one be? `one draw` is the chance that a random one of A beats a random one of B.
    """
    of_draws = ("best", "better quarter from", "median", "worse quarter to", "diverged")
    rows, words = [], names(results)
    for r in results:
        larger = r.best == "max"
        first, second = (scores(arm.tuning, r.best) for arm in (r.first, r.second))
        one = float(chance_of(first, second, 1, larger_is_better=larger))
        for arm, tried, chance in ((r.first, first, one), (r.second, second, 1 - one)):
            s = spread(tried, larger_is_better=larger)
            numbers = (f"{v:.3g}" for v in (s.best, s.better_quartile, s.median, s.worse_quartile))
            lost = "–" if arm.unstable is None else f"{arm.unstable:.0%}"
            chosen = " ".join(f"{n}={_value(v)}" for n, v in arm.chosen.items()) + _edge(arm)
            rows.append((words[r.claim], place(r), arm.name, *numbers, lost, chosen, f"{chance:.0%}"))
    return _table(("A > B", "where", "arm", *of_draws, "chosen", "one draw"), rows) + f"\n\n{EDGE}"


def mean(arm: ArmResult, digits: int = 3) -> str:
    """The mean score over fresh seeds, marked if what the arm chose is at the edge of what was tried."""
    return f"{sum(arm.scores) / len(arm.scores):.{digits}f}{_edge(arm)}"


def _edge(arm: ArmResult) -> str:
    return "†" * arm.is_at_edge


def _value(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else format_value(value)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ("---",) * len(head), *rows])


def _cells(r: Result) -> tuple[str, ...]:
    """Where, the metric, the means, the difference and its interval."""
    c = r.comparison
    largest = max(abs(sum(arm.scores) / len(arm.scores)) for arm in (r.first, r.second)) or 1.0
    digits = max(3, 2 - math.floor(math.log10(largest))) if largest < 10 else 1
    interval = f"{c.low:+.{digits}f} to {c.high:+.{digits}f}"
    if r.looked_at > 1:
        interval += f" ({100 * c.level:.4g} %)"
    means = (mean(arm, digits) for arm in (r.first, r.second))
    return (place(r), measure(r), *means, f"{c.difference:+.{digits}f}", interval)


def verdict(r: Result, p: float) -> str:
    """The verdict by the interval, and whether it stands alone only.

    Args:
        r: what came of a comparison; the interval of one that a search picked is corrected already.
        p: of no difference, corrected for the number of comparisons.
    """
    by_interval = r.comparison.verdict
    doubted = by_interval != "not distinguishable" and r.looked_at == 1 and p > LEVEL
    return f"{by_interval}, taken alone" if doubted else by_interval


def method(record: Record) -> str:
    """How it was found, in two sentences."""
    e = record["effort"]
    tuning = f"{counted(e['draws'], 'configuration')} with {counted(e['tuning_seeds'], 'seed')} each"
    words = f"Each arm was tuned over {tuning}, the best judged with {e['judging_seeds']} fresh seeds."
    if not e["looks"]:
        return words
    before = e.get("looked_before", 0)
    asked = max([before + len(record["looked"]), *(r["looked_at"] for r in record["results"])])
    earlier = f", {before} of them by an earlier search" if before else ""
    return (
        f"{asked} pairs of a claim and a setting were looked at{earlier}, and the {e['candidates']} most "
        f"reversed of each claim judged: intervals are of level 1 − 0.05 / {asked}, not 95 %. {words}"
    )


def work(record: Record) -> str:
    """What it took, and where it ran."""
    parts, origin = record["work"].values(), record["provenance"]
    trials, programs = (sum(p[n] for p in parts) for n in ("trials", "programs"))
    minutes = sum(p["seconds"] for p in parts) / 60
    others = {d for d in origin["devices"] if not d.startswith("cpu:")}  # the cores are the devices otherwise
    cores, version = counted(origin["cores"], "CPU core"), origin["packages"]["jax"]
    where = ", ".join([cores, *sorted(others), f"jax {version}"])
    git = origin.get("git") or {}
    commit = git.get("commit", "unknown")[:10] + " with uncommitted changes" * bool(git.get("modified"))
    resumed = len(origin.get("resumed", ()))
    return (
        f"`{origin['command']}`: {trials:,} trials in {programs} programs, {minutes:.0f} minutes of training "
        f"and compiling on {where}; commit {commit}, {origin['time'][:10]}"
        + (f"; resumed {counted(resumed, 'time')}." if resumed else ".")
    )
