"""What figures of a study show, read back from them; all scores are made up, so what is to be seen is known."""

import itertools

import numpy as np
import pytest
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from mi203jax.study import figures as module
from mi203jax.study.figures import (
    CELLS,
    cell_map,
    coordinates,
    figures,
    forest,
    looks,
    luck,
    names,
    ordered,
    where,
)
from mi203jax.study.result import ArmResult, Looked, Result
from mi203jax.study.statistics import paired_interval
from tests.tasks.shown import draw, points

HOLDS = (0.02, 0.03, 0.025, 0.031, 0.02, 0.028)
REVERSED = tuple(-2 * d for d in HOLDS)
UNSURE = (-0.01, 0.02, 0.0, 0.01, -0.02, 0.006)
UNLIMITED = (0.0, 0.0, 0.0, 0.0, 0.0, 0.5)  # most resamples have no variance: the interval has no upper end
TUNING = ([0.5, None, 0.9], [0.6, 0.7, None])
ACCURACY = ("eval/accuracy", "max")
LONG = "data=circles noise=0.05 hidden=(16,16,16,16,16,16) batch_size=128 total_steps=16000"


def made(
    differences=HOLDS,
    claim="momentum",
    setting="digits",
    cell="",
    *,
    arms=("momentum", "SGD"),
    metric=ACCURACY,
    budget="examples",
    tuning=TUNING,
    looked_at=1,
):
    """What came of a claim whose first arm is better by these differences."""
    second = np.linspace(0.8, 0.9, len(differences))
    first = second + np.array(differences) * (1 if metric[1] == "max" else -1)
    names, scores = arms, (first.tolist(), second.tolist())
    of = [ArmResult(n, [{}] * len(t), list(t), {}, s) for n, t, s in zip(names, tuning, scores, strict=True)]
    return Result(claim, "slide", setting, cell, "e", *metric, budget, *of, looked_at)


def scaled(factor, **options):
    return made(tuple(factor * d for d in HOLDS), **options)


def texts(artists):
    return [t.get_text() for t in artists]


def everything_written(figure):
    return "\n".join(texts(figure.findobj(Text)))


def dots_and_intervals(figure):
    lines = [(line, points(line)) for line in figure.axes[0].lines]
    dots = [(line, xy[:, 0]) for line, xy in lines if xy.shape == (2, 1)]
    return dots, [(line, xy) for line, xy in lines if xy.shape == (2, 2) and xy[1, 0] == xy[1, 1]]


class TestForest:
    results = (
        made(HOLDS),
        made(REVERSED, setting="spirals"),
        made(UNSURE, claim="large", arms=("large batches", "small"), budget="updates"),
    )
    LOOKS = (("tab:blue", "o"), ("tab:red", "D"), ("grey", "s"))

    def test_a_dot_and_an_interval_a_comparison(self):
        dots, intervals = dots_and_intervals(forest(self.results))
        assert [(d.get_color(), d.get_marker()) for d, _ in dots] == list(self.LOOKS)
        assert [i.get_color() for i, _ in intervals] == [colour for colour, _ in self.LOOKS]
        for row, differences in enumerate((HOLDS, REVERSED, UNSURE)):
            assert dots[row][1] == pytest.approx([np.mean(differences), row])
            np.testing.assert_allclose(intervals[row][1], [paired_interval(differences), [row, row]])

    def test_rows_are_named_from_the_top(self):
        axes = forest(self.results).axes[0]
        assert texts(axes.get_yticklabels()) == [
            "momentum > SGD   digits",
            "momentum > SGD   spirals",
            "large batches > small, equal updates   digits",
        ]
        assert axes.get_yticks().tolist() == [0, 1, 2]
        assert axes.yaxis_inverted()

    def test_the_legend_tells_colours_and_marks(self):
        (legend,) = forest(self.results).legends
        shown = {
            t.get_text(): (h.get_color(), h.get_marker())
            for t, h in zip(legend.get_texts(), legend.legend_handles, strict=True)
        }
        assert shown == dict(zip(("holds", "reversed", "not distinguishable"), self.LOOKS, strict=True))

    def test_axes_tell_metric_and_direction(self):
        figure = forest(self.results)
        low, high = figure.axes[0].get_xlim()
        assert low == -high
        before, _, after = figure.axes[0].get_xlabel().partition("|")
        assert "second better" in before
        assert "first better" in after
        assert figure.get_supxlabel().startswith(
            "difference in eval/accuracy, mean of paired seeds, 95 %\n(linear"
        )

    def test_a_smaller_loss_is_to_the_right(self):
        figure = forest([made(HOLDS, metric=("eval/loss", "min"))])
        ((dot, (x, _)),) = dots_and_intervals(figure)[0]
        assert (dot.get_color(), x) == ("tab:blue", pytest.approx(np.mean(HOLDS)))
        assert "eval/loss (smaller is better)" in figure.get_supxlabel()

    def test_what_nothing_limits_goes_to_the_border(self):
        assert paired_interval(UNLIMITED)[1] == np.inf
        figure = forest([made(UNLIMITED), made([-d for d in UNLIMITED]), made(HOLDS), made([0.0, 1.0])])
        low, high = figure.axes[0].get_xlim()
        above, below, finite, neither = (xy[0] for _, xy in dots_and_intervals(figure)[1])
        assert low < above[0] < above[1] == high
        assert low == below[0] < below[1] < high
        assert finite == pytest.approx(paired_interval(HOLDS))
        assert neither.tolist() == [low, high]

    @pytest.mark.parametrize(
        "factors", [(1,), (1e-4,), (1e4,), (1e4, 1), (1, 1, 1e4), (1, 1e-8), (0,), (4.0, 40.0)]
    )
    def test_the_axis_fits_what_is_shown(self, factors):
        """From the largest to the typical difference, with numbers at it; what is the same size is told apart."""
        results = [scaled(f) for f in factors]
        figure = forest(results)
        axes = figure.axes[0]
        ends = [abs(e) for r in results for e in r.comparison[:3]]
        assert max(ends) < axes.get_xlim()[1] <= 20.0001 * max(*ends, 1e-6)
        ticks = axes.get_xticks()
        assert [float(t) for t in texts(axes.get_xticklabels())] == pytest.approx(ticks)
        np.testing.assert_allclose(ticks, -ticks[::-1])
        assert 7 <= len(ticks) <= 11
        linear = float(figure.get_supxlabel().partition("±")[2].partition(",")[0])
        assert linear == pytest.approx(ticks[len(ticks) // 2 + 1])
        assert axes.xaxis.get_transform().linthresh == pytest.approx(linear)

    def test_settings_of_other_scales_are_told_apart(self):
        """Returns of a few and of hundreds."""
        figure = forest([scaled(f) for f in (4e3, 4e3, 3, 3, -3)])
        axes = figure.axes[0]
        places = [axes.transData.transform(xy)[0] for _, xy in dots_and_intervals(figure)[0]]
        assert places[2] - places[4] > axes.bbox.width / 15

    def test_a_correction_is_told_and_drawn(self):
        many = (*HOLDS, 0.022, 0.029, 0.026, 0.035)
        figure = forest([made(many, looked_at=5)])
        ((_, (x, _)),) = dots_and_intervals(figure)[1]
        assert x == pytest.approx(paired_interval(many, 0.99))
        assert np.isfinite(x).all()
        assert "95 % after correction for all that were looked at" in figure.get_supxlabel()

    def test_cells_stand_under_their_claim_and_leave_room(self):
        figure = forest([made(cell=LONG)])
        (label,) = figure.axes[0].get_yticklabels()
        assert label.get_text() == f"momentum > SGD   digits\n{LONG}"
        draw(figure)
        assert figure.axes[0].bbox.width > 4 * figure.dpi  # inches


class TestNames:
    def test_claims_that_state_the_same_are_told_apart(self):
        own = [made(claim=n, arms=("norm", "none")) for n in ("norm", "norm_tiny")]
        found = names([*own, made(), made(setting="spirals")])
        assert found == {
            "norm": "norm > none (norm)",
            "norm_tiny": "norm > none (norm_tiny)",
            "momentum": "momentum > SGD",
        }
        labels = [*forest(own).axes[0].get_yticklabels(), *where(own).axes[0].get_yticklabels()]
        for name, label in zip(("norm", "norm_tiny") * 2, labels, strict=True):
            assert f"({name})" in label.get_text()
        assert [a.get_title().split("\n")[0] for a in luck(own).axes] == list(found.values())[:2]


def medians_of_best(tuning, pick, worst):
    """By going through all draws."""
    values = [worst if t is None else t for t in tuning]
    bests = [sorted(map(pick, itertools.product(values, repeat=k))) for k in range(1, len(values) + 1)]
    if pick is min:
        bests = [b[::-1] for b in bests]
    return [b[(len(b) - 1) // 2] for b in bests]


class TestLuck:
    @pytest.mark.parametrize(
        ("metric", "pick", "worst"),
        [(ACCURACY, max, -np.inf), (("eval/loss", "min"), min, np.inf)],
    )
    def test_the_median_of_the_best_of_all_draws(self, metric, pick, worst):
        tuning = ([0.5, None, 0.9, 0.7, 0.1], [0.6, None, None, 0.3, None])
        figure = luck([made(metric=metric, tuning=tuning)])
        for line, own in zip(figure.axes[0].lines, tuning, strict=True):
            k, best = points(line)
            assert k.tolist() == [1, 2, 3, 4, 5]
            np.testing.assert_array_equal(best, medians_of_best(own, pick, worst))
        name, words = metric[0], " (smaller is better)" * (pick is min)
        assert figure.get_supylabel() == f"best {name}{words},\nheld-out data, median"

    def test_a_panel_a_comparison_with_its_arms(self):
        cell = "data=circles hidden=(32,32) batch_size=128 total_steps=16000"
        results = [made(setting=f"s{i}", cell=cell) for i in range(6)]
        figure = luck(results)
        assert len(figure.axes) == 6
        for i, axes in enumerate(figure.axes):
            first, *rest = axes.get_title().split("\n")
            assert first == "momentum > SGD"
            assert " ".join(rest) == f"s{i} {cell}"
            arms = [(line.get_label(), line.get_color()) for line in axes.lines]
            assert arms == [("momentum", "tab:blue"), ("SGD", "tab:orange")]
            assert texts(axes.get_legend().get_texts()) == ["momentum", "SGD"]

    def test_a_single_draw_is_seen(self):
        lines = luck([made(tuning=([0.5], [0.6]))]).axes[0].lines
        assert [points(line).tolist() for line in lines] == [[[1], [0.5]], [[1], [0.6]]]
        assert "None" not in {line.get_marker() for line in lines}


def rectangles(figure):
    """(left, bottom, width) and colour of each."""
    own = [p for p in figure.axes[0].patches if isinstance(p, Rectangle)]
    return [(p.get_x(), p.get_y(), p.get_width(), to_rgb(p.get_facecolor())) for p in own]


def written_at(axes):
    return {tuple(t.get_position()): t.get_text() for t in axes.texts}


class TestWhere:
    results = (
        made(HOLDS),
        made(REVERSED, setting="spirals"),
        made(UNSURE, claim="large", arms=("large", "small")),
    )

    def test_a_cell_for_each_claim_and_setting(self):
        figure = where(self.results)
        axes = figure.axes[0]
        assert texts(axes.get_yticklabels()) == ["momentum > SGD", "large > small"]
        assert texts(axes.get_xticklabels()) == ["digits", "spirals"]
        assert axes.yaxis_inverted()
        found = {
            (round(left + width / 2), round(bottom + 0.45)): colour
            for left, bottom, width, colour in rectangles(figure)
        }
        assert found == {
            (0, 0): to_rgb("tab:blue"),
            (1, 0): to_rgb("tab:red"),
            (0, 1): to_rgb("grey"),
        }
        # Means of 0.02567, −0.0513 and 0.001.
        assert written_at(axes) == {(0, 0): "+0.0257*", (1, 0): "-0.0513*", (0, 1): "+0.0010", (1, 1): "–"}
        assert figure.get_supxlabel().startswith(
            "difference in eval/accuracy (+: the first is better, *: p < 0.05 by Holm"
        )

    def test_the_legend_has_the_colours_of_the_cells(self):
        figure = where(self.results)
        (legend,) = figure.legends
        colours = [to_rgb(h.get_facecolor()) for h in legend.legend_handles]
        assert texts(legend.get_texts()) == ["holds", "reversed", "not distinguishable"]
        assert colours == [to_rgb(c) for c in ("tab:blue", "tab:red", "grey")]
        assert [colour for *_, colour in rectangles(figure)] == colours

    def test_cells_of_a_setting_are_strips(self):
        own = [made(d, cell=f"depth={i}") for i, d in enumerate((HOLDS, REVERSED, UNSURE))]
        figure = where([*own, made(setting="spirals")])
        *strips, _ = rectangles(figure)
        assert [c for *_, c in strips] == [to_rgb(c) for c in ("tab:blue", "tab:red", "grey")]
        edges = [x for left, _, width, _ in strips for x in (left, left + width)]
        assert edges == sorted(edges)
        assert (edges[0], edges[-1]) == pytest.approx((-0.47, 0.47))
        assert list(written_at(figure.axes[0])) == [(1, 0)]

    def test_each_setting_has_its_metric_where_these_differ(self):
        game = scaled(5000, claim="replay", setting="cartpole", metric=("eval/return", "max"))
        loss = made(claim="code", setting="images", metric=("eval/loss", "min"))
        axes = (figure := where([made(), game, loss])).axes[0]
        assert texts(axes.get_xticklabels()) == [
            "digits\neval/accuracy",
            "cartpole\neval/return",
            "images\neval/loss (smaller is better)",
        ]
        assert "eval" not in figure.get_supxlabel()
        assert written_at(axes)[1, 1] == "+128*"
        assert written_at(axes)[2, 2] == "+0.0257*"


def grid(*fields, differences=None, **options):
    """A result for each combination of values, with a mean difference of its place / 100."""
    lists = [[f"{n}={v}" for v in values] for n, values in fields]
    cells = [" ".join(parts) for parts in itertools.product(*lists)]
    return [
        made(tuple(0.01 * i + d / 1000 for d in UNSURE), "init", "deep", cell, arms=("he", "one"), **options)
        for i, cell in enumerate(cells)
    ]


DEPTH = ("depth", (5, 10, 100))
RESIDUAL = ("residual", ("false", "true"))
INITIALIZER = ("initializer", ("uniform", "he", "delta", "gaussian"))
SMALL = np.mean(UNSURE) / 1000


def tables(figure):
    return [np.ma.filled(a.images[0].get_array(), np.nan) for a in figure.axes if a.images]


class TestCellMap:
    def test_three_fields(self):
        figure = cell_map(grid(DEPTH, RESIDUAL, INITIALIZER))
        panels = [a for a in figure.axes if a.images]
        assert [a.get_title() for a in panels] == ["residual=false", "residual=true"]
        expected = 0.01 * np.arange(24).reshape(3, 2, 4) + SMALL
        for k, axes in enumerate(panels):
            np.testing.assert_allclose(tables(figure)[k], expected[:, k], atol=1e-12)
            assert texts(axes.get_xticklabels()) == ["uniform", "he", "delta", "gaussian"]
            assert axes.get_xlabel() == "initializer"
            assert len(axes.texts) == 12
        assert texts(panels[0].get_yticklabels()) == ["5", "10", "100"]
        assert panels[0].get_ylabel() == "depth"
        assert written_at(panels[0])[0, 0] == "+0.00"
        assert written_at(panels[1])[3, 2] == "+0.23*"
        assert figure.get_suptitle().startswith("he > one: deep\ndifference in eval/accuracy\n")

    def test_two_fields(self):
        figure = cell_map(grid(RESIDUAL, DEPTH))
        axes = figure.axes[0]
        np.testing.assert_allclose(tables(figure), [0.01 * np.arange(6).reshape(2, 3) + SMALL], atol=1e-12)
        assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("depth", "residual", "")
        assert texts(axes.get_yticklabels()) == ["false", "true"]

    def test_one_field_numbers_ascending_whatever_came_first(self):
        results = grid(("noise", ("0.5", "0.05", "1e-3", "2")))
        figure = cell_map(results)
        np.testing.assert_allclose(tables(figure), [[np.array([0.02, 0.01, 0, 0.03]) + SMALL]], atol=1e-12)
        assert texts(figure.axes[0].get_xticklabels()) == ["1e-3", "0.05", "0.5", "2"]
        assert figure.axes[0].get_yticks().tolist() == []

    def test_values_with_parentheses_and_a_field_that_does_not_vary(self):
        figure = cell_map(grid(("hidden", ("(16,16)", "()")), ("data", ("xor",)), ("noise", (0.2, 0.1))))
        axes = figure.axes[0]
        assert {axes.get_xlabel(), axes.get_ylabel()} == {"hidden", "noise"}
        assert "xor" not in everything_written(figure)
        assert texts(axes.get_xticklabels()) == ["(16,16)", "()"]
        np.testing.assert_allclose(tables(figure)[0], np.array([[0.01, 0.03], [0, 0.02]]) + SMALL, atol=1e-12)

    def test_a_cell_that_is_missing_is_a_hole(self):
        figure = cell_map(grid(RESIDUAL, DEPTH)[:-1])
        assert np.isnan(tables(figure)[0]).tolist() == [[False] * 3, [False, False, True]]

    def test_blue_is_for_the_first_and_zero_is_white(self):
        figure = cell_map([made(d, cell=f"depth={i}") for i, d in enumerate((HOLDS, UNSURE, REVERSED))])
        image = figure.axes[0].images[0]
        blue, red = (image.to_rgba(np.array([np.mean(d)]))[0, :3] for d in (HOLDS, REVERSED))
        assert blue[2] > blue[0] + 0.2
        assert red[0] > red[2] + 0.2
        assert min(image.to_rgba(np.array([0.0]))[0, :3]) > 0.95
        assert list(written_at(figure.axes[0]).values()) == ["+0.026*", "+0.001", "-0.051*"]
        assert [to_rgba(t.get_color())[0] for t in figure.axes[0].texts] == [0, 0, 1]

    def test_digits_fit_the_metric(self):
        for factor, shown in ((1, "+0.026*"), (1e4, "+257*"), (1e-3, "+0.000026*"), (100, "+2.6*")):
            axes = cell_map([scaled(factor, cell=f"depth={i}") for i in (1, 2)]).axes[0]
            assert set(written_at(axes).values()) == {shown}

    def test_smaller_is_better(self):
        results = [made(HOLDS, cell=f"depth={i}", metric=("eval/loss", "min")) for i in (1, 2)]
        figure = cell_map(results)
        assert "eval/loss (smaller is better)" in figure.get_suptitle()
        np.testing.assert_allclose(tables(figure), np.full((1, 1, 2), np.mean(HOLDS)))

    def test_where_nothing_differs(self):
        figure = cell_map([made((0.0, 0.0), cell=f"depth={i}") for i in range(4)])
        assert set(written_at(figure.axes[0]).values()) == {"+0.0"}


def seen(*cells, claim="momentum", setting="any"):
    return [Looked(claim, setting, cell, a) for cell, a in cells]


class TestLooks:
    looked = seen(
        ("hidden=(16,16) noise=0.2 data=xor", 0.3),
        ("hidden=() noise=0.05 data=xor", -0.1),
        ("hidden=(16,16) noise=1e-3 data=xor", 0.1),
        ("hidden=(16,16) noise=0.2 data=xor", 0.0),
    )
    judged = (made(cell="hidden=() noise=0.05 data=xor", setting="any", looked_at=4),)

    @staticmethod
    def panel(figure, field):
        (axes,) = (a for a in figure.axes if a.get_xlabel() == field)
        dots = axes.collections[0]
        return axes, dots, dots.get_offsets()

    def test_a_panel_for_each_field_that_varies(self):
        figure = looks(self.looked, self.judged)
        assert [a.get_xlabel() for a in figure.axes] == ["hidden", "noise"]
        for field, ticks, at in (
            ("hidden", ["(16,16)", "()"], [0, 1, 0, 0]),
            ("noise", ["1e-3", "0.05", "0.2"], [2, 1, 0, 2]),
        ):
            axes, dots, places = self.panel(figure, field)
            assert texts(axes.get_xticklabels()) == ticks
            assert np.round(places[:, 0]).tolist() == at
            assert np.abs(places[:, 0] - at).max() < 0.2
            assert places[:, 1].tolist() == [0.3, -0.1, 0.1, 0.0]
            assert [to_rgb(c) for c in dots.get_facecolors()] == [
                to_rgb(c) for c in ("tab:blue", "tab:red", "tab:blue", "tab:blue")
            ]

    def test_the_mean_at_each_value(self):
        figure = looks(self.looked, self.judged)
        for field, means in (("hidden", [0.4 / 3, -0.1]), ("noise", [0.1, -0.1, 0.15])):
            axes = self.panel(figure, field)[0]
            (dashes,) = (points(line) for line in axes.lines if line.get_marker() == "_")
            np.testing.assert_allclose(dashes, [range(len(means)), means])

    def test_what_was_judged_is_ringed(self):
        _, dots, _ = self.panel(looks(self.looked, self.judged), "noise")
        assert [w > 0 for w in dots.get_linewidths()] == [False, True, False, False]

    def test_words(self):
        figure = looks(self.looked, (made(looked_at=4, metric=("eval/loss", "min")),))
        assert "difference in eval/loss (smaller is better)" in figure.get_supylabel()
        assert "held-out data" in figure.get_supylabel()
        assert figure.get_suptitle().startswith("momentum > SGD: all 4 that were looked at\n(+: first better")

    def test_settings_with_other_fields(self):
        others = seen(("channels=(8,)", 0.2), ("channels=()", 0.4), setting="images")
        figure = looks([*self.looked, *others], self.judged)
        assert [a.get_xlabel() for a in figure.axes] == ["setting", "hidden", "noise", "channels"]
        axes, _, places = self.panel(figure, "setting")
        assert texts(axes.get_xticklabels()) == ["any", "images"]
        assert np.round(places[:, 0]).tolist() == [0, 0, 0, 0, 1, 1]
        axes, _, places = self.panel(figure, "channels")
        assert texts(axes.get_xticklabels()) == ["(8,)", "()"]
        assert places[:, 1].tolist() == [0.2, 0.4]
        assert len(self.panel(figure, "noise")[2]) == 4

    def test_many_numbers_get_an_axis(self):
        values = np.random.default_rng(0).uniform(0, 1, 12)
        found = seen(*((f"noise={v:g}", v - 0.5) for v in values))
        axes, _, places = self.panel(looks(found, self.judged), "noise")
        np.testing.assert_allclose(places, np.stack([values, values - 0.5], 1), atol=1e-6)
        assert len(axes.lines) == 1  # zero

    def test_a_single_one(self):
        figure = looks(self.looked[:1], self.judged)
        axes, _, places = self.panel(figure, "setting")
        assert len(figure.axes) == 1
        assert texts(axes.get_xticklabels()) == ["any"]
        assert places[:, 1].tolist() == [0.3]


def test_ordered():
    assert ordered(["10", "9", "1e-3", "10", "1_000"]) == ["1e-3", "9", "10", "1_000"]
    assert ordered(["he", "gaussian", "he", "(8,)"]) == ["he", "gaussian", "(8,)"]
    assert ordered(["none", "inf", "2", "nan", "1"]) == ["1", "2", "none", "inf", "nan"]


def test_coordinates():
    assert coordinates("hidden=(16,16) noise=0.2") == {"hidden": "(16,16)", "noise": "0.2"}
    assert coordinates("eval_split=a=b") == {"eval_split": "a=b"}
    assert coordinates("") == {}


class TestWhichFigures:
    @pytest.fixture(autouse=True)
    def noted(self, monkeypatch):
        """What each figure is made of, in its place."""
        for name in ("forest", "luck", "where", "cell_map", "looks"):
            monkeypatch.setattr(module, name, lambda *groups: groups)

    def test_of_one_claim(self):
        assert list(figures([made(), made(setting="spirals")])) == ["forest", "luck"]

    def test_of_claims_in_settings(self):
        results = [made(claim=c, setting=s) for c in "ab" for s in "xy"]
        assert list(figures(results)) == ["forest", "luck", "where"]
        assert list(figures(results[:2])) == ["forest", "luck"]
        assert list(figures(results[::2])) == ["forest", "luck"]

    def test_of_several_metrics(self):
        game = made(claim="replay", setting="catch", metric=("eval/return", "max"))
        found = figures([made(), game])
        assert list(found) == ["forest", "luck", "forest_return", "luck_return", "where"]
        assert found["forest"] == found["luck"] == ([made()],)
        assert found["forest_return"] == ([game],)
        assert found["where"] == ([made(), game],)

    def test_of_a_grid(self):
        small, large = grid(RESIDUAL, DEPTH), grid(("depth", range(CELLS + 1)))
        assert list(figures(small)) == ["forest", "luck", "map_init_deep"]
        assert list(figures(small[:3])) == ["forest", "luck"]
        assert list(figures(large)) == ["map_init_deep"]
        found = figures([*large, made()])
        assert list(found) == ["forest", "luck", "where", "map_init_deep"]
        assert found["forest"] == ([made()],)
        assert found["map_init_deep"] == (large,)

    def test_too_many_rows(self):
        results = [made(setting=str(i)) for i in range(CELLS + 1)]
        assert list(figures(results[1:])) == ["forest", "luck"]
        assert figures(results) == {}

    def test_of_a_search(self):
        """What was picked for what it showed is not where the claim holds, and is no map."""
        claims = ("a", "b")
        results = [
            made(claim=c, setting=s, cell=str(i), looked_at=9) for c in claims for s in "xy" for i in range(5)
        ]
        looked = [seen((f"noise={i}", 0.1), claim=c)[0] for i in range(3) for c in claims]
        found = figures(results, looked)
        assert list(found) == ["forest", "luck", "looks_a", "looks_b"]
        assert found["looks_b"] == ([x for x in looked if x.claim == "b"], results[10:])

    def test_of_nothing(self):
        assert figures([]) == {}


LONG_ARMS = ("batches of 256", "batches of 16")


def long(i=0, **options):
    options = {"budget": "updates", "arms": LONG_ARMS, "cell": LONG} | options
    return made((HOLDS, REVERSED, UNSURE)[i % 3], setting=f"any_points_{i}", **options)


def beyond_the_axes(figure):
    """Numbers of ticks that matplotlib keeps and does not draw."""
    axes = [axis for a in figure.axes for axis in (a.xaxis, a.yaxis)]
    ticks = [(tick, sorted(axis.get_view_interval())) for axis in axes for tick in axis.get_major_ticks()]
    return {tick.label1 for tick, (low, high) in ticks if not low <= tick.get_loc() <= high}


class TestLayout:
    @pytest.mark.parametrize(
        "figure",
        [
            lambda: forest([long(i, looked_at=9) for i in range(3)]),
            lambda: forest([scaled(f, metric=("eval/squared_error", "min")) for f in (1e4, 1, 1)]),
            lambda: luck([long(i, metric=("eval/squared_error", "min")) for i in range(2)]),
            lambda: where([long(i, claim=c) for i in range(3) for c in "ab"]),
            lambda: cell_map(
                [long(0, cell=f"depth={i} residual={j}") for i in (1, 2) for j in ("true", "false")]
            ),
            lambda: cell_map(grid(("depth", (5, 10, 20, 50, 100)), RESIDUAL, INITIALIZER)),
            lambda: looks(seen(("noise=0.1", 0.1)), [long(looked_at=2)]),
            lambda: looks(
                seen((LONG, 0.1), (LONG.replace("0.05", "0.4").replace("128", "2"), -0.1)),
                [long(metric=("eval/loss", "min"), looked_at=2)],
            ),
        ],
        ids=["forest", "short", "luck", "where", "small", "panels", "look", "looks"],
    )
    def test_all_that_is_written_is_within_the_figure_and_apart(self, figure):
        figure = figure()
        draw(figure)
        shown = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]
        shown = [t for t in shown if t not in beyond_the_axes(figure)]
        boxes = [t.get_window_extent() for t in shown]
        assert all(axes.bbox.width > 150 for axes in figure.axes if axes.get_label() != "<colorbar>")
        for text, box in zip(shown, boxes, strict=True):
            within = (
                box.x0 > -1 and box.y0 > -1 and box.x1 < figure.bbox.x1 + 1 and box.y1 < figure.bbox.y1 + 1
            )
            assert within, text
        # Labels that are turned lie in boxes that overlap.
        flat = [
            (t, b.shrunk(0.95, 0.95))
            for t, b in zip(shown, boxes, strict=True)
            if t.get_rotation() in (0, 90)
        ]
        for (one, a), (other, b) in itertools.combinations(flat, 2):
            assert not a.overlaps(b), (one, other)
