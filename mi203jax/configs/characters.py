"""Fields of the model of a text: what the next character is."""

from typing import Literal

from mi203jax.configs.optimized import Schedule
from mi203jax.configs.recurrent import Recurrent
from mi203jax.core.config import config, static, traced
from mi203jax.core.errors import UsageError


@config
class Characters(Recurrent):
    """Recurrent layers that read a text and say at each character which comes next."""

    total_steps: int = static(8_000, "length of the run, in windows", "[1, 2000000000]")
    eval_every: int = static(1_000, "windows between two evaluations", "[1, inf)")
    text: str = static("", "file that is read, in UTF-8; empty: the licence of this Python")
    held_out: float = static(0.1, "the last part of the text, which is judged on", "(0, 1)")
    eval_part: Literal["held_out", "validation"] = static(
        "held_out", "what is judged on; validation, for tuning: as much before it, not learnt from"
    )
    length: int = static(64, "characters of a window: the gradient goes no further back", "[1, 100000]")
    batch_size: int = static(16, "windows in a gradient step, each from a random place on", "[1, inf)")
    hidden: int = static(128, "units of a layer", "[1, 100000]")
    dropout: float = traced(0.5, "part of the last layer's outputs that is dropped in training", "[0, 1)")
    learning_rate: float = traced(2e-2, "step size λ at its largest", "(0, inf)")
    schedule: Schedule = static("cosine", "how the step size goes in the run")
    weight_decay: float = traced(0.3, "part of the weights that a step of size 1 takes off", "[0, inf)")
    prompt: str = static("", "how sampled texts begin, without comma; empty: a random character of the text")
    sampled: int = static(500, "characters of a sampled text", "[1, 100000]")
    temperature: float = traced(0.7, "by which scores are divided before a character is drawn", "(0, inf)")

    def check(self) -> None:
        """Fields that must fit each other."""
        super().check()
        if self.eval_part == "validation" and self.held_out >= 0.5:
            raise UsageError(
                f"held_out={self.held_out} leaves nothing to learn from with eval_part=validation: expected "
                "less than 0.5."
            )
