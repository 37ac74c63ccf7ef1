"""Vectors with labels in {-1, 1}, predicted as sign(DL(x, θ)); the boundary is seen as it comes to be.

Slide "Rappel: classification supervisée de vecteurs". Points of the plane by default; a real table with
data=breast_cancer.

    python launch.py --exp=vectors
"""

from mi203jax.configs import Vectors
from mi203jax.core.experiment import Experiment

EXPERIMENT = Experiment(
    Vectors(),
    "mi203jax.tasks.vectors:task",
    {
        "shapes": ("data=moons,circles,blobs,spirals,xor",),
        "losses": ("loss=hinge,logistic,squared,exponential",),
        "breast_cancer": ("data=breast_cancer", "total_steps=40000", "hidden=(32,)", "weight_decay=0.01"),
    },
)
