"""The sections of a report: what one run was asked for, what came of it, and how to make it again."""

import itertools
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mi203jax.core.html_report.command import command_of
from mi203jax.core.html_report.figure import Pictures, figure
from mi203jax.core.html_report.markup import Safe, join, tag
from mi203jax.core.html_report.reading import Run
from mi203jax.core.html_report.tables import (
    arm_table,
    best_arms,
    changed_fields,
    fact_list,
    field_table,
    field_values,
    shown,
    table,
    trial_count,
    trial_table,
)
from mi203jax.core.results import Row

PART_ROWS = 50
"""Trials of a part of a series that are shown at most."""

TEXT = 200_000
"""Characters of a text file that are shown at most."""

SECTIONS = ("Results", "Figures", "Configuration", "Reproduce", "Provenance")


def run_sections(run: Run, pictures: Pictures, prefix: str, level: int) -> Safe:
    """All sections of a run.

    Args:
        run: what is told.
        pictures: by their files.
        prefix: of the anchors: `prefix + "results"`.
        level: of their headings: 2 is `<h2>`.
    """
    arms = best_arms(run)
    contents = {
        "Results": _results(run, arms, level),
        "Figures": _figures(run, pictures),
        "Configuration": _configuration(run),
        "Reproduce": _reproduce(run),
        "Provenance": [_provenance(run.provenance)],
    }
    found = [_banner(run), _facts(run, arms)]
    for name in SECTIONS:
        heading = tag(f"h{level}", name)
        found.append(tag("section", heading, *contents[name], id=anchor(prefix, name)))
    return join(found)


def anchor(prefix: str, name: str) -> str:
    """Where a section is found."""
    return prefix + name.lower()


# ---- at the top ----


def _banner(run: Run) -> Safe | None:
    if run.is_finished:
        return None
    ends = Counter(status.status for status in run.statuses)
    counts = ", ".join(f"{count:,} {status}" for status, count in ends.items())
    text = f"This run is unfinished ({counts}): what follows is what there was until now. Go on with "
    command = shlex.join(["python", "launch.py", f"--resume={run.path}"])
    return tag("p", text, tag("code", command), class_="banner", role="note")


def _facts(run: Run, arms: Sequence[Row]) -> Safe:
    """What one wants to know first."""
    count = trial_count(run)
    facts = {"trials": f"{count:,}", "time of the programs": duration(run.seconds)}
    if run.parts:
        facts = {"parts": str(len(run.parts))} | facts
    lost = sum(s.status in ("failed", "diverged") for s in _all_statuses(run))
    facts |= {"failed or diverged": f"{lost:,}"} if lost else {}
    if arms and arms[0]["mean"] is not None:
        best, seeds = arms[0], arms[0]["seeds"]
        name = f"best {run.objective}" + (f", mean of {seeds} seeds" if seeds > 1 else "")
        facts = {name: shown(best["mean"])} | facts
    return fact_list(facts)


def _all_statuses(run: Run) -> list[Any]:
    return [s for part in run.parts for s in _all_statuses(part)] or list(run.statuses)


def duration(seconds: float) -> str:
    """`"12.3 s"`, `"4 min 5 s"`, `"2 h 3 min"`."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60:,} h {minutes % 60} min"


# ---- sections ----


def _results(run: Run, arms: Sequence[Row], level: int) -> list[Safe]:
    if not run.parts:
        return [*arm_table(run, arms), *trial_table(run)]
    found = [_text(path) for path in run.texts]
    for part in run.parts:
        heading = tag(f"h{level + 1}", part.path.name)
        asked = tag("p", tag("code", command_of(part)), class_="note")
        own = [*arm_table(part, best_arms(part), PART_ROWS), *trial_table(part, PART_ROWS)]
        counts = f"{len(part.trials):,} trials of {part.name}, {duration(part.seconds)}"
        counts += "" if part.is_finished else ", unfinished"
        inner = tag("details", tag("summary", counts), asked, *own)
        found += [heading, inner]
    return found


def _text(path: Path) -> Safe:
    """A text that a series wrote: its tables as such, all else as it stands."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        return tag("p", f"{path.name} cannot be read: {error.strerror}.", class_="hole")
    more = [tag("p", f"It goes on in {path}.", class_="note")] if len(text) > TEXT else []
    return tag("details", tag("summary", path.name), *_blocks(path.name, text[:TEXT]), *more, open=True)


def _blocks(name: str, text: str) -> Iterator[Safe]:
    """The tables of a text in Markdown, and what is between them."""
    for is_table, lines in itertools.groupby(text.splitlines(), lambda line: line.startswith("|")):
        block = list(lines)
        cells = [[c.strip().strip("*") for c in line.strip("|").split("|")] for line in block]
        if is_table and len({len(row) for row in cells}) == 1 and len(cells) > 2:
            names, _, *rows = cells
            yield table(name, names, rows, sortable=False)
        elif words := "\n".join(block).strip():
            yield tag("pre", words, tabindex="0", class_="text")


def _figures(run: Run, pictures: Pictures) -> list[Safe]:
    own = [(part, path) for part in (run, *run.parts) for path in part.pictures]
    # What moves says most, and comes first.
    own.sort(key=lambda pair: pair[1].suffix != ".gif")
    if not own:
        why = "" if run.is_finished else " yet: they are drawn at the end of a run"
        return [tag("p", f"There are no figures{why}.", class_="hole")]
    return [
        tag("div", *[figure(path, pictures, run.name, run.objective) for run, path in own], class_="figures")
    ]


def _configuration(run: Run) -> list[Safe]:
    changed, every = changed_fields(run), list(field_values(run))
    rest = [n for n in every if n not in changed]
    found = [tag("p", f"All {len(every)} fields are at the defaults of {run.name}.")]
    if changed:
        found = [field_table(run, changed, f"Fields that are not at the defaults of {run.name}")]
    if rest:
        summary = tag("summary", f"{len(rest)} fields at their defaults")
        found.append(tag("details", summary, field_table(run, rest, "Fields at their defaults")))
    return found


def _reproduce(run: Run) -> list[Safe]:
    text = "The same trials again, in a new folder, from the commit and with the versions below:"
    if not isinstance(run.provenance.get("git"), dict):
        text = "The same trials again, in a new folder, with the versions below:"
    button = tag("button", "Copy", type="button", class_="copy", hidden=True)
    code = tag("pre", tag("code", command_of(run)), tabindex="0")
    return [tag("p", text), tag("div", code, button, class_="command")]


def _provenance(provenance: Mapping[str, Any]) -> Safe:
    rows = [(name, _words(provenance.get(key))) for key, name in ORIGINS.items()]
    rows.insert(4, ("git commit", _commit(provenance.get("git"))))
    packages = provenance["packages"]
    rows.append(("packages", ", ".join(f"{n} {v or '–'}" for n, v in packages.items())))
    for again in provenance.get("resumed", []):
        where = f"{_words(again.get('devices'))}, {_commit(again.get('git'))}"
        rows.append(("resumed", f"{_words(again.get('time'))}: {_words(again.get('command'))} ({where})"))
    cells = [tag("div", tag("dt", name), tag("dd", value)) for name, value in rows]
    return tag("dl", *cells, class_="origin")


ORIGINS = {
    "time": "begun",
    "finished": "finished",
    "command": "as it was typed",
    "devices": "devices",
    "cores": "cores",
    "platform": "platform",
    "python": "Python",
}


def _words(value: Any) -> str:
    if isinstance(value, list):
        counts = Counter(map(str, value))
        return ", ".join(f"{n} × {v}" if n > 1 else v for v, n in counts.items()) or "–"
    return "–" if value is None else str(value)


def _commit(git: Any) -> str:
    if not isinstance(git, dict):
        return "not known"
    return _words(git.get("commit")) + (", with changes that were not committed" * bool(git.get("modified")))
