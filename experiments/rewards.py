"""Sparse against dense score: the same game learned from each, then played with the score hidden.

Slide "Apprentissage": +100, −100, else 0; or +100,000, −100,000, else the game's current score.

    python launch.py --exp=rewards
    python launch.py --exp=rewards --sweep=lure --seeds=10
"""

from mi203jax.configs import Rewards
from mi203jax.core.experiment import Experiment

BOTH = "score=sparse,dense"

EXPERIMENT = Experiment(
    Rewards(),
    "mi203jax.tasks.rewards:task",
    {
        "default": (BOTH, "seed=lin(0,9,10)"),
        "lure": (BOTH, "map=lure", "gamma=0.99,0.999,0.9999", "total_steps=500000", "eval_every=25000"),
        "time_limit": (BOTH, "time_limit=50,100,200,400,800"),
        "slip": (BOTH, "slip=0,0.05,0.1,0.2"),
    },
)
