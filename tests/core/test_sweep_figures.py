"""What is drawn, read back from the figure."""

import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb

from mi203jax.core import sweep_figures
from mi203jax.core.piece_folder import Status
from mi203jax.core.recorded import Recorded
from mi203jax.core.results import results, t_interval
from mi203jax.core.trials import Sweep
from tests.core.toy import Toy

TRIALS = Sweep(Toy(), ("learning_rate=0.1,0.2",), seeds=2).trials()
RECORDS = [
    {"trial": i, "step": s, "seconds": 0.0, "eval/loss": 10.0 * i + s} for s in (0, 5) for i in range(4)
]


def drawn(trials, values=None, best="min"):
    """With a value for each trial; None: it diverged after its first evaluation."""
    values = [float(i) for i in range(len(trials))] if values is None else values
    records = [{"trial": i, "step": 0, "seconds": 0.0, "eval/loss": 1.0} for i in range(len(trials))]
    records += [{"trial": i, "step": 5, "seconds": 0.0, "eval/loss": v} for i, v in enumerate(values)]
    statuses = [Status("diverged" if v is None else "done", 5) for v in values]
    recorded = Recorded("eval/loss", best).add(records)
    rows = results(trials, statuses, recorded)
    return sweep_figures.sweep_figures(trials, rows, recorded, "eval/loss", best, "toy")


def curves(records):
    """The values of the metric."""
    return Recorded("eval/loss", "min").add(records).curves["eval/loss"]


def trials(*assignments, **options):
    return Sweep(Toy(), assignments, **options).trials()


class TestWhichFigures:
    @pytest.mark.parametrize(
        ("found", "names"),
        [
            (trials(), []),
            (trials(seeds=3), ["comparison"]),
            (trials("learning_rate=0.1,0.2"), ["comparison"]),
            (trials("learning_rate=0.1,0.2,0.3"), ["comparison", "against_learning_rate"]),
            (trials("fail_late=true,false"), ["comparison"]),
            (trials("learning_rate=0.1,0.2", "noise=0,1"), ["comparison", "learning_rate_by_noise"]),
            (trials("learning_rate=0.1,0.2", "noise=0,1", "dimension=1,2"), ["comparison", "parallel_coordinates"]),
            (trials("learning_rate=lin(1,50,50)", "noise=0,1"), ["learning_rate_by_noise"]),
        ],
    )  # fmt: skip
    def test_by_the_number_of_arms_and_fields(self, found, names):
        assert list(drawn(found)) == ["learning_curve", *names]

    def test_zero_is_a_value(self):
        found = trials("learning_rate=0.1,0.2,0.3")
        assert "against_learning_rate" in drawn(found, [0.0, 0.0, 0.0])

    def test_where_nothing_was_measured(self):
        """Every trial failed before its first evaluation."""
        recorded = Recorded("eval/loss", "min")
        rows = results(TRIALS, [Status("failed")] * 4, recorded)
        figures = sweep_figures.sweep_figures(TRIALS, rows, recorded, "eval/loss", "min", "toy")
        assert list(figures) == ["learning_curve", "comparison"]


class TestComparison:
    def test_a_row_an_arm_a_dot_a_seed_and_the_mean(self):
        axes = sweep_figures.comparison(TRIALS, [5, 15, 25, 35], "eval/loss", "toy").axes[0]
        assert [t.get_text() for t in axes.get_yticklabels()] == ["learning_rate=0.1", "learning_rate=0.2"]
        lines = [(list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines]
        assert lines == [([5, 15], [0, 0]), ([10], [0]), ([25, 35], [1, 1]), ([30], [1])]

    def test_a_trial_without_a_value(self):
        axes = sweep_figures.comparison(TRIALS, [0, None, None, None], "eval/loss", "toy").axes[0]
        assert [list(line.get_xdata()) for line in axes.lines] == [[0], []]


class TestLearningCurves:
    def test_a_mean_an_arm_with_its_interval(self):
        axes = sweep_figures.learning_curves(TRIALS, curves(RECORDS), "eval/loss", "toy").axes[0]
        assert [list(line.get_ydata()) for line in axes.lines] == [[5, 10], [25, 30]]
        band = axes.collections[0].get_paths()[0].vertices[:, 1]
        assert (band.min(), band.max()) == pytest.approx(
            (t_interval([0.0, 10.0])[0], t_interval([5.0, 15.0])[1])
        )

    def test_one_trial(self):
        figure = sweep_figures.learning_curves(TRIALS[:1], curves(RECORDS[:1]), "eval/loss", "toy")
        assert [list(line.get_ydata()) for line in figure.axes[0].lines] == [[0]]
        assert not figure.legends

    def test_seeds_that_ended_early_do_not_bend_the_mean(self):
        records = [r for r in RECORDS if r["trial"] != 1 or r["step"] == 0]
        axes = sweep_figures.learning_curves(TRIALS, curves(records), "eval/loss", "toy").axes[0]
        assert [list(line.get_ydata()) for line in axes.lines] == [[5], [25, 30]]

    def test_against_frames(self):
        """Of each trial its own: those of a step vary."""

        class Game(Toy):
            @property
            def frames_per_step(self):
                return 1 + 2 * self.per_iteration

        games = Sweep(Game(), ("per_iteration=1,2",)).trials()
        records = [r for r in RECORDS if r["trial"] < 2]
        axes = sweep_figures.learning_curves(games, curves(records), "eval/loss", "toy").axes[0]
        assert [list(line.get_xdata()) for line in axes.lines] == [[0, 15], [0, 25]]
        assert axes.get_xlabel() == "frames"
        axes = sweep_figures.learning_curves(TRIALS, curves(RECORDS), "eval/loss", "toy").axes[0]
        assert axes.get_xlabel() == "steps"


LONG = ("dimension", "learning_rate", "noise", "per_iteration", "total_steps")


class TestLegend:
    @staticmethod
    def of(*assignments, **options):
        return drawn(trials(*assignments, **options))["learning_curve"]

    @pytest.mark.parametrize(
        "assignments",
        [
            ("learning_rate=0.1,0.2",),
            ("learning_rate=log(0.001,1,14)",),
            ("learning_rate=log(0.001,1,7)", "noise=0,1"),
            ("learning_rate=log(0.001,1,20)", "noise=0,1"),
            tuple(f"{field}=123456789,987654321" for field in LONG),
        ],
    )
    def test_is_within_the_picture_and_outside_of_the_axes(self, assignments):
        figure = self.of(*assignments, seeds=2)
        figure.set_dpi(150)  # as it is saved
        figure.draw_without_rendering()
        (legend,) = figure.legends
        assert len(legend.get_texts()) == len(figure.axes[0].lines)
        whole, box = figure.bbox, legend.get_window_extent()
        assert 0 <= box.x0 < box.x1 <= whole.x1
        assert 0 <= box.y0 < box.y1 <= figure.axes[0].get_tightbbox().y0
        assert figure.axes[0].get_window_extent().height > 3 * figure.dpi
        assert (figure.get_figwidth() > 7) == (len(assignments) == len(LONG))

    def test_each_line_has_its_colour_and_neighbours_in_value_are_neighbours(self):
        for number in (8, 14, 40):
            figure = self.of("learning_rate=" + ",".join(f"{number - i}" for i in range(number)))
            lines = figure.axes[0].lines
            assert len({to_hex(line.get_color()) for line in lines}) == number
            named = [int(t.get_text().partition("=")[2]) for t in figure.legends[0].get_texts()]
            assert named == list(range(1, number + 1))
            greens = [to_rgb(line.get_color())[1] for line in lines]
            assert (greens == sorted(greens)) == (number > 10)

    @pytest.mark.parametrize(
        ("assignments", "seeds", "heading"),
        [
            (("learning_rate=0.1,0.2",), 2, "mean of 2 seeds, band: 95 % interval"),
            (("learning_rate=0.1,0.2",), 1, ""),
            (("learning_rate=lin(1,9,9)",), 2, "mean of 2 seeds"),
        ],
    )
    def test_names_bands_where_there_are_some(self, assignments, seeds, heading):
        figure = self.of(*assignments, seeds=seeds)
        assert figure.legends[0].get_title().get_text() == heading
        assert bool(figure.axes[0].collections) == ("band" in heading)

    def test_of_one_arm_says_what_its_line_is(self):
        (text,) = self.of(seeds=3).legends[0].get_texts()
        assert text.get_text() == "mean of 3 seeds, band: 95 % interval"

    def test_many_arms_have_none(self):
        assert not self.of("learning_rate=lin(1,41,41)").legends


class TestAgainstField:
    def test_means_in_order_and_a_logarithmic_axis(self):
        found = trials("learning_rate=1,0.001,0.1", seeds=2)
        axes = drawn(found, [1.0, 3.0, 7.0, 9.0, 4.0, 4.0])["against_learning_rate"].axes[0]
        mean = max(axes.lines, key=lambda line: len(line.get_xdata()))
        assert list(mean.get_xdata()) == [0.001, 0.1, 1]
        assert list(mean.get_ydata()) == [8, 4, 2]
        assert axes.get_xscale() == "log"


class TestTwoFields:
    def test_heat_map_of_means(self):
        found = trials("learning_rate=0.2,0.1", "noise=0,1,2", seeds=2)
        axes = drawn(found)["learning_rate_by_noise"].axes[0]
        # 0.2 comes first in the trials, and last on the axis.
        np.testing.assert_array_equal(axes.images[0].get_array(), [[6.5, 8.5, 10.5], [0.5, 2.5, 4.5]])
        assert [t.get_text() for t in axes.get_yticklabels()] == ["0.1", "0.2"]

    def test_a_lost_arm_is_a_hole(self):
        found = trials("learning_rate=0.1,0.2", "noise=0,1")
        axes = drawn(found, [1.0, 2.0, None, 4.0])["learning_rate_by_noise"].axes[0]
        np.testing.assert_array_equal(axes.images[0].get_array().filled(np.nan), [[1, 2], [np.nan, 4]])

    def test_draws_are_dots(self):
        found = trials("learning_rate=loguniform(1e-4,1)", "dimension=choice(2,9)", draws=6)
        axes = drawn(found, [1.0, None, 3.0, 4.0, 5.0, 6.0])["dimension_by_learning_rate"].axes[0]
        dots = axes.collections[0]
        np.testing.assert_array_equal(dots.get_array(), [1, 3, 4, 5, 6])
        x = [c.learning_rate for c in found]
        np.testing.assert_allclose(dots.get_offsets()[:, 1], np.delete(x, 1))


def test_parallel_coordinates_go_through_each_value():
    found = trials("learning_rate=0.1,0.3", "noise=0,1", "dimension=1,2,5")
    axes = drawn(found)["parallel_coordinates"].axes[0]
    lines = {tuple(np.round(line.get_ydata(), 6)) for line in axes.lines if len(line.get_ydata()) == 3}
    assert lines == {(a, b, c) for a in (0, 0.25, 1) for b in (0, 1) for c in (0, 1)}


THREE = trials("learning_rate=0.001,0.01,0.1")
BASELINE = {"eval/baseline": [2.0, None, 8.0]}


class TestBeside:
    """Another metric, of which one trial has none."""

    def test_against_a_field(self):
        figure = sweep_figures.against_field(
            THREE, [1.0, 2.0, 4.0], "learning_rate", "eval/loss", "toy", BASELINE
        )
        lines = {line.get_label(): np.array(line.get_data()) for line in figure.axes[0].lines}
        np.testing.assert_array_equal(lines["eval/baseline"], [[0.001, 0.01, 0.1], [2, np.nan, 8]])
        assert [t.get_text() for t in figure.axes[0].get_legend().get_texts()] == [
            "eval/loss",
            "eval/baseline",
        ]
        assert figure.axes[0].get_yscale() == "linear"
        wide = sweep_figures.against_field(
            THREE, [1.0, 2.0, 4.0], "learning_rate", "eval/loss", "toy", {"eval/baseline": [90.0] * 3}
        )
        assert wide.axes[0].get_yscale() == "log"

    def test_comparison(self):
        figure = sweep_figures.comparison(THREE, [1.0, 2.0, 4.0], "eval/loss", "toy", BASELINE)
        baseline = [line for line in figure.axes[0].lines if line.get_label() == "eval/baseline"]
        np.testing.assert_array_equal(baseline[0].get_data(), [[2, np.nan, 8], [0, 1, 2]])

    def test_by_the_tasks_choice(self):
        rows = [{"status": "done", "eval/loss": 1.0 + i, "eval/baseline": 5.0} for i in range(3)]
        asked = (THREE, rows, Recorded("eval/loss", "min"), "eval/loss", "min", "toy", ("eval/baseline",))
        drawn = sweep_figures.sweep_figures(*asked)
        for name in ("comparison", "against_learning_rate"):
            assert "eval/baseline" in [line.get_label() for line in drawn[name].axes[0].lines]
