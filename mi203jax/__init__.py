"""A deep-learning course as runnable, measured JAX research code.

The parts to import: `mi203jax.nn` and `mi203jax.rl` (pure functions), `mi203jax.models`,
`mi203jax.tasks`, and from here the core: configurations, tasks and the loop.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mi203jax.core.config import RunConfig, config, static, traced
    from mi203jax.core.errors import UsageError
    from mi203jax.core.loop import stack, train
    from mi203jax.core.results import load_metrics, load_results
    from mi203jax.core.sweep import sweep
    from mi203jax.core.task import Animation, Mean, Task

__version__ = "0.1.0"

# Looked up when first used, so that the command line answers mistakes without waiting for jax.
_HOME = {
    "Animation": "mi203jax.core.task",
    "Mean": "mi203jax.core.task",
    "RunConfig": "mi203jax.core.config",
    "Task": "mi203jax.core.task",
    "UsageError": "mi203jax.core.errors",
    "config": "mi203jax.core.config",
    "load_metrics": "mi203jax.core.results",
    "load_results": "mi203jax.core.results",
    "stack": "mi203jax.core.loop",
    "static": "mi203jax.core.config",
    "sweep": "mi203jax.core.sweep",
    "traced": "mi203jax.core.config",
    "train": "mi203jax.core.loop",
}

__all__ = [
    "Animation",
    "Mean",
    "RunConfig",
    "Task",
    "UsageError",
    "config",
    "load_metrics",
    "load_results",
    "stack",
    "static",
    "sweep",
    "traced",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
