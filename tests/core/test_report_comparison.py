"""The page of several runs: what differs, how far each is from the best, and their learning curves."""

import base64
import io

import pytest
from PIL import Image

from mi203jax.core.errors import UsageError
from mi203jax.core.html_report import write_report
from mi203jax.core.html_report.comparison import DPI, curve_of, differing_fields, names
from mi203jax.core.html_report.reading import read_run
from tests.core.report_runs import ORIGIN, Small, find, make, png, report


def compared(tmp_path, *runs):
    return report(*runs, out=tmp_path / "compared.html")


def rows_of(page):
    head, *rows = page.table("run")
    return [dict(zip(head, row, strict=True)) for row in rows]


class TestTable:
    def test_compares_first(self, tmp_path):
        make(tmp_path / "a", seeds=2, values=[0.25, 0.75])
        make(tmp_path / "b", ("rate=0.5",), values=[0.625])
        page = compared(tmp_path, tmp_path / "a", tmp_path / "b")
        row = rows_of(page)
        assert set(list(row[0])[-2:]) == {"rate", "seed"}
        assert [r["best mean"] for r in row] == ["0.5", "0.625"]
        assert [float(r["from the best run"]) for r in row] == [-0.125, 0.0]
        assert [r["seeds"] for r in row] == ["2", "1"]
        assert [r["rate"] for r in row] == ["0.1", "0.5"]
        assert [r["seconds"] for r in row] == ["2.5", "1.5"]  # trials of a program end together
        assert [r["status"] for r in row] == ["finished", "finished"]
        links = [a["href"][1:] for a in page.all("a")]
        assert set(links) <= set(page.ids)
        assert len(page.ids) == len(set(page.ids))
        assert page.tables[0][0][0][0] == "run"

    def test_the_smallest_is_the_best_where_smaller_is_better(self, tmp_path):
        origin = ORIGIN | {"best": "min"}
        runs = [make(tmp_path / n, values=[v], origin=origin) for n, v in (("a", 0.5), ("b", 0.25))]
        assert [float(r["from the best run"]) for r in rows_of(compared(tmp_path, *runs))] == [0.25, 0.0]

    def test_other_objectives_are_not_compared(self, tmp_path):
        runs = [make(tmp_path / "a"), make(tmp_path / "b", origin=ORIGIN | {"best": "min"})]
        page = compared(tmp_path, *runs, make(tmp_path / "c", values=[0.75]))
        assert [r["from the best run"] for r in rows_of(page)] == ["-0.25", "", "0.0"]

    def test_equal_fields_are_left_out(self, tmp_path):
        runs = [read_run(make(tmp_path / n, ("rate=0.5",)), find) for n in "ab"]
        assert differing_fields(runs) == []


class TestCurves:
    def test_one_figure_names_each_run(self, tmp_path):
        runs = [make(tmp_path / n, seeds=2) for n in ("a", "b$x_y^$")]  # which is no formula
        page = compared(tmp_path, *runs)
        (image,) = page.all("img")
        assert image["alt"] == "Lines of eval/score against steps, one a run: small a, small b$x_y^$."
        drawn = Image.open(io.BytesIO(base64.b64decode(image["src"].partition(",")[2])))
        assert drawn.size == (int(image["width"]), int(image["height"]))
        colours = {c for _, c in drawn.convert("RGB").getcolors(1 << 20)}
        assert {(31, 119, 180), (255, 127, 14)} <= colours  # a line each

    def test_many_runs_are_named_below_the_curves(self, tmp_path):
        runs = [make(tmp_path / f"{i}-{'long' * 20}") for i in range(12)]
        (image,) = compared(tmp_path, *runs).all("img")
        drawn = Image.open(io.BytesIO(base64.b64decode(image["src"].partition(",")[2])))
        assert drawn.size == (int(image["width"]), int(image["height"]))
        edges = [
            drawn.convert("L").crop(box)
            for box in ((0, 0, 3, drawn.height), (0, drawn.height - 3, *drawn.size))
        ]
        assert [edge.getextrema() for edge in edges] == [(255, 255)] * 2  # nothing is cut off
        assert drawn.height > 4.4 * DPI + 12 * 0.12 * DPI

    def test_a_curve_is_the_mean_over_the_seeds_of_the_best_setting(self, tmp_path):
        run = read_run(make(tmp_path, ("rate=0.1,0.5",), seeds=2, values=[0.1, 0.2, 0.5, 0.7]), find)
        assert curve_of(run) == pytest.approx({5: 0.3, 10: 0.6})

    def test_games_are_drawn_against_their_frames(self, tmp_path, monkeypatch):
        monkeypatch.setattr(Small, "frames_per_step", 4)
        runs = [make(tmp_path / n, values=[0.5]) for n in "ab"]
        assert curve_of(read_run(runs[0], find)) == {20: 0.25, 40: 0.5}
        (image,) = compared(tmp_path, *runs).all("img")
        assert image["alt"].startswith("Lines of eval/score against frames, ")


class TestNames:
    def test_folders_of_one_name_are_told_by_their_places(self, tmp_path):
        folders = [tmp_path / n for n in ("x/a", "y/a", "b")]
        runs = [read_run(make(folder), find) for folder in folders]
        assert names(runs) == [f"small {folders[0]}", f"small {folders[1]}", "small b"]
        assert names([read_run(make(tmp_path / "small.b"), find)]) == ["small.b"]

    def test_alternative_texts_name_the_run(self, tmp_path):
        runs = [make(tmp_path / n) for n in "ab"]
        for run in runs:
            png(run / "figures" / "learning_curve.png")
        words = [image["alt"] for image in compared(tmp_path, *runs).all("img")][1:]
        assert [w.rpartition(". ")[2] for w in words] == [f"Experiment: small, run small {n}." for n in "ab"]


class TestFiles:
    def test_lies_in_the_current_folder(self, tmp_path, monkeypatch):
        paths = [make(tmp_path / n) for n in "ab"]
        monkeypatch.chdir(tmp_path)
        assert write_report(paths, find) == tmp_path / "report.html"
        assert (tmp_path / "report.html").is_file()

    def test_a_run_is_not_compared_with_itself(self, tmp_path, monkeypatch):
        make(tmp_path / "a")
        monkeypatch.chdir(tmp_path)
        with pytest.raises(UsageError, match="a is given twice"):
            write_report(["a/", tmp_path / "a"], find)
        assert not (tmp_path / "report.html").exists()
