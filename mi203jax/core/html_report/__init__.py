"""`report.html`: a run, a sweep, a series or several of them on one page that can be opened and mailed.

The page holds everything it shows, loads nothing, and its security policy forbids that it ever does. Modules:
`reading` (what a folder holds), `tables` and `sections` (what is told of it), `command` (what makes it
again), `comparison` (several beside each other), `pictures` and `figure` (figures within the page), `page`
(the whole), `document` (a page as a file), `markdown` (texts of a study) and `markup` (HTML that is escaped
by default).

Does not import jax, so that `launch.py --report` of a run takes a second or two; of a series with
dozens of pictures it takes longer, and `pictures` logs how far it is.
"""

from collections.abc import Sequence
from pathlib import Path

from mi203jax.core.errors import UsageError
from mi203jax.core.experiment import Find
from mi203jax.core.files import write_text
from mi203jax.core.html_report.page import page
from mi203jax.core.html_report.reading import read_run

NAME = "report.html"


def write_report(
    directories: Sequence[Path], find: Find, out: Path | None = None, looks: bool = False
) -> Path:
    """Writes the report of runs, which may still be going on.

    Args:
        directories: of runs, sweeps or series; of several a comparison comes first.
        find: gives the experiments by name.
        out: the file; None: `report.html`, of one run in its folder, of several in the current one.
        looks: whether to look if a process works in the folders; one that writes its own report has ended.

    Returns:
        The file; of several, with its full place.

    Raises:
        UsageError: if there is no run in a folder, or a damaged one, or one is given twice, or the file is a
            folder, or would lie in none.
        Fault: if the file cannot be written.
    """
    if not directories:
        raise UsageError("--report: expected the folder of a run, or of several.")
    folders = [Path(directory).expanduser() for directory in directories]
    places = [folder.resolve() for folder in folders]
    if len(set(places)) < len(places):
        twice = next(f for f, place in zip(folders, places, strict=True) if places.count(place) > 1)
        raise UsageError(f"--report: {twice} is given twice: a run is not compared with itself.")
    path = out or (folders[0] / NAME if len(folders) == 1 else Path.cwd() / NAME)
    if path.is_dir():  # before anything is read or written
        raise UsageError(f"{path} cannot be written: it is a folder; expected the name of a file.")
    if out and not path.parent.is_dir():
        raise UsageError(f"{path} cannot be written: there is no folder {path.parent}.")
    runs = [read_run(folder, find, looks) for folder in folders]
    write_text(path, page(runs))
    return path
