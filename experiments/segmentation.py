"""A class for each pixel: a U-Net, or a plain fully convolutional network, on scenes of real digits.

Slide "Classification → segmentation".

    python launch.py --exp=segmentation
"""

from mi203jax.configs import Segmentation
from mi203jax.core.experiment import Experiment

EXPERIMENT = Experiment(Segmentation(), "mi203jax.tasks.segmentation:task", {})
