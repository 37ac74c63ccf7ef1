"""What came of a run of the lecture: of an experiment, in one form."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mi203jax.configs.lecture import Form
from mi203jax.core.outputs import noted_files
from mi203jax.core.series_pages import DAMAGED
from mi203jax.lecture.judges import Evidence
from mi203jax.lecture.slide import Ran

NOT_RUN, STOPPED = "it did not run", "it did not come to its end"
"""Why there is nothing, or not all, of an experiment that has not failed: the lecture was stopped before."""

NOT_DRAWN = "its figures were not drawn"
"""What is missing of one whose numbers are all there."""

ERRORS = "errors.txt"
"""The file of a part, or of a piece of it, with the tracebacks of what failed."""


class Outcome(NamedTuple):
    """What came of an experiment, in one form.

    Attributes:
        name: what it is called in the lecture.
        experiment: which experiment it is.
        form: in which it ran.
        command: that runs it alone, in that form.
        rows: of its trials, as `mi203jax.core.results.results` gives them; of one that failed at once, less.
        parts: names of its folders in `parts/`.
        is_series: whether it is a series itself; its figures are the lecture's own then.
        texts: file name -> text, of what a series wrote.
        error: why it, or a part of it, failed, or what is missing; "": it ended well.
        seconds: that its programs took.
    """

    name: str
    experiment: str
    form: Form
    command: str
    rows: Sequence[Mapping[str, Any]] = ()
    parts: tuple[str, ...] = ()
    is_series: bool = False
    texts: Mapping[str, str] = {}
    error: str = ""
    seconds: float = 0.0

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to run, however it ended."""
        return self.error not in (NOT_RUN, STOPPED)

    @property
    def is_measured(self) -> bool:
        """Whether its numbers are there: at most figures are missing."""
        return self.error in ("", NOT_DRAWN)

    @property
    def damaged(self) -> list[str]:
        """The folders of its parts that cannot be read."""
        return [row[DAMAGED] for row in self.rows if DAMAGED in row]

    @property
    def evidence(self) -> Evidence:
        """What judges go by."""
        return Evidence(self.rows, self.texts)

    def figure(self, folder: Path, file: str) -> Path:
        """Where a figure is, in the folder of the lecture."""
        return self._figures(folder) / (own_name(self.name, file) if self.is_series else file)

    def _figures(self, folder: Path) -> Path:
        return (folder if self.is_series else folder / "parts" / self.name) / "figures"

    def drawn(self, folder: Path) -> dict[Path, str]:
        """The figures that were drawn -> SHA-256, where it is finished: some may be lost since."""
        noted = noted_files(self._figures(folder).parent)
        return {path: sha256 for path, sha256 in noted.items() if path.suffix in (".png", ".gif")}

    def figures(self, folder: Path) -> list[Path]:
        """All its figures that are there, or were once, what moves first."""
        home = self._figures(folder)
        found = sorted({*home.glob("*.gif"), *home.glob("*.png"), *self.drawn(folder)})
        prefix = own_name(self.name, "") if self.is_series else ""
        own = [path for path in found if path.name.startswith(prefix)]
        return sorted(own, key=lambda path: path.suffix != ".gif")

    def errors(self, folder: Path) -> list[str]:
        """The files, as the page links to them, that hold tracebacks of what failed."""
        names = dict.fromkeys((*self.parts, self.name)) if self.error else ()
        parts = [folder / "parts" / name for name in names]
        found = [p for part in parts for p in (part / ERRORS, *sorted(part.glob(f"pieces/*/{ERRORS}")))]
        return [p.relative_to(folder).as_posix() for p in found if p.is_file()]

    def files(self, folder: Path) -> dict[str, str]:
        """What there is to read on it: file, as the page links to it -> its name."""
        found = {f"parts/{part}/report.html": "report" for part in self.parts}
        found |= {own_name(self.name, text): text for text in self.texts}
        return {file: name for file, name in found.items() if (folder / file).is_file()}


def outcome_of(ran: Ran, outcomes: Mapping[str, Outcome]) -> Outcome | None:
    """What tells of that run; if none does, the first of its experiment; None: it was not to run."""
    own = [o for o in outcomes.values() if o.experiment == ran.experiment]
    return next((o for o in own if o.form.tells_of(ran.sweep)), own[0] if own else None)


def own_name(run: str, name: str) -> str:
    """What a part, a figure or a text of a series is called in the lecture's folder.

    No experiment has a dash in its name, so that it cannot be mistaken for another's.
    """
    return f"{run}-{name}"
