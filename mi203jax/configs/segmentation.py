"""Fields of segmentation: a class for each pixel."""

from typing import Literal

from mi203jax.configs.scenes import MADE, Scenes
from mi203jax.core.config import config, static, traced
from mi203jax.core.errors import UsageError


@config
class Segmentation(Scenes):
    """The class of each pixel of an image."""

    OF_MADE = (*Scenes.OF_MADE, "max_objects")

    total_steps: int = static(20_000, "length of the run, in training examples", "[1, 2000000000]")
    eval_every: int = static(4_000, "training examples between two evaluations", "[1, inf)")
    channels: tuple[int, ...] = static((16, 32, 64, 64), "filters of each stage", "[1, inf)")
    model: Literal["unet", "fully_convolutional"] = static("unet", "with or without the way up beside skips")
    loss: Literal["cross_entropy", "weighted", "dice", "focal"] = static(
        "cross_entropy", "cost of an image's pixels; weighted: rare classes count more"
    )
    rarity: float = traced(0.5, "weight of a class: frequency to minus this (loss=weighted)", "[0, 1]")
    focal_gamma: float = traced(2.0, "how much the focal loss neglects what is sure", "[0, inf)")
    dice_smooth: float = traced(1.0, "pixels by which Dice is smoothed, so that none is 0 / 0", "(0, inf)")
    tolerance: float = static(1.0, "pixels that a boundary may be off, for the boundary F-score", "[0, 20]")
    mask_classes: int = static(0, "classes of masks, from 0; 0: as known of the set", "[0, 255]")
    frames: int = static(24, "moments of the run that the GIF of predictions shows; 0: none", "[0, 500]")

    def check(self) -> None:
        """Fields that must fit each other."""
        super().check()
        if self.frames == 1:
            raise UsageError("frames=1: expected 0, or 2 or more.")
        if self.mask_classes and self.data == MADE:
            raise UsageError(f"mask_classes={self.mask_classes}: data={MADE} has 11: leave it out.")
