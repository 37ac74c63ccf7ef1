"""Q* of one game by every method: linear program, iteration over values, over policies, and from samples.

Slides "Équation fondamentale de Q*", "Cas fini".

    python launch.py --exp=bellman
"""

from mi203jax.configs import Bellman
from mi203jax.core.experiment import Experiment

EXPERIMENT = Experiment(
    Bellman(),
    "mi203jax.tasks.bellman:task",
    {
        "step_size": ("power=0,0.3,0.6,0.8,1", "step_size=0.1,0.3,1"),
        "games": ("game=rooms,cliff,frozen_lake,cliff_walking,random",),
    },
)
