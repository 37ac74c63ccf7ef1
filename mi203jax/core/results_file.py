"""The table of a run that goes on: `results.csv`, of what was recorded until now."""

from collections.abc import Iterable

from mi203jax.core.piece_folder import PieceFolder
from mi203jax.core.recorded import Recorded
from mi203jax.core.results import Row, results, write_csv
from mi203jax.core.run_directory import RunDirectory
from mi203jax.core.sparingly import Sparingly
from mi203jax.core.task import Task


class ResultsFile:
    """What the trials of a run came to, and the file that tells of it."""

    def __init__(self, run: RunDirectory, task: Task):
        self._run = run
        self.recorded = Recorded(task.objective, task.best, task.curves)
        self._taken: set[int] = set()
        self.write_now_and_then = Sparingly(self.write)

    def take(self, pieces: Iterable[PieceFolder]) -> None:
        """Takes in what pieces recorded that are over, each once.

        Raises:
            UsageError: if a file is damaged.
        """
        for piece in pieces:
            if piece.number not in self._taken:
                self._taken.add(piece.number)
                self.recorded.add(piece.records())

    def write(self) -> list[Row]:
        """Writes the table; gives its rows, in the order of the trials."""
        rows = results(self._run.trials, self._run.statuses, self.recorded)
        write_csv(self._run.path / "results.csv", rows)
        return rows
