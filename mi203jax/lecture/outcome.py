"""What came of an experiment of the lecture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mi203jax.configs.lecture import Form
from mi203jax.lecture.judges import Evidence


class Outcome(NamedTuple):
    """What came of an experiment.

    Attributes:
        name: of the experiment.
        form: in which it ran.
        command: that runs it alone, in that form.
        rows: of its trials, as `mi203jax.core.results.results` gives them; of one that failed at once, less.
        parts: names of its folders in `parts/`.
        is_series: whether it is a series itself; its figures are the lecture's own then.
        texts: file name -> text, of what a series wrote.
        error: why it, or a part of it, failed; "": it did not.
        seconds: that its programs took.
    """

    name: str
    form: Form
    command: str
    rows: Sequence[Mapping[str, Any]] = ()
    parts: tuple[str, ...] = ()
    is_series: bool = False
    texts: Mapping[str, str] = {}
    error: str = ""
    seconds: float = 0.0

    @property
    def evidence(self) -> Evidence:
        """What judges go by."""
        return Evidence(self.rows, self.texts)

    def figure(self, folder: Path, file: str) -> Path:
        """Where a figure is, in the folder of the lecture."""
        if self.is_series:
            return folder / "figures" / own_name(self.name, file)
        return folder / "parts" / self.name / "figures" / file

    def figures(self, folder: Path) -> list[Path]:
        """All its figures that are there, what moves first."""
        found = [
            p for kind in ("*.gif", "*.png") for p in sorted(self.figure(folder, kind).parent.glob(kind))
        ]
        prefix = own_name(self.name, "") if self.is_series else ""
        return [path for path in found if path.name.startswith(prefix)]

    def files(self, folder: Path) -> dict[str, str]:
        """What there is to read on it: file, as the page links to it -> its name."""
        found = {f"parts/{part}/report.html": "report" for part in self.parts}
        found |= {own_name(self.name, text): text for text in self.texts}
        return {file: name for file, name in found.items() if (folder / file).is_file()}


def own_name(experiment: str, name: str) -> str:
    """What a part, a figure or a text of a series is called in the lecture's folder.

    No experiment has a dash in its name, so that it cannot be mistaken for another's.
    """
    return f"{experiment}-{name}"
