"""The shortest path as reinforcement: distances spread over a maze, or a road map, sweep by sweep.

Slide "le plus court chemin vu comme du renforcement": D(A) ← min over B of d(A, B) + D(B), and the same graph
as a game, V(A) ← max over B of −d(A, B) + V(B). Beside them stands Dijkstra's algorithm.

    python launch.py --exp=shortest_path
    python launch.py --exp=shortest_path --sweep=roads
"""

from mi203jax.configs import ShortestPath
from mi203jax.core.experiment import Experiment

EXPERIMENT = Experiment(
    ShortestPath(),
    "mi203jax.tasks.shortest_path:task",
    {
        "roads": ("graph=roads", "total_steps=60", "eval_every=2"),
        "loops": ("loops=0,0.01,0.03,0.1,0.3,1", "total_steps=400"),
    },
)
