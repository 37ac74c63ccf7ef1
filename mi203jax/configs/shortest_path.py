"""Fields of the shortest path."""

from typing import Literal

from mi203jax.core.config import RunConfig, config, static, traced
from mi203jax.core.errors import UsageError

MOST_ROADS = 40
"""Its square is the largest number of junctions: all their distances are kept while roads are drawn."""


@config
class ShortestPath(RunConfig):
    """A maze, or a map of roads, and how far each place is from the one in the middle."""

    total_steps: int = static(250, "length of the run, in sweeps over all nodes", "[1, 1000000]")
    eval_every: int = static(10, "sweeps between two evaluations", "[1, inf)")
    graph: Literal["maze", "roads"] = static("maze", "corridors of a maze, or roads between junctions")
    size: int = static(24, "cells a side of the maze; roads: as many junctions as it has cells", "[2, 64]")
    loops: float = traced(0.03, "maze: part of its remaining walls that is opened, for more ways", "[0, 1]")
    neighbours: int = static(4, "roads: nearest junctions to which each is joined", "[1, 12]")
    detour: float = traced(0.5, "roads: how much longer than straight they are at most", "[0, 100]")

    def check(self) -> None:
        """Fields that must fit each other."""
        super().check()
        for name in ("neighbours", "detour") if self.graph == "maze" else ("loops",):
            value = getattr(self, name)
            # Arrays, which jax puts in place of numbers, are let be.
            if isinstance(value, int | float) and value != type(self).__dataclass_fields__[name].default:
                other = "roads" if self.graph == "maze" else "maze"
                raise UsageError(f"{name}={value:g} is of graph={other}, not of {self.graph}: leave it out.")
        if self.graph == "roads" and self.size > MOST_ROADS:
            raise UsageError(f"size={self.size}: graph=roads takes at most {MOST_ROADS}² junctions.")
        if self.graph == "roads" and self.neighbours >= self.size**2:
            raise UsageError(
                f"neighbours={self.neighbours}: of {self.size**2} junctions (size={self.size}) each has "
                f"at most {self.size**2 - 1}."
            )
