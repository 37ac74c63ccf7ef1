"""Fields of generation by two opponents: one network makes images, one tells them from real ones."""

from typing import Literal

from mi203jax.configs.feedforward import Initializer
from mi203jax.core.config import RunConfig, config, static, traced
from mi203jax.core.errors import UsageError, check_names

Loss = Literal["minimax", "non_saturating", "hinge", "wasserstein", "relativistic"]
PENALTIES = ("r1", "r2", "gradient_penalty")
SMOOTHED = ("minimax", "non_saturating")


@config
class GAN(RunConfig):
    """A generator and a discriminator. A step is one real training example."""

    total_steps: int = static(192_000, "length of the run, in real training examples", "[1, 2000000000]")
    eval_every: int = static(38_400, "training examples between two evaluations", "[1, inf)")
    data: str = static("mnist_5k", "the set: one of this package's, or of TFDS's, by its name")
    data_dir: str = static("", "folder in which TFDS prepared the set; empty: where it usually is")
    train_split: str = static("train", "the examples trained on, as TFDS writes splits: train[:80%]")
    eval_split: str = static("test", "real examples to compare samples with; to tune, take a part of train")
    batch_size: int = static(64, "real examples, and as many samples, in a step of each network", "[1, inf)")
    loss: Loss = static("relativistic", "what makes the two networks opponents")
    penalties: tuple[str, ...] = static(
        ("r1", "r2"), "what keeps the discriminator smooth: r1, r2, gradient_penalty"
    )
    penalty: float = traced(
        0.3, "weight of each penalty (of r1, r2: γ / 2; of gradient_penalty 10 is usual)", "[0, inf)"
    )
    spectral_norm: bool = static(False, "divide the discriminator's weights by their largest singular value")
    smoothing: float = traced(0.0, "part of a real one's label that is taken off (minimax, …)", "[0, 0.5]")
    latent: int = static(64, "random numbers of which a sample is made", "[1, 100000]")
    channels: tuple[int, ...] = static(
        (32, 64), "filters of the discriminator's stages; reversed, of the generator's", "[1, inf)"
    )
    hidden: tuple[int, ...] = static(
        (256,), "widths of the discriminator's dense layers; reversed, of the generator's", "[1, inf)"
    )
    convs: int = static(1, "3×3 convolutions in a stage", "[1, inf)")
    normalization: Literal["none", "batch", "layer"] = static("batch", "what the generator's layers are over")
    conditional: bool = static(False, "make, and tell apart, images of a given label")
    learning_rate: float = traced(5e-4, "step size of the generator", "(0, inf)")
    time_scale: float = traced(1.0, "step size of the discriminator by that of the generator", "(0, inf)")
    momentum: float = traced(0.0, "β₁ of Adam", "[0, 1)")
    beta2: float = traced(0.99, "β₂ of Adam", "[0, 1)")
    discriminator_steps: int = static(1, "steps of the discriminator for each of the generator", "[1, 100]")
    average: float = traced(0.995, "how slowly averaged weights, which are judged, follow", "[0, 1)")
    initializer: Initializer = static("he", "how weights begin")
    frames: int = static(40, "moments of the run that the GIF of samples shows", "[2, 500]")

    def check(self) -> None:
        """Fields that must fit each other."""
        check_names("penalties", self.penalties, PENALTIES)
        if "gradient_penalty" in self.penalties and self.loss != "wasserstein":
            raise UsageError(
                f"penalties=(gradient_penalty) is for loss=wasserstein: with loss={self.loss}, r1 or r2."
            )
        if self.loss == "wasserstein" and not self.penalties and not self.spectral_norm:
            raise UsageError(
                "loss=wasserstein needs a smooth critic: penalties=(gradient_penalty), or spectral_norm=true."
            )
        if self.smoothing and self.loss not in SMOOTHED:
            raise UsageError(
                f"smoothing={self.smoothing} is for loss=minimax or non_saturating: leave it out."
            )
        if not self.channels:
            raise UsageError("channels=(): expected one stage or more.")

    @property
    def steps_per_iteration(self) -> int:
        """One batch for each step of the discriminator."""
        return self.batch_size * self.discriminator_steps
