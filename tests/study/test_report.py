"""Tables and pages of a study: numbers against numpy and scipy, of scores that are made up."""

import json

import numpy as np
from scipy import stats

from mi203jax.study.report import EDGE, LEGEND, markdown, method, page, results_of, sensitivity, table, work
from mi203jax.study.result import ArmResult, Looked, Result, to_json
from mi203jax.study.statistics import paired_interval

RNG = np.random.default_rng(0)
SECOND = RNG.normal(0.90, 0.01, 8)
FIRST = SECOND + np.array([0.01, 0.02, 0.015, 0.0, 0.02, 0.01, 0.012, 0.03])


def made(
    first=FIRST,
    second=SECOND,
    claim="momentum",
    setting="digits",
    cell="",
    *,
    arms=("momentum", "SGD"),
    metric=("eval/accuracy", "max"),
    budget="examples",
    tuning=((0.5, None, 0.9), (0.6, 0.7, None)),
    looked_at=1,
):
    """What came of a claim whose arms have these scores."""
    of = [
        ArmResult(name, [{}] * len(t), list(t), {}, [float(s) for s in scores])
        for name, t, scores in zip(arms, tuning, (first, second), strict=True)
    ]
    return Result(claim, "slide", setting, cell, "e", *metric, budget, *of, looked_at)


HOLDS = made()
REVERSED = made(SECOND, FIRST, setting="spirals", cell="hidden=(16,16) noise=0.2")
RETURNS = ([100.0, 200.0, 300.0], [110.0, 180.0, 300.0])
UNSURE = made(*RETURNS, "replay", "cartpole", arms=("replay", "the last"), metric=("eval/return", "max"))
LOSS = made(SECOND / 1e4, FIRST / 1e4, "code", metric=("eval/loss", "min"), budget="updates")
ALL = (HOLDS, REVERSED, UNSURE, LOSS)
PAIRS = ((FIRST, SECOND), (SECOND, FIRST), RETURNS, (FIRST, SECOND))
"""Whose differences they show; of a loss that of the second minus the first."""


def cells_of(text):
    """Rows of a table of Markdown, each by column."""
    lines = text.split("\n\n")[0].split("\n")
    head, rule, *rows = ([c.strip() for c in line.strip("|").split(" | ")] for line in lines)
    assert set(rule) == {"---"}
    assert len(rule) == len(head)
    return [dict(zip(head, row, strict=True)) for row in rows]


def numbers(text):
    return [float(part) for part in text.split(" to ")]


class TestMarkdown:
    def test_scores_and_differences(self):
        found = cells_of(markdown(ALL))
        for row, (a, b) in zip(found[:3], PAIRS[:3], strict=True):
            digits = 1 if np.mean(a) > 10 else 3
            shown = [row["A"], row["B"], row["A better by"]]
            expected = [np.mean(a), np.mean(b), np.mean(a) - np.mean(b)]
            assert shown == [f"{x:{sign}.{digits}f}" for x, sign in zip(expected, ("", "", "+"), strict=True)]
            low_high = paired_interval(np.subtract(a, b))
            np.testing.assert_allclose(numbers(row["interval"]), low_high, atol=0.51 * 10**-digits)

    def test_effect_and_seeds(self):
        found = cells_of(markdown(ALL))
        for row, (a, b) in zip(found, PAIRS, strict=True):
            t = stats.ttest_rel(a, b).statistic / len(a) ** 0.5
            assert row["effect"] == f"{t:+.1f}"
        # One pair of the eight is equal; of the three one is won, one lost and one equal.
        assert [row["seeds"] for row in found] == ["7.5 of 8", "0.5 of 8", "1.5 of 3", "7.5 of 8"]

    def test_p_is_corrected_for_the_number_of_rows(self):
        p = [r.comparison.p for r in ALL]
        order = np.argsort(p)
        expected, most = np.empty(4), 0.0
        for rank, k in enumerate(order):
            most = max(most, min(1.0, (4 - rank) * p[k]))
            expected[k] = most
        assert [row["p"] for row in cells_of(markdown(ALL))] == [f"{x:.2g}" for x in expected]
        picked = made(looked_at=50)  # by its own level
        p = min(1, 50 * picked.comparison.p)
        assert cells_of(markdown([*ALL, picked]))[-1]["p"] == f"{p:.2g}"

    def test_rows_that_are_left_out_count_in_the_correction_too(self):
        p = [row["p"] for row in cells_of(markdown(ALL))]
        assert [row["p"] for row in cells_of(markdown(ALL[:2], ALL))] == p[:2]
        assert [row["p"] for row in cells_of(markdown(ALL[:2]))] != p[:2]

    def test_a_verdict_that_p_doubts_stands_alone(self):
        few = made([0.31, 0.33, 0.3, 0.32, 0.36], [0.3] * 5)
        p = few.comparison.p
        assert few.comparison.verdict == "holds"
        assert 0.01 < p < 0.05
        (row,) = cells_of(markdown([few]))
        assert (row["verdict"], row["p"]) == ("holds", f"{p:.2g}")
        row = cells_of(markdown([few] * 6))[0]
        assert (row["verdict"], row["p"]) == ("holds, taken alone", f"{6 * p:.2g}")
        turned = few._replace(first=few.second, second=few.first)
        assert cells_of(markdown([turned] * 6))[0]["verdict"] == "**reversed, taken alone**"
        assert {row["verdict"] for row in cells_of(markdown([UNSURE] * 6))} == {"not distinguishable"}

    def test_an_interval_that_is_corrected_tells_its_level(self):
        (row,) = cells_of(markdown([made(looked_at=126)]))
        low, high = paired_interval(FIRST - SECOND, 1 - 0.05 / 126)
        assert row["interval"] == f"{low:+.3f} to {high:+.3f} (99.96 %)"

    def test_means_of_choices_at_the_edge_are_marked(self):
        edge = HOLDS._replace(second=HOLDS.second._replace(tuning=[0.5, 0.5]))
        (row,) = cells_of(markdown([edge]))
        assert (row["A"], row["B"]) == (f"{np.mean(FIRST):.3f}", f"{np.mean(SECOND):.3f}†")
        assert EDGE in LEGEND
        assert table([edge]).endswith(f"\n{EDGE}")
        assert EDGE not in table([HOLDS])

    def test_runs_that_diverged_are_told(self):
        lost = HOLDS._replace(
            first=HOLDS.first._replace(diverged=2), second=HOLDS.second._replace(diverged=1)
        )
        assert cells_of(markdown([lost]))[0]["verdict"] == "holds; 3 runs diverged"

    def test_words(self):
        assert [tuple(row.values())[:3] for row in cells_of(markdown(ALL))] == [
            ("momentum > SGD", "digits", "eval/accuracy"),
            ("momentum > SGD", "spirals hidden=(16,16) noise=0.2", "eval/accuracy"),
            ("replay > the last", "cartpole", "eval/return"),
            ("momentum > SGD, equal updates", "digits", "eval/loss (smaller is better)"),
        ]
        found = cells_of(markdown(ALL))
        assert [row["verdict"] for row in found] == ["holds", "**reversed**", "not distinguishable", "holds"]

    def test_a_small_loss_keeps_its_digits(self):
        (row,) = cells_of(markdown([LOSS]))
        assert row["A"] == f"{np.mean(SECOND) / 1e4:.7f}"
        assert row["A better by"] == f"{np.mean(FIRST - SECOND) / 1e4:+.7f}"  # A's loss is smaller

    def test_what_nothing_limits(self):
        (row,) = cells_of(markdown([made([0.5] * 9 + [1.0], [0.5] * 10)]))
        assert numbers(row["interval"])[1] == np.inf
        (row,) = cells_of(markdown([made([1.0] * 3, [0.0] * 3)]))
        assert (row["interval"], row["effect"], row["seeds"]) == ("+1.000 to +1.000", "+inf", "3 of 3")
        (row,) = cells_of(markdown([made([0.0] * 3, [0.0] * 3)]))
        assert (row["A"], row["A better by"], row["effect"]) == ("0.000", "+0.000", "+0.0")


class TestSensitivity:
    def test_one_draw_is_of_all_pairs(self):
        """Of 9 pairs, what has no score loses, and ties count half."""
        # 0.5 beats none of 0.6, 0.7 and beats None; None ties with None alone; 0.9 beats all: (1 + 0.5 + 3) / 9.
        assert [row["one draw"] for row in cells_of(sensitivity([HOLDS]))] == ["50%", "50%"]
        rng = np.random.default_rng(1)
        a, b = rng.normal(size=20), rng.normal(0.5, 1, 15)
        row, other = cells_of(sensitivity([made(tuning=(a.tolist(), b.tolist()))]))
        assert row["one draw"] == f"{stats.mannwhitneyu(a, b).statistic / 300:.0%}"
        assert other["one draw"] == f"{stats.mannwhitneyu(b, a).statistic / 300:.0%}"
        assert (row["best"], other["best"]) == (f"{a.max():.3g}", f"{b.max():.3g}")
        assert float(row["worse quarter to"]) <= float(row["median"]) <= float(row["better quarter from"])
        row = cells_of(sensitivity([made(tuning=(a.tolist(), b.tolist()), metric=("eval/loss", "min"))]))[0]
        assert row["one draw"] == f"{stats.mannwhitneyu(b, a).statistic / 300:.0%}"
        row = cells_of(sensitivity([made(tuning=((0.5, None), (0.4, 0.6)), metric=("eval/loss", "min"))]))[0]
        assert row["one draw"] == "25%"  # None is the largest of losses

    def test_what_diverged_is_told_where_it_was_recorded(self):
        found = HOLDS._replace(first=HOLDS.first._replace(unstable=0.25))
        assert [row["diverged"] for row in cells_of(sensitivity([found]))] == ["25%", "–"]

    def test_choices_at_the_edge_are_marked(self):
        values = [{"learning_rate": x} for x in (0.1, 0.2, 0.3)]
        arm = HOLDS.first._replace(values=values, chosen={"learning_rate": 0.2})
        edge = arm._replace(chosen={"learning_rate": 0.3})
        rows = cells_of(sensitivity([HOLDS._replace(first=arm, second=edge)]))
        assert [row["chosen"] for row in rows] == ["learning_rate=0.2", "learning_rate=0.3†"]

    def test_so_are_choices_among_equals(self):
        """The one in the middle of all, and yet nothing tells it from the others."""
        values = [{"learning_rate": x} for x in (0.1, 0.2, 0.3)]
        arm = HOLDS.first._replace(values=values, chosen={"learning_rate": 0.2})
        for tuning, edge in (([0.1] * 3, True), ([0.1, 0.1, 0.2], False), ([0.1, 0.1, None], False)):
            assert arm._replace(tuning=tuning).is_at_edge == edge


class TestTable:
    def test_a_line_a_comparison_in_columns(self):
        head, *lines = table(ALL).split("\n")
        assert len(lines) == 4
        names = ("claim", "where", "metric", "first  ", "second", "first better by", "interval", "verdict")
        starts = [head.index(n) for n in names]
        assert starts == sorted(starts)
        ends = [*starts[1:], None]
        for line, row in zip(lines, cells_of(markdown(ALL)), strict=True):
            found = [line[a:b].strip() for a, b in zip(starts, ends, strict=True)]
            row["verdict"] = row["verdict"].strip("*")
            assert found == [v for n, v in row.items() if n not in {"effect", "seeds", "p"}]
            assert line == line.rstrip()


ORIGIN = {
    "time": "2026-01-31T10:00:00+01:00",
    "command": "python launch.py --exp=trends",
    "cores": 2,
    "devices": ["cpu: a", "cpu: b"],
    "packages": {"jax": "0.10.1"},
    "git": {"commit": "0123456789abcdef", "dirty": False},
}
EFFORT = {"draws": 20, "tuning_seeds": 2, "judging_seeds": 7, "looks": 0, "candidates": 3}
WORK = {
    "tuning": {"trials": 1_200, "seconds": 100.0, "programs": 5},
    "judging": {"trials": 34, "seconds": 87.0, "programs": 2},
}


def record(results=ALL, looked=(), **changed):
    """As it comes back from a file."""
    found = {
        "provenance": ORIGIN,
        "effort": EFFORT,
        "work": WORK,
        "results": [to_json(r) for r in results],
        "looked": [x._asdict() for x in looked],
    }
    return json.loads(json.dumps(found | changed))


class TestMethod:
    def test_what_was_tuned_and_judged(self):
        assert method(record()) == (
            "Each arm was tuned over 20 configurations with 2 seeds each, the best judged with 7 fresh seeds."
        )
        one = EFFORT | {"draws": 1, "tuning_seeds": 1}
        assert "over 1 configuration with 1 seed each" in method(record(effort=one))

    def test_a_search_tells_its_level(self):
        """Which counts a cell that gave nothing too, as the intervals do."""
        looked = [Looked("momentum", "any", f"noise={i}", 0.1) for i in range(4)]
        search = EFFORT | {"looks": 5, "candidates": 1}
        said = method(record([made(looked_at=5)], looked, effort=search))
        assert said.startswith("5 pairs of a claim and a setting were looked at, and the 1 most reversed of")
        assert "intervals are of level 1 − 0.05 / 5, not 95 %. Each arm was tuned" in said
        assert "4 pairs" in method(record([], looked, effort=search))

    def test_a_search_after_another_tells_of_that(self):
        search = EFFORT | {"looks": 5, "candidates": 1, "looked_before": 7}
        said = method(record([made(looked_at=12)], effort=search))
        assert said.startswith(
            "12 pairs of a claim and a setting were looked at, 7 of them by an earlier search,"
        )
        assert "level 1 − 0.05 / 12, not" in said


class TestPage:
    def test_all_of_it(self):
        text = page(record(), ["forest", "map_init_deep"])
        title, found, legend, how, what, subtitle, tried, edge, *shown = text.split("\n\n")
        assert subtitle == "## Sensitivity"
        assert f"{tried}\n\n{edge}" == sensitivity(ALL)
        assert title == "# What was found"
        assert found == markdown(ALL)
        assert how == method(record())
        assert what == work(record())
        assert shown == ["![forest](figures/forest.png)", "![map_init_deep](figures/map_init_deep.png)\n"]
        assert legend == LEGEND

    def test_the_legend_tells_every_column_of_numbers(self):
        for column in list(cells_of(markdown([HOLDS]))[0])[3:-1]:
            assert f"*{column}*" in LEGEND

    def test_results_come_back(self):
        assert results_of(record()) == list(ALL)

    def test_work(self):
        assert work(record()) == (
            "`python launch.py --exp=trends`: 1,234 trials in 7 programs, 3 minutes of training and compiling "
            "on 2 CPU cores, jax 0.10.1; commit 0123456789, 2026-01-31."
        )
        device = ORIGIN | {
            "cores": 1,
            "devices": ["cuda: A", "cuda: A"],
            "git": {"commit": "0", "modified": True},
        }
        said = work(record(provenance=device))
        assert said.endswith(
            "on 1 CPU core, cuda: A, jax 0.10.1; commit 0 with uncommitted changes, 2026-01-31."
        )
        assert "commit unknown" in work(record(provenance=ORIGIN | {"git": None}))
