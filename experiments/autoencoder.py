"""A network predicts its input from a code that does not hold all of it, beside principal components.

Slide "Classification → autoencoder".

    python launch.py --exp=autoencoder
"""

from mi203jax.configs import Autoencoder
from mi203jax.core.experiment import Experiment

CONVOLUTIONAL = ("channels=(16,32)", "hidden=(256)")

EXPERIMENT = Experiment(
    Autoencoder(),
    "mi203jax.tasks.autoencoder:task",
    {
        "best": (*CONVOLUTIONAL, "total_steps=1_200_000", "eval_every=300_000"),
        "mnist": ("data=mnist", *CONVOLUTIONAL, "total_steps=6_000_000", "eval_every=600_000"),
        "variational": (
            *("information_loss=variational", "penalty=0.5", "augment=()", *CONVOLUTIONAL),
            *("total_steps=400_000", "eval_every=100_000"),
        ),
        "code": ("code=2,5,10,30,100", "total_steps=400_000"),
        "channels": ("channels=(),(16,32)", "hidden=(256)", "total_steps=400_000"),
        "information_loss": (
            "information_loss=bottleneck,noise,masking,sparsity,dropout,variational",
            "total_steps=400_000",
        ),
    },
)
