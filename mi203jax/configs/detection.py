"""Fields of detection: boxes around things, with their classes."""

from typing import ClassVar, Literal

from mi203jax.configs.scenes import MADE, Scenes
from mi203jax.core.config import config, static, traced
from mi203jax.core.errors import UsageError

MOST_PIXELS = 20_000_000
"""In all windows of an image."""


@config
class Boxes(Scenes):
    """What every detector has."""

    total_steps: int = static(40_000, "length of the run, in training examples", "[1, 2000000000]")
    eval_every: int = static(8_000, "training examples between two evaluations", "[1, inf)")
    detections: int = static(16, "boxes that are returned of an image, the surest", "[1, 100]")
    borders: tuple[int, ...] = static(
        (14, 20), "sides in pixels whose squares part small, medium, large things", "[1, 100000]"
    )
    invalid_boxes: Literal["error", "drop"] = static("error", "what a box without area in a set is")

    def check(self) -> None:
        """Fields that must fit each other."""
        super().check()
        if len(self.borders) != 2 or self.borders[0] > self.borders[1]:
            raise UsageError(f"borders={self.borders}: expected two sides in order, as (32,96).")
        if self.invalid_boxes != "error" and self.data == MADE:
            raise UsageError(f"invalid_boxes={self.invalid_boxes}: data={MADE} has none: leave it out.")


@config
class Detection(Boxes):
    """Centres of things in a heat map, and sizes."""

    channels: tuple[int, ...] = static((16, 32, 64, 128), "filters of each stage", "[1, inf)")
    stride: int = static(4, "pixels for each cell of the heat map, a power of 2", "[1, 128]")
    spread: float = traced(0.2, "overlap of boxes as far off as Gaussians reach: less is wider", "(0, 1)")
    box_loss: Literal["l1", "giou"] = static("giou", "cost of a centre's box")
    box_weight: float = traced(1.0, "weight of the boxes' cost beside the heat map's", "[0, inf)")

    def check(self) -> None:
        """Fields that must fit each other."""
        super().check()
        coarsest = 2 ** (len(self.channels) - 1)
        if coarsest % self.stride:
            raise UsageError(
                f"stride={self.stride}: expected a power of 2, at most {coarsest}, that of the last of "
                f"{len(self.channels)} stages."
            )


@config
class SlidingWindow(Boxes):
    """A classifier of windows, run everywhere; then the best of windows that overlap."""

    WHOLE_IMAGES: ClassVar[bool] = False

    total_steps: int = static(20_000, "length of the run, in training examples", "[1, 2000000000]")
    eval_every: int = static(10_000, "training examples between two evaluations", "[1, inf)")
    window: int = static(24, "height and width that windows are resized to", "[8, 1024]")
    sides: tuple[int, ...] = static(
        (14, 18, 23, 29, 36), "sides of the windows, in pixels of the image", "[2, 4096]"
    )
    window_step: float = static(0.2, "step between windows, as a part of their side", "(0, 1]")
    windows: int = static(8, "windows of each training image, half of them on things", "[2, 10000]")
    margin: float = static(1.2, "side of a thing's window by the longer side of its box", "[1, 4]")
    suppression: float = traced(0.3, "overlap from which only the surer box is kept", "[0, 1]")

    def check(self) -> None:
        """Fields that must fit each other."""
        super().check()
        if not self.sides or max(self.sides) > self.size:
            raise UsageError(f"sides={self.sides}: expected one or more, at most size={self.size}.")
        if self.windows > self.num_windows:
            raise UsageError(
                f"windows={self.windows}: an image has {self.num_windows}, by its sides and step."
            )
        if self.num_windows * self.window**2 > MOST_PIXELS:
            raise UsageError(
                f"{self.num_windows:,} windows of {self.window}×{self.window} pixels are too many for an "
                "image: expected a larger step, or fewer sides."
            )
        if self.window < 2 ** len(self.channels):
            raise UsageError(f"window={self.window} is too small for {len(self.channels)} stages.")

    @property
    def num_windows(self) -> int:
        """Windows of an image: see `mi203jax.windows.window_grid`."""
        in_line = (
            -(-(self.size - side) // max(1, round(self.window_step * side))) + 1 for side in self.sides
        )
        return sum(n * n for n in in_line)
