"""The lecture as a series: of toys, one of which is a series, two break and one cannot be read."""

import json
import shlex
import shutil
from dataclasses import replace

import numpy as np
import pytest

import experiments
import launch
from mi203jax.configs import Lecture
from mi203jax.configs.lecture import FORMS, Form, forms_of
from mi203jax.core import command_line
from mi203jax.core.config import BaseConfig, RunConfig, config
from mi203jax.core.errors import UsageError
from mi203jax.core.experiment import Experiment
from mi203jax.core.interruption import Interruption
from mi203jax.core.piece import Options
from mi203jax.core.run_directory import RunDirectory
from mi203jax.core.series import Conclusion, Ended, Part, Series, begin_series, resume_series
from mi203jax.core.task import Animation
from mi203jax.core.trials import Sweep
from mi203jax.lecture.judges import Verdict
from mi203jax.lecture.slide import Ran, Row, Shown, Slide
from mi203jax.tasks import lecture
from mi203jax.tasks.lecture import Own, command_of, next_of, outcome, sweep_of
from tests.core import toy
from tests.core.documents import edit
from tests.core.toy import Toy

QUIET = Options(quiet=True)
SHORT = toy.EXPERIMENT._replace(config=Toy(total_steps=8, eval_every=4))


@config
class Two(BaseConfig):
    """Two runs of the toy, the second after the first."""


def two_next(c, find, ended):
    name = next((n for n in ("first", "second") if n not in ended), None)
    return {name: Part("toy", [replace(SHORT.config, seed=c.seed)])} if name else {}


def two_conclude(c, find, ended, provenance):
    still = Animation([np.zeros((8, 8, 3), np.uint8)], 5.0)
    text = f"{sorted(ended)} of seed {c.seed} ![x](figures/still.gif)"
    return Conclusion("it is over", {"study.md": text}, {"still": still})


TWO = Experiment(Two(), "", {"named": ("seed=5",)}, Series(two_next, two_conclude))


def registry(tmp_path):
    """A toy that works, one that breaks until it is mended, a series, and a module that cannot be imported."""

    def init(c, data, key):
        if not (tmp_path / "mended").exists():
            raise ValueError("out of order")
        return toy.task.init(c, data, key)

    def figures(c, state, data):
        if not (tmp_path / "mended").exists():
            raise ValueError("no ink")
        return {}

    broken = SHORT._replace(task=toy.task._replace(init=init))
    blank = SHORT._replace(task=toy.task._replace(figures=figures))

    def find(name):
        if name == "unreadable" and not (tmp_path / "mended").exists():
            raise ImportError("no module named nowhere")
        own = Experiment(Lecture(parts=("toy",)), "", series=lecture.series)
        return {
            "toy": SHORT,
            "broken": broken,
            "blank": blank,
            "two": TWO,
            "unreadable": SHORT,
            "lecture": own,
        }[name]

    return find


SLIDES = [
    Slide("Une série", (Row("two", ("mi203jax.optim.sgd",), (Ran("two"),), ()),)),
    Slide("Un jouet", (Row("toy", ("mi203jax.optim.adam",), (Ran("toy"),), (), metrics=("eval/loss",)),)),
]
PARTS = "parts=(toy,unreadable,two,broken)"


@pytest.fixture
def go(tmp_path, monkeypatch):
    monkeypatch.setattr(lecture, "SLIDES", SLIDES)
    find, path = registry(tmp_path), tmp_path / "run"
    experiment = find("lecture")

    def run(parts=PARTS):
        with Interruption() as interruption:
            asked = (experiment, QUIET, interruption, find)
            if path.exists():
                directory = RunDirectory.open(str(path), lambda _: experiment.config)
                return resume_series(directory, *asked)
            sweep = Sweep(experiment.config, (parts,))
            return begin_series("lecture", experiment, sweep, str(path), *asked[1:])

    return run


def test_what_fails_leaves_a_hole_and_runs_again(go, tmp_path):
    rows, path = go(), tmp_path / "run"
    assert [row["status"] for row in rows] == ["done", "failed", "done", "done", "failed"]
    page = (path / "lecture.html").read_text(encoding="utf-8")
    assert page.index("Une série") < page.index("Un jouet") < page.index("Not on the slides")
    assert "unreadable failed</strong>: ImportError: no module named nowhere" in page
    assert "broken failed</strong>: ValueError: out of order" in page
    assert "2 of 4 runs failed" in page
    for name, line in (
        ("unreadable", "ImportError: no module named nowhere"),
        ("broken", "ValueError: out of order"),
    ):
        lines = (path / "parts" / name / "errors.txt").read_text().splitlines()
        assert lines[:3] == [line, "", "Traceback (most recent call last):"]
        assert f'<a href="parts/{name}/errors.txt">errors.txt</a>' in page
    assert (path / "parts/toy/figures/learning_curve.png").is_file()
    assert (path / "parts/two-second/results.csv").is_file()
    assert (path / "figures/two-still.gif").is_file()
    expected = "['first', 'second'] of seed 0 ![x](figures/two-still.gif)"
    assert (path / "two-study.md").read_text() == expected
    assert "finished" not in json.loads((path / "provenance.json").read_text())

    (tmp_path / "mended").touch()
    before = (path / "parts/toy/report.html").stat().st_mtime_ns
    rows = go()
    assert [row["status"] for row in rows] == ["done"] * 5
    assert (path / "parts/toy/report.html").stat().st_mtime_ns == before
    page = (path / "lecture.html").read_text(encoding="utf-8")
    assert not list(path.glob("parts/*/errors.txt"))
    assert "failed" not in page.partition("<main")[2].partition("<script")[0]
    assert "finished" in json.loads((path / "provenance.json").read_text())


def test_figures_that_fail_leave_the_numbers(go, tmp_path, monkeypatch):
    row = Row("blank", ("mi203jax.optim.sgd",), (Ran("blank"),), (Shown("q.png"),), metrics=("eval/loss",))
    judge = lambda e: [Verdict("holds", f"It is {e.mean('eval/loss'):.3g}.")]  # noqa: E731
    monkeypatch.setattr(lecture, "SLIDES", [Slide("Une page blanche", (row._replace(judge=judge),))])
    rows, path = go("parts=(blank,toy)"), tmp_path / "run"
    assert [(row["trial"], row["status"]) for row in rows] == [
        *((0, "done"), (0, "done")),
        ("of blank: its figures", "failed"),
    ]
    assert launch.verdict(rows, fail_fast=False) == 1
    page = (path / "lecture.html").read_text(encoding="utf-8")
    assert f"It is {rows[0]['eval/loss']:.3g}." in page
    assert "blank</strong>: its figures were not drawn: ValueError: no ink. Alone" in page
    assert "no ink" in (path / "parts/blank/errors.txt").read_text()

    (tmp_path / "mended").touch()
    assert [row["status"] for row in go()] == ["done", "done"]
    assert not (path / "parts/blank/errors.txt").exists()
    assert "no ink" not in (path / "lecture.html").read_text(encoding="utf-8")


def test_a_dry_run_lists_the_trials_of_all(capsys):
    parts = "parts=(vectors,trends,bellman)"
    assert launch.main(["launch.py", "--exp=lecture", "--dry-run", parts]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "vectors: 1 trial of vectors",
        "vectors.losses: 4 trials of vectors",
        "    loss=hinge",
    ]
    assert "trends: more trials, which depend on what came before" in lines
    assert lines.index("bellman: 1 trial of bellman") == len(lines) - 3
    assert lines[-1].startswith("Programs are planned when their part runs; nothing was run")


def test_its_page_is_written_anew_by_what_there_is(go, tmp_path, monkeypatch, capsys):
    (tmp_path / "mended").touch()
    rows, path, read = go(), tmp_path / "run", {}

    def conclude(c, find, ended, provenance):
        read.update(ended)
        return lecture.conclude(c, find, ended, provenance)

    monkeypatch.setattr(lecture, "series", lecture.series._replace(conclude=conclude))
    monkeypatch.setattr(experiments, "get", registry(tmp_path))

    def written_anew():
        (path / "lecture.html").unlink()
        capsys.readouterr()
        assert launch.main(["launch.py", f"--report={path}"]) == 0
        assert capsys.readouterr().out == f"{path}/lecture.html\n{path}/report.html\n"
        return (path / "lecture.html").read_text(encoding="utf-8")

    whole = (path / "lecture.html").read_text(encoding="utf-8")
    assert written_anew() == whole
    again = [row for part in read.values() for row in part.rows]
    assert sorted(again, key=lambda row: row["seconds"]) == sorted(rows, key=lambda row: row["seconds"])
    assert [(part.work["trials"], part.work["programs"]) for part in read.values()] == [(1, 1)] * 5
    assert all(part.work["begun"] and part.work["finished"] for part in read.values())

    # As after Ctrl-C: one part has just begun, of another the second half is missing, one is not there.
    statuses = path / "parts/toy/pieces/0/status.json"
    (trial,) = json.loads(statuses.read_text())["trials"]
    edit(statuses, trials=[trial | {"status": "running"}])
    for name in ("two-second", "broken"):
        shutil.rmtree(path / "parts" / name)
    page = written_anew()
    assert "3 of 4 runs did not come to their end." in page
    assert "toy</strong>: it did not come to its end. Alone" in page
    assert "two</strong>: it did not come to its end. Alone" in page
    assert "broken</strong>: it did not run. Alone" in page
    assert "Un jouet</span> (not over)" in page


class TestNext:
    def test_one_experiment_after_the_other(self, tmp_path):
        (tmp_path / "mended").touch()
        find, c, ended, order = registry(tmp_path), Lecture(parts=("two", "toy", "broken")), {}, []
        while parts := next_of(c, find, ended):
            order.append(list(parts))
            ended |= {name: Ended(part.trials, []) for name, part in parts.items()}
        assert order == [["two-first"], ["two-second"], ["toy"], ["broken"]]

    def test_an_experiment_may_have_several_forms(self, tmp_path, monkeypatch):
        own = {"toy": (Form(), Form("other", ("seed=1,2",)))}
        monkeypatch.setattr("mi203jax.configs.lecture.FORMS", own)
        toys = SHORT._replace(sweeps={"other": ("learning_rate=0.1,0.2",)})
        c, ended = Lecture(parts=("toy",)), {}
        (first,) = next_of(c, lambda _: toys, ended).items()
        ended["toy"] = Ended(first[1].trials, [])
        (second,) = next_of(c, lambda _: toys, ended).items()
        assert (first[0], second[0]) == ("toy", "toy.other")
        assert (second[1].experiment, len(second[1].trials), second[1].figures) == ("toy", 4, "of_trials")
        assert not next_of(c, lambda _: toys, ended | {"toy.other": Ended([], [])})

    def test_runs_get_figures_and_their_experiments_trials(self, tmp_path):
        (part,) = next_of(Lecture(parts=("toy",)), registry(tmp_path), {}).values()
        assert part.figures == "all"
        assert part.trials == [SHORT.config]
        (part,) = next_of(Lecture(parts=("toy",), seed=3), registry(tmp_path), {}).values()
        assert part.trials == [replace(SHORT.config, seed=3)]

    def test_what_cannot_be_made_waits_for_its_turn(self, tmp_path):
        found = next_of(Lecture(parts=("unreadable",)), registry(tmp_path), {})
        assert found == {"unreadable": Part("unreadable", [RunConfig()])}


class TestSeeds:
    @pytest.mark.parametrize(
        ("name", "seeds", "typed"),
        [
            ("vectors", [7], "--exp=vectors seed=7"),
            ("vectors.losses", [7] * 4, "--exp=vectors --sweep=losses seed=7"),
            ("rewards", list(range(7, 17)) * 2, f"--exp=rewards seed={','.join(map(str, range(7, 17)))}"),
            ("trends", [7], f"--exp=trends {shlex.join(FORMS['trends'][0].assignments)} seed=7"),
        ],
    )
    def test_the_lectures_is_added(self, name, seeds, typed):
        experiment = name.partition(".")[0]
        form = forms_of(experiment)[name]
        sweep = sweep_of(experiments.get(experiment), form, 7)
        assert [c.seed for c in sweep.trials()] == seeds
        assert command_of(experiment, form, 7, sweep) == f"python launch.py {typed}"

    @pytest.mark.parametrize("name", [n for n in experiments.names() if n != "lecture"])
    def test_by_default_the_commands_run_the_same_trials(self, name):
        for form in forms_of(name).values():
            _, _, *words = shlex.split(command_of(name, form))
            own, assignments = command_line.parse(["launch.py", *words], experiments)
            assert (
                command_line.sweep_of(own, assignments, experiments).trials()
                == sweep_of(experiments.get(name), form).trials()
            )

    def test_of_a_series(self, tmp_path):
        ended = {n: Ended([], [{"status": "done"}]) for n in ("two-first", "two-second")}
        came, inner = outcome(Own("two", "two", Form(), 3), registry(tmp_path), ended, {})
        assert inner.texts["study.md"].startswith("['first', 'second'] of seed 3")
        assert (came.error, came.is_series, came.parts) == ("", True, ("two-first", "two-second"))


def toys(tmp_path, ended):
    """What came of the toy."""
    return outcome(Own("toy", "toy", Form()), registry(tmp_path), ended, {})


class TestOutcome:
    def test_of_what_did_not_run(self, tmp_path):
        came, _ = toys(tmp_path, {})
        assert came.error == "it did not run"

    def test_of_some_trials_that_failed(self, tmp_path):
        rows = [{"status": "done"}, {"status": "failed", "error": "no luck"}]
        came, _ = toys(tmp_path, {"toy": Ended([], rows, {"seconds": 4.0})})
        assert came.error == "1 of 2 trials: no luck"
        assert came.seconds == 4.0

    def test_a_trial_that_diverged_is_no_failure(self, tmp_path):
        came, _ = toys(tmp_path, {"toy": Ended([], [{"status": "diverged"}])})
        assert came.error == ""


def test_parts_are_named_once():
    with pytest.raises(UsageError, match="has toy twice"):
        Lecture(parts=("toy", "toy"))
