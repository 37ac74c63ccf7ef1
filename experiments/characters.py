"""The next character of a text, the licence of Python itself; and texts that the model writes.

Slide "Réseau récurrent". Any text in UTF-8 with text=FILE. The last tenth is judged on; the defaults were
chosen with eval_part=validation, on the tenth before it.

    python launch.py --exp=characters
"""

from mi203jax.configs import Characters
from mi203jax.core.experiment import Experiment

EXPERIMENT = Experiment(
    Characters(),
    "mi203jax.tasks.characters:task",
    {
        "cells": ("cell=rnn,gru,lstm",),
        "dropout": ("dropout=0,0.25,0.5,0.75",),
        "hidden": ("hidden=32,64,128,256",),
        "length": ("length=4,16,64,256",),
        "tuning": ("eval_part=validation", "learning_rate=5e-3,1e-2,2e-2,4e-2", "dropout=0,0.5"),
    },
)
