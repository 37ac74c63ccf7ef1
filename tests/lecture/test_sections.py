"""Sentences and numbers of `lecture.html`."""

import pytest

from mi203jax.lecture.page import page
from mi203jax.lecture.sections import numbers, prose
from tests.core.report_runs import ORIGIN, Page
from tests.lecture.test_page import SLIDES, outcome


def test_code_in_a_sentence():
    assert prose("As `a<b`, but `c`.") == "As <code>a&lt;b</code>, but <code>c</code>."


class TestNumbers:
    def test_of_several_settings_there_is_a_table(self, tmp_path):
        rows = [
            {"trial": i, "status": "done", "a": a, "seed": "0", "step": 9, "eval/score": x}
            for i, (a, x) in enumerate([("p", 0.5), ("q", 0.75)])
        ]
        (tmp_path / "page.html").write_text(page(tmp_path, SLIDES, [outcome("one", rows)], ORIGIN))
        found = Page(tmp_path / "page.html")
        assert found.table("a") == [["a", "eval/score"], ["p", "0.5"], ["q", "0.75"]]

    def test_seeds_are_averaged_within_a_setting(self):
        rows = [
            {"trial": i, "status": s, "a": a, "seed": str(i), "step": 9, "eval/x": x, "eval/y": 1}
            for i, (s, a, x) in enumerate(
                [("done", "1", 1.0), ("done", "1", 3.0), ("done", "2", 5.0), ("diverged", "2", 99.0)]
            )
        ]
        assert numbers(rows, ("eval/x",)) == [
            {"a": "1", "seeds": 2, "lost": 0, "eval/x": 2.0},
            {"a": "2", "seeds": 2, "lost": 1, "eval/x": 5.0},
        ]

    def test_a_number_that_a_seed_lacks_is_not_made_up(self):
        rows = [
            {"trial": i, "status": "done", "seed": str(i), "step": 9, "eval/x": x}
            for i, x in [(0, 1.0), (1, None)]
        ]
        assert numbers([{**r, "eval/y": 2.0} for r in rows], ("eval/x", "eval/y")) == [
            {"seeds": 2, "eval/x": None, "eval/y": 2.0}
        ]

    @pytest.mark.parametrize("rows", [[], [{"trial": 0, "status": "failed", "error": "x"}]])
    def test_none(self, rows):
        assert numbers(rows, ("eval/x",)) == []
