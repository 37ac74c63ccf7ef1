"""The page of a run: what it holds, that nothing gets out or in, and what is refused."""

import base64
import csv
import hashlib
import itertools
import json
import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from PIL import Image

from mi203jax.core.errors import UsageError
from mi203jax.core.html_report import write_report
from mi203jax.core.html_report.alt_texts import alt_text, title
from mi203jax.core.html_report.command import command_of
from mi203jax.core.html_report.markup import escape, tag
from mi203jax.core.html_report.reading import number_of, read_run
from mi203jax.core.html_report.sections import duration
from mi203jax.core.run_directory import RunDirectory
from mi203jax.core.trials import Sweep
from tests.core.report_runs import (
    EXPERIMENT,
    HOSTILE,
    ORIGIN,
    Page,
    Small,
    find,
    hostile_sweep,
    make,
    report,
)
from tests.core.test_report_pictures import CHROMIUM


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    return hostile_sweep(tmp_path_factory.mktemp("runs") / "sweep")


class TestPage:
    def test_every_picture_is_within_and_can_be_opened(self, sweep, tmp_path):
        images = report(sweep).all("img")
        assert len(images) == 2
        for image, frames in zip(images, (3, 1), strict=True):
            kind, _, data = image["src"].partition(";base64,")
            assert kind in ("data:image/png", "data:image/gif")
            (tmp_path / "x").write_bytes(base64.b64decode(data, validate=True))
            opened = Image.open(tmp_path / "x")
            assert opened.n_frames == frames
            assert opened.size == (int(image["width"]), int(image["height"])) == (40, 30)
            assert len(image["alt"]) > 20

    def test_nothing_comes_from_elsewhere(self, sweep):
        page = report(sweep)
        for _, attributes in page.tags:
            assert attributes.get("src", "data:").startswith("data:")
            assert attributes.get("href", "#")[0] in "#d"
            assert not [n for n in attributes if n.startswith("on") or n == "style"]
        assert "http:" not in page.source
        assert "https:" not in page.source
        assert "@import" not in page.source

    def test_its_policy_forbids_all_but_its_own_style_and_script(self, sweep):

        page = report(sweep)
        (policy,) = [
            m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy"
        ]
        rules = dict(rule.split(None, 1) for rule in policy.split("; "))
        assert rules.pop("default-src") == rules.pop("base-uri") == rules.pop("form-action") == "'none'"
        assert rules.pop("img-src") == "data:"
        for name in ("style", "script"):
            (inner,) = re.findall(f"<{name}>(.*?)</{name}>", page.source, re.DOTALL)
            digest = base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()
            assert rules.pop(f"{name}-src") == f"'sha256-{digest}'"
        assert not rules

    def test_hostile_text_stays_text(self, sweep):
        page = report(sweep)
        assert len(page.all("script")) == 1
        assert not [i for i in page.all("img") if "onerror" in i]
        assert HOSTILE in page.text
        assert HOSTILE not in page.source

    def test_its_rows_are_those_of_the_results(self, sweep):
        with open(sweep / "results.csv", newline="", encoding="utf-8") as file:
            names, *lines = csv.reader(file)
        names, *rows = report(sweep).table("trial") if names.pop() == "error" else ()
        assert sorted(rows) == sorted(line[:-1] for line in lines)
        assert [row[0] for row in rows] == ["5", "4", "3", "2", "1", "0"]
        assert rows[0][names.index("eval/score")] == "0.55"

    def test_settings_are_ordered_by_the_mean_over_seeds(self, sweep):
        names, *rows = report(sweep).table("rate")
        assert [row[0] for row in rows] == ["0.125", "0.5", "0.25"]
        means = [float(row[names.index("mean of eval/score")]) for row in rows]
        assert means == pytest.approx([0.545, 0.525, 0.505])
        assert {row[names.index("seeds")] for row in rows} == {"2"}

    def test_settings_are_set_against_the_best_in_the_words_of_the_screen(self, tmp_path):
        ends = [[0.9, 0.8, 0.7], [0.8, 0.9, 0.2], [0.6, 0.45, 0.4]]
        values = [v for own in ends for v in own]
        page = report(make(tmp_path / "a", ("rate=0.1,0.2,0.3",), seeds=3, values=values))
        names, *rows = page.table("rate")
        assert [row[names.index("against the best")] for row in rows] == [
            "best",
            "not distinguishable",
            "worse",
        ]
        assert "yes" not in [cell for row in rows for cell in row]

    def test_settings_without_a_pair_of_seeds_are_not_judged(self, tmp_path):
        path = make(tmp_path, ("rate=0.1,0.2,0.3",), seeds=2, lost=(1, 2, 3))
        names, *rows = report(path).table("rate")
        found = {row[0]: row[names.index("against the best")] for row in rows}
        assert found == {"0.3": "best", "0.1": "too few seeds to tell", "0.2": ""}

    def test_the_smallest_comes_first_where_smaller_is_better(self, tmp_path):
        page = report(make(tmp_path, seeds=3, values=[0.5, 0.25, 0.75], origin=ORIGIN | {"best": "min"}))
        assert [row[0] for row in page.table("trial")[1:]] == ["1", "0", "2"]

    def test_has_language_title_headings_in_order_and_links_that_lead_somewhere(self, sweep):
        page = report(sweep)
        assert page.all("html") == [{"lang": "en"}]
        assert page.source.startswith("<!doctype html>")
        levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h\d", tag)]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
        assert len(page.ids) == len(set(page.ids))
        links = [a["href"][1:] for a in page.all("a")]
        assert set(links) <= set(page.ids)
        assert {"results", "figures", "configuration", "reproduce", "provenance"} <= set(links)

    def test_every_tag_that_opens_closes(self, sweep):
        open_tags = []

        class Balance(HTMLParser):
            def handle_starttag(self, tag, attributes):
                open_tags.extend([tag] if tag not in ("meta", "link", "img") else [])

            def handle_endtag(self, tag):
                assert open_tags.pop() == tag

        Balance().feed(report(sweep).source)
        assert not open_tags

    def test_says_where_it_came_from(self, tmp_path):
        resumed = [{"time": "noon", "command": "again", "devices": ["tpu"], "git": None}]
        text = report(make(tmp_path / "a", origin=ORIGIN | {"resumed": resumed})).text
        for words in (
            "2026-01-02T03:04:05",
            "2 × cpu: cpu",
            "0123abcd, with changes that were not",
            "jax 0.10.2",
        ):
            assert words in text
        assert "noon: again (tpu, not known)" in text

    def test_fields_that_were_changed_come_first_and_the_rest_is_folded(self, sweep):
        page = report(sweep)
        changed, rest = [t for t in page.tables if t[0][0][0] == "field"]
        assert [row[0][0] for row in changed[1:]] == ["seed", "rate", "word"]
        assert [cell[0] for cell in changed[2]] == ["rate", "0.25, 0.5, 0.125", "0.1", "step size"]
        assert [row[0][0] for row in rest[1:]] == ["total_steps", "eval_every"]
        assert page.source.index("<details>") > page.source.index("Fields that are not")


class TestCommand:
    def test_gives_the_same_trials_again(self, sweep):
        words = shlex.split(command_of(read_run(sweep, find)))
        assert words[:3] == ["python", "launch.py", "--exp=small"]
        assert words[3:] == ["rate=0.25,0.5,0.125", f"word={HOSTILE}", "--seeds=2"]

    def test_names_draws_layout_and_consent(self, tmp_path):
        origin = ORIGIN | {"layout": {"parallel": "map", "devices": 2}, "command": "launch.py --yes"}
        path = make(tmp_path, ("rate=uniform(0.1,1)",), draws=3, search="sobol", at_once=4, origin=origin)
        words = shlex.split(command_of(read_run(path, find)))
        asked = ["--trials=3", "--search=sobol", "--at-once=4", "--parallel=map", "--devices=2", "--yes"]
        assert words[4:] == asked

    def test_does_not_let_the_default_sweep_in(self, tmp_path):
        swept = EXPERIMENT._replace(sweeps={"default": ("word=a,b",), "other": ("rate=0.5",)})
        path = make(tmp_path, ("rate=0.5",))
        run = read_run(path, lambda _: swept)
        assert "--sweep=other" in command_of(run)
        assert swept.sweep("other", run.sweep.assignments).trials() == list(run.trials)


class TestLargeAndUnfinished:
    def test_shows_the_best_two_hundred(self, tmp_path):
        path = make(tmp_path, seeds=203)
        page = report(path)
        rows = page.table("trial")[1:]
        assert [int(row[0]) for row in rows] == list(range(202, 2, -1))
        assert "The best 200 of 203 trials are shown" in page.text
        assert str(path / "results.csv") in page.text

    def test_an_unfinished_run_says_so_and_shows_what_there_is(self, tmp_path):
        page = report(make(tmp_path, seeds=2, finished=False))
        assert "unfinished and stopped (trials: 2 stopped)" in page.text
        assert f"--resume={tmp_path}" in page.text
        names, *rows = page.table("trial")
        assert [row[names.index("eval/score")] for row in rows] == ["0.51", "0.5"]
        assert {row[names.index("status")] for row in rows} == {"stopped"}
        assert "There are no figures yet" in page.text

    def test_a_run_that_has_only_begun(self, tmp_path):
        run = RunDirectory.create(str(tmp_path), "small", Sweep(Small()), ORIGIN)
        run.add([Small()], [[0]])
        run.close()
        assert "unfinished and stopped (trials: 1 waiting)" in report(tmp_path).text

    def test_a_run_that_another_process_works_in_is_going_on(self, tmp_path):
        path = make(tmp_path, seeds=2, finished=False)
        code = (
            "import pathlib, sys; from mi203jax.core.files import lock\n"
            "held = lock(pathlib.Path(sys.argv[1])); print('held', flush=True); input()"
        )
        asked = [sys.executable, "-c", code, str(path)]
        with subprocess.Popen(asked, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
            assert other.stdout.readline() == "held\n"
            page = Page(write_report([path], find, looks=True))
            assert "unfinished and going on (trials: 2 running)" in page.text
            assert "--resume" not in page.text
            names, *rows = page.table("trial")
            assert {row[names.index("status")] for row in rows} == {"running"}
            other.stdin.write("\n")
        assert "and stopped" in Page(write_report([path], find, looks=True)).text

    def test_a_report_that_a_run_writes_at_its_end_says_that_it_stopped(self, tmp_path):
        path = make(tmp_path, finished=False)
        run = RunDirectory.read(str(path), lambda _: Small())  # which holds the folder
        assert "unfinished and stopped (trials: 1 stopped)" in report(path).text
        run.close()

    def test_a_run_in_use_is_read(self, tmp_path):
        path = make(tmp_path)
        run = RunDirectory.read(str(path), lambda _: Small())
        assert "finished" in report(path).text
        run.close()


class TestRefusals:
    @pytest.mark.parametrize(
        ("file", "text", "words"),
        [
            ("config.json", "{", "config.json is damaged"),
            ("config.json", "[]", "config.json is damaged"),
            ("provenance.json", "[]", "provenance.json is damaged"),
            ("pieces/0/metrics.jsonl", "", "metrics.jsonl is damaged: it is not what status.json tells of"),
            ("pieces/0/status.json", "3", "status.json is damaged"),
        ],
    )
    def test_damaged_files(self, tmp_path, file, text, words):
        path = make(tmp_path)
        (path / file).write_text(text)
        with pytest.raises(UsageError, match=words) as caught:
            write_report([path], find)
        assert "\n" not in str(caught.value)
        assert not (path / "report.html").exists()

    def test_no_run(self, tmp_path):
        with pytest.raises(UsageError, match="no run in this folder"):
            write_report([tmp_path], find)
        with pytest.raises(UsageError, match="there is no such folder"):
            write_report([tmp_path / "x"], find)
        with pytest.raises(UsageError, match="expected the folder"):
            write_report([], find)

    def test_a_folder_in_the_place_of_the_file_is_left_as_it_is(self, tmp_path):
        (tmp_path / "there").mkdir()
        before = sorted(tmp_path.iterdir())
        with pytest.raises(UsageError, match="there cannot be written: it is a folder"):
            write_report([tmp_path / "none"], find, tmp_path / "there")  # before a run is read
        assert sorted(tmp_path.iterdir()) == before
        assert not list((tmp_path / "there").iterdir())

    def test_a_file_that_cannot_be_written(self, tmp_path):
        with pytest.raises(UsageError, match=r"c\.html cannot be written: there is no folder .*b\."):
            write_report([make(tmp_path / "a")], find, tmp_path / "b" / "c.html")


SEEN = """
const part = (selector, name) => getComputedStyle(document.querySelector(selector))[name];
const found = {
  dark: matchMedia("(prefers-color-scheme: dark)").matches,
  background: part("body", "backgroundColor"),
  texts: [part("body", "color"), part(".note", "color"), part("a", "color"), part(".status", "color")],
  cards: [part("th", "backgroundColor"), part(".scroll", "backgroundColor"), part("pre", "backgroundColor")],
};
document.body.append(Object.assign(document.createElement("output"), {textContent: JSON.stringify(found)}));
"""


def brightness(colour):
    """Relative luminance of `rgb(r, g, b)` (WCAG 2)."""
    parts = [int(n) / 255 for n in re.findall(r"\d+", colour)]
    assert len(parts) == 3
    return sum(
        w * (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4)
        for w, p in zip((0.2126, 0.7152, 0.0722), parts, strict=True)
    )


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
@pytest.mark.parametrize(("setting", "dark"), [(0, True), (1, False)])
def test_is_light_and_dark_as_the_reader_likes_it(tmp_path, sweep, setting, dark):
    source = write_report([sweep], find, tmp_path / "page.html").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(SEEN.encode()).digest()).decode()
    source = source.replace("script-src ", f"script-src 'sha256-{digest}' ")
    (tmp_path / "page.html").write_text(source.replace("</body>", f"<script>{SEEN}</script></body>"))
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'user'}"]
    flags += [f"--blink-settings=preferredColorScheme={setting}", "--dump-dom"]
    asked = [CHROMIUM, *flags, (tmp_path / "page.html").as_uri()]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=300, check=True)
    found = json.loads(re.findall("<output>(.*?)</output>", done.stdout)[0])
    assert found["dark"] == dark
    assert found["background"] == ("rgb(21, 24, 27)" if dark else "rgb(252, 252, 250)")
    for below in map(brightness, (found["background"], *found["cards"])):
        assert (below < 0.05) == dark
        for text in map(brightness, found["texts"]):
            assert (max(text, below) + 0.05) / (min(text, below) + 0.05) > 4.5


class TestParts:
    def test_markup_escapes_by_default(self):
        assert tag("a", "<b>", tag("i", "&"), None, href='"', hidden=True, id=None) == (
            '<a href="&quot;" hidden>&lt;b&gt;<i>&amp;</i></a>'
        )
        assert escape("a\udcffb") == "a?b"

    @pytest.mark.parametrize(
        ("text", "value"), [("", None), ("3", 3), ("0.5", 0.5), ("1_0", "1_0"), ("(1,2)", "(1,2)")]
    )
    def test_numbers(self, text, value):
        assert number_of(text) == value

    @pytest.mark.parametrize(
        ("seconds", "words"),
        [(1.234, "1.23 s"), (125, "2 min 5 s"), (3600, "1 h 0 min"), (7380, "2 h 3 min")],
    )
    def test_duration(self, seconds, words):
        assert duration(seconds) == words

    @pytest.mark.parametrize(
        ("name", "caption", "words"),
        [
            ("forest_wins", "Forest wins", "how far wins differs between both sides of each claim"),
            ("luck_success", "Luck success", "The best success of the first draws"),
            ("trends-luck", "Luck (trends)", "The best of the first draws"),
            (
                "trends.reinforcement-forest_wins",
                "Forest wins (trends.reinforcement)",
                "how far wins differs",
            ),
            ("x-ray_image", "X-ray image", "Figure: X-ray image"),
        ],
    )
    def test_figures_of_a_study_are_told_in_words(self, name, caption, words):
        assert title(name) == caption
        told = alt_text(name, "lecture", "eval/wins")
        assert words in told
        run = re.findall(r"\((.*)\)", caption)
        assert told.endswith(f". Experiment: {', '.join(['lecture', *run])}.")

    def test_a_learning_curve_promises_no_band(self):
        assert "a band, where there is one," in alt_text("learning_curve", "x", "eval/loss")

    def test_does_not_import_jax(self):
        code = "import sys, mi203jax.core.html_report; sys.exit('jax' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
