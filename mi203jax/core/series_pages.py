"""The pages of a series, written anew by what its folder holds, and which of its parts are lost.

Does not import jax unless there is a series, so that `launch.py --report` of a run takes a second or two.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mi203jax.core.documents import write_document
from mi203jax.core.errors import UsageError
from mi203jax.core.experiment import Find
from mi203jax.core.fields import format_value
from mi203jax.core.files import locked, write_text
from mi203jax.core.html_report.reading import Hole, Run, begun_at, read_parts, read_run
from mi203jax.core.outputs import FILES, PROVENANCE, is_whole, noted_files, noting, read_provenance
from mi203jax.core.results import fields_in
from mi203jax.core.run_directory import RunDirectory, read_config

if TYPE_CHECKING:
    from mi203jax.core.series import Conclusion, Ended

DAMAGED = "damaged"
"""Of the row that stands for a part that cannot be read: its folder."""

RUNNING = "is_running"
"""Of the provenance that pages are written by: whether some process works in the folder."""


def open_run(path: str, find: Find) -> RunDirectory:
    """The folder of a run that is to go on: a finished one is refused, unless it lost a part, or a file.

    Args:
        path: the folder.
        find: gives the experiments.

    Raises:
        UsageError: if there is no run in it, a damaged one, another version's, or a finished one.
    """
    directory = RunDirectory.read(path, lambda name: find(name).config)
    if not directory.is_finished or has_lost(directory, find) or has_damaged(directory.path):
        return directory
    raise directory.refusal(path)


def has_damaged(folder: Path) -> bool:
    """Whether what was written for readers is not there, or not as it was written."""
    noted = noted_files(folder)
    return not all(is_whole(file, noted) for file in noted)


def has_lost(directory: RunDirectory, find: Find) -> bool:
    """Whether parts of a series, or their list, are damaged, not there, or not finished."""
    try:
        parts = read_parts(directory.path, find, looks=False, run_id=directory.run_id)
    except UsageError:
        return True
    return any(isinstance(part, Hole) or not part.is_finished for part in parts)


def write_pages(folder: Path, find: Find) -> list[Path]:
    """Writes the pages of a series by the parts that there are: it may have been stopped, or be going on.

    Texts and figures that it comes to, and which are lost, are written too, unless it is going on.

    Args:
        folder: of a run.
        find: gives the experiments.

    Returns:
        The files; none where it is no series, or one whose conclusion needs every part.

    Raises:
        UsageError: if there is no run in the folder, or a damaged one.
    """
    experiment = find(read_config(folder.expanduser(), lambda name: find(name).config).experiment)
    if not experiment.series or not (series := experiment.load_series()).is_tolerant:
        return []
    run = read_run(folder, find, looks=True)
    parts = sorted(run.entries, key=begun_at)  # as they ran
    ended = {part.path.name: _ended(part) for part in parts if part.state != "not run"}
    # As it was before the series came to its end, so that texts are the same.
    origin = {n: v for n, v in run.provenance.items() if n not in ("finished", FILES)}
    going_on = {RUNNING: True} if run.state == "running" else {}
    conclusion = series.conclude(run.trials[0], find, ended, origin | going_on)
    restored = [] if going_on else _restore(run, conclusion)
    for name, page in conclusion.pages.items():
        write_text(run.path / name, page(run.path))
    return [*restored, *(run.path / name for name in conclusion.pages)]


def _restore(run: Run, conclusion: "Conclusion") -> list[Path]:
    """Writes texts and figures anew that are not there, or not as they were written; gives them.

    Raises:
        UsageError: if another process has begun to work in the folder.
    """
    texts = [name for name in conclusion.texts if not is_whole(run.path / name, run.noted)]
    figures = [name for name in conclusion.figures if not _is_drawn(run.path / "figures" / name, run.noted)]
    if not texts and not figures:
        return []
    from mi203jax.core.figures import save_figure

    with locked(run.path):
        if read_provenance(run.path) != run.provenance:  # it went on meanwhile, and wrote them itself
            return []
        for name in texts:
            write_text(run.path / name, conclusion.texts[name])
        files = [run.path / name for name in texts]
        files += [save_figure(run.path / "figures" / name, conclusion.figures[name]) for name in figures]
        noted = noting(run.path, files, run.provenance)
        write_document(run.path / PROVENANCE, run.provenance["run"], run.provenance | noted)
    return files


def _is_drawn(figure: Path, noted: Mapping[Path, str]) -> bool:
    """Whether a figure, by its name without an ending, is there as it was drawn."""
    return any(is_whole(figure.with_name(figure.name + end), noted) for end in (".png", ".gif"))


def _ended(part: Run | Hole) -> "Ended":
    """A part as it was when it ended: rows in the order of the trials, values of fields as they are typed."""
    from mi203jax.core.series import Ended, work_of

    if isinstance(part, Hole):
        damaged = {DAMAGED: str(part.path)} if part.state == "damaged" else {}
        return Ended([], [{"trial": 0, "status": "failed", "error": part.error} | damaged])
    trials: list[Any] = list(part.trials)
    rows = []
    for row in sorted(part.rows, key=lambda row: row["trial"]):
        typed = {n: format_value(getattr(trials[row["trial"]], n)) for n in fields_in(row)}
        rows.append(row | typed | {"error": row["error"] or ""})
    return Ended(trials, rows, work_of(len(rows), part.programs, part.seconds, part.provenance))
