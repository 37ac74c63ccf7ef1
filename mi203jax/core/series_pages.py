"""The pages of a series, written anew by what its folder holds.

Does not import jax unless there is a series, so that `launch.py --report` answers at once.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mi203jax.core.config import format_value
from mi203jax.core.experiment import Find
from mi203jax.core.files import write_text
from mi203jax.core.html_report.reading import Run, read_run
from mi203jax.core.results import fields_in
from mi203jax.core.run_directory import read_config

if TYPE_CHECKING:
    from mi203jax.core.series import Ended


def write_pages(folder: Path, find: Find) -> list[Path]:
    """Writes the pages of a series by the parts that there are: it may have been stopped, or be going on.

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
    run = read_run(folder, find)
    parts = sorted(run.parts, key=lambda part: part.provenance.get("time", ""))  # as they ran
    ended = {part.path.name: _ended(part) for part in parts}
    pages = series.conclude(run.trials[0], find, ended, run.provenance).pages
    for name, page in pages.items():
        write_text(run.path / name, page(run.path))
    return [run.path / name for name in pages]


def _ended(part: Run) -> "Ended":
    """A part as it was when it ended: rows in the order of the trials, values of fields as they are typed."""
    from mi203jax.core.series import Ended, work_of

    trials: list[Any] = list(part.trials)
    rows = []
    for row in sorted(part.rows, key=lambda row: row["trial"]):
        typed = {n: format_value(getattr(trials[row["trial"]], n)) for n in fields_in(row)}
        rows.append(row | typed | {"error": row["error"] or ""})
    return Ended(trials, rows, work_of(len(rows), part.programs, part.seconds, part.provenance))
