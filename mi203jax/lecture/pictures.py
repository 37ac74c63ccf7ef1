"""The pictures of a page that can be mailed: dozens of plots, which look the same in 256 colours."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from mi203jax.core.html_report.pictures import UNREADABLE, Picture, embed
from mi203jax.core.outputs import is_damaged


def embed_smaller(paths: Sequence[Path], budget: int, noted: Mapping[Path, str] = {}) -> dict[Path, Picture]:
    """As `embed`, but where all of them are too much, each plot gets 256 colours before any is scaled.

    Args:
        paths: PNG and GIF files.
        budget: bytes that they may take.
        noted: as `embed` has it.
    """
    if sum(path.stat().st_size for path in paths if path.is_file()) <= budget:
        return embed(paths, budget, noted)
    with TemporaryDirectory() as scratch:
        copies = {
            path: path if is_damaged(path, noted) else _in_256_colours(path, Path(scratch, f"{i}.png"))
            for i, path in enumerate(paths)
        }
        found = embed([*copies.values()], budget, noted)
    return {path: found[copy] for path, copy in copies.items()}


def _in_256_colours(path: Path, copy: Path) -> Path:
    """A copy of a PNG file if that is smaller; otherwise, and of what cannot be read, the file itself."""
    if path.suffix != ".png" or not path.is_file():
        return path
    try:
        image = Image.open(path).convert("RGBA")
    except UNREADABLE:
        return path
    opaque = Image.new("RGB", image.size, "white")
    opaque.paste(image, mask=image.getchannel("A"))
    file = io.BytesIO()
    opaque.quantize(256, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    if file.tell() >= path.stat().st_size:
        return path
    copy.write_bytes(file.getvalue())
    return copy
