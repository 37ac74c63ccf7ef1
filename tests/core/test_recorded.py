"""What is kept of records: the ends exactly, and of long curves a part."""

import itertools

import pytest

from mi203jax.core import recorded
from mi203jax.core.recorded import Curves, Recorded


def lines(values, trial=0):
    return [{"trial": trial, "step": 10 * k, "seconds": k, "eval/a": v} for k, v in enumerate(values)]


class TestRecorded:
    @pytest.mark.parametrize(("best", "value"), [("max", 7.0), ("min", 2.0)])
    def test_the_last_line_and_the_best_value(self, best, value):
        found = Recorded("eval/a", best).add(lines([5.0, 7.0, None, 2.0, 3.0, None]))
        assert found.best == {0: value}
        assert (found.last[0]["step"], found.last[0]["eval/a"]) == (50, None)
        assert found.names == {"eval/a"}
        assert found.curves["eval/a"].of(0) == {0: 5.0, 10: 7.0, 30: 2.0, 40: 3.0}

    def test_of_nothing(self):
        found = Recorded("eval/a", "max", ["eval/b"]).add([{"trial": 0, "step": 0, "seconds": 0.0}])
        assert (found.best, found.names, found.curves["eval/b"].values) == ({}, set(), [])

    def test_parts_taken_in_one_after_the_other_are_the_whole(self):
        every = lines([1.0, 2.0, 3.0]) + lines([4.0, 5.0, 6.0], trial=1)
        whole, parts = Recorded("eval/a", "max").add(every), Recorded("eval/a", "max")
        for line in every:
            parts.add([line])
        assert (parts.last, parts.best) == (whole.last, whole.best)
        assert [parts.curves["eval/a"].of(i) for i in (0, 1)] == [
            whole.curves["eval/a"].of(i) for i in (0, 1)
        ]


class TestCurves:
    @pytest.mark.parametrize("number", [1, 7, 20, 21, 100, 333])
    def test_long_ones_keep_every_so_manyth_and_the_last(self, monkeypatch, number):
        monkeypatch.setattr(recorded, "POINTS", 20)
        curves = Curves()
        for step in range(number):
            curves.add(0, step, 2.0 * step)
        steps = list(curves.of(0))
        assert len(steps) <= 21
        assert len(steps) == number or len(steps) > 10
        assert (steps[0], steps[-1]) == (0, number - 1)
        assert len({b - a for a, b in itertools.pairwise(steps[:-1])}) <= 1
        assert all(curves.of(0)[s] == 2.0 * s for s in steps)

    def test_trials_keep_the_same_steps(self, monkeypatch):
        """So that seeds have a mean, whether they came side by side or one after the other."""
        monkeypatch.setattr(recorded, "POINTS", 30)
        beside, after = Curves(), Curves()
        for step in range(100):
            for trial in range(3):
                beside.add(trial, step, 0.0)
        for trial in range(3):
            for step in range(100):
                after.add(trial, step, 0.0)
        for curves in (beside, after):
            assert curves.of(0) == curves.of(1) == curves.of(2)
            assert 10 <= len(curves.values) <= 33
