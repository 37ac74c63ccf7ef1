"""Fields of the classification of images, by convolutions or without."""

from typing import Literal

from mi203jax.configs.deep import Deep
from mi203jax.configs.images import Images
from mi203jax.configs.optimized import Schedule
from mi203jax.core.config import config, static, traced

Loss = Literal["cross_entropy", "focal", "squared", "hinge", "logistic", "exponential"]


@config
class ImageClassification(Images, Deep):
    """Images of several classes, by a convolutional network."""

    AUGMENTATIONS = ("shift", "flip", "affine", "cutout", "noise", "mix_up")

    total_steps: int = static(80_000, "length of the run, in training examples", "[1, 2000000000]")
    eval_every: int = static(8_000, "training examples between two evaluations", "[1, inf)")
    channels: tuple[int, ...] = static((16, 32, 64), "filters of each stage; () makes it an MLP", "[1, inf)")
    pooling: Literal["max", "avg", "stride", "none"] = static("max", "what halves the image after a stage")
    head: Literal["flatten", "avg", "max"] = static("flatten", "how positions become one vector")
    hidden: tuple[int, ...] = static((), "widths of the dense layers before the last", "[1, inf)")
    loss: Loss = static("cross_entropy", "cost; the last four compare each class with the rest")
    label_smoothing: float = traced(0.0, "part of the label that is spread over all classes", "[0, 1)")
    focal_gamma: float = traced(2.0, "how much the focal loss neglects what is sure", "[0, inf)")
    augment: tuple[str, ...] = static(("affine",), "what training images undergo: shift, flip, affine, …")
    cutout: float = traced(8.0, "side of the square that is cut out, in pixels (cutout)", "[0, inf)")
    mix_up: float = traced(0.2, "α of the mixtures' Beta distribution (mix_up)", "[0, inf)")
    invariance: Literal["none", "mean", "max"] = static("none", "force invariance to shifts by one pixel")
    invariant_training: bool = static(False, "force it while training too, at nine times the work")
    learning_rate: float = traced(3e-3, "step size λ at its largest", "(0, inf)")
    weight_decay: float = traced(0.01, "part of the weights that a step of size 1 takes off", "[0, inf)")
    schedule: Schedule = static("one_cycle", "how the step size goes in the run")
    warmup: float = traced(0.2, "part of the run in which the step size rises", "[0, 1)")
