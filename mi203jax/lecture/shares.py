"""Shares of images that are classified rightly, and how far two must be apart to mean more than chance."""

import functools
import math

from mi203jax.configs import ImageClassification
from mi203jax.configs.lecture import FORMS, forms_of
from mi203jax.core.trials import Sweep

STANDARD_ERRORS = 2.0
"""From which a difference counts: chance gives one in twenty."""


def percent(share: float) -> str:
    """`0.9444` -> `"94.4 %"`."""
    return f"{100 * share:.1f} %"


def margin(first: float, second: float, n: int) -> float:
    """Two standard errors of the difference of two shares p of n images each: 2 √(2 p (1 − p) / n).

    As if they were of different images. Both are of the same, of which some are hard for both: the difference
    varies less, and this is an upper bound. What another seed changes is not in it.

    Args:
        first: a share of right answers.
        second: another; p is the mean of both.
        n: images that each was judged on.
    """
    p = (first + second) / 2
    return STANDARD_ERRORS * math.sqrt(2 * p * (1 - p) / n)


@functools.cache
def images_judged(run: str) -> int:
    """How many images a run of the lecture is judged on, by the form in which it runs.

    Args:
        run: what it is called there; of `image_classification`, or of an experiment with the same data.

    Raises:
        UsageError: if the set cannot be read.
    """
    from mi203jax.data.sets import open_records  # TFDS takes its time

    form = next(forms_of(e)[run] for e in FORMS if run in forms_of(e))
    c = Sweep(ImageClassification(), form.assignments).trials()[0]
    return len(open_records(c.data, c.eval_split, c.data_dir or None)[0])
