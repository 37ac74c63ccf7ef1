"""What a run's folder holds, as the report needs it. It is not locked: a run may be going on in it.

Does not import jax.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from mi203jax.core.config import BaseConfig
from mi203jax.core.errors import UsageError
from mi203jax.core.experiment import Experiment, Find
from mi203jax.core.files import lock, read_json
from mi203jax.core.piece_folder import PieceFolder, Status
from mi203jax.core.results import Best, Row, ranked, results
from mi203jax.core.run_directory import check_run, read_config, read_provenance
from mi203jax.core.trials import Sweep

PARTS = "parts.json"
"""Of a series: its parts in their order, each with why it failed before it had a trial, or ""."""

FIGURES = "figures"
"""Of `provenance.json`: the names of the files that were drawn."""

NOT_RUN = "It did not run, or ended before it had a trial."

OWN = ("config.json", "provenance.json")
"""What tells the folder of a part."""


class Hole(NamedTuple):
    """A part of a series that has nothing to show."""

    path: Path
    error: str  # why, in words; "": it did not run
    state: Literal["failed", "damaged", "not run"]
    begun: str = ""  # when, if that is known

    @property
    def reason(self) -> str:
        """Why, as a sentence."""
        return {"failed": f"It failed: {self.error}", "damaged": self.error, "not run": NOT_RUN}[self.state]


class Run(NamedTuple):
    """A run, a sweep, or a series with its parts."""

    path: Path
    name: str  # of the experiment
    experiment: Experiment
    sweep: Sweep
    trials: Sequence[BaseConfig]
    statuses: Sequence[Status]
    rows: Sequence[Row]  # as `results.csv` has them, numbers as such, the best first
    objective: str  # the metric that trials are compared by; "": not known
    best: Best
    programs: int
    seconds: float  # of the programs, one after the other
    provenance: dict[str, Any]
    pictures: Sequence[Path]
    texts: Sequence[Path]
    entries: "Sequence[Run | Hole]" = ()  # of a series: its parts, as they ran
    error: str = ""  # of a part: why it failed, beside what is told of its trials
    is_locked: bool = False  # some process works in the folder, as far as that was looked for

    @property
    def parts(self) -> "list[Run]":
        """The parts that have trials."""
        return [part for part in self.entries if isinstance(part, Run)]

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to run."""
        return "finished" in self.provenance

    @property
    def state(self) -> str:
        """`"finished"`, `"running"` or `"stopped"`."""
        return "finished" if self.is_finished else "running" if self.is_locked else "stopped"


def read_run(path: Path, find: Find, looks: bool = False) -> Run:
    """Reads a run's folder.

    Args:
        path: the folder.
        find: gives the experiments.
        looks: whether to look if a process works in the folder.

    Raises:
        UsageError: if there is no run in it, or a damaged one, or another version's.
    """
    path = path.expanduser()
    check_run(path, f"--report={path}")
    found = read_config(path, lambda name: find(name).config)
    pieces = [PieceFolder(path / "pieces" / str(i), members) for i, members in enumerate(found.pieces)]
    for piece in pieces:
        piece.read()
    statuses = _by_trial(pieces)
    entries = read_parts(path, find, looks)
    parts = [part for part in entries if isinstance(part, Run)]
    provenance = read_provenance(path / "provenance.json")
    objective = str(provenance.get("objective", ""))
    best: Best = "min" if provenance.get("best") == "min" else "max"
    rows = [] if entries else _rows(path, found.trials, statuses, pieces, objective, best)
    own = {row["trial"]: row["seconds"] or 0.0 for row in rows}
    seconds = sum(max(own.get(i, 0.0) for i in piece.members) for piece in pieces)  # they end together
    return Run(
        path=path,
        name=found.experiment,
        experiment=find(found.experiment),
        sweep=found.sweep,
        trials=found.trials,
        statuses=statuses,
        rows=ranked(rows, objective, best),
        objective=objective,
        best=best,
        programs=len(pieces) + sum(part.programs for part in parts),
        seconds=seconds + sum(part.seconds for part in parts),
        provenance=provenance,
        pictures=sorted({*_pictures(path), *noted_figures(path)}),
        texts=sorted(path.glob("*.md")),
        entries=entries,
        is_locked=looks and "finished" not in provenance and is_locked(path),
    )


def _pictures(folder: Path) -> list[Path]:
    return [p for p in (folder / "figures").glob("*") if p.suffix in (".png", ".gif")]


def noted_figures(folder: Path) -> list[Path]:
    """The figures of a run that were drawn once: one that is lost since shall be missed."""
    try:
        noted = read_provenance(folder / "provenance.json").get(FIGURES)
    except UsageError:
        return []
    names = [n for n in noted if isinstance(n, str) and Path(n).name == n] if isinstance(noted, list) else []
    return [folder / "figures" / name for name in names]


def is_locked(folder: Path) -> bool:
    """Whether some process, this one too, works in a run's folder."""
    if not (folder / ".lock").is_file():
        return False
    try:
        lock(folder).release()
    except UsageError:
        return True
    except OSError:  # what cannot be written is not worked in
        return False
    return False


def read_parts(path: Path, find: Find, looks: bool) -> list[Run | Hole]:
    """The parts of a series, as they ran; one that cannot be read is a hole.

    Args:
        path: the folder of the series.
        find: gives the experiments.
        looks: as `read_run` has it.

    Raises:
        UsageError: if the list of the parts is damaged.
    """
    noted = _noted(path / PARTS) if (path / PARTS).is_file() else {}
    known = [_part(path / "parts" / name, find, looks, error) for name, error in noted.items()]
    # Older versions kept no list.
    found = sorted({p.parent for p in path.glob("parts/*/*.json") if p.name in OWN} - {p.path for p in known})
    return known + sorted((_part(p, find, looks) for p in found), key=begun_at)


def _noted(file: Path) -> dict[str, str]:
    found = read_json(file)
    if not isinstance(found, dict) or not all(
        isinstance(error, str) and Path(name).name == name for name, error in found.items()
    ):
        raise UsageError(f"{file} is damaged: expected names of parts, and why each failed.")
    return found


def _part(path: Path, find: Find, looks: bool, error: str = "") -> Run | Hole:
    begun = ""
    try:
        if (path / "provenance.json").is_file():
            begun = str(read_provenance(path / "provenance.json").get("time", ""))
        if (path / "config.json").is_file():
            return read_run(path, find, looks)._replace(error=error)
    except UsageError as damage:
        return Hole(path, str(damage), "damaged", begun)
    if error:
        return Hole(path, error, "failed", begun)
    return Hole(path, "", "not run", begun)


def begun_at(part: Run | Hole) -> str:
    """When a part began, as a text that sorts; "": not known."""
    return part.begun if isinstance(part, Hole) else str(part.provenance.get("time", ""))


def _by_trial(pieces: Sequence[PieceFolder]) -> list[Status]:
    found = {i: s for piece in pieces for i, s in zip(piece.members, piece.statuses, strict=True)}
    return [found[i] for i in sorted(found)]


def _rows(
    path: Path,
    trials: Sequence[BaseConfig],
    statuses: Sequence[Status],
    pieces: Sequence[PieceFolder],
    objective: str,
    best: Best,
) -> list[Row]:
    """A row a trial: of `results.csv`, or of what was recorded until now."""
    file = path / "results.csv"
    if file.is_file():
        rows = read_results(file)
        if len(rows) <= len(trials):
            return rows
        raise UsageError(f"{file} is damaged: it has {len(rows)} rows for {len(trials)} trials.")
    records = [record for piece in pieces for record in piece.records()]
    return results(trials, statuses, records, objective, best)


def read_results(file: Path) -> list[Row]:
    """The rows of a `results.csv`, numbers as such and None where nothing stands.

    Raises:
        UsageError: if the file is damaged.
    """
    try:
        lines = list(csv.reader(io.StringIO(file.read_text(encoding="utf-8"), newline=""), strict=True))
    except (OSError, ValueError, csv.Error) as error:
        raise UsageError(f"{file} is damaged: {error}.") from None
    if len(lines) < 2 or not {"trial", "status", "seconds"} <= set(lines[0]):
        raise UsageError(f"{file} is damaged: expected a line of names and a line a trial.")
    for number, line in enumerate(lines[1:], 2):
        if len(line) != len(lines[0]):
            raise UsageError(
                f"{file} is damaged: row {number} has {len(line)} values for {len(lines[0])} names."
            )
    rows = [{n: number_of(t) for n, t in zip(lines[0], line, strict=True)} for line in lines[1:]]
    numbers = ["seconds", *(n for n in lines[0] if "/" in n)]
    for row in rows:
        if type(row["trial"]) is not int or any(not isinstance(row[n], int | float | None) for n in numbers):
            raise UsageError(f"{file} is damaged: the row of trial {row['trial']} holds a text for a number.")
    return rows


def number_of(text: str) -> Any:
    """The number that a text is; None of nothing, and any other text itself."""
    for kind in (int, float):
        try:
            # "1_000" is a number to Python, and a text to everyone else.
            return kind(text) if "_" not in text else text
        except ValueError:
            continue
    return text or None
