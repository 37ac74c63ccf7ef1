"""An experiment made of two runs of the toy: the second goes on with what was best in the first."""

import json
import os
import signal
from dataclasses import replace

import jax
import numpy as np
import pytest

from mi203jax.core.config import BaseConfig, config, static
from mi203jax.core.errors import UsageError
from mi203jax.core.experiment import Experiment
from mi203jax.core.interruption import Interrupted, Interruption
from mi203jax.core.piece import Options
from mi203jax.core.piece_folder import Status
from mi203jax.core.run_directory import RunDirectory
from mi203jax.core.series import Conclusion, Part, Series, begin_series, resume_series
from mi203jax.core.task import Animation
from mi203jax.core.trials import Sweep
from tests.core import toy
from tests.core.toy import Toy, exact_loss

QUIET = Options(quiet=True)


@config
class Two(BaseConfig):
    """Step sizes to try, and how often the best is run."""

    rates: tuple[float, ...] = static((0.05, 0.1), "step sizes")
    again: int = static(2, "dimensions of the second part", "[1, 5]")


def next_of(c: Two, find, ended):
    base = find("toy").config
    if "first" not in ended:
        return {"first": Part("toy", [replace(base, learning_rate=r) for r in c.rates])}
    if "second" not in ended:
        trials, rows = ended["first"].trials, ended["first"].rows
        best = trials[min(range(len(rows)), key=lambda i: rows[i]["eval/loss"])]
        return {"second": Part("toy", [replace(best, dimension=d + 1) for d in range(c.again)])}
    return {}


def conclude(c: Two, find, ended, provenance):
    losses = {n: [row["eval/loss"] for row in part.rows] for n, part in ended.items()}
    seconds = {n: [row["seconds"] for row in part.rows] for n, part in ended.items()}
    work = {n: dict(part.work) for n, part in ended.items()}
    told = json.dumps({"work": work, "seconds": seconds, "seeds": provenance["seeds"]})
    still = Animation([np.zeros((8, 8, 3), np.uint8)], 5.0)
    return Conclusion("it is over", {"losses.json": json.dumps(losses), "work.json": told}, {"still": still})


EXPERIMENT = Experiment(Two(), "", series=Series(next_of, conclude))


class Marks:
    """An engine that trains nothing: what has two dimensions is done, all else ends as is said."""

    workers = 1

    def __init__(self, status):
        self.status = status

    def run(self, session, pieces):
        for folder in pieces:
            trials = [session.directory.trials[i] for i in folder.members]
            folder.statuses = [Status("done" if c.dimension == 2 else self.status) for c in trials]
            folder.save_statuses()
            session.ended(folder)


def find_toy(name, task=toy.task):
    if name == "two":
        return EXPERIMENT
    assert name == "toy"
    return toy.EXPERIMENT._replace(task=task)


def begin(path, *assignments, find=find_toy, options=QUIET):
    with Interruption() as interruption:
        sweep = Sweep(Two(), assignments)
        return begin_series("two", EXPERIMENT, sweep, str(path), options, interruption, find)


def resume(path, find=find_toy):
    with Interruption() as interruption:
        directory = RunDirectory.open(str(path), lambda name: Two())
        return resume_series(directory, EXPERIMENT, QUIET, interruption, find)


def found(path, name="losses"):
    return json.loads((path / f"{name}.json").read_text())


def dying(at_trials, number=signal.SIGTERM):
    """The toy, whose process is sent a signal once, after a program of so many trials began."""
    sent = []

    def evaluate(c, state, data):
        def send(t):
            if t >= 20 and not sent:
                sent.append(t)
                os.kill(os.getpid(), number)

        if c.dimension in at_trials:
            jax.debug.callback(send, state.t)
        return toy.task.evaluate(c, state, data)

    return lambda name: find_toy(name, toy.task._replace(evaluate=evaluate))


class TestBegin:
    def test_a_part_depends_on_what_came_before(self, tmp_path):
        rows = begin(tmp_path)
        assert len(rows) == 4
        losses, (work, seconds, seeds) = found(tmp_path), found(tmp_path, "work").values()
        rate = Toy(learning_rate=0.1)
        first = [Toy(learning_rate=0.05), rate]
        assert losses["first"] == pytest.approx([exact_loss(c, 40) for c in first], rel=1e-4)
        second = [replace(rate, dimension=d) for d in (1, 2)]
        assert losses["second"] == pytest.approx([exact_loss(c, 40) for c in second], rel=1e-4)
        assert [(w["trials"], w["programs"]) for w in work.values()] == [(2, 1), (2, 2)]
        # The trials of a program run at the same time, programs one after the other.
        took = {"first": max(seconds["first"]), "second": sum(seconds["second"])}
        assert {n: w["seconds"] for n, w in work.items()} == pytest.approx(took)
        for name, part in work.items():
            origin = found(tmp_path / "parts" / name, "provenance")
            assert (part["begun"], part["finished"]) == (origin["time"], origin["finished"])
            assert (origin["alone"], origin["series"]) == ("", "python launch.py --exp=two")
        assert seeds == [0]  # the series' own

    def test_each_part_is_a_run_that_is_finished(self, tmp_path):
        begin(tmp_path)
        for path in (tmp_path, tmp_path / "parts/first", tmp_path / "parts/second"):
            assert "finished" in found(path, "provenance")
        assert found(tmp_path, "provenance")["layout"] == {"parallel": "auto", "devices": 1}
        assert found(tmp_path, "config")["experiment"] == "two"
        assert (tmp_path / "figures/still.gif").is_file()
        assert (tmp_path / "parts/second/results.csv").read_text().count("done") == 2
        with pytest.raises(UsageError, match="this run is finished"):
            resume(tmp_path)

    @pytest.mark.parametrize(
        ("status", "fail_fast", "ended", "is_over"),
        [
            ("failed", False, ["failed", "done"], False),
            ("failed", True, ["failed"], False),
            ("diverged", False, ["diverged", "done"], True),
            ("diverged", True, ["diverged"], False),
        ],
    )
    def test_a_lost_part_ends_the_series_after_those_beside_it(
        self, tmp_path, capsys, status, fail_fast, ended, is_over
    ):
        asked = []

        def next_of(c, find, ended):
            asked.append(list(ended))
            trials = {f"of_{d}": [Toy(dimension=d)] for d in (1, 2)}
            return {} if ended else {name: Part("toy", own) for name, own in trials.items()}

        def conclude(c, find, ended, provenance):
            return Conclusion("it is over")

        experiment = EXPERIMENT._replace(series=Series(next_of, conclude))
        options = Options(fail_fast=fail_fast)
        with Interruption() as interruption:
            sweep, marks = Sweep(Two()), Marks(status)
            rows = begin_series(
                "two", experiment, sweep, str(tmp_path), options, interruption, find_toy, marks
            )
        assert [row["status"] for row in rows] == ended
        assert asked == [[], []] + [["of_1", "of_2"]] * is_over  # once to plan
        assert ("finished" in found(tmp_path, "provenance")) == is_over
        told = capsys.readouterr().out
        assert ("it is over" in told) == is_over
        assert (f"--resume={tmp_path} goes on" in told) != is_over

    def test_parts_that_do_without_each_other_leave_holes(self, tmp_path, capsys):
        """One whose programs fail as they are traced, one that fails as it runs, and one that ends well."""

        def broken(name):
            def init(c, data, key):
                if c.dimension == 1:
                    raise ValueError("no such dimension")
                return toy.task.init(c, data, key)

            def step(c, state, data, t):
                if c.dimension == 2 and not (tmp_path / "mended").exists():
                    jax.debug.callback(lambda: 1 / 0)
                return toy.task.step(c, state, data, t)

            return find_toy(name, toy.task._replace(init=init, step=step))

        shown = {1: "all", 2: "of_trials", 3: "all"}

        def next_of(c, find, ended):
            parts = {d: Part("toy", [Toy(dimension=d)], shown[d], f"run {d}") for d in (1, 2, 3)}
            return {} if ended else {f"of_{d}": part for d, part in parts.items()}

        def conclude(c, find, ended, provenance):
            statuses = {name: part.rows[0]["status"] for name, part in ended.items()}
            return Conclusion(str(statuses), pages={"page.txt": lambda path: f"{path.name} {statuses}"})

        def go(run, *asked):
            experiment = EXPERIMENT._replace(series=Series(next_of, conclude, is_tolerant=True))
            with Interruption() as interruption:
                return run(*asked[:1], experiment, *asked[1:], interruption, broken)

        path = tmp_path / "run"
        rows = go(begin_series, "two", Sweep(Two()), str(path), Options())
        told = capsys.readouterr().out
        assert [row["status"] for row in rows] == ["failed", "failed", "done"]
        assert "no such dimension" in rows[0]["error"]
        assert "of_1 failed: ValueError: no such dimension" in told
        assert f"some of it failed; --resume={path} goes on" in told
        assert (path / "page.txt").read_text().startswith("run {'of_1': 'failed'")
        assert (path / "parts/of_3/figures/learning_curve.png").is_file()
        assert "run 3" in (path / "parts/of_3/report.html").read_text()
        assert "finished" not in found(path, "provenance")
        error = "ValueError: no such dimension"
        assert found(path, "parts")["parts"] == {"of_1": error, "of_2": "", "of_3": ""}
        page = (path / "report.html").read_text()
        assert f'<h3>of_1</h3><p class="hole">It failed: {error}</p><h3>of_2</h3>' in page
        assert "stopped (parts: 1 failed, 1 stopped, 1 finished)" in page

        (tmp_path / "mended").touch()
        drawn = (path / "parts/of_3/report.html").stat().st_mtime_ns
        rows = go(resume_series, RunDirectory.open(str(path), lambda name: Two()), Options())
        assert [row["status"] for row in rows] == ["failed", "done", "done"]
        assert (path / "parts/of_3/report.html").stat().st_mtime_ns == drawn
        own = {d: (path / f"parts/of_{d}/figures/still.gif").is_file() for d in (2, 3)}
        assert own == {2: False, 3: True}
        assert (path / "parts/of_2/figures/learning_curve.png").is_file()
        assert (path / "parts/of_2/report.html").is_file()

    def test_parts_that_are_to_come_are_named(self, tmp_path):
        """Of a series that is stopped in its second part; what stands for a series is left out."""
        asked = {"a": "toy", "b": "toy", "inner": "two", "c": "unheard_of"}

        def next_of(c, find, ended):
            trials = {"a": [Toy(dimension=1)], "b": [Toy(dimension=2)]}
            later = [n for n in asked if n not in ended]
            return {n: Part(asked[n], trials.get(n, [Toy()])) for n in later[:1]}

        def of(name):
            if name == "unheard_of":
                raise UsageError("there is none")
            return dying((2,))(name)

        experiment = EXPERIMENT._replace(series=Series(next_of, conclude, is_tolerant=True))
        with Interruption() as interruption, pytest.raises(Interrupted):
            begin_series("two", experiment, Sweep(Two()), str(tmp_path), QUIET, interruption, of)
        assert list(found(tmp_path, "parts")["parts"]) == ["a", "b", "c"]

    def test_mistakes_write_nothing(self, tmp_path):
        with pytest.raises(UsageError, match=r"learning_rate=-1.0: expected a finite number in \(0, inf\)"):
            begin(tmp_path / "run", "rates=(-1)")
        assert not (tmp_path / "run").exists()

    def test_progress_is_told(self, tmp_path, capsys):
        begin(tmp_path, options=Options())
        told = capsys.readouterr().out
        assert "first: 2 trials in 1 program\n" in told
        assert "second: 2 trials in 2 programs\n" in told
        assert "it is over" in told
        assert f"{tmp_path / 'losses.json'}" in told


class TestResume:
    @pytest.mark.parametrize("dimensions", [(2,), (1,)], ids=["in the first part", "in the second"])
    def test_only_what_is_missing_runs(self, tmp_path, dimensions):
        with pytest.raises(Interrupted) as stopped:
            begin(tmp_path / "cut", find=dying(dimensions))
        assert stopped.value.folder == tmp_path / "cut"  # not the part's
        assert stopped.value.exit_code == 128 + signal.SIGTERM
        ended = found(tmp_path / "cut" / "parts" / "first", "provenance").get("finished")
        assert bool(ended) == (dimensions == (1,))
        resume(tmp_path / "cut")
        begin(tmp_path / "whole")
        assert found(tmp_path / "cut") == found(tmp_path / "whole")
        assert len(found(tmp_path / "cut", "provenance")["resumed"]) == 1
        assert "resumed" not in found(tmp_path / "whole", "provenance")
        if ended:  # before the series was stopped
            assert found(tmp_path / "cut" / "parts" / "first", "provenance")["finished"] == ended

    def test_parts_of_other_trials_are_refused(self, tmp_path):
        with pytest.raises(Interrupted):
            begin(tmp_path, find=dying((2,)))
        other = toy.EXPERIMENT._replace(config=Toy(total_steps=20))
        with pytest.raises(UsageError, match="parts/first holds other trials than this version asks for"):
            resume(tmp_path, lambda name: other)

    def test_what_failed_runs_again(self, tmp_path):
        def broken(name):
            def step(c, state, data, t):
                if c.dimension == 1 and not (tmp_path / "mended").exists():
                    jax.debug.callback(lambda: 1 / 0)
                return toy.task.step(c, state, data, t)

            return find_toy(name, toy.task._replace(step=step))

        rows = begin(tmp_path / "run", find=broken)
        assert not (tmp_path / "run/losses.json").exists()
        assert [row["status"] for row in rows] == ["done", "done", "failed", "done"]
        (tmp_path / "mended").touch()
        rows = resume(tmp_path / "run", find=broken)
        assert [row["status"] for row in rows] == ["done"] * 4
