"""How good predictions are: classes, and how sure one can be of that."""

from mi203jax.metrics.classification import (
    accuracy,
    bootstrap_interval,
    calibration_error,
    confusion_matrix,
    reliability,
    top_k_accuracy,
)

__all__ = [
    "accuracy",
    "bootstrap_interval",
    "calibration_error",
    "confusion_matrix",
    "reliability",
    "top_k_accuracy",
]
