"""Fields of every network that learns from images: its convolutions, and what training images undergo."""

from typing import ClassVar

from mi203jax.configs.feedforward import Feedforward
from mi203jax.core.config import config, static, traced
from mi203jax.core.errors import check_names


@config
class Images(Feedforward):
    """A convolutional network on augmented images."""

    AUGMENTATIONS: ClassVar[tuple[str, ...]] = ("shift", "flip", "affine", "noise")
    """What may stand in `augment`."""

    channels: tuple[int, ...] = static((16, 32, 64), "filters of each stage", "[1, inf)")
    convs: int = static(2, "3×3 convolutions in a stage", "[1, inf)")
    augment: tuple[str, ...] = static((), "what training images undergo: shift, flip, affine, noise")
    shift: float = traced(2.0, "largest shift, in pixels (shift)", "[0, inf)")
    rotation: float = traced(10.0, "largest rotation, in degrees (affine)", "[0, 180]")
    zoom: float = traced(0.1, "largest change of scale (affine)", "[0, 1)")
    shear: float = traced(0.1, "largest shear (affine)", "[0, 1)")
    translation: float = traced(2.0, "largest translation, in pixels (affine)", "[0, inf)")
    noise: float = traced(0.1, "noise, in standard deviations of the data (noise)", "[0, inf)")

    def check(self) -> None:
        """Fields that must fit each other."""
        super().check()
        check_names("augment", self.augment, self.AUGMENTATIONS)
