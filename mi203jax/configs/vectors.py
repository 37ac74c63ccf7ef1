"""Fields of the classification of vectors."""

from typing import Literal

from mi203jax.configs.deep import Deep
from mi203jax.core.config import config, static, traced
from mi203jax.core.errors import UsageError

SHAPES = ("moons", "circles", "blobs", "spirals", "xor")
"""Sets of the plane that are made, not read."""


@config
class Vectors(Deep):
    """Vectors with labels in {-1, 1}, predicted as sign(DL(x, θ))."""

    total_steps: int = static(64_000, "length of the run, in training examples", "[1, 2000000000]")
    eval_every: int = static(6_400, "training examples between two evaluations", "[1, inf)")
    data: str = static("moons", "moons, circles, blobs, spirals, xor; or a set with labels in {-1, 1}")
    num_examples: int = static(512, "points made for training, and as many for the test", "[2, 10000000]")
    noise: float = static(0.2, "standard deviation of the made points about their curve", "[0, inf)")
    data_seed: int = static(0, "seed of the made points, the same for all trials", "[0, 2147483647]")
    standardize: Literal["none", "vector", "feature", "channel"] = static(
        "feature", "what is centred and reduced"
    )
    batch_size: int = static(32, "examples in a gradient step: 1, some, or all of the set", "[1, inf)")
    hidden: tuple[int, ...] = static(
        (32, 32), "K₁, K₂, …: filters of each layer, before the last 1", "[1, inf)"
    )
    learning_rate: float = traced(3e-3, "step size λ at its largest", "(0, inf)")
    normalization: Literal["none", "batch", "layer"] = static("none", "what each layer is normalised over")
    loss: Literal["hinge", "logistic", "squared", "exponential"] = static("logistic", "cost of a score")
    frames: int = static(60, "moments of the run that the GIF of the boundary shows", "[2, 500]")

    def check(self) -> None:
        """Fields that must fit each other."""
        super().check()
        of_files = {"data_dir": "", "train_split": "train", "eval_split": "test"}
        for name, default in of_files.items() if self.data in SHAPES else ():
            if getattr(self, name) != default:
                raise UsageError(
                    f"{name}={getattr(self, name)}: data={self.data} is made, not read: leave it out."
                )
        if self.data in SHAPES and self.feed == "stream":
            raise UsageError(f"feed=stream: data={self.data} is made in memory: expected auto or memory.")
        if self.normalization == "batch" and self.batch_size == 1:
            raise UsageError("normalization=batch needs more than one vector in a batch, not batch_size=1.")
