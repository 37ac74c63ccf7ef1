"""The page of tendencies: what its blanks become, of records that are made by hand."""

import json

import pytest

from benchmarks import trends_page
from benchmarks.trends_page import page

HIGH, LOW = [0.8, 0.9], [0.7, 0.8]
"""Two seeds, whose difference is 0.1 each: so is the mean, and both ends of the interval; p is 2 / 10,000."""


def arm(name, scores, chosen=2.0):
    values = [{"learning_rate": x} for x in (1.0, 2.0, 3.0)]
    return {
        "name": name,
        "values": values,
        "tuning": [0.5, 0.6, 0.7],
        "chosen": {"learning_rate": chosen},
        "scores": scores,
    }


def result(claim, setting, first, second, cell="", best="max", chosen=2.0):
    return {
        "claim": claim,
        "slide": "a slide",
        "setting": setting,
        "cell": cell,
        "experiment": "vectors",
        "metric": "eval/accuracy" if best == "max" else "eval/loss",
        "best": best,
        "budget": "examples",
        "first": arm("A", first, chosen),
        "second": arm("B", second),
    }


HOLDS = result("one", "digits", HIGH, LOW)
REVERSED = result("two", "digits", LOW, HIGH, chosen=3.0)
LOSS = result("two", "code", LOW, HIGH, best="min")
UNSURE = result("three", "deep", [0.5, 0.5], [0.5, 0.5], "depth=5 residual=true")
DEEPER = result("three", "deep", HIGH, LOW, "depth=50 residual=true")


def record(*results, **changed):
    found = {
        "provenance": {"command": "python launch.py --exp=trends seed=3"},
        "effort": {"draws": 8, "tuning_seeds": 1, "judging_seeds": 2, "looks": 0},
        "results": list(results),
    }
    return found | changed


ALL = {"all": record(HOLDS, REVERSED, LOSS, UNSURE, DEEPER)}


@pytest.mark.parametrize(
    ("blank", "expected"),
    [
        ("first all one digits", "0.850"),
        ("second all one digits", "0.750"),
        ("difference all one digits", "+0.100 (+0.100 to +0.100)"),
        ("verdict all one digits", "holds"),
        ("p all one digits", "0.001"),  # five rows: Holm makes 0.0002 five times as much
        ("first all two digits", "0.750†"),  # the largest of three was chosen
        ("difference all two digits", "-0.100 (-0.100 to -0.100)"),
        ("verdict all two digits", "reversed"),
        ("difference all two code", "+0.100 (+0.100 to +0.100)"),  # of a loss, where less is better
        ("verdict all two code", "holds"),
        ("difference all three deep depth=5", "+0.000 (+0.000 to +0.000)"),
        ("verdict all three deep depth=5", "not distinguishable"),
        ("p all three deep residual=true depth=5", "1"),
        ("first all three deep residual=true depth=50", "0.850"),
        ("draws all", "8"),
        ("seeds all", "2"),
        ("guess spirals", "0.500"),
        ("guess breast_cancer", "0.628"),
    ],
)
def test_numbers_within_the_text(blank, expected):
    assert page(f"So {{{{{blank}}}}}, it says.", ALL) == f"So {expected}, it says."


def rows_of(text):
    head, _, *lines = (line.strip("| ").split(" | ") for line in text.split("\n"))
    return [dict(zip(head, line, strict=True)) for line in lines]


class TestTables:
    def test_all_rows(self):
        rows = rows_of(page("{{table all}}", ALL))
        assert [(row["where"], row["verdict"]) for row in rows] == [
            ("digits", "holds"),
            ("digits", "**reversed**"),
            ("code", "holds"),
            ("deep depth=5 residual=true", "not distinguishable"),
            ("deep depth=50 residual=true", "holds"),
        ]
        assert [row["A"] for row in rows] == ["0.850", "0.750†", "0.750", "0.500", "0.850"]
        assert [row["A better by"] for row in rows] == ["+0.100", "-0.100", "+0.100", "+0.000", "+0.100"]
        assert rows[0]["interval"] == "+0.100 to +0.100"

    def test_p_of_rows_that_are_picked_is_corrected_for_all(self):
        (row,) = rows_of(page("{{table all one}}", ALL))
        assert row["p"] == "0.001"
        (row,) = rows_of(page("{{table few one}}", {"few": record(HOLDS)}))
        assert row["p"] == "0.0002"

    def test_what_is_reversed_in_any_of_several(self):
        several = ALL | {"few": record(REVERSED, HOLDS)}
        first, second = rows_of(page("{{reversed all few}}", several))
        assert {row["verdict"] for row in (first, second)} == {"**reversed**"}
        assert {row["p"] for row in (first, second)} == {"0.0014"}  # seven rows in all

    def test_studies_beside_each_other(self):
        other = record(HOLDS, LOSS, provenance={"command": "python launch.py --exp=trends seed=4"})
        text = page("{{beside few other}}", {"few": record(HOLDS, REVERSED), "other": other})
        table, said = text.split("\n\n")
        assert [list(row.values())[1:] for row in rows_of(table)] == [
            ["+0.100 (+0.100 to +0.100) holds"] * 2,
            ["-0.100 (-0.100 to -0.100) reversed", "–"],
            ["–", "+0.100 (+0.100 to +0.100) holds"],
        ]
        assert "--exp=trends seed=3 | --exp=trends seed=4" in table
        assert said.startswith("Of 1 verdict 0 differ")
        assert said.endswith("2 comparisons missing in a study.")

    def test_microseconds(self):
        found = record(microseconds={"digits": {"16": 16.7, "256": 8.0}})
        assert rows_of(page("{{microseconds of}}", {"of": found})) == [
            {"µs an example": "`digits`", "batches of 16": "16.7", "batches of 256": "8"}
        ]

    def test_gradients_of_the_deepest(self):
        def gradient(normalization, residual, growth, theory=None, norms=(8.0, 4.0, 2.0, 1.0)):
            kind = {"initializer": "he", "normalization": normalization, "residual": residual}
            return kind | {"growth": growth, "theory": theory, "norms": list(norms)}

        found = record(
            gradients=[
                gradient("none", False, 0.0, 0.283),
                gradient("batch", False, 1.25, 1.2),
                gradient("none", True, 2.0),
                gradient("batch", True, 2.0),
                gradient("batch", True, 9.0, norms=(9.0, 1.0)),
            ]
        )
        assert rows_of(page("{{gradients of}}", {"of": found})) == [
            {
                "first weights": "`he`",
                "plain": "vanishes (0.283)",
                "plain, batch norm": "1.250 (1.200)",
                "skips": "2.000",
                "skips, batch norm": "2.000",
                "the same, all layers and the last half": "8, 2",
            }
        ]


def test_minutes_are_from_the_first_begin_to_the_last_end():
    parts = {
        "tuning": {"begun": "2026-01-31T10:00:00+01:00", "finished": "2026-01-31T10:20:00+01:00"},
        "judging": {"begun": "2026-01-31T09:21:00+00:00", "finished": "2026-01-31T09:30:20+00:00"},
    }
    assert page("{{minutes of}}", {"of": record(work=parts)}) == "30"


@pytest.mark.parametrize(
    ("blank", "message"),
    [
        ("first all three deep", "three deep are 2 results: expected one"),
        ("first all one code", "one code are 0 results: expected one"),
        ("last all one digits", r"\{\{last all one digits\}\}: expected one of guess, beside"),
    ],
)
def test_mistakes(blank, message):
    with pytest.raises(ValueError, match=message):
        page(f"{{{{{blank}}}}}", ALL)


def test_a_record_is_kept_without_the_folder_of_its_run(tmp_path, monkeypatch):
    monkeypatch.setattr(trends_page, "RECORDED", tmp_path)
    monkeypatch.setattr(trends_page, "DOCS", tmp_path)
    monkeypatch.setattr(trends_page, "figures_of", lambda record: {"forest": "drawn"})
    drawn = []
    monkeypatch.setattr(trends_page, "save_figure", lambda path, figure: drawn.append((path, figure)))
    (tmp_path / "trends.md").write_text("![](figures/trends_mine_forest.png) {{first mine one digits}}")
    command = "python launch.py --exp=trends --out=runs/here seed=3"
    origin = {"command": command, "time": "2026-01-31T10:00:00+01:00", "host": "a name"}
    (tmp_path / "run").mkdir()
    (tmp_path / "run/study.json").write_text(json.dumps(record(HOLDS, provenance=origin)))
    trends_page.main([f"mine={tmp_path / 'run'}"])
    kept = json.loads((tmp_path / "mine.json").read_text())
    assert kept["provenance"] == {"command": "python launch.py --exp=trends seed=3", "time": origin["time"]}
    assert kept["results"] == [HOLDS]
    assert drawn == [(tmp_path / "figures/trends_mine_forest", "drawn")]
    assert (tmp_path / "trends.md").read_text() == "![](figures/trends_mine_forest.png) 0.850"
