"""Fields of the comparison of networks that use, and that do not use, that images are images."""

from typing import Literal

from mi203jax.configs.image_classification import ImageClassification
from mi203jax.core.config import config, static
from mi203jax.core.errors import UsageError


@config
class MlpVsCnn(ImageClassification):
    """One of two networks with as many parameters, on images that are left alone, shifted, or shuffled."""

    model: Literal["mlp", "cnn"] = static("cnn", "dense layers, or convolutions")
    images: Literal["plain", "shifted", "permuted"] = static(
        "plain", "as they are, moved, or pixels shuffled"
    )
    parameters: int = static(50_000, "numbers that the network may learn; its width follows", "[100, inf)")
    largest_shift: int = static(6, "pixels by which images are moved at most, if shifted", "[0, 1000]")
    augment: tuple[str, ...] = static((), "what training images undergo: shift, flip, affine, …")
    channels: tuple[int, ...] = static((), "empty: follows from parameters", "[1, inf)")
    hidden: tuple[int, ...] = static((), "empty: follows from parameters", "[1, inf)")
    total_steps: int = static(60_000, "length of the run, in training examples", "[1, 2000000000]")
    eval_every: int = static(6_000, "training examples between two evaluations", "[1, inf)")

    def check(self) -> None:
        """Fields that must fit each other."""
        super().check()
        for name in ("channels", "hidden"):
            if getattr(self, name):
                raise UsageError(
                    f"{name}={getattr(self, name)}: the widths follow from parameters={self.parameters}."
                )
