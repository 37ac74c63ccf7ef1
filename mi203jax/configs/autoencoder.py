"""Fields of auto-encoders: networks that predict their input while they are forced to lose information."""

from typing import Literal

from mi203jax.configs.images import Images
from mi203jax.configs.optimized import Schedule
from mi203jax.core.config import config, static, traced
from mi203jax.core.errors import UsageError

InformationLoss = Literal["bottleneck", "noise", "masking", "sparsity", "dropout", "variational"]


@config
class Autoencoder(Images):
    """An encoder to a code of some numbers, and a decoder back to the image."""

    total_steps: int = static(1_000_000, "length of the run, in training examples", "[1, 2000000000]")
    eval_every: int = static(200_000, "training examples between two evaluations", "[1, inf)")
    information_loss: InformationLoss = static(
        "bottleneck", "what loses information, besides the length of the code"
    )
    code: int = static(30, "numbers in the code of an image", "[1, 100000]")
    channels: tuple[int, ...] = static((), "filters of each stage; () makes it dense", "[1, inf)")
    hidden: tuple[int, ...] = static(
        (512, 256), "widths of the dense layers before the code, and in turn after it", "[1, inf)"
    )
    corruption: float = traced(0.3, "noise on pixels in [0, 1] (information_loss=noise)", "[0, inf)")
    masked: float = traced(0.5, "part of the image that is hidden (information_loss=masking)", "[0, 1)")
    patch: int = static(4, "side of the squares that are hidden, in pixels (masking)", "[1, 4096]")
    activity: float = traced(0.05, "mean activity that code units are drawn to (sparsity)", "(0, 1)")
    penalty: float = traced(1.0, "weight of the sparsity or of the KL term (β)", "[0, inf)")
    dropout: float = traced(0.2, "part of the code that is dropped, with dropout", "[0, 1)")
    augment: tuple[str, ...] = static(("affine",), "what training images undergo: shift, flip, affine, noise")
    normalization: Literal["none", "batch", "layer"] = static("none", "what each layer is normalised over")
    batch_size: int = static(128, "examples in a gradient step: 1, some, or all of the set", "[1, inf)")
    learning_rate: float = traced(2e-3, "step size λ at its largest", "(0, inf)")
    schedule: Schedule = static("one_cycle", "how the step size goes in the run")
    warmup: float = traced(0.1, "part of the run in which the step size rises", "[0, 1)")

    def check(self) -> None:
        """Fields that must fit each other."""
        super().check()
        if self.use_dropout:
            raise UsageError("use_dropout=true: the code's dropout is information_loss=dropout.")
        if "noise" in self.augment:
            raise UsageError("augment=(noise): noise on the input alone is information_loss=noise.")
