"""The page of a series: its parts as they ran, those that are missing too, and what it wrote."""

import shlex

import pytest

import experiments
from mi203jax.configs.lecture import FORMS, Lecture, forms_of
from mi203jax.core.command_line import parse, sweep_of
from mi203jax.core.documents import read_document, write_document
from mi203jax.core.errors import UsageError
from mi203jax.core.html_report import write_report
from mi203jax.core.html_report.command import command_of
from mi203jax.core.html_report.markdown import markdown
from mi203jax.core.html_report.markup import join
from mi203jax.core.html_report.reading import read_run
from mi203jax.tasks import lecture
from tests.core.documents import edit
from tests.core.report_runs import HOSTILE, ORIGIN, find, make, png, report


def series(path, errors=None, **parts):
    """A series that ended, whose parts have so many seeds."""
    make(path)
    (path / "results.csv").unlink()
    for name, seeds in parts.items():
        make(path / "parts" / name, seeds=seeds, origin=ORIGIN | {"time": f"2026-01-02T03:04:0{seeds}"})
    errors = dict.fromkeys(sorted(parts, key=parts.get), "") if errors is None else errors  # as they began
    write_document(path / "parts.json", read_document(path / "config.json")["run"], {"parts": errors})
    return path


def headings(page):
    """What stands in the headings of the parts."""
    return [text.partition("</h3>")[0] for text in page.source.split("<h3>")[1:]]


class TestParts:
    def test_shows_its_parts_and_texts(self, tmp_path):
        series(tmp_path, tuning=3, judging=1)
        png(tmp_path / "parts" / "judging" / "figures" / "luck.png")
        (tmp_path / "study.md").write_text(
            "# Found: a < b\n\n| x | y |\n| --- | --- |\n| 1 | **b** |\n\n| torn |\n"
        )
        page = report(tmp_path)
        assert page.table("x") == [["x", "y"], ["1", "b"]]
        assert "| torn |" in page.text
        assert headings(page) == ["Found: a &lt; b", "judging", "tuning"]
        assert "1 trial of small" in page.text
        assert "1 trials" not in page.text
        assert len([t for t in page.tables if t[0][0][0] == "trial"]) == 2
        assert len(page.all("img")) == 1

    def test_they_stand_as_they_ran(self, tmp_path):
        series(tmp_path / "noted", {"c": "", "a": "", "b": ""}, a=1, b=2, c=3)
        assert headings(report(tmp_path / "noted")) == ["c", "a", "b"]
        assert headings(report(series(tmp_path / "old", c=1, a=2, b=3))) == ["c", "a", "b"]

    def test_those_without_a_trial_say_why(self, tmp_path):
        series(tmp_path, {"broken": f"ValueError: {HOSTILE}", "a": "", "late": ""}, a=1)
        edit(tmp_path / "provenance.json", finished=None)
        page = report(tmp_path)
        assert headings(page) == ["broken", "a", "late"]
        assert f"It failed: ValueError: {HOSTILE}" in page.text
        assert "parts3parts without results2" in page.text
        assert "It did not run, or" in page.text
        assert "unfinished and stopped (parts: 1 failed, 1 finished, 1 not run)" in page.text
        assert len(page.all("script")) == 1

    def test_a_list_of_them_that_is_gone_is_missed(self, tmp_path):
        series(tmp_path, a=1)
        (tmp_path / "parts.json").unlink()
        with pytest.raises(UsageError, match=r"parts\.json is missing\. --resume=.* writes it anew"):
            report(tmp_path)

    def test_an_error_beside_trials_is_told(self, tmp_path):
        page = report(series(tmp_path, {"a": "OSError: no figure"}, a=1))
        assert "It failed: OSError: no figure" in page.text
        assert len([t for t in page.tables if t[0][0][0] == "trial"]) == 1

    @pytest.mark.parametrize(
        "file", ["config.json", "provenance.json", "pieces/0/metrics.jsonl", "pieces/0/status.json"]
    )
    def test_a_damaged_one_is_a_hole(self, tmp_path, file):
        series(tmp_path, a=1, b=2)
        (tmp_path / "parts" / "a" / file).write_text("{")
        page = report(tmp_path)
        assert sorted(headings(page)) == ["a", "b"]
        assert f"{tmp_path / 'parts' / 'a' / file} is damaged" in page.text
        edit(tmp_path / "provenance.json", finished=None)
        assert "stopped (parts: 1 finished, 1 damaged)" in report(tmp_path).text.replace(
            "1 damaged, 1 finished", "1 finished, 1 damaged"
        )
        assert len([t for t in page.tables if t[0][0][0] == "trial"]) == 1
        with pytest.raises(UsageError, match="is damaged"):
            write_report([tmp_path / "parts" / "a"], find)

    @pytest.mark.parametrize("name", ["../a", "..", ".", "/a", "a/b"])
    def test_a_list_that_leads_elsewhere_is_refused(self, tmp_path, name):
        series(tmp_path, {name: ""}, a=1)
        with pytest.raises(UsageError, match=r"parts\.json is damaged"):
            write_report([tmp_path], find)


class TestCommands:
    def test_a_part_has_the_one_that_makes_it_alone(self, tmp_path):
        alone = "python launch.py --exp=small --sweep=other"
        noted = ORIGIN | {"alone": alone, "series": "s", "layout": {"parallel": "map", "devices": 1}}
        run = make(tmp_path / "part", ("rate=0.5",), origin=noted)
        assert command_of(read_run(run, find)) == f"{alone} --parallel=map"
        assert f"{alone} --parallel=map" in report(run).text

    def test_or_that_of_the_series(self, tmp_path):
        series(tmp_path, a=2)
        noted = ORIGIN | {"alone": "", "series": "python launch.py --exp=x"}
        new = report(make(tmp_path / "parts" / "b", origin=noted))
        assert "No single command makes these trials alone: they" in new.text
        assert "which this command runs:python launch.py --exp=x" in new.text
        old = report(tmp_path / "parts" / "a")
        assert "Which command makes these trials alone was not noted: they" in old.text
        for page in (new, old):
            assert f"a part of the series in {tmp_path}" in page.text
            assert "--exp=small" not in page.source.partition('id="provenance"')[0]
        assert "see that of the series" in report(tmp_path).text

    @pytest.mark.parametrize("experiment", experiments.names())
    def test_those_of_the_lecture_give_the_trials_of_its_parts(self, experiment):
        """Of each form of each experiment, and with another seed."""
        if experiments.get(experiment).series:
            return
        for seed in (0, 7):
            ended = {}
            while parts := lecture.next_of(Lecture(parts=(experiment,), seed=seed), experiments.get, ended):
                ended |= {name: lecture.Ended(part.trials, []) for name, part in parts.items()}
                for part in parts.values():
                    program, file, *words = shlex.split(part.command)
                    asked = sweep_of(*parse([file, *words], experiments), experiments)
                    assert (program, file, words[0]) == ("python", "launch.py", f"--exp={experiment}")
                    assert asked.trials() == list(part.trials)
            assert list(ended) == list(forms_of(experiment))

    def test_those_of_a_series_within_the_lecture_have_none(self):
        assert experiments.get("trends").series
        assert "trends" in FORMS
        parts = lecture.next_of(Lecture(parts=("trends",)), experiments.get, {})
        assert parts
        assert {part.command for part in parts.values()} == {""}


class TestMarkdown:
    def test_headings_tables_emphasis_code_and_figures(self):
        text = (
            "# One\n\n*A* and **b**: `x*y*z`, 2 * 3 * 4\nand on.\n## Two\n| a | b |\n| --- | --- |\n| *c* | |\n"
            "\n![forest](figures/trends-forest.png)\n"
        )
        blocks = list(markdown(text, "study.md", 3))
        assert blocks[0] == "<h3>One</h3>"
        words = "<em>A</em> and <strong>b</strong>: <code>x*y*z</code>, 2 * 3 * 4\nand on."
        assert blocks[1] == f'<p class="text">{words}</p>'
        assert blocks[2] == "<h4>Two</h4>"
        assert "<caption>study.md</caption>" in blocks[3]
        assert "<td><em>c</em></td><td></td>" in blocks[3]
        assert blocks[4] == ('<p class="text">Among the figures: <code>figures/trends-forest.png</code>.</p>')

    @pytest.mark.parametrize(
        "text",
        [
            "{}",
            "# {}",
            "*{}*",
            "**{}**",
            "`{}`",
            "![{}]({})",
            "| {} |\n| --- |\n| {} |",
            "| {} |",
            "###### {}",
        ],
    )
    def test_escapes_all(self, text):
        for hostile in ("<script>alert(1)</script>", '"><img src=x onerror=y>', "&lt;b&gt;"):
            source = join(markdown(text.replace("{}", hostile), "<name>", 3))
            assert "<script" not in source
            assert "<img" not in source
            assert "<name>" not in source
            assert "&amp;lt;" in source or hostile != "&lt;b&gt;"

    @pytest.mark.parametrize(
        "text", ["| a |", "| a | b |\n| --- | --- |\n| 1 |", "a **", "*", "`", "![a", "#x", "* a *"]
    )
    def test_what_is_none_of_these_stays(self, text):
        assert join(markdown(text, "", 3)) == f'<p class="text">{text}</p>'
