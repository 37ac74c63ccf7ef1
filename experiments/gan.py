"""One network makes images, one tells them from real ones: a generative adversarial network, on digits.

Slide "Classification → génération".

    python launch.py --exp=gan
"""

from mi203jax.configs import GAN
from mi203jax.core.experiment import Experiment

EXPERIMENT = Experiment(GAN(), "mi203jax.tasks.gan:task", {})
