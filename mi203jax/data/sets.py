"""The one way to data: arrays of a set that TFDS prepared, embedded in this package or anywhere else.

Reading needs no TensorFlow and no network: sets are stored as array_record.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mi203jax.core.errors import UsageError, did_you_mean

EMBEDDED = Path(__file__).parent / "prepared"


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
    """

    arrays: dict[str, np.ndarray]
    classes: tuple[str, ...]
    name: str
    split: str
    description: str
    citation: str

    @property
    def num_examples(self) -> int:
        """Number of examples."""
        return len(next(iter(self.arrays.values())))


def load(name: str, split: str = "train", data_dir: str | os.PathLike | None = None) -> DataSet:
    """Reads a split of a set that TFDS prepared.

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
    folder = _find(name, data_dir)
    _check_format(folder, name)
    import tensorflow_datasets as tfds  # most of a second
    from absl import logging

    logging.set_verbosity(logging.ERROR)
    builder = tfds.builder_from_directory(folder)
    try:
        source = builder.as_data_source(split=split)
    except (ValueError, KeyError) as error:
        splits = ", ".join(builder.info.splits)
        raise UsageError(f"{name} has no split {split!r}: expected one of {splits}. ({error})") from None
    try:
        arrays = _stack(source)
    except (OSError, RuntimeError) as error:  # array_record raises the latter
        raise UsageError(f"{name}: {folder} lacks a file: {error}. Prepare it again.") from None
    label = dict(builder.info.features.items()).get("label")
    return DataSet(
        arrays=arrays,
        classes=tuple(getattr(label, "names", None) or ()),
        name=builder.info.full_name,
        split=split,
        description=builder.info.description,
        citation=builder.info.citation,
    )


def names(data_dir: str | os.PathLike | None = None) -> list[str]:
    """The sets that can be read, in alphabetical order: `"digits/blocks"`, `"mnist_5k"`, …."""
    found = set()
    for place in _places(data_dir):
        for info in place.glob("*/**/dataset_info.json"):
            found.add("/".join(info.parent.relative_to(place).parts[:-1]))
    return sorted(found)


def _places(data_dir: str | os.PathLike | None) -> list[Path]:
    if data_dir is not None:
        return [Path(data_dir).expanduser()]
    theirs = os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
    return [EMBEDDED, Path(theirs).expanduser()]


def _find(name: str, data_dir: str | os.PathLike | None) -> Path:
    """The folder of the newest version of a set."""
    plain, _, version = name.partition(":")
    places = _places(data_dir)
    if not places[0].is_dir():
        raise UsageError(f"data_dir={data_dir}: there is no such folder.")
    for place in places:
        versions = [p.parent for p in (place / plain).glob("*/dataset_info.json")]
        wanted = [v for v in versions if not version or v.name == version]
        if wanted:
            return max(wanted, key=_version)
        if versions:
            raise UsageError(
                f"{plain} is there in version {', '.join(v.name for v in versions)}, not {version}."
            )
    known = names(data_dir)
    configs = [n for n in known if n.startswith(f"{plain}/")]
    if configs:
        raise UsageError(f"data={plain} comes in several forms: expected one of {', '.join(configs)}.")
    raise UsageError(
        f"Unknown data={name}: not in {' or '.join(map(str, places))}. {did_you_mean(plain, known)} A set of "
        "TFDS's must be prepared first, as array_record."
    )


def _version(folder: Path) -> tuple[int, ...]:
    return tuple(int(n) for n in folder.name.split(".") if n.isdecimal())


def _check_format(folder: Path, name: str) -> None:
    info = json.loads((folder / "dataset_info.json").read_text(encoding="utf-8"))
    stored = info.get("fileFormat", "tfrecord")
    if stored != "array_record":
        raise UsageError(
            f"{name} in {folder} is stored as {stored}, which only TensorFlow reads. Convert it: "
            "python -m tensorflow_datasets.scripts.convert_format --root_data_dir="
            f"{folder.parents[1]} --out_file_format=array_record"
        )


def _stack(source: Iterable[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Examples to arrays; those of unequal length are padded."""
    examples = list(source)
    arrays: dict[str, np.ndarray] = {}
    for feature in sorted(examples[0]):
        values = [np.asarray(e[feature]) for e in examples]
        values = [
            v.astype(np.int32) if np.issubdtype(v.dtype, np.integer) and v.ndim == 0 else v for v in values
        ]
        if len({v.shape for v in values}) == 1:
            arrays[feature] = np.stack(values)
        elif len({v.shape[1:] for v in values}) == 1:
            lengths = np.array([len(v) for v in values], np.int32)
            padded = np.zeros((len(values), lengths.max(), *values[0].shape[1:]), values[0].dtype)
            for i, value in enumerate(values):
                padded[i, : len(value)] = value
            arrays |= {feature: padded, f"{feature}_length": lengths}
        else:
            shapes = sorted({v.shape for v in values})
            raise UsageError(f"{feature} has unequal shapes, such as {shapes[0]} and {shapes[-1]}.")
    return arrays
