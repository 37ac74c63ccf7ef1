"""Fields of deep Q-learning by the slide's own objective."""

from typing import Literal

from mi203jax.configs.dqn import DQN
from mi203jax.core.config import config, static, traced
from mi203jax.core.errors import UsageError


@config
class ReluQ(DQN):
    """Deep Q-learning by relu(r + γ Q(s', a') − Q(s, a)), without and with the mean of Q, or by TD errors."""

    objective: Literal["relu", "relu_mean_q", "td"] = static(
        "relu_mean_q", "the slide's; with the mean of Q that it drops; or DQN's loss"
    )
    mean_q: float = traced(0.001, "weight of the mean of Q at first (relu_mean_q)", "[0, 1]")
    mean_q_ratio: float = traced(1.0, "weight of the mean of Q at last, over that at first", "[0, inf)")
    next_q: Literal["online", "target"] = static(
        "online", "whose Q(s', a') the relu has: the network's own, or the target network's"
    )
    next_action: Literal["each", "best"] = static("best", "a' of the relu: all of them, or the best")
    initial_q: float = traced(0.0, "what is added to Q at the start of learning", "(-inf, inf)")

    def check(self) -> None:
        """Fields that must fit each other."""
        super().check()
        if self.is_atari:
            raise UsageError(f"env={self.env}: expected --exp=dqn or --exp=pqn for Atari games.")
        if self.has_memory:
            raise UsageError(
                f"memory={self.memory}: expected none, since the relu objective has no sequences."
            )
