"""Boxes around things, with their classes: centres in a heat map, and sizes, on scenes of real digits.

Slide "Classification → détection".

    python launch.py --exp=detection
"""

from mi203jax.configs import Detection
from mi203jax.core.experiment import Experiment

PHOTOGRAPHS = (
    *("size=256", "channels=(16,32,64,128,256)", "augment=(flip,affine)", "translation=16", "zoom=0.3"),
    *("borders=(32,96)", "detections=100", "max_objects=100", "batch_size=16"),
)

EXPERIMENT = Experiment(
    Detection(),
    "mi203jax.tasks.detection:task",
    {
        "best": ("total_steps=100_000", "eval_every=50_000"),
        "voc": (
            *("data=voc/2007", "train_split=train+validation", *PHOTOGRAPHS),
            *("total_steps=400_000", "eval_every=50_000"),
        ),
        "coco": (
            *("data=coco/2017", "eval_split=validation", "invalid_boxes=drop", *PHOTOGRAPHS),
            *("total_steps=2_000_000", "eval_every=200_000"),
        ),
        "box_loss": ("box_loss=l1,giou",),
        "spread": ("spread=0.1,0.2,0.4,0.7",),
        "stride": ("stride=2,4,8",),
    },
)
