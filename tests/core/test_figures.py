"""What is drawn, read back from the figure."""

import pytest

from mi203jax.core.figures import comparison, learning_curves
from mi203jax.core.trials import expand
from tests.core.toy import Toy

TRIALS = expand(Toy(), ["learning_rate=0.1,0.2"], seeds=2)
RECORDS = [
    {"trial": i, "step": s, "seconds": 0.0, "eval/loss": 10.0 * i + s} for s in (0, 5) for i in range(4)
]


class TestComparison:
    def test_a_row_an_arm_a_dot_a_seed_and_the_mean(self):
        axes = comparison(TRIALS, RECORDS, "eval/loss", "toy").axes[0]
        assert [t.get_text() for t in axes.get_yticklabels()] == ["learning_rate=0.1", "learning_rate=0.2"]
        drawn = [(list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines]
        assert drawn == [([5, 15], [0, 0]), ([10], [0]), ([25, 35], [1, 1]), ([30], [1])]

    def test_a_trial_without_a_value(self):
        axes = comparison(TRIALS, RECORDS[:1], "eval/loss", "toy").axes[0]
        assert [list(line.get_xdata()) for line in axes.lines] == [[0], []]


class TestLearningCurves:
    def test_a_line_a_seed_and_their_mean(self):
        axes = learning_curves(TRIALS, RECORDS, "eval/loss", "toy").axes[0]
        lines = [list(line.get_ydata()) for line in axes.lines]
        assert lines == [[0, 5], [10, 15], [5, 10], [20, 25], [30, 35], [25, 30]]
        assert [t.get_text() for t in axes.get_legend().get_texts()] == [
            f"learning_rate={r} mean of 2 seeds" for r in (0.1, 0.2)
        ]

    @pytest.mark.parametrize("draw", [comparison, learning_curves])
    def test_one_trial(self, draw):
        assert draw(TRIALS[:1], RECORDS[:1], "eval/loss", "toy").axes[0].lines
