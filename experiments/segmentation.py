"""A class for each pixel: a U-Net, or a plain fully convolutional network, on scenes of real digits.

Slide "Classification → segmentation".

    python launch.py --exp=segmentation
"""

from mi203jax.configs import Segmentation
from mi203jax.core.experiment import Experiment

EXPERIMENT = Experiment(
    Segmentation(),
    "mi203jax.tasks.segmentation:task",
    {
        "best": ("total_steps=80_000", "eval_every=40_000"),
        "pets": (
            *("data=oxford_iiit_pet", "size=128", "channels=(32,64,128,128,128)", "augment=(flip,affine)"),
            *("total_steps=110_400", "eval_every=18_400", "batch_size=16", "translation=8", "zoom=0.3"),
        ),
        "channels": ("channels=(16,32),(16,32,64),(16,32,64,64)",),
        "loss": ("loss=cross_entropy,weighted,dice,focal",),
        "model": ("model=unet,fully_convolutional",),
    },
)
