"""Fields of parallelised Q-learning."""

from mi203jax.configs.q_learning import DISCRETE, QLearning
from mi203jax.core.config import config, static, traced
from mi203jax.core.errors import UsageError


def check_num_steps(num_steps: int, env: str, time_limit: int) -> None:
    """Raises UsageError if a phase is longer than an episode, which then could be cut twice in it."""
    if num_steps > time_limit:
        raise UsageError(
            f"num_steps={num_steps} is longer than the episodes of env={env}: expected at most its time "
            f"limit, {time_limit}."
        )


@config
class PQN(QLearning):
    """Parallelised Q-learning (Gallici et al. 2024): no replay, no target network, λ-returns."""

    total_steps: int = static(1_024_000, "length of the run, in environment steps", "[1, 2000000000]")
    eval_every: int = static(40_960, "environment steps between two evaluations", "[1, inf)")
    num_envs: int = static(128, "environments that play side by side", "[1, inf)")
    num_steps: int = static(32, "steps of each environment between two phases of learning", "[1, inf)")
    epochs: int = static(2, "passes over the transitions of a phase", "[1, inf)")
    minibatches: int = static(32, "gradient steps in a pass", "[1, inf)")
    learning_rate: float = traced(5e-4, "step size of RAdam at first", "(0, inf)")
    epsilon_end: float = traced(0.05, "probability of a random action at last", "[0, 1]")
    lambda_: float = traced(0.65, "λ: 0 trusts Q after one step, 1 the whole return", "[0, 1]")
    layer_norm: bool = static(True, "normalise each layer before its relu (what replaces the target)")

    def check(self) -> None:
        """Fields that must fit each other."""
        super().check()
        if (self.num_envs * self.num_steps) % self.minibatches:
            raise UsageError(
                f"minibatches={self.minibatches} does not divide num_envs * num_steps = "
                f"{self.num_envs * self.num_steps}: expected a divisor of it."
            )

        check_num_steps(self.num_steps, self.env, DISCRETE.get(self.env, self.num_steps))

    @property
    def steps_per_iteration(self) -> int:
        """`num_steps` of every environment."""
        return self.num_envs * self.num_steps
