"""Where things are in images: masks and boxes of TFDS's sets, on square images of one size."""

import functools
from typing import Any, Literal, NamedTuple

import numpy as np

from mi203jax.core.errors import UsageError
from mi203jax.data.sets import open_records
from mi203jax.data.source import Info, Records
from mi203jax.data.squares import UNKNOWN, fit_boxes, fit_image, fit_mask

OUTSIDE = 1e-3
"""Part of an image by which rounding may put a box outside; such boxes are clipped."""
IGNORED = ("is_crowd", "is_difficult")
"""What COCO and VOC call objects that are neither to be found nor wrong to find."""


class MaskClasses(NamedTuple):
    """The classes of a mask's pixels: their names, in order, and the value that stands for the first."""

    names: tuple[str, ...]
    first: int = 0


MASKS = {"oxford_iiit_pet": MaskClasses(("pet", "background", "outline"), first=1)}
"""Sets whose masks are known."""


class Masked(Records):
    """Square images, "image" `[size, size, channels]`, uint8, and "classes" `[size, size]`, int32.

    Classes count from 0; `UNKNOWN` is padding, and what the set says is of no class.
    """

    def __init__(self, records: Any, name: str, channels: int, size: int, classes: MaskClasses):
        """Args are TFDS's data source, the set's name, and what the arrays are to be."""
        super().__init__(records, name)
        self._size, self._channels, self._classes = size, channels, classes
        self._class_of = np.full(256, -1, np.int32)
        self._class_of[classes.first : classes.first + len(classes.names)] = range(len(classes.names))
        self._class_of[UNKNOWN] = UNKNOWN
        self.shapes = {
            "image": ((size, size, channels), np.dtype(np.uint8)),
            "classes": ((size, size), np.dtype(np.int32)),
        }

    def _arrays(self, index: int, example: dict[str, Any]) -> dict[str, np.ndarray]:
        where = f"{self.name}: example {index}"
        image, mask = _image(where, example, self._channels), example["segmentation_mask"]
        if mask.shape != (*image.shape[:2], 1):
            raise UsageError(
                f"{where} has an image of shape {image.shape} and a segmentation_mask of {mask.shape}: "
                f"expected a mask of {(*image.shape[:2], 1)}."
            )
        wrong = self._class_of[mask] < 0
        if wrong.any():
            first, last = self._classes.first, self._classes.first + len(self._classes.names) - 1
            raise UsageError(
                f"{where} has {mask[wrong][0]} in its segmentation_mask: expected {first} to {last}, or "
                f"{UNKNOWN} where no class is known. (mask_classes says how many classes there are.)"
            )
        return {
            "image": fit_image(image, self._size),
            "classes": self._class_of[fit_mask(mask[..., 0], self._size)],
        }


class Boxed(Records):
    """Square images, "image" `[size, size, channels]`, uint8, and the objects in them, in slots.

    "boxes" `[max_objects, 4]`, float32, (y0, x0, y1, x1) in pixels of the square, ends exclusive; "labels"
    `[max_objects]`, int32; "mask" `[max_objects]`, bool, says which slots are taken (the others hold 0), and
    "crowd", alike, which objects evaluation leaves out: COCO's crowds, and what is difficult in VOC.
    """

    def __init__(
        self,
        records: Any,
        name: str,
        channels: int,
        size: int,
        max_objects: int,
        num_classes: int,
        drop: bool,
    ):
        """Args are TFDS's data source, the set's name, and what the arrays are to be.

        `drop` leaves out boxes of no size, which otherwise raise `UsageError`.
        """
        super().__init__(records, name)
        self._channels, self._size, self._max_objects = channels, size, max_objects
        self._num_classes, self._drop = num_classes, drop
        self.shapes = {
            "image": ((size, size, channels), np.dtype(np.uint8)),
            "boxes": ((max_objects, 4), np.dtype(np.float32)),
            "labels": ((max_objects,), np.dtype(np.int32)),
            "mask": ((max_objects,), np.dtype(bool)),
            "crowd": ((max_objects,), np.dtype(bool)),
        }

    def _arrays(self, index: int, example: dict[str, Any]) -> dict[str, np.ndarray]:
        where, objects = f"{self.name}: example {index}", example["objects"]
        image = _image(where, example, self._channels)
        labels = np.asarray(objects["label"], np.int64)
        for label in labels[(labels < 0) | (labels >= self._num_classes)]:
            raise UsageError(f"{where} has the label {label}: its {self._num_classes} classes begin at 0.")
        boxes, kept = self._boxes(where, np.reshape(objects["bbox"], (-1, 4)), image.shape[:2])
        number, most = int(kept.sum()), self._max_objects
        if number > most:
            raise UsageError(
                f"{where} has {number} objects: raise max_objects={most}, for none is left out unasked."
            )
        flags = [objects[name] for name in IGNORED if name in objects]
        crowd = np.any(flags, axis=0) if flags else np.zeros(len(labels), bool)
        slots = {"image": fit_image(image, self._size)}
        for key, values in (("boxes", boxes), ("labels", labels), ("mask", kept), ("crowd", crowd)):
            slots[key] = np.zeros((most, *values.shape[1:]), self.shapes[key][1])
            slots[key][:number] = values[kept]
        return slots

    def _boxes(self, where: str, parts: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """From parts of an image to pixels of the square; also which boxes have a size."""
        parts = parts.astype(np.float64)
        boxes = fit_boxes(np.clip(parts, 0, 1) * np.tile(shape, 2), shape, self._size)
        kept = np.all(boxes[:, 2:] > boxes[:, :2], axis=1)
        outside = (parts < -OUTSIDE) | (parts > 1 + OUTSIDE)
        for bad, expected in (
            (~np.isfinite(parts).all(1), "numbers. Correct it."),
            (outside.any(1), "them from 0 to 1, parts of the image. Correct it."),
            (
                ~kept & (not self._drop),
                "a positive height and width. Correct it, or leave such boxes out: invalid_boxes=drop.",
            ),
        ):
            for box in parts[bad]:
                shown = ", ".join(f"{value:.6g}" for value in box)
                raise UsageError(f"{where} has ymin, xmin, ymax, xmax = {shown}: expected {expected}")
        return boxes, kept


@functools.lru_cache(maxsize=8)
def open_masked(name: str, split: str, data_dir: str, size: int, num_classes: int = 0) -> tuple[Masked, Info]:
    """A split of a set of images with masks ("image" and "segmentation_mask"), opened once.

    Args:
        name: as for `load`.
        split: as for `load`.
        data_dir: as for `load`; empty: none.
        size: height and width that images get.
        num_classes: of the mask's pixels, which count from 0; 0 for the sets in `MASKS`.

    Returns:
        The examples by index, and what they are; `classes` are those of the pixels.

    Raises:
        UsageError: if the set cannot be read, or has no masks; for a bad example, once that is read.
    """
    records, features, info = open_records(name, split, data_dir or None)
    if "image" not in features or "segmentation_mask" not in features:
        missing = "segmentation_mask" if "image" in features else "image"
        raise UsageError(
            f"data={name} has no {missing}: expected a set with image and segmentation_mask, such as "
            "digit_scenes or oxford_iiit_pet."
        )
    channels = _channels(name, features, "image")
    if _channels(name, features, "segmentation_mask") != 1:
        raise UsageError(f"data={name}: segmentation_mask is an image in colour: expected one channel.")
    known = MASKS.get(info.name.partition("/")[0])
    if known is None and not num_classes:
        raise UsageError(f"data={name} does not say how many classes its masks have: give mask_classes=K.")
    if not 0 <= num_classes <= UNKNOWN or (known and num_classes not in (0, len(known.names))):
        expected = len(known.names) if known else f"1 to {UNKNOWN}"
        raise UsageError(f"mask_classes={num_classes}: expected {expected} for data={name}.")
    classes = known or MaskClasses(tuple(str(k) for k in range(num_classes)))
    source = Masked(records, name, channels, size, classes)
    return source, info._replace(classes=classes.names, shapes=source.shapes)


@functools.lru_cache(maxsize=8)
def open_boxed(
    name: str,
    split: str,
    data_dir: str,
    size: int,
    max_objects: int,
    invalid_boxes: Literal["error", "drop"] = "error",
) -> tuple[Boxed, Info]:
    """A split of a set of images with boxes ("image", and "objects" with "bbox" and "label"), opened once.

    VOC's boxes begin one pixel late, since TFDS stores its counts from 1 as they are.

    Args:
        name: as for `load`.
        split: as for `load`.
        data_dir: as for `load`; empty: none.
        size: height and width that images get.
        max_objects: slots for objects in an example.
        invalid_boxes: what to do about boxes of no size, of which COCO has a few: "error", or "drop" them.

    Returns:
        The examples by index, and what they are; `classes` are those of the objects.

    Raises:
        UsageError: if the set cannot be read, or has no boxes; for a bad example, once that is read.
        ValueError: if `max_objects` is not positive, or `invalid_boxes` another.
    """
    if max_objects < 1 or invalid_boxes not in ("error", "drop"):
        raise ValueError(
            "open_boxed: expected max_objects to be positive and invalid_boxes error or drop, got "
            f"{max_objects} and {invalid_boxes}."
        )
    records, features, info = open_records(name, split, data_dir or None)
    each: Any = getattr(features.get("objects"), "feature", None)  # of a sequence
    kinds = dict(each.items()) if hasattr(each, "items") else {}
    if "image" not in features or not hasattr(kinds.get("label"), "names") or "bbox" not in kinds:
        missing = "objects with boxes" if "image" in features else "image"
        raise UsageError(
            f"data={name} has no {missing}: expected a set with image and objects (bbox, label), such as "
            "digit_scenes or voc."
        )
    layout = getattr(getattr(kinds["bbox"], "bbox_format", None), "value", "REL_YXYX")
    if kinds["bbox"].shape != (4,) or layout != "REL_YXYX":
        raise UsageError(f"data={name}: bbox is {layout}: expected ymin, xmin, ymax, xmax from 0 to 1.")
    classes = tuple(kinds["label"].names)
    channels, drop = _channels(name, features, "image"), invalid_boxes == "drop"
    source = Boxed(records, name, channels, size, max_objects, len(classes), drop)
    return source, info._replace(classes=classes, shapes=source.shapes)


def _channels(name: str, features: dict[str, Any], key: str) -> int:
    """The number of channels of a feature that is to be an image."""
    shape, dtype = features[key].shape, features[key].np_dtype
    if len(shape) != 3 or dtype != np.uint8:
        shown = " ".join(str(features[key]).split())
        raise UsageError(f"data={name}: {key} is {shown}: expected an image in uint8.")
    return shape[2]


def _image(where: str, example: dict[str, Any], channels: int) -> np.ndarray:
    image = example["image"]
    if image.shape[2:] != (channels,):
        raise UsageError(f"{where} has an image of shape {image.shape}: expected {channels} channels.")
    return image
