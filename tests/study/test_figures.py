"""What figures of a study show, read back from them; all scores are made up, so what is to be seen is known."""

import itertools

import numpy as np
import pytest
from matplotlib.text import Text

from mi203jax.study import figures as module
from mi203jax.study.figures import (
    CELLS,
    cell_map,
    figures,
    forest,
    looks,
    luck,
    names,
    where,
)
from mi203jax.study.statistics import paired_interval
from tests.study.made import (
    ACCURACY,
    DEPTH,
    HOLDS,
    INITIALIZER,
    LONG,
    RESIDUAL,
    REVERSED,
    UNLIMITED,
    UNSURE,
    dots_and_intervals,
    grid,
    made,
    scaled,
    seen,
    texts,
)
from tests.tasks.shown import draw, points


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
