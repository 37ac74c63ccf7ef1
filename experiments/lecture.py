"""The lecture in one command: every experiment in a short form, and one page in the order of the slides.

An experiment that fails leaves a hole in the page, and the others go on; --resume tries it again.

    python launch.py --exp=lecture
    python launch.py --exp=lecture "parts=(vectors,dqn)"
"""

from experiments import names
from mi203jax import configs
from mi203jax.core.config import config
from mi203jax.core.errors import check_names
from mi203jax.core.experiment import Experiment
from mi203jax.lecture.slide import in_order
from mi203jax.lecture.slides import SLIDES

PARTS = tuple(in_order([n for n in names() if n != __name__.rpartition(".")[2]], SLIDES))


@config
class Lecture(configs.Lecture):
    """The lecture, whose parts are those of this folder."""

    def check(self) -> None:
        """Each part an experiment."""
        super().check()
        check_names("parts", self.parts, PARTS)


EXPERIMENT = Experiment(Lecture(parts=PARTS), "", series="mi203jax.tasks.lecture:series")
