"""Fields of the deep Q-network with replay and target network."""

from typing import Literal

from mi203jax.atari import FRAMES
from mi203jax.configs.q_learning import QLearning
from mi203jax.core.config import config, static, traced
from mi203jax.core.errors import UsageError
from mi203jax.core.fields import MAX_INT


@config
class DQN(QLearning):
    """Deep Q-network with replay and target network (Mnih et al. 2015), in vectorised form.

    With a `memory` it is a recurrent one (Hausknecht & Stone 2015), for environments that hide something.
    """

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
    memory: Literal["none", "rnn", "lstm", "gru"] = static("none", "recurrent cell before the values")
    memory_size: int = static(64, "units of the memory, if there is one", "[1, inf)")
    sequence_length: int = static(16, "successive steps that a memory learns from together", "[1, inf)")
    burn_in: int = static(0, "the first of these that only warm the memory up, without a loss", "[0, inf)")

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
        if self.is_atari:
            self._check_frames()
        if self.has_memory:
            self._check_sequences()

    def _check_frames(self) -> None:
        """What a replay of screens can do."""
        if self.has_memory:
            raise UsageError(f"memory={self.memory}: expected none, since Atari's replay has no sequences.")
        least = (FRAMES + 1) * self.num_envs
        for name in ("replay_size", "learning_starts"):
            if getattr(self, name) < least:
                raise UsageError(
                    f"{name}={getattr(self, name)}: expected at least {least}, {FRAMES + 1} steps of each of "
                    f"num_envs={self.num_envs}, since Atari's replay shows {FRAMES} screens and the next one."
                )

    def _check_sequences(self) -> None:
        """What a memory learns from must be there, and make whole batches."""
        length, held = self.sequence_length, self.replay_size // self.num_envs
        if length > held:
            raise UsageError(
                f"sequence_length={length} is longer than what the replay holds of an environment: expected "
                f"at most replay_size / num_envs = {held}."
            )
        if length * self.num_envs > self.learning_starts:
            raise UsageError(
                f"learning_starts={self.learning_starts} comes before an environment has played a sequence: "
                f"expected at least num_envs * sequence_length = {length * self.num_envs}."
            )
        if self.batch_size % length:
            raise UsageError(
                f"sequence_length={length} does not divide batch_size={self.batch_size}: expected a divisor, "
                "since batch_size counts transitions."
            )
        if self.burn_in >= length:
            raise UsageError(
                f"burn_in={self.burn_in} leaves no step to learn from: expected less than "
                f"sequence_length={length}."
            )

    @property
    def has_memory(self) -> bool:
        """Whether the network is recurrent."""
        return self.memory != "none"

    @property
    def sequences(self) -> int:
        """Sequences in a gradient step of a recurrent network: `batch_size` transitions."""
        return self.batch_size // self.sequence_length

    @property
    def steps_per_iteration(self) -> int:
        """One step of every environment."""
        return self.num_envs

    @property
    def replay_capacity(self) -> int:
        """`replay_size` in whole steps of all environments, rounded down."""
        return self.replay_size // self.num_envs * self.num_envs
