"""Fields of the classification of signals of variable length."""

from typing import Literal

from mi203jax.configs.optimized import Schedule
from mi203jax.configs.recurrent import Recurrent
from mi203jax.configs.supervised import Supervised
from mi203jax.core.config import config, static, traced


@config
class Sequences(Recurrent, Supervised):
    """Signals of several classes, each read from its beginning to its end, whatever its length."""

    total_steps: int = static(40_000, "length of the run, in training examples", "[1, 2000000000]")
    eval_every: int = static(8_000, "training examples between two evaluations", "[1, inf)")
    data: str = static("japanese_vowels", "a set with signals (sequence), or images, read pixel by pixel")
    feed: Literal["auto", "memory", "stream"] = static("auto", "where examples wait; signals: in memory")
    standardize: Literal["none", "channel"] = static("channel", "what is centred and reduced")
    batch_size: int = static(32, "examples in a gradient step: 1, some, or all of a bucket", "[1, inf)")
    buckets: int = static(
        1, "sets of as many signals each, sorted by length: batches of one have little padding", "[1, 1000]"
    )
    bidirectional: bool = static(True, "read from the end too, by cells of their own")
    pooling: Literal["last", "mean", "attention"] = static("mean", "how a signal's outputs become one vector")
    noise: float = traced(0.6, "noise on training signals, in standard deviations of the data", "[0, inf)")
    dropout: float = traced(0.5, "part of the pooled vector that is dropped while training", "[0, 1)")
    label_smoothing: float = traced(0.1, "part of the label that is spread over all classes", "[0, 1)")
    learning_rate: float = traced(2e-3, "step size λ at its largest", "(0, inf)")
    weight_decay: float = traced(0.01, "part of the weights that a step of size 1 takes off", "[0, inf)")
    schedule: Schedule = static("cosine", "how the step size goes in the run")
