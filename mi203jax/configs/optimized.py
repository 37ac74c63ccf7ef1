"""Fields of every task whose network steps downhill: the optimiser and its step size."""

from typing import Literal

from mi203jax.core.config import RunConfig, config, static, traced

Optimizer = Literal["sgd", "normalized_gradient", "adagrad", "momentum_ema", "heavy_ball", "nesterov", "adam"]
Schedule = Literal["constant", "linear", "cosine", "one_cycle", "step"]


@config
class Optimized(RunConfig):
    """A network that learns from batches of examples. A step is one training example.

    So runs with batches of any size are compared after as many epochs, and their curves share an axis.
    """

    total_steps: int = static(40_000, "length of the run, in training examples", "[1, 2000000000]")
    eval_every: int = static(4_000, "training examples between two evaluations", "[1, inf)")
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

    @property
    def steps_per_iteration(self) -> int:
        """One gradient step."""
        return self.batch_size
