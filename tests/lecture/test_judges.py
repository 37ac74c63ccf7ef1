"""What judges say of rows: each claim holds of some numbers and fails of others."""

import json

import numpy as np
import pytest

import experiments
from mi203jax.configs.lecture import forms_of
from mi203jax.data import open_source
from mi203jax.lecture import judges
from mi203jax.lecture.evidence import Evidence, NotMeasuredError, Verdict
from mi203jax.lecture.judges import verdicts_of
from mi203jax.lecture.shares import images_judged, margin
from mi203jax.lecture.slides import SLIDES
from mi203jax.tasks.lecture import sweep_of


def rows(*trials, status="done"):
    return Evidence([{"trial": i, "status": status, "seed": "0"} | t for i, t in enumerate(trials)])


def images(plain, dense, convolutional):
    found = {("mlp", "plain"): plain, ("mlp", "shifted"): dense, ("cnn", "shifted"): convolutional}
    return rows(*({"model": m, "images": i, "eval/accuracy": a} for (m, i), a in found.items()))


def layers(alone, neither, both=0.9):
    found = {("batch", "false"): alone, ("none", "false"): neither, ("batch", "true"): both}
    return rows(*({"normalization": n, "residual": r, "eval/accuracy": a} for (n, r), a in found.items()))


def batches(**right):
    return rows(*({"batch_size": n.strip("_"), "eval/accuracy": a} for n, a in right.items()))


def cells(**errors):
    return rows(*({"cell": c, "eval/loss": e, "eval/baseline": 0.167} for c, e in errors.items()))


def scores(sparse, dense):
    return rows({"score": "sparse", "eval/wins": sparse}, {"score": "dense", "eval/wins": dense})


def objectives(relu, td, won=1.0, by_td=1.0):
    found = {"relu": (relu, won), "td": (td, by_td)}
    return rows(*({"objective": o, "eval/q_error": e, "eval/return": r} for o, (e, r) in found.items()))


def optimizers(sgd, momentum):
    """Accuracy of each, of λ = 0.1, 1 and 10."""
    found = [("sgd", sgd), ("momentum_ema", momentum)]
    values = [(n, v, a) for n, of in found for v, a in zip(("0.1", "1", "10"), of, strict=True)]
    return rows(*({"optimizer": n, "learning_rate": v, "eval/accuracy": a} for n, v, a in values))


def beside(own, windows, step=6_000, windows_step=2_400):
    other = [{"status": "done", "step": windows_step, "eval/ap50": windows}]
    return rows({"step": step, "eval/ap50": own})._replace(beside={"sliding_window": other})


def named(**metrics):
    return rows({f"eval/{n}": v for n, v in metrics.items()})


H, F, U = "holds", "fails", "undecided"
NORM = judges.Ahead("normalization", "batch", "none")
AHEAD = (judges.Ahead, judges.BestAhead)
MOMENTUM = judges.BestAhead("optimizer", "momentum_ema", "sgd", "learning_rate")
CASES = [
    (judges.signs, named(accuracy=0.9), [H], "90.0 %"),
    (judges.signs, named(accuracy=0.89), [F], "89.0 %"),
    (judges.needs_images, images(0.842, 0.69, 0.94), [F, H], "84.2 % of the digits right, 8.4 times"),
    (judges.needs_images, images(0.19, 0.7, 0.6), [H, F], "70.0 %"),
    (judges.needs_images, images(0.2, 0.7, 0.6), [F, F], "asked: 4.3 points more with them"),
    (judges.needs_images, images(0.2, 0.7, 0.73), [F, U], "too close for 1,000 images"),
    (judges.hundred_layers, layers(0.11, 0.5), [F], "with batch norm and skips at 90.0 %"),
    (judges.hundred_layers, layers(0.54, 0.5), [U], "(asked: 4.5 points)"),
    (judges.hundred_layers, layers(0.6, 0.5, None), [H], "batch norm with skips has no number"),
    (NORM, layers(0.6, 0.5, None), [H], "60.0 % with normalization=batch"),
    (NORM, layers(0.4, 0.5, None), [F], "50.0 % with normalization=none"),
    (NORM, layers(0.5, 0.5, None), [U], "50.0 %"),
    (NORM, layers(0.57, 0.5, None), [U], "too close for 360 images of one seed (asked: 7.4 points)"),
    (NORM, layers(0.58, 0.5, None), [H], "(asked: 7.4 points)."),
    (NORM, layers(0.5, 0.58, None), [F], "(asked: 7.4 points)."),
    (NORM, layers(1.0, 359 / 360, None), [U], "(asked: 0.6 points)"),
    (NORM, layers(1.0, 1.0, None), [U], "(asked: 0.0 points)"),
    (MOMENTUM, optimizers((0.8, 0.9, 0.1), (0.7, 0.95, 0.2)), [H], "95.0 % with optimizer=momentum_ema learning_rate=1,"),
    (MOMENTUM, optimizers((0.8, 0.9, 0.1), (0.7, 0.8, 0.2)), [F], "90.0 % with optimizer=sgd"),
    (MOMENTUM, optimizers((0.8, 0.9, 0.1), (0.9, 0.905, 0.2)), [U], "too close"),
    (MOMENTUM, optimizers((0.8, 0.9, 0.1), (0.7, 0.75, 0.8)), [U], "best at the last learning_rate"),
    (MOMENTUM, optimizers((0.7, 0.75, 0.8), (0.8, 0.9, None)), [U], "90.0 % with optimizer=momentum_ema"),
    (judges.enlarges_receptive_field, rows(), [H], "sees 18×18 pixels; 7×7 without"),
    (judges.labels_pixels, named(mean_iou=0.496), [H], "0.496"),
    (judges.labels_pixels, named(mean_iou=0.09), [F], "1/11 = 0.091"),
    (judges.everywhere_at_once, beside(0.863, 0.369), [U], "after 2,400 (asked: more, after no more examples)."),
    (judges.everywhere_at_once, beside(0.863, 0.369, 2_400), [H], "0.863 everywhere at once, after 2,400"),
    (judges.everywhere_at_once, beside(0.863, 0.369, 1_000), [H], "0.863 everywhere at once, after 1,000"),
    (judges.everywhere_at_once, beside(0.3, 0.369, 2_400), [F], "window by window, after 2,400 ("),
    (judges.everywhere_at_once, beside(0.3, 0.369, 1_000), [U], "AP50 0.300 everywhere at once, after 1,000"),
    (judges.everywhere_at_once, beside(0.3, 0.369), [F], "0.369 window by window, after 2,400 ("),
    (judges.counts_weights, rows(), [H], "With n = 12 and d = 64, 19,712 numbers"),
    (judges.neither_all_nor_one, batches(_1=0.94, _16=0.98, _128=0.95, _1437=0.59), [H, H], "of 16 at 98.0 %"),
    (judges.neither_all_nor_one, batches(_1=0.96, _16=0.98, _128=0.95, _1437=0.98), [U, U], "too close"),
    (judges.neither_all_nor_one, batches(_1=0.99, _16=0.9, _128=0.95, _1437=0.9), [H, F], "of 128 at 95.0 %"),
    (judges.beats_components, named(squared_error=5.02, pca_squared_error=14.13), [H], "14.13"),
    (judges.beats_components, named(squared_error=15, pca_squared_error=14.13), [F], "15.00"),
    (
        judges.generates,
        named(frechet_distance=1.4, gaussian_frechet_distance=22.3, floor_frechet_distance=0.45),
        [H],
        "0.45",
    ),
    (
        judges.generates,
        named(frechet_distance=30, gaussian_frechet_distance=22.3, floor_frechet_distance=0.45),
        [F],
        "30.00",
    ),
    (judges.remembers, cells(rnn=0.167, lstm=0.0003, gru=0.083), [F, H, H], "0.1670 (asked: less than half of it)"),
    (judges.remembers, cells(lstm=0.084), [F], "0.0840"),
    (judges.reads_any_length, named(accuracy=0.987), [H], "98.7 %"),
    (judges.reads_any_length, named(accuracy=0.5), [F], "50.0 %"),
    (judges.predicts_characters, named(bits=3.22, five_gram_bits=3.39), [H], "3.22"),
    (judges.predicts_characters, named(bits=3.4, five_gram_bits=3.39), [F], "3.39"),
    (judges.wins_without_score, scores(0.0, 1.0), [F, H], "wins 0.0 %"),
    (judges.wins_without_score, scores(0.51, 0.5), [H, F], "wins 51.0 %"),
    (judges.fundamental_equation, named(value_iteration_error=1e-9), [H], "1.0e-09"),
    (judges.fundamental_equation, named(value_iteration_error=1e-3), [F], "1.0e-03 of policy iteration, which solves equations (asked: less than 1e-06)."),
    (
        judges.linear_program_is_exact,
        named(linear_program_error=1e-9, per_successor_error=2.5),
        [H, F],
        "an optimist's Q",
    ),
    (judges.linear_program_is_exact, named(linear_program_error=1, per_successor_error=0), [F, H], "off by 0 (asked: less than 1e-06)."),
    (judges.equals_dijkstra, named(right=1.0, sweeps=97), [H], "after 97 sweeps"),
    (judges.equals_dijkstra, named(right=0.999, sweeps=97), [F], "99.9 %"),
    (judges.relu_alone, objectives(139.0, 1.2), [F], "(asked: at most twice its error, and at least half its return)"),
    (judges.relu_alone, objectives(2.4, 1.2), [H], "1.2 off"),
    (judges.relu_alone, objectives(65.1, 52.2, won=0.0, by_td=100.0), [F], "a return of 0;"),
    (judges.relu_alone, objectives(65.1, 65.8, won=0.0, by_td=0.0), [U], "with 0 ("),
]  # fmt: skip
TRIED = {judge for judge, *_ in CASES} | {judges.tendencies}
CLOSED = (judges.enlarges_receptive_field, judges.counts_weights)
"""What is asked of them is a formula."""


@pytest.mark.parametrize(("judge", "evidence", "kinds", "words"), CASES)
def test_by_their_numbers(judge, evidence, kinds, words):
    found = judge(evidence)
    assert [v.kind for v in found] == kinds
    assert any(words in v.words for v in found)
    assert all("asked" in v.words or v.kind == U or judge in CLOSED for v in found)


def test_each_judge_is_tried():
    used = {row.judge for slide in SLIDES for row in slide.rows if row.judge}
    kinds = [{type(j) if isinstance(j, AHEAD) else j for j in of} for of in (used, TRIED)]
    assert kinds[0] == kinds[1]


class TestShares:
    def test_two_standard_errors_of_a_difference(self):
        draws = np.random.default_rng(0).binomial(360, 0.9, (2, 50_000)) / 360
        assert margin(0.9, 0.9, 360) == pytest.approx(2 * np.std(draws[0] - draws[1]), rel=0.02)
        assert margin(0.85, 0.95, 360) == pytest.approx(margin(0.9, 0.9, 360))

    def test_images_that_are_hard_for_both_make_it_an_upper_bound(self):
        hard = np.random.default_rng(0).uniform(size=(5_000, 360)) < 0.1
        lucky = np.random.default_rng(1).uniform(size=(2, 5_000, 360)) < 0.5
        shares = (~hard | lucky).mean(-1)
        assert 2 * np.std(shares[0] - shares[1]) < 0.8 * margin(*shares.mean(-1), 360)

    @pytest.mark.parametrize(
        "name", ["mlp_vs_cnn", "depth", *(n for n in forms_of("image_classification") if "." in n)]
    )
    def test_they_are_of_as_many_images_as_the_run_is_judged_on(self, name):
        experiment = name.partition(".")[0]
        trials = sweep_of(experiments.get(experiment), forms_of(experiment)[name]).trials()
        ((data, split),) = {(c.data, c.eval_split) for c in trials}
        assert images_judged(name) == len(open_source(data, split)[0])

    def test_a_choice_is_judged_by_its_own_run(self):
        rows = [row for slide in SLIDES for row in slide.rows]
        fields = {(r.judge.field, r.runs[0].sweep) for r in rows if isinstance(r.judge, AHEAD)}
        assert len(fields) > 3
        assert all(field == sweep for field, sweep in fields)


def arm(name, scores, chosen=None):
    """What a study keeps of an arm; None: it was not tuned."""
    tried = [] if chosen is None else [{"learning_rate": v} for v in (0.01, 0.1, 1.0)]
    own = {} if chosen is None else {"learning_rate": chosen}
    return {
        "name": name,
        "values": tried,
        "tuning": [0.1, 0.2, 0.3][: len(tried)],
        "chosen": own,
        "scores": scores,
    }


def result(claim, first, second):
    return {
        "claim": claim, "slide": "", "setting": "spirals", "cell": "", "experiment": "vectors",
        "metric": "eval/accuracy", "best": "max", "budget": "examples", "first": arm(*first), "second": arm(*second),
    }  # fmt: skip


def test_tendencies_are_told_by_their_intervals():
    good, bad = [0.91, 0.93, 0.92, 0.95, 0.94], [0.5, 0.51, 0.53, 0.5, 0.52]
    even = [0.9, 0.94, 0.92, 0.96, 0.93]
    arms = [("A", good), ("B", bad)]
    results = [result("up", *arms), result("down", *arms[::-1]), result("even", arms[0], ("C", even))]
    texts = {"study.json": json.dumps({"results": results, "left_out": ["batch_norm in spirals: no number"]})}
    found = judges.tendencies(Evidence([], texts))
    assert [v.kind for v in found] == ["holds", "fails", "undecided", "undecided"]
    assert found[0].words.startswith("A > B on spirals: +0.418 (+")
    assert found[1].words.endswith("over 5 seeds), reversed.")
    assert found[3].words == "batch_norm in spirals: no number."
    for texts in ({}, {"study.json": '{"results": []}'}):
        with pytest.raises(NotMeasuredError):
            judges.tendencies(Evidence([], texts))


@pytest.mark.parametrize(
    ("good", "bad", "kinds"),
    [(0.1, 0.1, [H, F]), (1.0, 0.1, [H, F]), (0.1, 1.0, [U, U]), (0.1, 0.01, [U, U]), (1.0, 1.0, [U, U])],
)
def test_who_loses_at_the_edge_of_what_was_tried_might_win_beyond(good, bad, kinds):
    arms = [("A", [0.91, 0.93, 0.92, 0.95], good), ("B", [0.5, 0.51, 0.53, 0.5], bad)]
    record = {"results": [result("up", *arms), result("down", *arms[::-1])]}
    found = judges.tendencies(Evidence([], {"study.json": json.dumps(record)}))
    assert [v.kind for v in found] == kinds
    told = [v.words.endswith("; but B may do better beyond what was tried (†).") for v in found]
    assert told == [kind == U for kind in kinds]


class TestEvidence:
    def test_the_mean_is_of_trials_that_ended_well_with_these_values(self):
        e = Evidence(
            [
                {"status": "done", "a": "1", "eval/x": 1.0},
                {"status": "done", "a": "1", "eval/x": 3.0},
                {"status": "diverged", "a": "1", "eval/x": 50.0},
                {"status": "done", "a": "1", "eval/x": None},
                {"status": "done", "a": "2", "eval/x": 7.0},
            ]
        )
        assert e.mean("eval/x", a="1") == 2.0
        assert e.mean("eval/x") == pytest.approx(11 / 3)

    def test_what_is_not_there_is_undecided(self):
        lost = rows({"error": "no such luck"}, status="failed")
        assert verdicts_of(judges.signs, lost) == [
            Verdict("undecided", "No trial ended with a number of eval/accuracy.")
        ]
        (found,) = verdicts_of(judges.needs_images, images(None, 1, 1))
        assert "with model=mlp images=plain ended" in found.words

    def test_what_is_lost_was_not_run(self):
        (found,) = verdicts_of(judges.signs, rows(), is_lost=True)
        assert found == Verdict("not run", "No trial ended with a number of eval/accuracy.")
        assert [v.kind for v in verdicts_of(judges.signs, named(accuracy=1.0), is_lost=True)] == [H]

    def test_what_no_other_run_measured_is_not_made_up(self):
        (found,) = verdicts_of(judges.everywhere_at_once, named(ap50=0.8))
        assert found == Verdict("undecided", "No trial ended with a number of eval/ap50.")
        (found,) = verdicts_of(MOMENTUM, rows())
        assert found == Verdict(
            "undecided", "No trial of several learning_rate ended with a number of eval/accuracy."
        )

    def test_a_judge_that_breaks_does_not_break_the_page(self):
        (found,) = verdicts_of(lambda e: 1 / 0, rows())
        assert found == Verdict("undecided", "It could not be judged: ZeroDivisionError: division by zero.")
