"""The page of a run: its pictures, and what a browser makes of it."""

import base64
import hashlib
import io
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image, ImageSequence

from mi203jax.core.html_report import write_report
from mi203jax.core.html_report.alt_texts import KNOWN, alt_text
from mi203jax.core.html_report.page import LIMIT
from mi203jax.core.html_report.pictures import embed
from mi203jax.core.outputs import FILES, noting
from tests.core.documents import edit, flip
from tests.core.report_runs import find, gif, hostile_sweep, make, png, report


class TestPictures:
    def test_holes_are_seen(self, tmp_path):
        path = make(tmp_path)
        (tmp_path / "figures").mkdir()
        (path / "figures" / "torn.png").write_bytes(b"\x89PNG")
        gif(path / "figures" / "play.gif")
        whole = (path / "figures" / "play.gif").read_bytes()
        (path / "figures" / "play.gif").write_bytes(whole[: len(whole) // 2])
        page = report(path)
        assert not page.all("img")
        assert page.text.count("It cannot be read") == 2
        assert "figures/torn.png" in page.text

    def test_one_that_was_drawn_and_lost_is_a_hole_with_the_command(self, tmp_path):
        path = make(tmp_path)
        gif(path / "figures" / "still.gif", frames=2)
        drawn = noting(path, [path / "figures" / "still.gif"])[FILES]
        outside = {"../x.png": "", "/etc/x.png": ""}
        edit(path / "provenance.json", files=drawn | {"figures/margins.png": "0", "study.md": "0"} | outside)
        page = report(path)
        command = f"python launch.py --resume={path} draws it anew."
        assert f"figures/margins.png It is not there. {command}" in page.text
        assert page.text.count("It is not there.") == 1
        assert len(page.all("img")) == 1

    def test_one_that_is_not_what_was_drawn_is_a_hole(self, tmp_path):
        """It has no checksum of its own: a bit is another colour."""
        path = make(tmp_path)
        file = path / "figures" / "still.gif"
        gif(file, frames=2)
        edit(path / "provenance.json", files=noting(path, [file])[FILES])
        flip(file, bit=8 * 20)
        page = report(path)
        assert "figures/still.gif It cannot be read: it is not what was drawn." in page.text
        assert not page.all("img")

    def test_no_figures(self, tmp_path):
        assert "There are no figures." in report(make(tmp_path)).text

    def test_small_ones_stay_and_large_ones_share_what_is_left(self, tmp_path):
        files = [tmp_path / "a.png", tmp_path / "b.png"]
        png(files[0])
        png(files[1], (1300, 200))
        budget = files[0].stat().st_size + 200_000
        found = embed(files, budget)
        assert found[files[0]].note == ""
        assert found[files[1]].note.startswith("Scaled from 1300 to ")
        assert found[files[1]].width < 1300
        assert sum(len(p.source) for p in found.values()) < budget * 4 / 3 + 100

    def test_how_far_it_is_is_logged(self, tmp_path, caplog):
        png(tmp_path / "a.png")
        with caplog.at_level("INFO"):
            embed([tmp_path / "a.png", tmp_path / "absent.png"], 10**6)
        assert caplog.messages == ["picture 1 of 2", "picture 2 of 2"]

    def test_an_animation_is_thinned_and_lasts_as_long(self, tmp_path):
        gif(tmp_path / "a.gif", 33)
        size = (tmp_path / "a.gif").stat().st_size
        picture = embed([tmp_path / "a.gif"], int(size * 0.7))[tmp_path / "a.gif"]
        assert "one of 2 frames" in picture.note
        (tmp_path / "b.gif").write_bytes(base64.b64decode(picture.source.partition(",")[2]))
        durations = [f.info["duration"] for f in ImageSequence.Iterator(Image.open(tmp_path / "b.gif"))]
        assert durations == [100] * 16 + [50]

    def test_what_is_thinned_keeps_its_colours(self, tmp_path):
        """One palette for all frames; a hue moves through these."""
        x = np.linspace(0, 255, 64, dtype=np.uint8)
        frames = [np.stack([np.roll(x, 3 * i), x, x[::-1]], -1)[None].repeat(40, 0) for i in range(16)]
        images = [Image.fromarray(frame) for frame in frames]
        path = tmp_path / "a.gif"
        images[0].save(path, save_all=True, append_images=images[1:], duration=50)
        picture = embed([path], int(path.stat().st_size * 0.7))[path]
        assert "one of 2 frames" in picture.note
        thinned = Image.open(io.BytesIO(base64.b64decode(picture.source.partition(",")[2])))
        for frame, image in zip(frames[::2], ImageSequence.Iterator(thinned), strict=True):
            assert np.abs(np.asarray(image.convert("RGB"), int) - frame).mean() < 4

    def test_what_does_not_fit_is_a_hole(self, tmp_path):
        gif(tmp_path / "a.gif", 6)
        png(tmp_path / "b.png")
        for picture in embed([tmp_path / "a.gif", tmp_path / "b.png"], 100).values():
            assert not picture.source
            assert "left out" in picture.note

    def test_the_page_stays_below_its_limit(self, tmp_path):
        path = make(tmp_path)
        for name in "abc":
            png(path / "figures" / f"{name}.png", (1000, 700))
        assert sum(p.stat().st_size for p in path.glob("figures/*")) > LIMIT
        assert write_report([path], find).stat().st_size <= LIMIT
        assert LIMIT < 5e6

    @pytest.mark.parametrize(
        "name", [*KNOWN, "learning_curve", "against_rate", "a_by_b", "map_x_y", "", "<&>"]
    )
    def test_each_has_words(self, name):
        text = alt_text(name, "gan", "eval/score")
        assert text.endswith(". Experiment: gan.")
        assert len(text) > 25

    def test_words_tell_what_varies(self):
        assert (
            "eval/score at the end against learning rate"
            in alt_text("against_learning_rate", "x", "eval/score").lower()
        )
        assert alt_text("unheard_of", "x", "", True).startswith("Animation: Unheard of.")


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

ASKED = """
const table = document.querySelector("table.sortable:has(.status)");
const column = () => [...table.tBodies[0].rows].map(r => r.cells[0].textContent);
const header = table.tHead.rows[0].cells[0];
const found = {before: column(), focusable: header.firstChild.tabIndex === 0};
found.images = [...document.images].map(i => i.complete && i.naturalWidth);
header.firstChild.click();
found.up = [column(), header.ariaSort];
header.firstChild.click();
found.down = [column(), header.ariaSort];
found.copy = document.querySelector(".copy").hidden;
found.wide = document.documentElement.scrollWidth > innerWidth;
document.body.append(Object.assign(document.createElement("output"), {textContent: JSON.stringify(found)}));
"""


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_in_a_browser(tmp_path):

    source = write_report([hostile_sweep(tmp_path / "sweep")], find).read_text(encoding="utf-8")
    script = f'addEventListener("load", () => {{{ASKED}}});'
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    source = source.replace("script-src ", f"script-src 'sha256-{allowed}' ")
    source = source.replace("</body>", f"<script>{script}</script></body>")
    (tmp_path / "page.html").write_text(source, encoding="utf-8")
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--window-size=390,800",
        "--enable-logging=stderr",
    ]
    flags += [f"--user-data-dir={tmp_path / 'user'}", "--dump-dom", (tmp_path / "page.html").as_uri()]
    done = subprocess.run([CHROMIUM, *flags], capture_output=True, text=True, timeout=300, check=True)
    assert "CONSOLE" not in done.stderr
    (text,) = re.findall("<output>(.*?)</output>", done.stdout)
    found = json.loads(text)
    assert found["before"] == ["5", "4", "3", "2", "1", "0"]
    assert found["up"] == [["0", "1", "2", "3", "4", "5"], "ascending"]
    assert found["down"] == [["5", "4", "3", "2", "1", "0"], "descending"]
    assert found["images"] == [40, 40]
    assert found["focusable"]
    assert not found["copy"]
    assert not found["wide"]
