"""The sections of a report: what one run was asked for, what came of it, and how to make it again."""

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mi203jax.core.html_report.command import command_of
from mi203jax.core.html_report.figure import Pictures, figure
from mi203jax.core.html_report.markdown import markdown
from mi203jax.core.html_report.markup import Safe, join, tag
from mi203jax.core.html_report.reading import Hole, Run
from mi203jax.core.html_report.tables import (
    arm_table,
    best_arms,
    changed_fields,
    fact_list,
    field_table,
    field_values,
    shown,
    trial_count,
    trial_table,
)
from mi203jax.core.outputs import is_damaged
from mi203jax.core.results import Row
from mi203jax.core.trials import counted

PART_ROWS = 50
"""Trials of a part of a series that are shown at most."""

TEXT = 200_000
"""Characters of a text file that are shown at most."""

SECTIONS = ("Results", "Figures", "Configuration", "Reproduce", "Provenance")


def run_sections(run: Run, pictures: Pictures, prefix: str, level: int, name: str = "") -> Safe:
    """All sections of a run.

    Args:
        run: what is told.
        pictures: by their files.
        prefix: of the anchors: `prefix + "results"`.
        level: of their headings: 2 is `<h2>`.
        name: of the run among others, which the figures are given too.
    """
    arms = best_arms(run)
    contents = {
        "Results": _results(run, arms, level),
        "Figures": _figures(run, pictures, name),
        "Configuration": _configuration(run),
        "Reproduce": _reproduce(run),
        "Provenance": [_provenance(run.provenance)],
    }
    found = [_banner(run), _facts(run, arms)]
    for section in SECTIONS:
        heading = tag(f"h{level}", section)
        found.append(tag("section", heading, *contents[section], id=anchor(prefix, section)))
    return join(found)


def anchor(prefix: str, name: str) -> str:
    """Where a section is found."""
    return prefix + name.lower()


# ---- at the top ----


def _banner(run: Run) -> Safe | None:
    if run.is_finished:
        return None
    ends = Counter(map(_end, run.entries) if run.entries else (s.status for s in run.statuses))
    if run.state == "stopped" and "running" in ends:
        ends["stopped"] = ends.pop("running")
    what = "parts: " if run.entries else "trials: "
    counts = what + ", ".join(f"{count:,} {end}" for end, count in ends.items())
    if run.state == "running":
        text = f"This run is unfinished and going on ({counts}): what follows is what there was until now."
        return tag("p", text, class_="banner", role="note")
    text = f"This run is unfinished and stopped ({counts}): what follows is what there is. Go on with "
    command = shlex.join(["python", "launch.py", f"--resume={run.path}"])
    return tag("p", text, tag("code", command), class_="banner", role="note")


def _end(part: Run | Hole) -> str:
    """What became of a part."""
    return "failed" if isinstance(part, Run) and part.error else part.state


def _facts(run: Run, arms: Sequence[Row]) -> Safe:
    """What one wants to know first."""
    count = trial_count(run)
    facts = {"trials": f"{count:,}", "time of the programs": duration(run.seconds)}
    if run.entries:
        holes = len(run.entries) - len(run.parts)
        missing = {"parts without results": str(holes)} if holes else {}
        facts = {"parts": str(len(run.entries))} | missing | facts
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
    if not run.entries:
        return [*arm_table(run, arms), *trial_table(run)]
    found = [_text(path, level + 1, run.noted) for path in run.texts]
    for part in run.entries:
        found += [tag(f"h{level + 1}", part.path.name), *_part(part)]
    return found


def _part(part: Run | Hole) -> list[Safe]:
    """A part of a series: its tables, folded, and what went wrong."""
    if isinstance(part, Hole):
        return [tag("p", part.reason, class_="hole")]
    failed = [tag("p", f"It failed: {part.error}", class_="hole")] if part.error else []
    alone = command_of(part)
    asked = tag("code", alone) if alone else f"{_without_command(part)}: see that of the series."
    own = [*arm_table(part, best_arms(part), PART_ROWS), *trial_table(part, PART_ROWS)]
    counts = f"{counted(len(part.trials), 'trial')} of {part.name}, {duration(part.seconds)}"
    counts += "" if part.is_finished else f", {part.state}"
    return [*failed, tag("details", tag("summary", counts), tag("p", asked, class_="note"), *own)]


def _text(path: Path, level: int, noted: Mapping[Path, str]) -> Safe:
    """A text that a series wrote, whose first headings are of this level."""
    if is_damaged(path, noted):
        return tag("p", f"{path.name} is not what was written.", class_="hole")
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        return tag("p", f"{path.name} cannot be read: {error.strerror}.", class_="hole")
    more = [tag("p", f"It goes on in {path}.", class_="note")] if len(text) > TEXT else []
    blocks = markdown(text[:TEXT], path.name, level)
    return tag("details", tag("summary", path.name), *blocks, *more, open=True)


def _figures(run: Run, pictures: Pictures, name: str) -> list[Safe]:
    own = [(part, path) for part in (run, *run.parts) for path in part.pictures]
    # What moves says most, and comes first.
    own.sort(key=lambda pair: pair[1].suffix != ".gif")
    if not own:
        why = "" if run.is_finished else " yet: they are drawn at the end of a run"
        return [tag("p", f"There are no figures{why}.", class_="hole")]
    of = f", run {name}" if name else ""
    shown = []
    for part, path in own:
        # A run draws what it lost; of a series' part that is done apart.
        mended = {
            "again": shlex.join(["python", "launch.py", f"--resume={run.path}"]),
            "how": "draws it anew",
        }
        how = mended if part is run else {"again": command_of(part)}
        shown.append(figure(path, pictures, part.name + of, part.objective, **how))
    return [tag("div", *shown, class_="figures")]


def _configuration(run: Run) -> list[Safe]:
    changed, every = changed_fields(run), list(field_values(run))
    rest = [n for n in every if n not in changed]
    found = [tag("p", f"All {counted(len(every), 'field')} are at the defaults of {run.name}.")]
    if changed:
        found = [field_table(run, changed, f"Fields that are not at the defaults of {run.name}")]
    if rest:
        summary = tag("summary", f"{counted(len(rest), 'field')} at their defaults")
        found.append(tag("details", summary, field_table(run, rest, "Fields at their defaults")))
    return found


def _reproduce(run: Run) -> list[Safe]:
    text = "The same trials again, in a new folder, from the commit and with the versions below:"
    if not isinstance(run.provenance.get("git"), dict):
        text = "The same trials again, in a new folder, with the versions below:"
    if not (command := command_of(run)):
        text = f"{_without_command(run)}: they are a part of the series in {_series(run)}"
        command = str(run.provenance.get("series", ""))
        if not command:
            return [tag("p", text + ".")]
        text += ", which this command runs:"
    button = tag("button", "Copy", type="button", class_="copy", hidden=True)
    code = tag("pre", tag("code", command), tabindex="0")
    return [tag("p", text), tag("div", code, button, class_="command")]


def _without_command(part: Run) -> str:
    if "alone" in part.provenance:
        return "No single command makes these trials alone"
    return "Which command makes these trials alone was not noted"  # by an older version


def _series(part: Run) -> str:
    return str(part.path.resolve().parent.parent)


def _provenance(provenance: Mapping[str, Any]) -> Safe:
    rows = [(name, _words(provenance.get(key))) for key, name in ORIGINS.items()]
    rows.insert(4, ("git commit", _commit(provenance.get("git"))))
    packages = provenance["packages"]
    rows.append(("packages", ", ".join(f"{n} {v or '–'}" for n, v in packages.items())))
    for again in provenance.get("resumed", []):
        where = f"{_words(again.get('devices'))}, {_commit(again.get('git'))}"
        told = "".join(f"; {_words(line)}" for line in again.get("told", []))
        asked = f"{_words(again.get('time'))}: {_words(again.get('command'))}"
        rows.append(("resumed", f"{asked} ({where}){told}"))
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
