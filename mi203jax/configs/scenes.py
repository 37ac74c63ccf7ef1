"""Fields of tasks that say where things are in images: of scenes of digits, or of a set of TFDS."""

from typing import ClassVar, Literal

from mi203jax.configs.images import Images
from mi203jax.configs.optimized import Schedule
from mi203jax.core.config import config, static, traced
from mi203jax.core.errors import UsageError

MADE = "digit_scenes"
MOST_MADE, MOST_AT_ONCE = 32, 4_096
"""Things in a made scene, each a part of the program, and made scenes in a batch."""


@config
class Scenes(Images):
    """Images with several things in them, all of one square size."""

    WHOLE_IMAGES: ClassVar[bool] = True
    """Whether the network takes whole images, and not windows of them."""
    OF_MADE: ClassVar[tuple[str, ...]] = ("eval_scenes", "smallest", "largest", "overlap")
    """Fields that only made scenes have."""

    data: str = static(
        MADE, "digit_scenes: made of mnist_5k's digits; or a set of TFDS's with a task's truth"
    )
    train_split: str = static("train", "the examples trained on; of digit_scenes, the digits")
    eval_split: str = static("test", "the examples judged on; of digit_scenes, the digits")
    size: int = static(64, "height and width of the images; those of sets are resized, padded", "[8, 4096]")
    max_objects: int = static(8, "most things in an image", "[1, 1000]")
    eval_scenes: int = static(1_000, "made scenes that are judged, always the same", "[1, 1000000]")
    smallest: float = static(
        0.6, "scale of the smallest digit in made scenes, 1 being 28 pixels", "[0.2, 100]"
    )
    largest: float = static(1.4, "scale of the largest digit in made scenes", "[0.2, 100]")
    overlap: float = static(0.3, "part of a digit's box that another's may cover in made scenes", "[0, 1]")
    batch_size: int = static(8, "examples in a gradient step: 1, some, or all of the set", "[1, inf)")
    learning_rate: float = traced(5e-3, "step size λ at its largest", "(0, inf)")
    weight_decay: float = traced(0.01, "part of the weights that a step of size 1 takes off", "[0, inf)")
    schedule: Schedule = static("one_cycle", "how the step size goes in the run")
    warmup: float = traced(0.2, "part of the run in which the step size rises", "[0, 1)")
    standardize: Literal["none", "channel"] = static("channel", "what is centred and reduced")

    def check(self) -> None:
        """Fields that must fit each other."""
        super().check()
        if not self.channels:
            raise UsageError("channels=(): expected one stage or more.")
        if self.WHOLE_IMAGES and self.size % 2 ** (len(self.channels) - 1):
            raise UsageError(
                f"size={self.size}: expected a multiple of {2 ** (len(self.channels) - 1)}, since "
                f"{len(self.channels)} stages halve it."
            )
        self._check_made() if self.data == MADE else self._check_read()

    def _check_made(self) -> None:
        for name, default in (("data_dir", ""), ("feed", "auto")):
            if getattr(self, name) != default:
                raise UsageError(
                    f"{name}={getattr(self, name)}: data={MADE} is made, not read: leave it out."
                )
        for name, most in (("max_objects", MOST_MADE), ("batch_size", MOST_AT_ONCE)):
            if getattr(self, name) > most:
                raise UsageError(f"{name}={getattr(self, name)}: data={MADE} takes at most {most}.")
        if self.smallest > self.largest:
            raise UsageError(f"smallest={self.smallest} is larger than largest={self.largest}.")
        if 28 * self.largest > self.size:
            raise UsageError(
                f"size={self.size} is too small for digits of 28 × largest={self.largest} pixels."
            )

    def _check_read(self) -> None:
        for name in self.OF_MADE:
            if getattr(self, name) != type(self).__dataclass_fields__[name].default:
                raise UsageError(f"{name}={getattr(self, name)} is of data={MADE}, not of {self.data}.")
