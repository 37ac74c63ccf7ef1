"""Fields of the problems that ask how far back a network remembers."""

from typing import Literal

from mi203jax.configs.optimized import Schedule
from mi203jax.configs.recurrent import Recurrent
from mi203jax.core.config import config, static, traced
from mi203jax.core.errors import UsageError


@config
class Memory(Recurrent):
    """A sum of two marked numbers, or symbols to be copied, after a long wait."""

    total_steps: int = static(48_000, "length of the run, in training examples", "[1, 2000000000]")
    eval_every: int = static(4_800, "training examples between two evaluations", "[1, inf)")
    problem: Literal["adding", "copy"] = static("adding", "two marked numbers' sum; or symbols, after a wait")
    length: int = static(
        200, "steps of a signal; of copy, those between symbols and delimiter", "[1, 100000]"
    )
    symbols: int = static(10, "symbols that are to be copied", "[1, 1000]")
    alphabet: int = static(8, "kinds of symbols", "[2, 1000]")
    eval_examples: int = static(1_000, "made examples that are judged, always the same", "[1, 1000000]")
    forget_bias: float = traced(
        4.0, "first bias of the gate that keeps the past: LSTM's forget, GRU's update", "(-inf, inf)"
    )
    chrono: bool = static(True, "LSTM: the input gate's first bias is −forget_bias, not 0")
    batch_size: int = static(32, "examples in a gradient step", "[1, inf)")
    hidden: int = static(32, "units of a layer", "[1, 100000]")
    learning_rate: float = traced(1e-2, "step size λ at its largest", "(0, inf)")
    schedule: Schedule = static("one_cycle", "how the step size goes in the run")
    warmup: float = traced(0.1, "part of the run in which the step size rises", "[0, 1)")

    def check(self) -> None:
        """Fields that must fit each other."""
        super().check()
        if self.problem == "copy":
            return
        if self.length < 2:
            raise UsageError(f"length={self.length}: problem=adding marks two steps, expected at least 2.")
        for name in ("symbols", "alphabet"):
            if getattr(self, name) != type(self).__dataclass_fields__[name].default:
                raise UsageError(f"{name}={getattr(self, name)} is of problem=copy, not of {self.problem}.")
