"""Dense layers against convolutions, with as many parameters: on images, moved ones and shuffled ones.

Slide "Rappel: classification supervisée de vecteurs": it is impossible to classify images without using
that they are images.

    python launch.py --exp=mlp_vs_cnn
"""

from mi203jax.configs import MlpVsCnn
from mi203jax.core.experiment import Experiment

EXPERIMENT = Experiment(
    MlpVsCnn(),
    "mi203jax.tasks.mlp_vs_cnn:task",
    {"default": ("model=mlp,cnn", "images=plain,shifted,permuted")},
)
