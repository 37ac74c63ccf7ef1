"""A small prepared set, and copies of it in which something is wrong."""

import io
import json
import shutil
import struct
import zlib

import numpy as np
import tensorflow_datasets as tfds

from tests.data import tiny

FILES = ("features.json", "dataset_info.json")
"""What describes a set."""


def prepare(folder, images=None, classes=("a", "b")):
    """Six images of 8×8 with labels, or these files in their place; gives the folder."""
    grey = [tiny.png(np.full((8, 8), 20 * i, np.uint8)) for i in range(6)]
    files = grey if images is None else [io.BytesIO(data) for data in images]
    kinds = {
        "image": tfds.features.Image(shape=(None, None, 1)),
        "label": tfds.features.ClassLabel(names=list(classes)),
    }
    examples = [{"image": file, "label": i % len(classes)} for i, file in enumerate(files)]
    return tiny.prepare(folder, kinds, examples)


def version(folder):
    """Where the files of the set are."""
    return folder / "tiny" / "1.0.0"


def copied(base, folder):
    """A copy of a prepared set; gives where its files are."""
    shutil.copytree(base, folder)
    return version(folder)


def change(file, path, value):
    """Puts a value in a JSON file, at these keys."""
    whole = here = json.loads(file.read_text())
    for key in path[:-1]:
        here = here[key]
    here[path[-1]] = value
    file.write_text(json.dumps(whole))


def png_of_size(width, height):
    """A PNG file that says it is of this size, in grey, and holds one row of it at most."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    row = zlib.compress(bytes(9))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", row) + chunk(b"IEND", b"")


def bad_images(whole):
    """Lists of files of which one is no image, or none that fits to the others; `whole` is one that is."""
    header = png_of_size(1, 1)[:33]
    return [
        [b""],
        [b"This is no image."],
        [b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>"],
        [b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94\x93\x94."],  # a pickle
        [header],
        [whole[:40]],
        [whole, whole, whole[:-30]],
        [whole, png_of_size(9, 1)],
        [png_of_size(0, 0)],
        [png_of_size(100_000, 100_000)],
        [whole, png_of_size(2**31 - 1, 2**31 - 1)],
    ]


_KIND, _FEATURES = ("pythonClassName",), ("featuresDict", "features")
_DIMENSIONS = (*_FEATURES, "image", "image", "shape", "dimensions")
_CLASSES = (*_FEATURES, "label", "classLabel", "numClasses")
_SPLIT = ("splits", 0)

LIES = [
    (file, path, value)
    for file, path, values in (
        ("features.json", _KIND, (None, 1, "", "x", "os.path", "zz.Zz", [], "a.b.c", "tensorflow_datasets.zz.Zz")),
        ("features.json", ("featuresDict",), (None, 1, [], {}, "x", {"features": 3}, {"zz": {}})),
        ("features.json", _FEATURES, (None, [], {}, "x", {"image": {}})),
        ("features.json", _DIMENSIONS, ("x", 3, ["x"], ["8"], ["9", "9", "1"], [["8"]], [None], [1.5], ["9" * 9] * 3)),
        ("features.json", _CLASSES, ("x", "-1", "1", "0", 1.5, [], "9" * 30, None)),
        ("dataset_info.json", ("splits",), (None, [], {}, "x", [1], [{"name": "other"}], [{}])),
        ("dataset_info.json", (*_SPLIT, "shardLengths"), (None, [], "6", ["x"], ["-6"], ["0"], ["6", "6"])),
        ("dataset_info.json", (*_SPLIT, "shardLengths"), [[n] for n in ("7", "1000", "9" * 12, "9" * 18, "9" * 30)]),
        ("dataset_info.json", (*_SPLIT, "filepathTemplate"), ("../x", "/etc/passwd", 3, "x/y")),
        ("dataset_info.json", ("version",), (None, 1, "", "x", "1.0", [])),
        ("dataset_info.json", ("fileFormat",), ("tfrecord", "x", 3, "parquet")),
        ("dataset_info.json", ("name",), ("../tiny", "/tiny", 3, [], "other")),
    )
    for value in values
]  # fmt: skip
"""File, place in it, and what no set has there: six images of 8×8 with two classes."""
