"""A figure within a page: the picture, what is seen on it, and its caption; or a hole where it is missing."""

from collections.abc import Mapping
from pathlib import Path

from mi203jax.core.html_report.alt_texts import alt_text, title
from mi203jax.core.html_report.markup import Safe, tag
from mi203jax.core.html_report.pictures import ABSENT, Picture

Pictures = Mapping[Path, Picture]
"""What `mi203jax.core.html_report.pictures.embed` gives."""

APART = "draws it, in a folder of its own"


def figure(
    path: Path,
    pictures: Pictures,
    whose: str,
    objective: str = "",
    name: str = "",
    again: str = "",
    how: str = APART,
) -> Safe:
    """A figure, as far as it is there.

    Args:
        path: its file.
        pictures: by their files.
        whose: the experiment, and in a comparison the run.
        objective: the metric that its own figures show; "": not known.
        name: its file's name in the run of that experiment alone, if that is another.
        again: the command that draws it anew; "": none is known.
        how: that command draws it.
    """
    name = name or path.name
    stem = Path(name).stem
    picture = pictures.get(path, ABSENT)
    if not picture.source:
        file = tag("code", f"figures/{name}")
        text = [file, f" {picture.note}"]
        if again and picture.is_lost:
            text += [" ", tag("code", again), f" {how}."]
        hole = (tag("figcaption", f"{title(stem)}: "), tag("p", *text))
        return tag("figure", *hole, class_="hole")
    words = alt_text(stem, whose, objective, picture.is_animation)
    image = tag("img", src=picture.source, alt=words, width=picture.width, height=picture.height)
    note = tag("span", ". " + picture.note, class_="note") if picture.note else None
    return tag("figure", image, tag("figcaption", title(stem), note))
