"""Figures as files."""

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from mi203jax.core.figures import save_figure
from mi203jax.core.task import Animation


def test_an_animations_colours_are_those_of_all_its_frames(tmp_path):
    """Also of those that the frame in the middle has not."""
    frames = [np.full((40, 60, 3), 18, np.uint8) for _ in range(3)]
    first, last = (68, 1, 84), (253, 231, 37)
    frames[0][:8, :8], frames[-1][-8:, -8:] = first, last
    file = save_figure(tmp_path / "moving", Animation(frames, 10.0))
    with Image.open(file) as saved:
        assert saved.n_frames == 3
        np.testing.assert_allclose(saved.convert("RGB").getpixel((3, 3)), first, atol=6)
        saved.seek(2)
        np.testing.assert_allclose(saved.convert("RGB").getpixel((57, 37)), last, atol=6)


def test_a_name_may_have_dots(tmp_path):
    drawn = [save_figure(tmp_path / name, Figure()) for name in ("run.one", "run.two")]
    assert [file.name for file in drawn] == ["run.one.png", "run.two.png"]
    assert all(file.is_file() for file in drawn)
