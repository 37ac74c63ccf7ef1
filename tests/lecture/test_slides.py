"""The course as data, beside what there is: functions, experiments, figures, and docs/course.md."""

import importlib
import re
from pathlib import Path

import pytest

import experiments
from benchmarks.course_page import PAGE, page
from mi203jax.configs.lecture import FORMS, forms_of
from mi203jax.core.config import format_value
from mi203jax.lecture.judges import Ahead
from mi203jax.lecture.slide import Ran, Row, Shown, Slide, experiments_of, in_order
from mi203jax.lecture.slides import SLIDES
from mi203jax.lecture.source import source_of

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


def test_each_registered_experiment_is_on_a_slide():
    assert set(experiments.names()) - set(experiments_of(SLIDES)) == {"lecture"}


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
        # What a judge goes by is shown, unless it is of a study, which says it in words.
        assert row.metrics or not row.judge or experiments.get(row.runs[0].experiment).series


@pytest.mark.parametrize(
    "row", [row for row in ROWS if isinstance(row.judge, Ahead)], ids=lambda row: row.text
)
def test_what_a_judge_compares_is_in_the_sweep(row):
    experiment, sweep = row.runs[0]
    trials = experiments.get(experiment).sweep(sweep).trials()
    assert {row.judge.first, row.judge.second} <= {format_value(getattr(c, row.judge.field)) for c in trials}


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
