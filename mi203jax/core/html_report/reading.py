"""What a run's folder holds, as the report needs it. It is not locked: a run may be going on in it.

Does not import jax.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from mi203jax.core.config import BaseConfig
from mi203jax.core.documents import read_document
from mi203jax.core.errors import UsageError
from mi203jax.core.experiment import Experiment, Find
from mi203jax.core.files import is_leftover, lock
from mi203jax.core.outputs import PROVENANCE, noted_files, read_provenance
from mi203jax.core.piece_folder import PieceFolder, Status, by_trial
from mi203jax.core.recorded import Best, Recorded
from mi203jax.core.results import Row, fields_in, ranked, results
from mi203jax.core.run_directory import check_run, read_config
from mi203jax.core.trials import Sweep

PARTS = "parts.json"
"""Of a series: its parts in their order, each with why it failed before it had a trial, or ""."""

NOT_RUN = "It did not run, or ended before it had a trial."


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
    rows: Sequence[Row]  # as `results.csv` has them, values of fields as numbers, the best first
    objective: str  # the metric that trials are compared by; "": not known
    best: Best
    recorded: Recorded  # by its own trials
    programs: int  # its own and its parts'
    seconds: float  # of the programs, one after the other
    provenance: dict[str, Any]
    pictures: Sequence[Path]
    texts: Sequence[Path]
    noted: Mapping[Path, str]  # what was written for readers -> SHA-256
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
    provenance = read_provenance(path, found.run_id)
    pieces = found.piece_folders(path)
    for piece in pieces:
        if not piece.read():
            raise UsageError(f"{piece.path} is missing: --resume={path} begins its trials anew.")
    statuses = by_trial(pieces)
    entries = read_parts(path, find, looks, found.run_id)
    parts = [part for part in entries if isinstance(part, Run)]
    noted = noted_files(path)
    objective = str(provenance.get("objective", ""))
    best: Best = "min" if provenance.get("best") == "min" else "max"
    recorded = Recorded(objective, best)
    rows = [] if entries else _rows(found.trials, statuses, pieces, recorded)
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
        recorded=recorded,
        programs=len(pieces) + sum(part.programs for part in parts),
        seconds=seconds + sum(part.seconds for part in parts),
        provenance=provenance,
        pictures=_whole(p for p in {*path.glob("figures/*"), *noted} if p.suffix in (".png", ".gif")),
        texts=_whole(path.glob("*.md")),
        noted=noted,
        entries=entries,
        is_locked=looks and "finished" not in provenance and is_locked(path),
    )


def _whole(files: Iterable[Path]) -> list[Path]:
    """Those that are not half written."""
    return sorted(file for file in files if not is_leftover(file.name))


def is_locked(folder: Path) -> bool:
    """Whether some process, this one too, works in a run's folder."""
    if not (folder / ".lock").is_file():
        return False
    try:
        lock(folder, patience=0.0).release()
    except UsageError:
        return True
    except OSError:  # what cannot be written is not worked in
        return False
    return False


def read_parts(path: Path, find: Find, looks: bool, run_id: str) -> list[Run | Hole]:
    """The parts of a series, as they ran; one that cannot be read is a hole.

    Args:
        path: the folder of the series.
        find: gives the experiments.
        looks: as `read_run` has it.
        run_id: the series'.

    Raises:
        UsageError: if the list of the parts is damaged.
    """
    remedy = f"--resume={path} writes it anew."
    has_parts = (path / PARTS).exists() or (path / "parts").exists()
    noted = read_document(path / PARTS, run_id, remedy)["parts"] if has_parts else {}
    if any(name in ("", ".", "..") or Path(name).name != name for name in noted):
        raise UsageError(f"{path / PARTS} is damaged: expected names of folders.")
    return [_part(path / "parts" / name, find, looks, error) for name, error in noted.items()]


def _part(path: Path, find: Find, looks: bool, error: str = "") -> Run | Hole:
    begun = ""
    try:
        if (path / PROVENANCE).is_file():
            begun = str(read_provenance(path).get("time", ""))
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


def _rows(
    trials: Sequence[BaseConfig],
    statuses: Sequence[Status],
    pieces: Sequence[PieceFolder],
    recorded: Recorded,
) -> list[Row]:
    """A row a trial, of what was recorded until now; values of fields as numbers, where they are."""
    for piece in pieces:
        recorded.add(piece.records())
    rows = results(trials, statuses, recorded)
    return [row | {n: number_of(row[n]) for n in fields_in(row)} for row in rows]


def number_of(text: str) -> Any:
    """The number that a text is; None of nothing, and any other text itself."""
    for kind in (int, float):
        try:
            # "1_000" is a number to Python, and a text to everyone else.
            return kind(text) if "_" not in text else text
        except ValueError:
            continue
    return text or None
