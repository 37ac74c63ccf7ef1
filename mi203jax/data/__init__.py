"""Data sets: `load` reads what TFDS prepared, embedded or elsewhere, without TensorFlow."""

from mi203jax.data.sets import DataSet, load, names

__all__ = ["DataSet", "load", "names"]
