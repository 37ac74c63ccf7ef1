"""A convolutional network tells images apart; each choice of the slides is a field.

Slides "Convolution", "Pooling", "Optimisation", "Batch normalisation", "Mais aussi". By default on 5,000
real digits of MNIST, which the package holds.

    python launch.py --exp=image_classification
"""

from mi203jax.configs import ImageClassification
from mi203jax.core.experiment import Experiment

EXPERIMENT = Experiment(ImageClassification(), "mi203jax.tasks.image_classification:task")
