"""`report.html`: a run, a sweep, a series or several of them on one page that can be opened and mailed.

The page holds everything it shows, loads nothing, and its security policy forbids that it ever does. Modules:
`reading` (what a folder holds), `tables` and `sections` (what is told of it), `pictures` and `figure`
(figures within the page), `page` (the whole), `document` (a page as a file), `markup` (HTML that is escaped
by default).

Does not import jax, so that `launch.py --report` answers at once.
"""

from collections.abc import Sequence
from pathlib import Path

from mi203jax.core.errors import UsageError
from mi203jax.core.experiment import Find
from mi203jax.core.files import write_text
from mi203jax.core.html_report.page import page
from mi203jax.core.html_report.reading import read_run

NAME = "report.html"


def write_report(directories: Sequence[Path], find: Find, out: Path | None = None) -> Path:
    """Writes the report of runs, which may still be going on.

    Args:
        directories: of runs, sweeps or series; of several a comparison comes first.
        find: gives the experiments by name.
        out: the file; None: `report.html`, of one run in its folder, of several in the current one.

    Returns:
        The file.

    Raises:
        UsageError: if there is no run in a folder, or a damaged one, or the file cannot be written.
    """
    if not directories:
        raise UsageError("--report: expected the folder of a run, or of several.")
    runs = [read_run(Path(directory), find) for directory in directories]
    path = out or (runs[0].path / NAME if len(runs) == 1 else Path(NAME))
    try:
        write_text(path, page(runs))
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}.") from None
    return path
