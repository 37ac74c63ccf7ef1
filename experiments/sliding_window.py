"""Boxes by a classifier that is run on every window of an image: what detection grew out of.

Slide "Classification → détection". Compare `--exp=detection`, which is faster and better.

    python launch.py --exp=sliding_window
"""

from mi203jax.configs import SlidingWindow
from mi203jax.core.experiment import Experiment

EXPERIMENT = Experiment(SlidingWindow(), "mi203jax.tasks.sliding_window:task", {})
