"""A recurrent network says who speaks: signals of 7 to 29 steps, read one step at a time.

Slide "Réseau récurrent". By default the Japanese vowels: 12 coefficients a step, 9 speakers.

    python launch.py --exp=sequences
"""

from mi203jax.configs import Sequences
from mi203jax.core.experiment import Experiment

EXPERIMENT = Experiment(
    Sequences(),
    "mi203jax.tasks.sequences:task",
    {
        "deep": ("hidden=128", "layers=2", "dropout=0.7", "label_smoothing=0.2"),
        "cell": ("cell=rnn,lstm,gru",),
        "pooling": ("pooling=last,mean,attention",),
        "buckets": ("buckets=1,2,4",),
    },
)
