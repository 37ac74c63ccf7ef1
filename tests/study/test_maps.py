"""What maps of a study show: where claims hold, over the cells of a setting, and where one looked."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.patches import Rectangle

from mi203jax.study.figures import (
    cell_map,
    coordinates,
    looks,
    ordered,
    where,
)
from tests.study.made import (
    DEPTH,
    HOLDS,
    INITIALIZER,
    RESIDUAL,
    REVERSED,
    SMALL,
    UNSURE,
    everything_written,
    grid,
    made,
    scaled,
    seen,
    texts,
    written_at,
)
from tests.tasks.shown import points


def rectangles(figure):
    """(left, bottom, width) and colour of each."""
    own = [p for p in figure.axes[0].patches if isinstance(p, Rectangle)]
    return [(p.get_x(), p.get_y(), p.get_width(), to_rgb(p.get_facecolor())) for p in own]


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
