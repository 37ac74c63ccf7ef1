"""The course as data, beside what there is: functions, experiments, figures, and docs/course.md."""

import importlib
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import pytest

import experiments
from benchmarks.course_page import PAGE, page
from mi203jax.configs.lecture import FORMS, forms_of
from mi203jax.core.piece_folder import Status
from mi203jax.core.recorded import Recorded
from mi203jax.core.results import results
from mi203jax.core.trials import Sweep
from mi203jax.lecture import judges
from mi203jax.lecture.outcome import Outcome
from mi203jax.lecture.sections import verdicts
from mi203jax.lecture.slide import Ran, Row, Shown, Slide, experiments_of, in_order
from mi203jax.lecture.slides import SLIDES
from mi203jax.lecture.source import source_of
from mi203jax.tasks import bellman, sample_judge, scenes
from mi203jax.tasks.lecture import sweep_of

DOCS = PAGE.parent
ROWS = [row for slide in SLIDES for row in slide.rows]
DOTTED = sorted({d for row in ROWS for d in (*row.functions, *row.standard)})


def test_the_page_is_up_to_date():
    text = PAGE.read_text(encoding="utf-8")
    assert page(text, SLIDES) == text


def test_the_page_keeps_what_stands_around_the_table():
    row = Row("Q* = r", ("mi203jax.optim.sgd",), (Ran("a", "b"),), (Shown("c.png", "d.md"),), " so")
    row = row._replace(standard=("mi203jax.optim.adam",))
    text = page("before\n\n| old |\n|---|\n| old |\n\nafter\n", [Slide("Titre*", (row, row))])
    assert text.startswith("before\n\n| slide | formula or claim |")
    assert text.endswith("(d.md) |\n\nafter\n")
    link = "[`sgd`](../mi203jax/optim.py) so, and the standard [`adam`](../mi203jax/optim.py)"
    cells = f"Q\\* = r | {link} | [`a`](../experiments/a.py) `--sweep=b` | [`c.png`](d.md) |"
    assert f"| Titre\\* | {cells}\n|  | {cells}\n" in text


@pytest.mark.parametrize("dotted", DOTTED)
def test_each_function_is_there(dotted):
    module, _, name = dotted.rpartition(".")
    assert getattr(importlib.import_module(module), name) is not None
    source = source_of(dotted)
    assert source.line > 1
    if callable(getattr(importlib.import_module(module), name)):
        assert len(source.summary) > 10


def test_each_experiment_and_sweep_is_registered():
    for ran in {ran for row in ROWS for ran in row.runs}:
        experiments.get(ran.experiment).sweep(ran.sweep or None)


def test_each_figure_is_in_the_docs():
    for shown in {shown for row in ROWS for shown in row.figures}:
        file, _, section = shown.target.partition("#")
        assert (DOCS / file).is_file(), shown
        if section:
            headings = re.findall(r"^#+ (.+)$", (DOCS / file).read_text(encoding="utf-8"), re.MULTILINE)
            assert section in [h.lower().replace(" ", "-") for h in headings], shown


def test_titles_differ():
    titles = [slide.title for slide in SLIDES]
    assert len(set(titles)) == len(titles)
    assert all(slide.rows for slide in SLIDES)


def test_each_row_says_what_to_look_at():
    for row in ROWS:
        assert all((row.text, row.functions, row.runs, row.figures))
        assert all(re.fullmatch(r"eval/\w+", metric) for metric in row.metrics)
        assert not (row.judge and row.is_seen)


def test_what_a_judge_goes_by_is_shown():
    """On its slide; but for a study, which says it in words, and for what is in closed form."""
    closed = (judges.enlarges_receptive_field, judges.counts_weights)
    for slide in SLIDES:
        shown = {row.runs[0] for row in slide.rows if row.metrics}
        judged = {row.runs[0] for row in slide.rows if row.judge and row.judge not in closed}
        assert not [ran for ran in judged - shown if not experiments.get(ran.experiment).series]


def test_order():
    assert in_order(["new", "b", "a", "c"], [Slide("", (Row("", (), (Ran("a"), Ran("b")), ()),))]) == [
        *("a", "b"),
        *("new", "c"),
    ]
    order = experiments_of(SLIDES)
    assert order[0] == "vectors"
    assert order.index("depth") < order.index("segmentation") < order.index("memory") < order.index("dqn")


class TestForms:
    def test_they_are_of_experiments(self):
        for name, forms in FORMS.items():
            experiment = experiments.get(name)
            for form in forms:
                assert experiment.sweep(form.sweep or None, form.assignments).trials()
                assert set(form.covers) <= set(experiment.sweeps)

    def test_the_first_is_called_as_the_experiment(self):
        assert list(forms_of("vectors")) == ["vectors", "vectors.losses"]
        assert forms_of("vectors")["vectors.losses"] == FORMS["vectors"][1]
        assert list(forms_of("memory")) == ["memory"]
        assert list(forms_of("dqn")) == ["dqn"]

    def test_every_sweep_of_images_that_a_slide_names_is_run(self):
        named = {ran.sweep for row in ROWS for ran in row.runs if ran.experiment == "image_classification"}
        assert named == {form.sweep for form in FORMS["image_classification"]}

    def test_what_they_tell_of(self):
        told = {
            n: [s for s in ("", "cells", "full", "lengths") if FORMS[n][0].tells_of(s)]
            for n in ("memory", "trends")
        }
        assert told == {"memory": ["", "cells"], "trends": ["", "full"]}


def test_the_registry_gives_all_parts_but_itself():
    parts = experiments.get("lecture").config.parts
    assert sorted(parts) == [n for n in experiments.names() if n != "lecture"]
    assert list(parts[: len(experiments_of(SLIDES))]) == experiments_of(SLIDES)
    assert Path(experiments.__file__).parent.joinpath("lecture.py").is_file()


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("parts=(vectros)", r"parts=\(vectros\): Did you mean 'vectors'\?"),
        ("parts=(lecture)", r"parts=\(lecture\): "),
        ("parts=(dqn,dqn)", r"parts=\(dqn,dqn\) has dqn twice"),
        ("parts=()", r"parts=\(\): expected one experiment or more"),
    ],
)
def test_parts_that_cannot_be(typed, told):
    with pytest.raises(ValueError, match=told):
        experiments.get("lecture").sweep(None, [typed]).trials()


DIGITS = "data=digits/blocks"
SCENES = ("channels=(4,)", "max_objects=1")
SMALL = {
    "autoencoder": (DIGITS, "channels=(4,)"),
    "bellman": ("game=random", "states=2"),
    "depth": (DIGITS, "depth=2"),
    "detection": ("channels=(4,4,4)", "max_objects=1"),
    "gan": (DIGITS, "channels=(4,)"),
    "image_classification": (DIGITS, "channels=(4,)"),
    "mlp_vs_cnn": (DIGITS, "parameters=1_000"),
    "pixels": (DIGITS,),
    "segmentation": SCENES,
    "sliding_window": (*SCENES, "sides=(14,)"),
}
"""What makes an experiment fast to trace, and changes none of its metrics."""


@pytest.fixture
def nothing_is_learnt(monkeypatch):
    """Neither Q* nor who judges samples is found, which would take seconds; and nothing is kept of it."""

    def untrained(task, c, data, key):
        return task.init(c, data, key), {}

    monkeypatch.setattr(sample_judge, "train", untrained)
    monkeypatch.setattr(scenes, "DIGITS", "digits/blocks")
    for method in ("policy_iteration", "linear_program", "value_iteration"):
        monkeypatch.setattr(bellman, method, lambda mdp, *_: SimpleNamespace(q=mdp.reward))
    monkeypatch.setattr(bellman, "error_of", lambda q, q_star: 0.0)
    yield
    for module in [m for n, m in sys.modules.items() if n.startswith("mi203jax.")]:
        for f in vars(module).values():
            if hasattr(f, "cache_clear"):  # it may hold what was traced here
                f.cache_clear()


def data_of(name):
    """An experiment's task, its small configuration, and the data."""
    experiment = experiments.get(name)
    (c,) = Sweep(experiment.config, SMALL.get(name, ())).trials()
    data = experiment.load_task().data(c)
    return experiment.load_task(), c, getattr(data, "shared", data)


def metrics_of(names):
    """What an evaluation of each experiment measures, by shapes alone: nothing is compiled or computed."""
    ready = {"sequences": data_of("sequences")}  # numpy sorts them

    def measured(name):
        task, c, data = ready[name] if name in ready else data_of(name)
        return task.evaluate(c, task.init(c, data, jax.random.key(0)), data)

    found = jax.eval_shape(lambda: {name: measured(name) for name in names})
    return {name: {f"eval/{metric}" for metric in metrics} for name, metrics in found.items()}


def ended(name, metrics):
    """What came of an experiment in each of its forms, if every trial ended with each metric, in [0, 1]."""
    experiment, found = experiments.get(name), {}
    task = experiment.load_task()
    for own, form in forms_of(name).items():
        trials = sweep_of(experiment, form).trials()
        last = [{"trial": i, "step": 1, **dict.fromkeys(metrics, 1 / (1 + i))} for i in range(len(trials))]
        rows = results(trials, [Status("done")] * len(trials), Recorded(task.objective, task.best).add(last))
        found[own] = Outcome(own, name, form, "", rows)
    return found


@pytest.mark.usefixtures("nothing_is_learnt")
def test_what_is_shown_and_judged_is_measured():
    """All but of a study, which is judged by its `study.json`: see `test_judges.py`."""
    missing, came = [], {}
    measured = metrics_of([n for n in experiments_of(SLIDES) if not experiments.get(n).series])
    for name, metrics in measured.items():
        came |= ended(name, metrics)
    for row in [row for row in ROWS if row.runs[0].experiment in measured]:
        for ran in row.runs:
            missing += [(ran, m) for m in row.metrics if m not in measured.get(ran.experiment, row.metrics)]
        missing += [
            (row.text, v.words)
            for v in verdicts(row, came)
            if v.words.startswith(("No ", "Fewer", "It could not"))
        ]
    assert missing == []
