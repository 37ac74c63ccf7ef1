"""A run from what was asked for to its figures: what joins pieces to files, screen and signals."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mi203jax.core.config import RunConfig
from mi203jax.core.display import Display
from mi203jax.core.engine import Engine, Here
from mi203jax.core.errors import Fault, FiguresFailed, UsageError
from mi203jax.core.experiment import Experiment
from mi203jax.core.figures import save_figure
from mi203jax.core.html_report import write_report
from mi203jax.core.interruption import Interrupted, Interruption
from mi203jax.core.loop import Group, trial
from mi203jax.core.parallel import layout_of
from mi203jax.core.piece import Options, Piece, Values, Watch
from mi203jax.core.piece_folder import PieceFolder, Status
from mi203jax.core.plan import Planned, plan, program
from mi203jax.core.provenance import differences, provenance
from mi203jax.core.results import Row, arm_rows, ranked
from mi203jax.core.results_file import ResultsFile
from mi203jax.core.rounds import Rounds
from mi203jax.core.run_directory import RunDirectory
from mi203jax.core.sweep_figures import sweep_figures
from mi203jax.core.trials import Sweep, counted, label, varied_fields


def begin(
    name: str,
    experiment: Experiment,
    sweep: Sweep,
    out: str | None,
    options: Options,
    interruption: Interruption,
    engine: Engine | None = None,
) -> list[Row]:
    """Runs a sweep of an experiment in a new folder and gives the rows of the results, best first.

    Args:
        name: the experiment's name.
        experiment: the experiment.
        sweep: the trials that were asked for.
        out: the folder; None: one under `runs/`.
        options: how the run is kept, shown and laid out.
        interruption: asked now and then whether to stop.
        engine: where it runs; None: here.

    Raises:
        UsageError: if a configuration or the folder cannot work; nothing was written.
        Interrupted: after Ctrl-C or SIGTERM, with everything saved.
    """
    engine = engine or Here()
    task, trials = experiment.load_task(), sweep.trials()
    planned = plan(task, trials, options, engine.workers)
    interruption.check()
    noted = {"layout": {"parallel": options.parallel, "devices": options.devices}} | task.compared_by
    directory = RunDirectory.create(out, name, sweep, provenance([c.seed for c in trials]) | noted)
    interruption.folder = directory.path
    try:
        session = Session(experiment, directory, options, interruption, engine)
        session.add(trials, planned)
        return session.run()
    finally:
        directory.close()


def resume(
    directory: RunDirectory,
    experiment: Experiment,
    options: Options,
    interruption: Interruption,
    engine: Engine | None = None,
) -> list[Row]:
    """Goes on with the run in a folder, running only what is missing or failed; closes the folder.

    Raises:
        UsageError: if a checkpoint is damaged; nothing was written.
        Interrupted: after Ctrl-C or SIGTERM, with everything saved.
    """
    interruption.folder = directory.path
    try:
        session = Session(experiment, directory, options, interruption, engine or Here())
        check_checkpoints(session)
        note_resumed(directory, session.display)
        return session.run()
    finally:
        directory.close()


def check_checkpoints(session: "Session") -> None:
    """What can be wrong with a run that is to go on.

    Raises:
        UsageError: if a checkpoint is damaged, or a trial does not fit into what memory it may take.
    """
    directory, options = session.directory, session.options
    for folder in directory.pieces:
        if not folder.is_final:
            configs = [directory.trials[i] for i in folder.members]
            layout_of(session.task, configs, options.parallel, options.devices)
            session.piece(folder).checkpoints.verify()
    session.interruption.check()
    if options.max_memory:
        cut_smaller(session)


def cut_smaller(session: "Session") -> None:
    """Divides the pieces that are left, where they take more memory than a run that goes on may take."""
    directory, too_large = session.directory, []
    for folder in [f for f in directory.pieces if not f.is_final]:
        planned = plan(session.task, [directory.trials[i] for i in folder.members], session.options)
        if len(planned) > 1:
            too_large += folder.members
            directory.divide(folder, [[folder.members[i] for i in p.members] for p in planned])
    if too_large:
        session.display.say(f"{counted(len(too_large), 'trial')} begin anew, in smaller pieces")


def note_resumed(directory: RunDirectory, display: Display) -> None:
    """Notes that a run goes on, and says what is not as it was."""
    begun, again = directory.provenance(), provenance([])
    told = [f"{difference}: equal to rounding, not bit for bit" for difference in differences(begun, again)]
    told += [f"{piece.path} is not there: its trials begin anew" for piece in directory.lost]
    if any(directory.trials[i].is_alone for f in directory.pieces if not f.is_final for i in f.members):
        told.append("emulators hold a part of the state, which no checkpoint has: their episodes begin anew")
    directory.save_provenance(begun | {"resumed": [*begun.get("resumed", []), again | {"told": told}]})
    for line in told:
        display.say(line)


class Session:
    """One run of one experiment in one folder, by one process that starts pieces and shows them."""

    def __init__(
        self,
        experiment: Experiment,
        directory: RunDirectory,
        options: Options,
        interruption: Interruption,
        engine: Engine,
    ):
        self.experiment = experiment
        self.task = experiment.load_task()
        self.directory = directory
        self.options = options
        self.interruption = interruption
        self.engine = engine
        self.display = Display(options.quiet, self.task.objective)
        self._programs: dict[Path, Group] = {}  # of pieces that were planned here and wait
        self.is_stopped = False  # by --fail-fast
        self._is_halved = False
        self._only: Piece | None = None
        self._table = ResultsFile(directory, self.task)
        self._rounds = Rounds(directory, self.task)
        self._varied: tuple[int, list[str]] = (0, [])  # number of trials, and fields in which they differ

    def run(self) -> list[Row]:
        """Runs what is missing and gives the rows of the results, best first.

        Raises:
            Interrupted: after Ctrl-C or SIGTERM, with everything saved.
        """
        self.display.say(f"run directory: {self.directory.path}")
        if len(self.directory.trials) > 1 and any(c.is_alone for c in self.directory.trials):
            self.display.say("trials run one after the other: emulators hold a part of their state")
        rows = self.train(self.directory.experiment)
        self._conclude(rows)
        return ranked(rows, self.task.objective, self.task.best)

    def train(self, title: str) -> list[Row]:
        """Runs what is missing and gives the rows of the results, in the order of the trials.

        Args:
            title: what the progress bar is called.

        Raises:
            Interrupted: after Ctrl-C or SIGTERM, with everything saved.
        """
        self.directory.remove_others()
        if not all(f.is_final for f in self.directory.pieces):
            self.directory.forget_files()
        self._table.take(f for f in self.directory.pieces if f.is_final)
        waiting = [f for f in self.directory.pieces if not f.is_final]
        try:
            while not self.is_stopped and (waiting := waiting or self._next_round()):
                self.display.begin(title, *self._steps())
                self.engine.run(self, waiting)
                waiting = []
        finally:
            self.display.end()
        self.interruption.check()
        self._table.take(self.directory.pieces)
        rows = self._table.write()
        self.directory.note([self.directory.path / "results.csv"])  # whether or not figures fail
        return rows

    # ---- what an engine needs ----

    def piece(self, folder: PieceFolder) -> Piece:
        """A piece that can run in this process."""
        configs = [self.directory.trials[i] for i in folder.members]

        def make_group() -> Group:
            return self._programs.pop(folder.path, None) or program(self.task, configs, self.options)

        return Piece(folder, configs, make_group, self.task.objective, self.options)

    def add(self, trials: Sequence[RunConfig], planned: Sequence[Planned]) -> list[PieceFolder]:
        """Adds trials to the run, as pieces."""
        folders = self.directory.add(trials, [p.members for p in planned])
        if isinstance(self.engine, Here):
            self._programs |= {f.path: p.group for f, p in zip(folders, planned, strict=True)}
        return folders

    def _next_round(self) -> list[PieceFolder]:
        """What is proposed after what was tried, as pieces; none if that was all."""
        trials = [] if self.is_stopped else self._rounds.next()
        return self.add(trials, plan(self.task, trials, self.options, self.engine.workers)) if trials else []

    def halve(self, folder: PieceFolder) -> list[PieceFolder]:
        """Divides a piece that was too large for memory; its trials begin anew."""
        if not self._is_halved:
            several = f"{counted(len(folder.members), 'trial')} together took more memory than there is"
            self.display.say(f"{several}: halved, as often as it takes")
        self._is_halved = True
        half = len(folder.members) // 2
        return self.directory.divide(folder, [folder.members[:half], folder.members[half:]])

    def watch(self) -> Watch:
        """What shows a piece that runs in this process."""

        def progress(folder: PieceFolder, training: Values) -> None:
            self.show(training)

        def evaluation(folder: PieceFolder, step: int, values: Values) -> None:
            pieces = len(self.directory.pieces)
            where = f"{self.directory.pieces.index(folder) + 1}/{pieces} " if pieces > 1 else ""
            self.display.record(where, step, values, of_many=len(self.directory.trials) > 1)

        return Watch(progress, evaluation, self._say_diverged)

    def show(self, training: Values | None = None) -> None:
        """Shows how far all trials are, by their statuses."""
        self.display.update(self._steps()[0], self._tally(), training or {})

    def ended(self, folder: PieceFolder, piece: Piece | None = None) -> None:
        """A piece ended: what came of it is told, and the table written as far as it goes.

        Args:
            folder: its folder.
            piece: what ran in this process, if it did; of a single one figures need not read the checkpoint.
        """
        self._only = piece if len(self.directory.pieces) == 1 else None
        if len(self.directory.pieces) > 1:
            self.display.say(self._summary_of(folder))
            self._table.take([folder])
            self._table.write_now_and_then()
        lost = [s for s in folder.statuses if s.status in ("failed", "diverged")]
        failed = [s for s in lost if s.status == "failed"]
        if failed:
            self.display.say(f"{self._names(folder)} failed: {failed[0].error}; see {folder.path}/errors.txt")
        self.is_stopped |= self.options.fail_fast and bool(lost)

    def _summary_of(self, folder: PieceFolder) -> str:
        reached = "".join(f": {text}" for text in self._best_of(folder.statuses))
        return f"{self._names(folder)} ended{reached}; {self._tally()}"

    def _best_of(self, statuses: Sequence[Status]) -> list[str]:
        """The best objective in words; nothing where none was measured."""
        values = [s.objective for s in statuses if s.objective is not None]
        best = max if self.task.best == "max" else min
        return [f"{self.task.objective} {best(values):.4g}"] if values else []

    def _say_diverged(self, folder: PieceFolder, position: int) -> None:
        error = folder.statuses[position].error
        self.display.say(f"trial {self._name(folder.members[position])} diverged: {error}; the others go on")

    def _name(self, index: int) -> str:
        trials = self.directory.trials
        if self._varied[0] != len(trials):
            self._varied = len(trials), varied_fields(trials)
        return f"{index} {label(trials[index], self._varied[1])}".strip()

    def _names(self, folder: PieceFolder) -> str:
        first, *others = folder.members
        return f"trial {self._name(first)}" + (f" and {len(others)} more" if others else "")

    def _steps(self) -> tuple[int, int]:
        """Steps that are done, and to be done, of all trials together."""
        done = total = 0
        for c, status in zip(self.directory.trials, self.directory.statuses, strict=True):
            length = c.num_iterations * c.steps_per_iteration
            total += length
            done += length if status.is_final else status.step
        return done, total

    def _tally(self) -> str:
        statuses = self.directory.statuses
        if len(statuses) == 1:
            return ""
        counts = Counter(s.status for s in statuses)
        parts = [f"{counts[s]} {s}" for s in ("done", "running", "failed", "diverged") if counts[s]]
        parts += [f"best {text}" for text in self._best_of(statuses)]
        return f"{len(statuses)} trials: " + ", ".join(parts)

    # ---- at the end ----

    def _conclude(self, rows: Sequence[Row]) -> None:
        run, task = self.directory, self.task
        try:
            files = self.draw(rows)
        except (Interrupted, UsageError, Fault):
            raise
        except Exception as error:  # of the task's figures, most likely
            write_report([run.path], lambda _: self.experiment)
            raise FiguresFailed(error, run.path) from error
        if self.is_stopped:
            self.display.say(f"stopped at the first trial that was lost; --resume={run.path} goes on")
        of_arms = arm_rows(run.trials, rows, task.objective, task.best)
        self.display.summary(
            ranked(rows, task.objective, task.best), of_arms, task.objective, run.path, files
        )

    def draw(self, rows: Sequence[Row], has_own: bool = True) -> list[Path]:
        """Draws the figures, marks the run as finished, and writes its report; gives the files.

        Args:
            rows: what `train` gave.
            has_own: whether the task's own figures, of the best trial, are among them.

        Raises:
            Interrupted: after Ctrl-C or SIGTERM, with everything saved.
        """
        run, recorded, task = self.directory, self._table.recorded, self.task
        self.display.say("drawing the figures")
        drawn = sweep_figures(
            run.trials, rows, recorded, task.objective, task.best, run.experiment, task.beside, task.curves
        )
        files = [save_figure(run.path / "figures" / name, figure) for name, figure in drawn.items()]
        figures = self._figures_of(ranked(rows, task.objective, task.best)[0]) if has_own else {}
        self.interruption.check()
        files += [save_figure(run.path / "figures" / name, figure) for name, figure in figures.items()]
        run.finish([run.path / "results.csv", *files])
        return [*files, write_report([run.path], lambda _: self.experiment)]

    def _figures_of(self, row: Row) -> dict[str, Any]:
        """The task's own figures, of the best trial."""
        if row["status"] != "done":
            return {}
        index = row["trial"]
        folder = next(f for f in self.directory.pieces if index in f.members)
        piece = self._only or self.piece(folder)
        if piece.end is None and (restored := piece.restore()):
            piece.end = restored.carry
        if piece.end is None:
            raise folder.damaged(
                f"{folder.checkpoints} has no checkpoint of trial {index}, which is finished"
            )
        state = trial(piece.end.state, folder.members.index(index))
        return self.task.figures(self.directory.trials[index], state, piece.group.data)
