"""Fields of the study of the course's tendencies."""

from typing import Literal

from mi203jax.configs.claims import CLAIMS, SETTINGS
from mi203jax.core.config import BaseConfig, config, static
from mi203jax.core.errors import UsageError, check_names
from mi203jax.study.plan import SEEDS, Effort


@config
class Trends(BaseConfig):
    """Claims of the form "A > B", each measured after equal tuning, on fresh seeds.

    The seed is the study's: seeds of runs are 1,000 times it and more.
    """

    claims: tuple[str, ...] = static(
        ("momentum", "large_batch", "large_batch_updates", "batch_norm", "batch_norm_tiny"),
        "claims that are measured: see mi203jax/configs/claims.py",
    )
    settings: tuple[str, ...] = static(("digits", "spirals"), "where each is measured, as far as it fits")
    draws: int = static(8, "configurations that each arm is tuned over", "[1, 10000]")
    tuning_seeds: int = static(1, "seeds of each of these configurations", "[1, 100]")
    judging_seeds: int = static(6, "fresh seeds of the best of them, paired between arms", "[5, 900]")
    search: Literal["random", "sobol"] = static("sobol", "how configurations are drawn")
    looks: int = static(0, "settings drawn to look for counter-examples of each claim; 0: none", "[0, 10000]")
    candidates: int = static(3, "most reversed of them that are judged, with looks", "[1, 100]")
    looked_before: int = static(
        0, "pairs of a claim and a setting that an earlier search looked at, to correct for too", "[0, 4000]"
    )

    def check(self) -> None:
        """Fields that must fit each other."""
        super().check()
        for field, known in (("claims", CLAIMS), ("settings", SETTINGS)):
            names = getattr(self, field)
            if not names:
                raise UsageError(f"{field}=(): expected one or more of {', '.join(known)}.")
            check_names(field, names, known)
        if self.seed > (2**31 - 1) // SEEDS - 1:
            raise UsageError(f"seed={self.seed}: expected at most {(2**31 - 1) // SEEDS - 1}.")
        self._check_looks()

    def _check_looks(self) -> None:
        if self.looked_before and not self.looks:
            raise UsageError(
                f"looked_before={self.looked_before} is of a search: expected looks=COUNT beside it."
            )
        for name in self.settings:
            if SETTINGS[name].is_drawn and not self.looks:
                raise UsageError(f"settings=({name}) is drawn: expected looks=COUNT beside it.")
            if self.looks and not SETTINGS[name].is_drawn:
                fit = ", ".join(n for n, s in SETTINGS.items() if s.is_drawn)
                raise UsageError(f"looks={self.looks}: settings=({name}) is fixed: expected one of {fit}.")

    @property
    def effort(self) -> Effort:
        """How much is spent on each claim in each setting."""
        return Effort(self.draws, self.tuning_seeds, self.judging_seeds, self.search, self.seed)
