"""How figures become files."""

from pathlib import Path

from PIL import Image

from mi203jax.core.task import Animation, Figure


def save_figure(path: Path, figure: Figure) -> Path:
    """Writes `path`.png, or `path`.gif for an `Animation`; gives the name of the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(figure, Animation):
        file = path.with_suffix(".png")
        figure.savefig(file, dpi=150)
        return file
    # One palette for all frames: smaller, and colours do not flicker.
    images = [Image.fromarray(f) for f in figure.frames]
    palette = images[len(images) // 2].quantize(64, dither=Image.Dither.NONE)
    images = [i.quantize(palette=palette, dither=Image.Dither.NONE) for i in images]
    milliseconds = round(1000 / figure.frames_per_second)
    file = path.with_suffix(".gif")
    images[0].save(file, save_all=True, append_images=images[1:], duration=milliseconds, loop=0)
    return file
