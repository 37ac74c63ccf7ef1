"""Fields that every task learning from labelled examples has: data, optimisation, regularisation."""

from typing import Literal

from mi203jax.core.config import RunConfig, config, static, traced

Optimizer = Literal["sgd", "normalized_gradient", "adagrad", "momentum_ema", "heavy_ball", "nesterov", "adam"]
Initializer = Literal["uniform", "gaussian", "xavier", "he", "orthogonal", "delta_orthogonal"]
Schedule = Literal["constant", "linear", "cosine", "one_cycle", "step"]


@config
class Supervised(RunConfig):
    """A network that learns from labelled examples. A step is one training example.

    So runs with batches of any size are compared after as many epochs, and their curves share an axis.
    """

    total_steps: int = static(40_000, "length of the run, in training examples", "[1, 2000000000]")
    eval_every: int = static(4_000, "training examples between two evaluations", "[1, inf)")
    data: str = static("mnist_5k", "the set: one of this package's, or of TFDS's, by its name")
    data_dir: str = static("", "folder in which TFDS prepared the set; empty: where it usually is")
    train_split: str = static("train", "the examples trained on, as TFDS writes splits: train[:80%]")
    eval_split: str = static("test", "the examples judged on; to tune, take a part of train")
    feed: Literal["auto", "memory", "stream"] = static("auto", "where examples wait; auto: by the set's size")
    standardize: Literal["none", "channel", "feature"] = static("channel", "what is centred and reduced")
    batch_size: int = static(128, "examples in a gradient step: 1, some, or all of the set", "[1, inf)")
    optimizer: Optimizer = static("adam", "how gradients become steps")
    learning_rate: float = traced(1e-3, "step size λ at its largest", "(0, inf)")
    schedule: Schedule = static("constant", "how the step size goes in the run")
    warmup: float = traced(0.0, "part of the run in which the step size rises", "[0, 1)")
    momentum: float = traced(0.9, "γ of the smoothed gradient; β₁ of Adam", "[0, 1)")
    weight_decay: float = traced(0.0, "part of the weights that a step of size 1 takes off", "[0, inf)")
    clip_norm: float = traced(0.0, "global norm at which gradients are clipped; 0: never", "[0, inf)")
    clip_value: float = traced(
        0.0, "size at which each number of a gradient is clipped; 0: never", "[0, inf)"
    )
    initializer: Initializer = static("he", "how weights begin")
    init_scale: float = traced(1.0, "factor on the first weights", "(0, inf)")
    normalization: Literal["none", "batch", "layer"] = static("batch", "what each layer is normalised over")
    use_dropout: bool = static(False, "drop inputs of the dense layers while training")
    dropout: float = traced(0.5, "part of the inputs that is dropped, with use_dropout", "[0, 1)")
    spectral_norm: bool = static(False, "divide each layer's weights by their largest singular value")

    @property
    def steps_per_iteration(self) -> int:
        """One gradient step."""
        return self.batch_size
