"""The one way to data: a set that TFDS prepared, embedded in this package or anywhere else.

Reading needs no TensorFlow and no network: sets are stored as array_record.
"""

import contextlib
import io
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mi203jax.core.errors import UsageError
from mi203jax.data.checksums import EMBEDDED, check_sums
from mi203jax.data.description import check_description
from mi203jax.data.download import download
from mi203jax.data.source import Info, Shape, Source, reading, stack

NAME = re.compile(r"([\w-]+(?:/\w[\w.+-]*?)??)(?:[:/](\d+\.\d+\.\d+))?")
"""A set, its configuration if it has several, and a version."""


class DataSet(NamedTuple):
    """A split of a set, in memory, and what it is.

    Attributes:
        arrays: name -> `[examples, ...]`. Features whose first axis varies (sequences) are padded with
            zeros at the end, and `NAME_length` `[examples]`, int32, says how long each is.
        classes: names of the label's classes, in order; empty if the label is no class.
        name: as it was asked for, with its version.
        split: as it was asked for.
        description: what it is, its origin and licence.
        citation: BibTeX.
        shapes: name of each feature -> shape and dtype of one example, as in `Info`.
    """

    arrays: dict[str, np.ndarray]
    classes: tuple[str, ...]
    name: str
    split: str
    description: str
    citation: str
    shapes: dict[str, tuple[Shape, np.dtype]]

    @property
    def num_examples(self) -> int:
        """Number of examples."""
        return len(next(iter(self.arrays.values())))


def load(name: str, split: str = "train", data_dir: str | os.PathLike | None = None) -> DataSet:
    """Reads a split of a set that TFDS prepared, into memory.

    A set of TFDS's own that is not there is downloaded and prepared first, if TensorFlow (the extra
    `download`) and a network are there.

    Args:
        name: `"mnist_5k"`, `"digits/blocks"`, `"fashion_mnist"`, with a version (`"mnist:3.0.1"`) or
            without: the newest.
        split: as TFDS writes it: `"train"`, `"test"`, `"train[:80%]"`.
        data_dir: folder in which TFDS prepared it; None: this package's own sets, then TFDS's folder
            (`$TFDS_DATA_DIR`, else `~/tensorflow_datasets`).

    Returns:
        The split's arrays and description.

    Raises:
        UsageError: if there is no such set or split, or it cannot be read; says what to do.
    """
    source, info = open_source(name, split, data_dir)
    return DataSet(stack(source, name), *info)


def open_source(
    name: str, split: str = "train", data_dir: str | os.PathLike | None = None
) -> tuple[Source, Info]:
    """What `load` reads, with the examples left in their files: for sets too large for memory.

    Args:
        name: as for `load`.
        split: as for `load`.
        data_dir: as for `load`.

    Returns:
        The examples by index, and what they are.

    Raises:
        UsageError: as `load`; for a bad example, once that is read.
    """
    records, features, info = open_records(name, split, data_dir)
    with _describing(name, "the description of its features"):
        source = Source(records, name, features)
    return source, info._replace(shapes=source.shapes)


def open_records(
    name: str, split: str = "train", data_dir: str | os.PathLike | None = None
) -> tuple[Any, dict[str, Any], Info]:
    """What `open_source` makes its examples of.

    Args:
        name: as for `load`.
        split: as for `load`.
        data_dir: as for `load`.

    Returns:
        TFDS's data source, its description of each feature by name, and what the split is, without shapes.

    Raises:
        UsageError: as `load`; examples are not looked at.
    """
    folder = _find(name, data_dir)
    import tensorflow_datasets as tfds  # most of a second
    from absl import logging

    logging.set_verbosity(logging.ERROR)
    with _describing(name, f"the description in {folder}"):
        check_sums(name, folder)
        check_description(name, folder)
        builder = tfds.builder_from_directory(folder)
        features = dict(builder.info.features.items())
        formats = {f.value for f in builder.info.available_file_formats()}
        splits = ", ".join(builder.info.splits)
    if "array_record" not in formats:
        raise UsageError(_convert(name, folder, formats))
    try:
        size = builder.info.splits[split].num_examples
    except Exception as error:  # what TFDS makes of a text that is no split
        reason = " ".join(str(error).split())
        raise UsageError(f"{name} has no split {split!r}: expected one of {splits}. ({reason})") from None
    if size <= 0:
        raise UsageError(f"{name}: split {split!r} holds no example.")
    with _describing(name, f"the description in {folder}"):
        records = builder.as_data_source(split=split)
        parts = builder.info.splits[split].file_instructions  # only now of the format that is read
        _check_files(name, folder, [Path(part.filename) for part in parts])
        info = Info(
            classes=tuple(getattr(features.get("label"), "names", None) or ()),
            name=builder.info.full_name,
            split=split,
            description=builder.info.description,
            citation=builder.info.citation,
            shapes={},
        )
    return records, features, info


@contextlib.contextmanager
def _describing(name: str, part: str) -> Iterator[None]:
    """As `reading`, and without what TFDS prints where it lacks TensorFlow."""
    with reading(name, part), contextlib.redirect_stdout(io.StringIO()):
        yield


def _check_files(name: str, folder: Path, files: Sequence[Path]) -> None:
    """Whether the files of a split are there, and not elsewhere."""
    for file in files:
        if file.parent != folder:
            raise UsageError(f"{name}: {folder} names a file that is elsewhere: {file}.")
        if not file.is_file():
            raise UsageError(f"{name}: {folder} lacks a file: {file.name}. Prepare it again.")


def names(data_dir: str | os.PathLike | None = None) -> list[str]:
    """The sets that can be read, in alphabetical order: `"digits/blocks"`, `"mnist_5k"`, …."""
    found = set()
    for place in _places(data_dir):
        for depth in ("*", "*/*"):
            found |= {v.parent.relative_to(place).as_posix() for v in _versions(place, depth)}
    return sorted(found)


def _places(data_dir: str | os.PathLike | None) -> list[Path]:
    if data_dir is None:
        theirs = os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
        return [EMBEDDED, Path(os.path.expanduser(theirs))]
    place = Path(os.path.expanduser(data_dir))  # a home that there is not stays as it is typed
    if not os.path.exists(place):
        raise UsageError(f"data_dir={data_dir}: there is no such folder.")
    if not place.is_dir():
        raise UsageError(f"data_dir={data_dir} is a file: expected the folder that holds NAME/VERSION/.")
    if not os.access(place, os.R_OK | os.X_OK):
        raise UsageError(f"data_dir={data_dir} may not be read: change its permissions.")
    return [place]


def _versions(place: Path, name: str) -> list[Path]:
    """Folders of prepared versions; while TFDS prepares one, it is called otherwise."""
    try:
        folders = [info.parent for info in place.glob(f"{name}/*/dataset_info.json") if info.is_file()]
    except OSError:  # a name that no folder has, or a folder that may not be read
        return []
    return [f for f in folders if re.fullmatch(r"\d+\.\d+\.\d+", f.name)]


def _find(name: str, data_dir: str | os.PathLike | None) -> Path:
    """The folder of the newest version of a set, or of the one asked for; downloads what is missing."""
    places = _places(data_dir)
    match = NAME.fullmatch(name)
    if not match:
        raise UsageError(f"data={name!r}: expected NAME, NAME/CONFIGURATION or NAME:VERSION.")
    plain, version = match[1], match[2] or ""
    folder = _prepared(plain, version, places)
    if folder is None:
        known = names(data_dir)
        configs = [n for n in known if n.startswith(f"{plain}/")]
        if configs:
            raise UsageError(f"data={plain} comes in several forms: expected one of {', '.join(configs)}.")
        if plain in names():
            raise UsageError(f"{plain} is not in data_dir={data_dir}, but found if no data_dir is given.")
        download(plain, version, places[-1], known)
        folder = _prepared(plain, version, places)
        if folder is None:
            raise UsageError(f"Downloading {name} left nothing in {places[-1]}.")
    return folder


def _prepared(plain: str, version: str, places: list[Path]) -> Path | None:
    for place in places:
        versions = {v.name: v for v in _versions(place, plain)}
        if version in versions:
            return versions[version]
        if versions and version:
            raise UsageError(f"{plain} is there in version {', '.join(sorted(versions))}, not {version}.")
        if versions:
            return max(versions.values(), key=lambda v: [int(n) for n in v.name.split(".")])
    return None


def _convert(name: str, folder: Path, formats: set[str]) -> str:
    return (
        f"{name} in {folder} is stored as {' and '.join(sorted(formats))}, which only TensorFlow reads. "
        'Convert it: pip install "mi203jax[download]" apache-beam && python -m '
        f"tensorflow_datasets.scripts.convert_format --dataset_version_dir={shlex.quote(str(folder))} "
        "--out_file_format=array_record"
    )
