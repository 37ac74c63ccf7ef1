"""Figures as data URIs, within a number of bytes for all of them together."""

import base64
import hashlib
import io
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageSequence

from mi203jax.core.files import open_file

log = logging.getLogger(__name__)
"""Tells how far it is: dozens of pictures take half a minute."""

KINDS = {"PNG": "image/png", "GIF": "image/gif"}
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, MemoryError, Image.DecompressionBombError)
"""What Pillow raises of files that are damaged."""

WIDTHS = (1600, 1200, 900, 600)
THINNED = ((2, 1.0), (4, 1.0), (4, 0.5), (8, 0.5))
"""Every how many frames one is kept, and how much of width and height."""

FEWEST = 4
"""Frames that still show a movement."""

SAMPLED = 8
"""Frames, or a few more, by which the colours of an animation are chosen."""


class Picture(NamedTuple):
    """A picture as a page holds it, or why it does not."""

    source: str = ""  # a data URI; "": there is none
    width: int = 0
    height: int = 0
    is_animation: bool = False
    note: str = ""  # what was done to it, or why it is not there
    is_lost: bool = False  # the file is not there, or cannot be read


ABSENT = Picture(note="It is not there.", is_lost=True)


def embed(paths: Sequence[Path], budget: int, noted: Mapping[Path, str] = {}) -> dict[Path, Picture]:
    """The pictures, which take at most `budget` bytes (of their files: as text a third more).

    Small ones go first and leave what they do not need to the larger ones. What is larger than its share is
    scaled down, or loses frames; what is still larger is not there, and neither is what cannot be read.

    Args:
        paths: PNG and GIF files.
        budget: bytes.
        noted: file -> the SHA-256 that it had when it was drawn, as far as that is known.
    """
    found = {}
    waiting = sorted(set(paths), key=lambda p: (_size(p), p))
    for number, path in enumerate(waiting):
        log.info("picture %d of %d", number + 1, len(waiting))
        try:
            found[path], taken = _embed(path, budget // (len(waiting) - number), noted.get(path))
        except FileNotFoundError:
            found[path], taken = ABSENT, 0
        except UNREADABLE as error:
            found[path], taken = Picture(note=f"It cannot be read: {_reason(error)}.", is_lost=True), 0
        budget -= taken
    return found


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _reason(error: BaseException) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return (text or type(error).__name__).split("\n")[0].rstrip(".").partition(" <_io")[0]


def _embed(path: Path, share: int, sha256: str | None) -> tuple[Picture, int]:
    """A picture of at most `share` bytes, and how many it takes."""
    with open_file(path) as file:
        data = file.read()
    if sha256 not in (None, hashlib.sha256(data).hexdigest()):
        raise ValueError("it is not what was drawn")
    image = Image.open(io.BytesIO(data))
    if image.format not in KINDS:
        raise ValueError(f"it is neither PNG nor GIF, but {image.format}")
    # All frames are decoded, for a file may be torn after the first.
    frames = [frame.copy() for frame in ImageSequence.Iterator(image)]
    is_animation = len(frames) > 1
    note = ""
    if len(data) > share:
        smaller = _thinned(image, frames, share) if is_animation else _scaled(frames[0], share)
        if smaller is None:
            return Picture(note=f"It is left out: {len(data) / 1e6:.1f} MB are too much for this page."), 0
        data, note = smaller
        image = Image.open(io.BytesIO(data))
    source = f"data:{KINDS[image.format or '']};base64,{base64.b64encode(data).decode()}"
    return Picture(source, *image.size, is_animation, note), len(data)


def _scaled(image: Image.Image, limit: int) -> tuple[bytes, str] | None:
    """The first of ever smaller versions that is small enough, and what was done; None: none is."""
    opaque = Image.new("RGB", image.size, "white")
    opaque.paste(image.convert("RGB"), mask=image.convert("RGBA").getchannel("A"))
    for width in [w for w in WIDTHS if w < image.width] or [image.width]:
        size = (width, max(1, round(image.height * width / image.width)))
        file = io.BytesIO()
        smaller = opaque.resize(size, Image.Resampling.LANCZOS)
        smaller.quantize(256, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
        if file.tell() <= limit:
            return file.getvalue(), f"Scaled from {image.width} to {width} pixels, 256 colours."
    return None


def _thinned(image: Image.Image, frames: Sequence[Image.Image], limit: int) -> tuple[bytes, str] | None:
    """As `_scaled`, of an animation that lasts as long as before."""
    durations = [frame.info.get("duration", 100) for frame in frames]
    palette = _palette(frames)
    for every, scale in THINNED:
        if len(frames) < FEWEST * every:
            return None
        width, height = (max(1, round(n * scale)) for n in image.size)
        smaller = [frame.convert("RGB").resize((width, height)) for frame in frames[::every]]
        kept = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in smaller]
        lasts = [sum(durations[i : i + every]) for i in range(0, len(frames), every)]
        file = io.BytesIO()
        kept[0].save(file, "GIF", save_all=True, append_images=kept[1:], duration=lasts, loop=0)
        if file.tell() <= limit:
            half = ", at half its size" if scale < 1 else ""
            return file.getvalue(), f"Thinned: one of {every} frames is shown{half}."
    return None


def _palette(frames: Sequence[Image.Image]) -> Image.Image:
    """Colours for all frames, by some of them: to find 256 for each takes most of the time, and flickers."""
    some = frames[:: max(1, len(frames) // SAMPLED)]
    width, height = frames[0].size
    row = Image.new("RGB", (len(some) * width, height))
    for place, frame in enumerate(some):
        row.paste(frame.convert("RGB"), (place * width, 0))
    return row.quantize(256, dither=Image.Dither.NONE)
