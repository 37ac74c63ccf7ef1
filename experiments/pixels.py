"""A recurrent network reads a digit pixel by pixel, 784 steps, and says which it was.

Slide "Réseau récurrent": a memory of the past, put to the test. By default 5,000 digits of MNIST.

    python launch.py --exp=pixels
"""

from mi203jax.configs import Sequences
from mi203jax.core.experiment import Experiment

EXPERIMENT = Experiment(
    Sequences(
        data="mnist_5k",
        total_steps=80_000,
        eval_every=8_000,
        batch_size=64,
        bidirectional=False,
        pooling="last",
        noise=0.0,
        dropout=0.0,
        label_smoothing=0.0,
        schedule="one_cycle",
        warmup=0.1,
        learning_rate=1e-2,
        forget_bias=4.0,  # what is read must last: σ(4) of it stays at each step
    ),
    "mi203jax.tasks.sequences:task",
    {"cell": ("cell=rnn,lstm,gru",), "pooling": ("pooling=last,mean,attention",)},
)
