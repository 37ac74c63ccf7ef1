"""How figures become files."""

from pathlib import Path

from PIL import Image

from mi203jax.core.files import make_folder, replacing
from mi203jax.core.task import Animation, Figure

FRAMES = 6
"""Of an animation, from which its colours are taken."""


def side_by_side(images: list[Image.Image]) -> Image.Image:
    """Some of the images in a row, the first and the last among them."""
    places = sorted({round(k * (len(images) - 1) / (FRAMES - 1)) for k in range(FRAMES)})
    width, height = images[0].size
    row = Image.new("RGB", (len(places) * width, height))
    for number, place in enumerate(places):
        row.paste(images[place], (number * width, 0))
    return row


def save_figure(path: Path, figure: Figure) -> Path:
    """Writes `path`.png, or `path`.gif for an `Animation`; gives the name of the file.

    Raises:
        Fault: if it cannot be written.
    """
    make_folder(path.parent, path.parent.parent)
    if not isinstance(figure, Animation):
        file = path.with_name(f"{path.name}.png")  # the name itself may have a dot
        with replacing(file) as temporary:
            figure.savefig(temporary, dpi=150)
        return file
    # One palette for all frames: smaller, and colours do not flicker.
    images = [Image.fromarray(f) for f in figure.frames]
    palette = side_by_side(images).quantize(256, dither=Image.Dither.NONE)
    images = [i.quantize(palette=palette, dither=Image.Dither.NONE) for i in images]
    milliseconds = round(1000 / figure.frames_per_second)
    file = path.with_name(f"{path.name}.gif")
    with replacing(file) as temporary:
        images[0].save(temporary, save_all=True, append_images=images[1:], duration=milliseconds, loop=0)
    return file
