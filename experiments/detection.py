"""Boxes around things, with their classes: centres in a heat map, and sizes, on scenes of real digits.

Slide "Classification → détection".

    python launch.py --exp=detection
"""

from mi203jax.configs import Detection
from mi203jax.core.experiment import Experiment

EXPERIMENT = Experiment(Detection(), "mi203jax.tasks.detection:task", {})
