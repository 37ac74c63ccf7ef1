"""A network predicts its input from a code that does not hold all of it, beside principal components.

Slide "Classification → autoencoder".

    python launch.py --exp=autoencoder
"""

from mi203jax.configs import Autoencoder
from mi203jax.core.experiment import Experiment

EXPERIMENT = Experiment(
    Autoencoder(),
    "mi203jax.tasks.autoencoder:task",
    {
        "code": ("code=2,5,10,30,100",),
        "information_loss": ("information_loss=bottleneck,noise,masking,sparsity,dropout,variational",),
    },
)
