"""Pictures of a page that would be too large, with fewer colours."""

import base64
import io

import numpy as np
from PIL import Image

from mi203jax.core.html_report.pictures import embed
from mi203jax.lecture.pictures import embed_smaller
from tests.core.report_runs import gif, png


def seen(picture):
    """What a data URI shows."""
    return Image.open(io.BytesIO(base64.b64decode(picture.source.partition(",")[2])))


def test_what_fits_stays_as_it_is(tmp_path):
    paths = [tmp_path / "a.png", tmp_path / "b.gif", tmp_path / "absent.png"]
    png(paths[0])
    gif(paths[1], frames=2)
    assert embed_smaller(paths, 10**6) == embed(paths, 10**6)


def test_what_does_not_fit_loses_colours_before_it_loses_pixels(tmp_path):
    path, broken = tmp_path / "a.png", tmp_path / "broken.png"
    png(path, (300, 200))
    broken.write_bytes(path.read_bytes()[:1000])
    found = embed_smaller([path, broken], path.stat().st_size // 2)
    assert (found[path].width, found[path].height, found[path].note) == (300, 200, "")
    own, original = seen(found[path]), Image.open(path)
    assert own.mode == "P"
    difference = np.asarray(own.convert("RGB"), float) - np.asarray(original, float)
    assert np.abs(difference).mean() < 32  # of noise; plots have few colours
    assert found[broken].note.startswith("It cannot be read")


def test_what_few_colours_make_larger_is_left_alone(tmp_path):
    path, other = tmp_path / "flat.png", tmp_path / "noise.png"
    Image.new("1", (8, 8)).save(path)
    png(other, (200, 200))
    found = embed_smaller([path, other], other.stat().st_size // 2)
    assert seen(found[path]).mode == "1"
