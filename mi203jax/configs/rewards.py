"""Fields of the game that is learned from a sparse or a dense score."""

from typing import Literal

from mi203jax.core.config import RunConfig, config, static, traced

Map = Literal["cliff", "lure", "rooms", "treasures"]
"""Names in `mi203jax.rl.games.MAPS`."""


@config
class Rewards(RunConfig):
    """A game on a map, learned by a table from its score, and then played without it."""

    total_steps: int = static(200_000, "length of the run, in moves of the game", "[1, 2000000000]")
    eval_every: int = static(10_000, "moves between two evaluations", "[1, inf)")
    map: Map = static("treasures", "map of the game: walls, holes, treasures, the goal")
    score: Literal["sparse", "dense"] = static(
        "sparse", "what is learned from: the end, or each move's score"
    )
    slip: float = static(0.0, "probability of a move to the left or right of where one wants to", "[0, 1]")
    time_limit: int = static(100, "moves after which a game is cut", "[1, 100000]")
    gamma: float = traced(0.9, "discount γ", "[0, 1)")
    step_size: float = traced(0.5, "α: part of its error by which an entry of Q first changes", "(0, 1]")
    power: float = traced(0.0, "an entry's n-th change is by α / n^power of its error", "[0, 1]")
    epsilon_start: float = traced(1.0, "probability of a random action at first", "[0, 1]")
    epsilon_end: float = traced(0.5, "probability of a random action at last; never when judged", "[0, 1]")
    samples: int = static(2_000, "moves of an iteration, during which ε stays", "[1, 1000000]")

    @property
    def steps_per_iteration(self) -> int:
        """Moves of one call of `step`."""
        return self.samples
