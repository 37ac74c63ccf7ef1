"""Fields of the deep Q-network with replay and target network."""

from typing import Literal

from mi203jax.configs.q_learning import QLearning
from mi203jax.core.config import MAX_INT, config, static, traced
from mi203jax.core.errors import UsageError


@config
class DQN(QLearning):
    """Deep Q-network with replay and target network (Mnih et al. 2015), in vectorised form."""

    learning_rate: float = traced(1e-3, "step size of Adam at first", "(0, inf)")
    layer_norm: bool = static(True, "normalise each layer before its relu")
    batch_size: int = static(128, "transitions in a gradient step", "[1, inf)")
    gradient_steps: int = static(2, "gradient steps after each step of all environments", "[1, inf)")
    replay_size: int = static(100_000, "transitions that the replay holds", "[1, inf)")
    learning_starts: int = static(5_000, "environment steps before the first gradient", "[0, inf)")
    target_period: int = static(20, "gradient steps between copies to the target network", "[1, inf)")
    double_q: bool = static(True, "choose the next action by the online network (van Hasselt 2016)")
    loss: Literal["squared", "huber"] = static("huber", "penalty on the TD error")
    huber_delta: float = traced(1.0, "TD error at which the Huber loss becomes linear", "(0, inf)")

    def check(self) -> None:
        """Fields that must fit each other."""
        super().check()
        for name, size in (("batch_size", self.batch_size), ("num_envs", self.num_envs)):
            if size > self.replay_size:
                raise UsageError(
                    f"{name}={size} is larger than the replay: expected at most "
                    f"replay_size={self.replay_size}."
                )
        if self.num_iterations * self.gradient_steps > MAX_INT:
            raise UsageError(
                f"gradient_steps={self.gradient_steps} makes more than {MAX_INT} gradient steps in the run: "
                f"expected at most {MAX_INT // self.num_iterations}."
            )
        if self.learning_starts >= self.total_steps:
            raise UsageError(
                f"learning_starts={self.learning_starts} is not before the end: expected less than "
                f"total_steps={self.total_steps}."
            )

    @property
    def steps_per_iteration(self) -> int:
        """One step of every environment."""
        return self.num_envs

    @property
    def replay_capacity(self) -> int:
        """`replay_size` in whole steps of all environments, rounded down."""
        return self.replay_size // self.num_envs * self.num_envs
