"""How good predictions are: of classes, of pixels, of boxes, and how sure one can be of that."""

from mi203jax.metrics.atari import human_normalized
from mi203jax.metrics.classification import (
    accuracy,
    bootstrap_interval,
    calibration_error,
    confusion_matrix,
    reliability,
    top_k_accuracy,
)
from mi203jax.metrics.detection import (
    AveragePrecision,
    Detections,
    GroundTruth,
    average_precision,
    precision_recall,
)
from mi203jax.metrics.generation import (
    frechet_distance,
    kernel_distance,
    mode_shares,
    modes_covered,
    nearest,
    sample_precision_recall,
)
from mi203jax.metrics.segmentation import (
    boundary_f_score,
    intersection_over_union,
    mean_iou,
    mean_iou_per_image,
    pixel_accuracy,
)

__all__ = [
    "AveragePrecision",
    "Detections",
    "GroundTruth",
    "accuracy",
    "average_precision",
    "bootstrap_interval",
    "boundary_f_score",
    "calibration_error",
    "confusion_matrix",
    "frechet_distance",
    "human_normalized",
    "intersection_over_union",
    "kernel_distance",
    "mean_iou",
    "mean_iou_per_image",
    "mode_shares",
    "modes_covered",
    "nearest",
    "pixel_accuracy",
    "precision_recall",
    "reliability",
    "sample_precision_recall",
    "top_k_accuracy",
]
