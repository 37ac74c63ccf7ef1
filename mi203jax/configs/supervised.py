"""Fields that every task learning from labelled examples has: which ones, and where they are."""

from typing import Literal

from mi203jax.configs.optimized import Optimized
from mi203jax.core.config import config, static


@config
class Supervised(Optimized):
    """A network that learns from labelled examples."""

    data: str = static("mnist_5k", "the set: one of this package's, or of TFDS's, by its name")
    data_dir: str = static("", "folder in which TFDS prepared the set; empty: where it usually is")
    train_split: str = static("train", "the examples trained on, as TFDS writes splits: train[:80%]")
    eval_split: str = static("test", "the examples judged on; to tune, take a part of train")
    feed: Literal["auto", "memory", "stream"] = static("auto", "where examples wait; auto: by the set's size")
    standardize: Literal["none", "vector", "feature", "channel"] = static(
        "channel", "what is centred and reduced"
    )
