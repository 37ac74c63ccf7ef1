"""Whether studies agree, of comparisons that are made by hand."""

import math

import pytest

from benchmarks.rerun import agree, beside
from mi203jax.study.result import ArmResult, Result
from mi203jax.study.statistics import Comparison, verdict


def compared(difference, low, high):
    return Comparison(difference, low, high, 0.95, 0.0, 0.5, 1.0, 6, verdict(low, high))


def result(claim, difference, setting="digits", cell=""):
    """Of two seeds with the same difference: its interval has no width."""
    arms = [ArmResult(n, [{}], [0.5], {}, [s, s + 0.5]) for n, s in (("A", difference), ("B", 0.0))]
    return Result(claim, "slide", setting, cell, "vectors", "eval/accuracy", "max", "examples", *arms)


class TestAgree:
    @pytest.mark.parametrize(("other", "expected"), [(0.0, True), (-0.1, False)])
    def test_by_the_ends_that_face_each_other(self, other, expected):
        """Of 0.5 − 0.3 and 0 + 0.4 the root of squares is 0.5, and as far they may be apart."""
        first, second = compared(0.5, 0.2, 0.6), compared(other, other - 0.1, other + 0.4)
        assert agree(first, second) == agree(second, first) == expected

    def test_without_a_limit(self):
        assert agree(compared(0.5, -math.inf, 0.6), compared(-9.0, -9.1, -8.9))
        assert not agree(compared(0.5, 0.4, math.inf), compared(-9.0, -9.1, -8.9))

    def test_points(self):
        assert agree(compared(0.1, 0.1, 0.1), compared(0.1, 0.1, 0.1))
        assert not agree(compared(0.1, 0.1, 0.1), compared(0.2, 0.2, 0.2))


class TestBeside:
    def test_verdicts_and_signs(self):
        rows, said = beside(
            {
                "a": [result("one", 0.25), result("two", 0.25), result("three", 0.0)],
                "b": [result("one", 0.25), result("two", -0.25), result("three", 0.25)],
            }
        )
        assert [list(row.values())[1:] for row in rows] == [
            ["+0.250 (+0.250 to +0.250) holds", "+0.250 (+0.250 to +0.250) holds"],
            ["+0.250 (+0.250 to +0.250) holds", "-0.250 (-0.250 to -0.250) reversed"],
            ["+0.000 (+0.000 to +0.000) ?", "+0.250 (+0.250 to +0.250) holds"],
        ]
        assert said == (
            "Of 3 verdicts 2 differ, 1 of them in sign. "
            "Of 3 pairs of differences 1 agree within their intervals."
        )

    def test_pairs_are_of_all_studies(self):
        _, said = beside({n: [result("one", d)] for n, d in (("a", 0.25), ("b", 0.25), ("c", 0.5))})
        assert "Of 3 pairs of differences 1 agree" in said

    def test_what_is_missing_is_counted_and_agrees_with_nothing(self):
        rows, said = beside(
            {
                "a": [result("one", 0.25), result("one", 0.25, cell="depth=5")],
                "b": [result("one", 0.25), result("one", 0.25, setting="spirals")],
            }
        )
        assert [row["claim"] for row in rows] == ["A > B, digits", "A > B, digits depth=5", "A > B, spirals"]
        assert [(row["a"] == "–", row["b"] == "–") for row in rows] == [
            (False, False),
            (False, True),
            (True, False),
        ]
        assert said == (
            "Of 1 verdict 0 differ, 0 of them in sign. Of 1 pair of differences 1 agree within their intervals. "
            "2 comparisons missing in a study."
        )
