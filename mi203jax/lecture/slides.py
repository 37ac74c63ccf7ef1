"""The course, slide by slide.

The one source of `docs/course.md` (`python -m benchmarks.course_page`) and of what `--exp=lecture` runs and
shows. Does not import jax.
"""

from mi203jax.lecture.beyond import BEYOND
from mi203jax.lecture.classifying import CLASSIFYING

SLIDES = (*CLASSIFYING, *BEYOND)
"""In the order of the lecture."""
