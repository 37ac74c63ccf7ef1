"""What `lecture.html` shows of a slide: each formula or claim, its functions, what was seen, its figures."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mi203jax.core.html_report.figure import Pictures, figure
from mi203jax.core.html_report.markup import Safe, join, tag
from mi203jax.core.html_report.pictures import ABSENT
from mi203jax.core.html_report.tables import fact_list, table
from mi203jax.core.html_report.tables import shown as shown_as
from mi203jax.core.results import fields_in
from mi203jax.lecture.judges import Verdict, verdicts_of
from mi203jax.lecture.outcome import ERRORS, NOT_DRAWN, NOT_RUN, STOPPED, Outcome, outcome_of, own_name
from mi203jax.lecture.slide import Ran, Row, Shown, Slide
from mi203jax.lecture.source import source_of

MOST = 4
"""Figures of an experiment that is on no slide."""


NOTHING = "Nothing was measured that it could be judged by."
"""Where a judge says nothing."""


class Shelf(NamedTuple):
    """What the page takes its contents from.

    Attributes:
        folder: of the run.
        outcomes: by their names.
        pictures: by their files.
        again: the command that tries again what is missing.
        first: where on the page each of them is shown: the anchor of the first row that names it.
    """

    folder: Path
    outcomes: Mapping[str, Outcome]
    pictures: Pictures
    again: str
    first: Mapping[Path, str]


def anchor(slide: int, row: int | None = None) -> str:
    """Where a slide, or a row of it, is found."""
    return f"slide-{slide + 1}" + (f"-{row + 1}" if row is not None else "")


def title_of(slide: Slide) -> Safe:
    """A slide's title, in its language."""
    return tag("span", slide.title, lang=slide.language)


def slide_section(number: int, slide: Slide, shelf: Shelf) -> Safe:
    """A slide, with all its rows."""
    rows = [row_section(anchor(number, j), row, shelf) for j, row in enumerate(slide.rows)]
    return tag("section", tag("h2", slide.title, lang=slide.language), *rows, id=anchor(number))


def row_section(where: str, row: Row, shelf: Shelf) -> Safe:
    """A formula or a claim, and what came of it."""
    contents = [tag("h3", row.text, class_="formula"), functions(row), *judgement(row, shelf)]
    for ran in row.runs:
        contents += seen(ran, row.metrics, shelf)
    return tag("div", *contents, *pictures(row, where, shelf), class_="claim", id=where)


def other_section(outcome: Outcome, shelf: Shelf) -> Safe:
    """An experiment that is on no slide: its objective and some of its figures."""
    names = [n.removeprefix("best/") for row in outcome.rows for n in row if n.startswith("best/")]
    contents = seen(Ran(outcome.experiment, outcome.form.sweep), tuple(dict.fromkeys(names)), shelf)
    prefix = own_name(outcome.name, "")
    named = [(p, p.name.removeprefix(prefix)) for p in outcome.figures(shelf.folder)[:MOST]]
    shown = [
        figure(path, shelf.pictures, outcome.name, name=own, again=outcome.command) for path, own in named
    ]
    figures = tag("div", *shown, class_="figures") if shown else None
    return tag("div", tag("h3", outcome.name), *contents, figures, class_="claim", id=f"other-{outcome.name}")


# ---- functions ----


def functions(row: Row) -> Safe:
    """Signature, first sentence, place and lines of each function."""
    items = [function(dotted) for dotted in row.functions]
    items += [function(dotted, "The standard form: ") for dotted in row.standard]
    remark = row.remark.strip(" ,")
    return tag("ul", *items, tag("li", f"… {remark}") if remark else None, class_="functions")


def function(dotted: str, before: str = "") -> Safe:
    """An item of the list; where the file does not have it, that."""
    try:
        source = source_of(dotted)
    except (LookupError, OSError, SyntaxError) as error:
        return tag("li", f"{before}", tag("code", dotted), f" cannot be read: {error}.", class_="hole")
    name = tag("code", source.name, title=dotted)
    signature = tag("code", source.signature, class_="signature") if source.signature else None
    place = tag("summary", f"{source.path.as_posix()}:{source.line}")
    code = tag("pre", tag("code", source.code), tabindex="0")  # what scrolls must be reached by the keyboard
    return tag("li", before, name, signature, " ", prose(source.summary), tag("details", place, code))


def prose(text: str) -> Safe:
    """A docstring's sentence, code between backticks as such."""
    return join(tag("code", word) if i % 2 else word for i, word in enumerate(text.split("`")))


# ---- what was seen ----


def verdicts(row: Row, outcomes: Mapping[str, Outcome]) -> list[Verdict]:
    """What a row's judge says; nothing if it has none, or its experiment was not to run."""
    came = [outcome_of(ran, outcomes) for ran in row.runs]
    if not (row.judge and came[0]):
        return []
    beside = {o.experiment: o.rows for o in came[1:] if o}
    is_lost = any(o is None or not o.is_measured for o in came)
    found = verdicts_of(row.judge, came[0].evidence._replace(beside=beside), is_lost)
    # A claim of which nothing is said would be a missing row.
    return found or [Verdict("not run" if is_lost else "undecided", NOTHING)]


def verdict_word(verdict: Verdict) -> Safe:
    """Whether the claim holds, in a word or two."""
    style = "undecided" if verdict.kind == "not run" else verdict.kind
    return tag("strong", verdict.kind, class_=f"verdict {style}")


def judgement(row: Row, shelf: Shelf) -> list[Safe]:
    """Whether the claim holds; where that was not asked, why."""
    found = verdicts(row, shelf.outcomes)
    if found:
        return [tag("p", verdict_word(v), f" {v.words}") for v in found]
    outcome = outcome_of(row.runs[0], shelf.outcomes)
    if outcome and not outcome.is_measured:
        return []  # what is missing is told below
    text = "Not judged: the slide states no order."
    if row.is_seen:
        text = "What the slide claims, the figures show: no number of this run tells of it."
    return [tag("p", "Not judged in this run." if row.judge else text, class_="note")]


def seen(ran: Ran, metrics: Sequence[str], shelf: Shelf) -> list[Safe]:
    """What came of an experiment: its numbers, or a hole; and the command."""
    outcome = outcome_of(ran, shelf.outcomes)
    if outcome is None:
        return [tag("p", "Not part of this run: ", tag("code", _command(ran)), class_="note")]
    found = [_hole(outcome, shelf)] if outcome.error else []
    if not outcome.is_series:  # its trials are of several experiments
        found += number_table(outcome.name, numbers(outcome.rows, metrics))
    links = [tag("a", name, href=href) for href, name in outcome.files(shelf.folder).items()]
    between = [part for link in links for part in (", ", link)]
    if not outcome.error or links:
        found.append(tag("p", tag("code", outcome.command), *between, class_="note"))
    if not outcome.form.tells_of(ran.sweep):
        text = "What the slide compares is a sweep, which is not part of this run: "
        found.append(tag("p", text, tag("code", _command(ran)), class_="note"))
    return found


def number_table(name: str, rows: Sequence[Mapping[str, Any]]) -> list[Safe]:
    """What `numbers` gave: of one setting the numbers alone."""
    if len(rows) == 1:
        return [fact_list({n: shown_as(v) for n, v in rows[0].items()})]
    caption = f"{name}: at the end of the run"
    return [table(caption, list(rows[0]), [[*row.values()] for row in rows])] if rows else []


def _hole(outcome: Outcome, shelf: Shelf) -> Safe:
    """What is missing of it, with the command that tries it alone, and the tracebacks."""
    verb = " failed" * (outcome.is_over and not outcome.is_measured)
    verb = " cannot be read" if outcome.damaged else verb
    links = [tag("a", file.rpartition("/")[2], href=file) for file in outcome.errors(shelf.folder)]
    errors = [part for link in links for part in (", ", link)]
    return tag("p", tag("strong", outcome.name + verb), *remedy(outcome, shelf), *errors, class_="hole")


def remedy(outcome: Outcome, shelf: Shelf) -> list[str]:
    """Why something is missing, and what helps."""
    found = [f": {missing(outcome, shelf.folder).rstrip('.')}. "]
    if outcome.damaged:
        folders = ", ".join(outcome.damaged)
        found += ["Delete ", tag("code", folders), ", and ", tag("code", shelf.again), " runs it again. "]
    return [*found, "Alone: ", tag("code", outcome.command)]


def missing(outcome: Outcome, folder: Path) -> str:
    """Why something is missing; where the rows do not say, as its `errors.txt` begins."""
    file = folder / "parts" / outcome.name / ERRORS
    if outcome.error not in (NOT_DRAWN, NOT_RUN, STOPPED) or not file.is_file():
        return outcome.error
    first = file.read_text(encoding="utf-8", errors="replace").partition("\n")[0]
    return f"{outcome.error}: {first}"


def _command(ran: Ran) -> str:
    sweep = [f"--sweep={ran.sweep}"] * bool(ran.sweep)
    return shlex.join(["python", "launch.py", f"--exp={ran.experiment}", *sweep])


def numbers(rows: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> list[dict[str, Any]]:
    """A row a setting: the fields that vary, and the means of these metrics over seeds that ended well."""
    arms: dict[tuple[tuple[str, Any], ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        arms.setdefault(tuple((n, row[n]) for n in fields_in(row) if n != "seed"), []).append(row)
    found = []
    for fields, own in arms.items():
        done = [row for row in own if row["status"] == "done"]
        counts = {"seeds": len(own)} if any(len(a) > 1 for a in arms.values()) else {}
        lost = {"lost": len(own) - len(done)} if any(row["status"] != "done" for row in rows) else {}
        means = {n: _mean([row.get(n) for row in done]) for n in metrics}
        found.append({**dict(fields), **counts, **lost, **means})
    return found if any(row.get(n) is not None for row in found for n in metrics) else []


def _mean(values: Sequence[Any]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


# ---- figures ----


def figures_of(row: Row, folder: Path, outcomes: Mapping[str, Outcome]) -> list[Path]:
    """The figures that a row shows: those that are there."""
    if outcome_of(row.runs[0], outcomes) is None:
        return []
    paths = [place(shown, row.runs[0], folder, outcomes) for shown in row.figures]
    return [path for path in paths if path.is_file()]


def place(shown: Shown, ran: Ran, folder: Path, outcomes: Mapping[str, Outcome]) -> Path:
    """Where a figure of a run that was to run lies, or ought to."""
    return keeper(shown, ran, folder, outcomes).figure(folder, shown.file)


def keeper(shown: Shown, ran: Ran, folder: Path, outcomes: Mapping[str, Outcome]) -> Outcome:
    """Whose figure it is: of the run that a row names, or else of the first of its experiment."""
    found = [o for o in (outcome_of(ran, outcomes), outcome_of(Ran(ran.experiment), outcomes)) if o]
    own, first = found[0], found[-1]

    def has(outcome: Outcome) -> bool:
        path = outcome.figure(folder, shown.file)
        return path.is_file() or path in outcome.drawn(folder)

    return first if has(first) and not (shown.of_sweep or has(own)) else own


def holes_of(row: Row, shelf: Shelf) -> dict[Path, Outcome]:
    """Figures that a row lacks, or that cannot be read, and whose; of a run that failed none."""
    folder, outcomes = shelf.folder, shelf.outcomes
    outcome = outcome_of(row.runs[0], outcomes)
    if outcome is None or not (outcome.is_measured or figures_of(row, folder, outcomes)):
        return {}
    found = {}
    for shown in row.figures:
        whose = keeper(shown, row.runs[0], folder, outcomes)
        path = whose.figure(folder, shown.file)
        is_due = not shown.of_sweep or path.is_file() or path in whose.drawn(folder)
        if is_due and shelf.pictures.get(path, ABSENT).is_lost:
            found[path] = whose
    return found


def pictures(row: Row, where: str, shelf: Shelf) -> list[Safe]:
    """The figures of a row, each once on the page; where one is missing, a hole."""
    outcome = outcome_of(row.runs[0], shelf.outcomes)
    if outcome is None:
        return []
    lacking = holes_of(row, shelf)
    found, above = [], []
    for shown in row.figures:
        path = place(shown, row.runs[0], shelf.folder, shelf.outcomes)
        if shelf.first.get(path, where) != where:
            above.append(_above(shown, shelf.first[path]))
        elif path.is_file() or path in lacking:
            whose = (outcome.name, next(iter(row.metrics), ""), shown.file)
            found.append(figure(path, shelf.pictures, *whose, lacking.get(path, outcome).command))
    return [*above, *([tag("div", *found, class_="figures")] if found else [])]


def _above(shown: Shown, where: str) -> Safe:
    return tag("p", tag("a", shown.file, href=f"#{where}"), " is shown above.", class_="note")
