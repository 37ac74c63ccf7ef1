"""Data: sets by their name, read without TensorFlow and without jax.

Beside it: `feed` and `order` bring batches to a step, `splits` joins them to a set, `standardize` and
`shapes` are pure functions.
"""

from mi203jax.data.sets import DataSet, load, names, open_source
from mi203jax.data.source import Info, Source

__all__ = ["DataSet", "Info", "Source", "load", "names", "open_source"]
