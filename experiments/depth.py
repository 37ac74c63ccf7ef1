"""A network of 100 equal layers: how far gradients get, and what learns, with batch norm, with skips.

Slide "Batch normalisation": "the same dynamics at each layer, the gradient can propagate through 100 layers!"
It does not vanish, but grows by √(π / (π − 1)) ≈ 1.21 a layer on its way back, whatever the first weights,
unless each layer's result is added to what the layer gets. The figure `gradient_norms` of a trial shows it.

    python launch.py --exp=depth
    python launch.py --exp=depth residual=false normalization=batch
"""

from mi203jax.configs import ImageClassification
from mi203jax.core.experiment import Experiment

NORMALIZATIONS = "normalization=none,batch"

EXPERIMENT = Experiment(
    ImageClassification(
        channels=(),
        hidden=(64,),
        depth=100,
        augment=(),
        learning_rate=1e-3,
        weight_decay=0.0,
        schedule="constant",
        warmup=0.0,
    ),
    "mi203jax.tasks.image_classification:task",
    {
        "default": (NORMALIZATIONS, "residual=false,true"),
        "initializer": (
            "initializer=uniform,gaussian,xavier,he,orthogonal,delta_orthogonal",
            NORMALIZATIONS,
        ),
        "depth": ("depth=5,10,20,50,100", NORMALIZATIONS),
    },
)
