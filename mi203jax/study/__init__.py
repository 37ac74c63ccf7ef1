"""Fair comparisons: claims as data, equal tuning, fresh seeds, intervals, counter-examples."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mi203jax.study.claim import Arm, Claim, Setting
    from mi203jax.study.plan import Effort
    from mi203jax.study.sensitivity import chance_of, expected_best, quantile_of_best, spread
    from mi203jax.study.stages import Found, Plan, found, next_parts
    from mi203jax.study.statistics import (
        Comparison,
        compare,
        effect_size,
        holm,
        paired_interval,
        share_of_wins,
        verdict,
    )

# Looked up when first used: configurations need claims, and must not wait for numpy and jax.
_HOME = {
    "claim": ("Arm", "Claim", "Setting"),
    "plan": ("Effort",),
    "sensitivity": ("chance_of", "expected_best", "quantile_of_best", "spread"),
    "stages": ("Found", "Plan", "found", "next_parts"),
    "statistics": (
        *("Comparison", "compare", "effect_size", "holm"),
        *("paired_interval", "share_of_wins", "verdict"),
    ),
}

__all__ = [
    "Arm",
    "Claim",
    "Comparison",
    "Effort",
    "Found",
    "Plan",
    "Setting",
    "chance_of",
    "compare",
    "effect_size",
    "expected_best",
    "found",
    "holm",
    "next_parts",
    "paired_interval",
    "quantile_of_best",
    "share_of_wins",
    "spread",
    "verdict",
]


def __getattr__(name: str) -> Any:
    for module, names in _HOME.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
