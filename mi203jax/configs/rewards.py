"""Fields of the game that is learned from a sparse or a dense score."""

from typing import Literal

from mi203jax.core.config import RunConfig, config, static, traced


@config
class Rewards(RunConfig):
    """A game on a map, learned by a table. A step is one move of it."""

    total_steps: int = static(200_000, "length of the run, in moves", "[1, 2000000000]")
    eval_every: int = static(10_000, "moves between two evaluations", "[1, inf)")
    map: Literal["cliff", "lure", "rooms", "treasures"] = static("treasures", "where the game is played")
    score: Literal["sparse", "dense"] = static("sparse", "rewards: of its end alone, or of each move")
    slip: float = static(0.0, "probability of moving to either side of where one wants to", "[0, 1]")
    time_limit: int = static(200, "moves after which a game is cut", "[1, 100000]")
    gamma: float = traced(0.99, "discount γ", "[0, 1)")
    step_size: float = traced(0.5, "α: part of its error by which an entry of Q changes at first", "(0, 1]")
    power: float = traced(0.0, "an entry's n-th change is by α / n^power of its error", "[0, 1]")
    epsilon_start: float = traced(1.0, "probability of a random action at first", "[0, 1]")
    epsilon_end: float = traced(0.05, "probability of a random action at last", "[0, 1]")
    samples: int = static(500, "moves after which ε falls again", "[1, 1000000]")

    @property
    def steps_per_iteration(self) -> int:
        """Moves in a call of `step`."""
        return self.samples
