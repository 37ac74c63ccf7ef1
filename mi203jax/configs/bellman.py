"""Fields of the finite case: Q* of a game whose rules are known, by every method."""

from typing import Literal

from mi203jax.core.config import RunConfig, config, static, traced
from mi203jax.core.errors import UsageError


@config
class Bellman(RunConfig):
    """A finite game. A step is one sample of it, for each of the methods that learn from samples."""

    total_steps: int = static(400_000, "samples that each method learns from", "[1, 2000000000]")
    eval_every: int = static(20_000, "samples between two evaluations", "[1, inf)")
    game: Literal["rooms", "cliff", "frozen_lake", "cliff_walking", "taxi", "random"] = static(
        "rooms", "a map of ours; a table of gymnasium's; or random rules"
    )
    score: Literal["sparse", "dense"] = static("sparse", "rewards of our maps: ±100, or the current score")
    slip: float = static(0.2, "our maps: probability that a move goes to one of the sides", "[0, 1]")
    states: int = static(50, "random rules: states", "[1, 2000]")
    actions: int = static(4, "random rules: actions", "[1, 100]")
    gamma: float = static(0.95, "discount γ; 1 needs an end that can always be reached", "[0, 1]")
    step_size: float = traced(1.0, "α of an entry's first change", "(0, 1]")
    power: float = traced(0.6, "its n-th change is by α / n^power of the error", "[0, 1]")
    epsilon_start: float = traced(1.0, "probability of a random action at first", "[0, 1]")
    epsilon_end: float = traced(0.0, "probability of a random action at last, linearly", "[0, 1]")
    samples: int = static(1_000, "samples in one call of the compiled step", "[1, 1000000]")

    def check(self) -> None:
        """Fields that must fit the game."""
        super().check()
        of_maps, of_chance = dict.fromkeys(("score", "slip"), ("rooms", "cliff")), ("states", "actions")
        of = {**of_maps, **dict.fromkeys(of_chance, ("random",))}
        for name, games in of.items():
            value = getattr(self, name)
            if self.game not in games and value != type(self).__dataclass_fields__[name].default:
                raise UsageError(f"{name}={value} is of game={' and '.join(games)}, not of {self.game}.")

    @property
    def steps_per_iteration(self) -> int:
        """So many samples each."""
        return self.samples
