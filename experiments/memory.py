"""How far recurrent cells remember: two marked numbers in a long signal, to be added at its end.

Slide "Réseau récurrent": why LSTM and GRU. Beside the answers stands how the loss's gradient fades on its way
back through time.

    python launch.py --exp=memory
    python launch.py --exp=memory --sweep=cells --seeds=5
"""

from mi203jax.configs import Memory
from mi203jax.core.experiment import Experiment

CELLS = "cell=rnn,lstm,gru"

EXPERIMENT = Experiment(
    Memory(),
    "mi203jax.tasks.memory:task",
    {
        "cells": (CELLS,),
        "lengths": (CELLS, "length=20,50,100,200,400"),
        "copy": (
            CELLS,
            "problem=copy",
            "length=50",
            "symbols=3",
            "hidden=64",
            "learning_rate=0.02",
            "total_steps=64000",
        ),
        "clipping": (
            "cell=rnn",
            "length=20",
            "optimizer=heavy_ball",
            "learning_rate=0.03,0.1,0.3",
            "clip_norm=0,0.1,1",
        ),
        "forget": ("cell=lstm", "chrono=false,true", "forget_bias=0,1,2,4"),
    },
)
