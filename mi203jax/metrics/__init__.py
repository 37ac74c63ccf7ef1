"""How good predictions are: of classes, of pixels, and how sure one can be of that."""

from mi203jax.metrics.classification import (
    accuracy,
    bootstrap_interval,
    calibration_error,
    confusion_matrix,
    reliability,
    top_k_accuracy,
)
from mi203jax.metrics.segmentation import (
    boundary_f_score,
    intersection_over_union,
    mean_iou,
    mean_iou_per_image,
    pixel_accuracy,
)

__all__ = [
    "accuracy",
    "bootstrap_interval",
    "boundary_f_score",
    "calibration_error",
    "confusion_matrix",
    "intersection_over_union",
    "mean_iou",
    "mean_iou_per_image",
    "pixel_accuracy",
    "reliability",
    "top_k_accuracy",
]
