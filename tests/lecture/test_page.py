"""`lecture.html` of outcomes that lie on the disk, read by the standard library and by a browser."""

import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest

from mi203jax.configs.lecture import Form
from mi203jax.core.outputs import FILES, noting
from mi203jax.core.series_pages import DAMAGED, RUNNING
from mi203jax.lecture import page as module
from mi203jax.lecture.judges import Verdict
from mi203jax.lecture.outcome import NOT_DRAWN, NOT_RUN, STOPPED, Outcome
from mi203jax.lecture.page import page, told
from mi203jax.lecture.slide import Ran, Row, Shown, Slide
from tests.core.documents import edit
from tests.core.report_runs import HOSTILE, ORIGIN, Page, gif, make, png

ROWS = [
    {
        "trial": 0,
        "status": "done",
        "seed": "0",
        "step": 9,
        "eval/score": 0.25,
        "best/eval/score": 0.5,
        "error": "",
    }
]


def good(evidence):
    return [Verdict("holds", f"It is {evidence.mean('eval/score')}.")]


SLIDES = [
    Slide(
        "Premier",
        (
            Row(
                "y = Σ x · w",
                ("mi203jax.nn.conv.conv2d",),
                (Ran("one"),),
                (Shown("q.png"), Shown("play.gif")),
                ", with care",
                metrics=("eval/score",),
                judge=good,
            ),
            Row("again", ("mi203jax.optim.sgd",), (Ran("one", "wide"),), (Shown("q.png"), Shown("c.png", "", True))),
        ),
    ),
    Slide("Second", (Row("<lost>", ("mi203jax.nowhere.f",), (Ran("two"), Ran("absent")), (Shown("x.png"),), judge=good),)),
    Slide("Absent", (Row("not asked", ("mi203jax.optim.adam",), (Ran("absent"),), (Shown("x.png"),)),)),
]  # fmt: skip


def outcome(name, rows=ROWS, **others):
    experiment, _, sweep = name.partition(".")
    return Outcome(
        name, experiment, Form(sweep), f"python launch.py --exp={experiment}", rows, (name,), **others
    )


@pytest.fixture
def made(tmp_path):
    """A run, one experiment of which failed, and one that no slide has."""
    figures = tmp_path / "parts" / "one" / "figures"
    png(figures / "q.png")
    gif(figures / "play.gif", frames=3)
    png(tmp_path / "parts" / "other" / "figures" / "learning_curve.png")
    (tmp_path / "parts" / "one" / "report.html").touch()
    lost = [{"trial": 0, "status": "failed", "error": HOSTILE}]
    outcomes = [outcome("one", seconds=65.0), outcome("two", lost, error=HOSTILE), outcome("other")]
    (tmp_path / module.NAME).write_text(page(tmp_path, SLIDES, outcomes, ORIGIN), encoding="utf-8")
    return Page(tmp_path / module.NAME)


class TestPage:
    def test_slides_stand_in_their_order(self, made):
        titles = ["Premier", "Second", "Not on the slides", "How it was made"]
        found = re.findall(r'<h2( lang="fr")?>(.*?)</h2>', made.source)
        assert [title for language, title in found if language] == titles[:2]
        places = [made.source.index(f">{t}</h2>") for t in titles]
        assert places == sorted(places)
        assert "Not part of this run: Absent." in made.text

    def test_a_row_has_formula_function_number_figure_and_verdict(self, made):
        assert "y = Σ x · w" in made.text
        assert "conv2d(x, w, *, stride=1, padding='VALID') The slide's convolution" in made.text
        assert "… with care" in made.text
        assert "eval/score0.25python launch.py --exp=one, report" in made.text
        assert "holds It is 0.25." in made.text
        assert "1 min 5 s" in made.text
        words = [image["alt"] for image in made.all("img")]
        assert words == [
            "Value of each action in each state. Experiment: one.",
            "Animation: the trained agent plays; what it sees, the value of each action, and the one it takes. "
            "Experiment: one.",
            "The objective against training steps, a line for each setting; a band, where there is one, is the "
            "95 % interval of the mean over seeds. Experiment: other.",
        ]

    def test_what_holds_is_told_at_the_top(self, made):
        start, end = (made.text.index(words) for words in ("What holds", "y = Σ"))
        lost = "No trial ended with a number of eval/score."
        assert "holdsPremier: It is 0.25." in made.text[start:end]
        assert f"not runSecond: {lost}" in made.text[start:end]

    def test_a_failure_is_a_hole_with_its_error_and_its_command(self, made):
        holes = re.findall(r'<p class="hole">.*?</p>', made.source)
        assert [("two failed" in h, "python launch.py --exp=two" in h) for h in holes] == [(True, True)]
        assert made.text.count(HOSTILE) == 2  # there, and at the top
        assert "1 of 3 runs failed" in made.text
        assert "--resume=" in made.text
        assert "Second (failed)" in made.text
        assert not any("onerror" in a for _, a in made.tags)
        assert "mi203jax.nowhere.f cannot be read: mi203jax.nowhere is not there." in made.text

    def test_a_judge_who_says_nothing_leaves_no_missing_row(self, tmp_path):
        slides = [Slide("Premier", (SLIDES[0].rows[0]._replace(judge=lambda evidence: []),))]
        nothing = "Nothing was measured that it could be judged by."
        assert told(slides, [outcome("one")]).splitlines() == [f"undecided Premier: {nothing}"]
        lost = [outcome("one", [], error=NOT_RUN)]
        assert told(slides, lost).splitlines()[0] == f"not run   Premier: {nothing}"
        assert page(tmp_path, slides, lost, ORIGIN).count(nothing) == 2  # there, and at the top

    def test_what_was_not_run_is_told_with_its_command(self, made):
        assert "which is not part of this run: python launch.py --exp=one --sweep=wide" in made.text
        assert "Not part of this run: python launch.py --exp=absent" in made.text

    def test_a_row_without_a_judge_says_what_the_slide_claims(self, tmp_path):
        row = SLIDES[0].rows[0]._replace(judge=None)
        rows = (row, row._replace(is_seen=True), SLIDES[1].rows[0]._replace(judge=None))
        outcomes = [outcome("one"), outcome("two", [], error="no luck")]
        text = page(tmp_path, [Slide("Premier", rows)], outcomes, ORIGIN)
        assert text.count("Not judged: the slide states no order.") == 1
        assert text.count("What the slide claims, the figures show: no number of this run tells of it.") == 1
        outcomes = [outcome("absent", [])]
        text = page(tmp_path, SLIDES[1:], outcomes, ORIGIN)
        assert text.count("Not judged in this run.") == 1  # it has a judge, and its first run is not there

    def test_figures_that_were_not_drawn_leave_the_numbers(self, tmp_path):
        (tmp_path / "parts" / "one").mkdir(parents=True)
        (tmp_path / "parts" / "one" / "errors.txt").write_text("ValueError: no <ink>\n\nTraceback\n")
        outcomes = [outcome("one", error=NOT_DRAWN)]
        (tmp_path / "page.html").write_text(page(tmp_path, SLIDES[:1], outcomes, ORIGIN), encoding="utf-8")
        found = Page(tmp_path / "page.html")
        assert "holds It is 0.25." in found.text
        assert "one: its figures were not drawn: ValueError: no <ink>. Alone:" in found.text
        assert "1 of 1 runs lack figures." in found.text
        assert "runs1 of 1" in found.text
        assert "figures missing2" in found.text
        assert "Premier (without all figures)" in found.text
        assert any(link["href"] == "parts/one/errors.txt" for link in found.all("a"))
        assert (
            told(SLIDES[:1], outcomes)
            .splitlines()[1]
            .startswith("missing   one: its figures were not drawn.")
        )

    def test_what_is_missing_is_told_apart(self, tmp_path):
        outcomes = [outcome("one", error=NOT_DRAWN), outcome("two", [], error="no luck")]
        assert "2 of 2 runs failed, or lack figures. " in page(tmp_path, SLIDES, outcomes, ORIGIN)
        outcomes = [outcome("one", [], error=STOPPED), outcome("two", [], error="no luck")]
        assert "2 of 2 runs failed, or did not come to their end. " in page(
            tmp_path, SLIDES, outcomes, ORIGIN
        )

    def test_a_damaged_part_says_what_to_delete(self, tmp_path):
        place = tmp_path / "parts" / "two"
        lost = [{"trial": 0, "status": "failed", "error": "two.json is damaged.", DAMAGED: str(place)}]
        (tmp_path / "page.html").write_text(
            page(tmp_path, SLIDES, [outcome("two", lost, error="two.json is damaged.")], ORIGIN)
        )
        found = Page(tmp_path / "page.html")
        again = f"python launch.py --resume={tmp_path}"
        remedy = f": two.json is damaged. Delete {place}, and {again} runs it again. Alone: "
        assert found.text.count(remedy) == 2  # there, and at the top
        assert f"1 of 1 runs cannot be read. {again} tries them again." in found.text
        assert f"two cannot be read{remedy}" in found.text
        assert "Second (damaged)" in found.text
        (line,) = [
            t
            for t in told(SLIDES, [outcome("two", lost, error="It is damaged.")]).splitlines()
            if "fail" in t
        ]
        assert line == "failed    two: It is damaged. Alone: python launch.py --exp=two"

    def test_while_it_is_going_on_a_resume_has_to_wait(self, tmp_path):
        outcomes, again = [outcome("one"), outcome("two", [], error=NOT_RUN)], f"--resume={tmp_path}"
        text = page(tmp_path, SLIDES, outcomes, ORIGIN | {RUNNING: True})
        assert "1 of 2 runs are not over. The lecture is going on: what follows is what there was" in text
        assert again not in text
        outcomes.append(outcome("other", [], error="no luck"))
        text = page(tmp_path, SLIDES, outcomes, ORIGIN | {RUNNING: True})
        assert f"{again}</code> tries them again, once it has ended." in text

    def test_tracebacks_of_pieces_are_linked_while_they_are_of_use(self, tmp_path):
        file = tmp_path / "parts" / "two" / "pieces" / "0" / "errors.txt"
        file.parent.mkdir(parents=True)
        file.touch()
        lost = [{"trial": 0, "status": "failed", "error": "no luck"}]
        text = page(tmp_path, SLIDES, [outcome("two", lost, error="no luck")], ORIGIN)
        assert '<a href="parts/two/pieces/0/errors.txt">errors.txt</a>' in text
        assert "errors.txt</a>" not in page(tmp_path, SLIDES, [outcome("two")], ORIGIN)

    def test_the_source_of_a_function_is_there(self, made):
        assert made.source.count("<summary>mi203jax/nn/conv.py:") == 1
        assert "def conv2d(" in made.text

    def test_a_row_is_told_of_by_the_form_that_it_names(self, tmp_path):
        wide = [ROWS[0] | {"eval/score": 0.75}]
        png(tmp_path / "parts" / "one.wide" / "figures" / "c.png")
        slides = [Slide("Premier", tuple(row._replace(judge=good) for row in SLIDES[0].rows))]
        outcomes = [outcome("one"), outcome("one.wide", wide)]
        assert told(slides, outcomes).splitlines() == [
            "holds     Premier: It is 0.25.",
            "holds     Premier: It is 0.75.",
        ]
        text = page(tmp_path, slides, outcomes, ORIGIN)
        assert "which is not part of this run" not in text
        assert text.count("data:image/png") == 1

    def test_what_a_form_lacks_is_shown_of_the_first(self, tmp_path):
        """Comparisons excepted: they would be of other trials."""
        for name in ("q.png", "c.png"):
            png(tmp_path / "parts" / "one" / "figures" / name)
        slides = [Slide("Premier", SLIDES[0].rows[1:])]
        text = page(tmp_path, slides, [outcome("one"), outcome("one.wide")], ORIGIN)
        assert text.count("data:image/png") == 1
        assert "Value of each action" in text

    def test_a_figure_is_there_once(self, made):
        assert "q.png is shown above." in made.text
        assert made.source.count("data:image/png") == 2

    def test_a_figure_that_is_missing_is_a_hole_unless_it_is_a_sweeps(self, tmp_path):
        text = page(tmp_path, SLIDES, [outcome("one")], ORIGIN)
        assert text.count("It is not there.") == 3 + 2  # one that two rows name is told of once at the top
        assert "figures/play.gif" in text
        assert "c.png" not in text

    def test_a_lost_figure_is_told_of_at_the_top(self, tmp_path):
        """By name, by place, and with the command; one that cannot be read, too."""
        figures = tmp_path / "parts" / "one" / "figures"
        gif(figures / "play.gif", frames=3)
        (figures / "play.gif").write_bytes((figures / "play.gif").read_bytes()[:500])
        (tmp_path / "page.html").write_text(page(tmp_path, SLIDES, [outcome("one")], ORIGIN))
        found = Page(tmp_path / "page.html")
        assert "Figures that are not there, or cannot be read: 2." in found.text
        for name, note in (("q.png", "It is not there."), ("play.gif", "It cannot be read: ")):
            assert f"parts/one/figures/{name}: {note}" in found.text
            assert {"href": "#slide-1-1"} in found.all("a")
            assert f"figures/{name} {note}" in found.text
        command = "python launch.py --exp=one draws it"
        assert found.text.count(f"{command}, in a folder of its own.") == 3  # q.png in two rows
        assert found.text.count(f"{command}.") == 2
        assert "figures missing2" in found.text
        assert "Premier (without all figures)" in found.text
        assert "--resume" not in found.text

    def test_a_lost_figure_is_missed_where_it_was_drawn(self, tmp_path):
        make(tmp_path / "parts" / "one", origin=ORIGIN, finished=False)
        edit(tmp_path / "parts" / "one" / "provenance.json", files={"figures/q.png": "0"})
        slides, wide = [Slide("Premier", SLIDES[0].rows[1:])], "python launch.py --exp=one --sweep=wide"
        outcomes = [outcome("one"), outcome("one.wide")._replace(command=wide)]
        text = page(tmp_path, slides, outcomes, ORIGIN)
        command = "<code>python launch.py --exp=one</code> draws it."
        assert f"parts/one/figures/q.png</a>: It is not there. {command}" in text
        assert f"{wide}</code> draws it" not in text

    def test_a_comparison_is_missed_if_it_was_drawn_once(self, tmp_path):
        path = make(tmp_path / "parts" / "one.wide")
        drawn = path / "figures" / "c.png"
        png(drawn)
        edit(path / "provenance.json", files=noting(path, [drawn])[FILES])
        drawn.unlink()
        outcomes = [outcome("one.wide")]
        slides = [Slide("Premier", SLIDES[0].rows[1:])]
        assert "parts/one.wide/figures/c.png</a>: It is not there." in page(
            tmp_path, slides, outcomes, ORIGIN
        )
        png(drawn)
        assert "c.png</a>" not in page(tmp_path, slides, outcomes, ORIGIN)

    def test_links_lead_somewhere(self, made, tmp_path):
        for link in made.all("a"):
            if link["href"].startswith("#"):
                assert link["href"][1:] in made.ids, link
            elif link["href"] != "report.html":  # the series writes it next
                assert (tmp_path / unquote(link["href"])).is_file(), link
        assert len(made.ids) == len(set(made.ids))
        assert any(link["href"] == "parts/one/report.html" for link in made.all("a"))

    def test_it_loads_nothing_and_stays_below_its_limit(self, tmp_path, monkeypatch):
        monkeypatch.setattr(module, "LIMIT", 700_000)
        png(tmp_path / "parts" / "one" / "figures" / "q.png", (1300, 200))
        text = page(tmp_path, SLIDES, [outcome("one")], ORIGIN)
        png(tmp_path / "parts" / "one" / "figures" / "q.png", (2600, 400))
        scaled = page(tmp_path, SLIDES, [outcome("one")], ORIGIN)
        assert max(len(text.encode()), len(scaled.encode())) < 700_000
        assert "Scaled from 1300" not in text  # 256 colours are enough
        assert "Scaled from 2600" in scaled
        assert "default-src &#x27;none&#x27;" in text
        assert not re.search(r"(src|href)=\"https?:", text)

    def test_a_series_keeps_its_figures_in_the_lectures_folder(self, tmp_path):
        png(tmp_path / "figures" / "one-q.png")
        png(tmp_path / "figures" / "more-learning_curve.png")
        (tmp_path / "one-study.md").touch()
        outcomes = [outcome("one", is_series=True, texts={"study.md": "", "lost.md": ""})]
        outcomes.append(outcome("more", is_series=True))
        text = page(tmp_path, SLIDES, outcomes, ORIGIN)
        assert '<a href="one-study.md">study.md</a>' in text
        assert "lost.md" not in text
        assert "<dt>eval/score</dt>" not in text  # of trials of several experiments
        assert text.count("data:image/png") == 2
        assert "Value of each action" in text
        assert "The objective against training steps" in text


def test_the_screen_shows_the_same():
    lost = outcome("two", [], error="no luck")
    assert told(SLIDES, [outcome("one"), lost]).splitlines() == [
        "holds     Premier: It is 0.25.",
        "not run   Second: No trial ended with a number of eval/score.",
        "failed    two: no luck. Alone: python launch.py --exp=two",
    ]


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
@pytest.mark.usefixtures("made")
def test_in_a_browser(tmp_path):
    """On a phone: no error, nothing that is wider than the screen."""
    long = ("eval/linear_program_error", "eval/per_successor_error")
    row = SLIDES[0].rows[0]._replace(metrics=long)
    outcomes = [outcome("one", [ROWS[0] | dict.fromkeys(long, 0.5)])]
    text = page(tmp_path, [Slide("Premier", (row,))], outcomes, ORIGIN)
    (tmp_path / module.NAME).write_text(text, encoding="utf-8")
    source = tmp_path / "small.html"
    frame = f'<iframe src="{module.NAME}" width="390" height="800"></iframe>'
    source.write_text(frame, encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
    flags += [
        f"--user-data-dir={tmp_path / 'user'}",
        "--allow-file-access-from-files",
        "--virtual-time-budget=500",
    ]
    check = "<script>onload=()=>{const d=document.querySelector('iframe').contentDocument;document.title=" \
        "[...d.images].map(i=>i.naturalWidth)+' '+(d.documentElement.scrollWidth<=390)}</script>"  # fmt: skip
    source.write_text(frame + check, encoding="utf-8")
    done = subprocess.run(
        [CHROMIUM, *flags, "--dump-dom", Path(source).as_uri()],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert "CONSOLE" not in done.stderr
    assert "<title>40,40 true</title>" in done.stdout
