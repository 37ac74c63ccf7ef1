"""One network makes images, one tells them from real ones: a generative adversarial network, on digits.

Slide "Classification → génération".

    python launch.py --exp=gan
"""

from mi203jax.configs import GAN
from mi203jax.core.experiment import Experiment

EXPERIMENT = Experiment(
    GAN(),
    "mi203jax.tasks.gan:task",
    {
        "conditional": ("conditional=true",),
        "unregularised": ("loss=minimax,non_saturating,relativistic", "penalties=()"),
        "wasserstein": (
            "loss=wasserstein",
            "penalties=(gradient_penalty)",
            "penalty=10",
            "discriminator_steps=2",
        ),
        "spectral_norm": ("loss=hinge", "penalties=()", "spectral_norm=true"),
        "loss": ("loss=minimax,non_saturating,hinge,wasserstein,relativistic",),
        "penalties": ("penalties=(),(r1),(r2),(r1,r2)",),
        "penalty": ("penalty=0.03,0.1,0.3,1,3",),
        "normalization": ("normalization=none,batch,layer",),
    },
)
