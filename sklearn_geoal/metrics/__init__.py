"""Measures: accuracy of masks and hierarchies, consensus of clusterings, hyperbolic distances, closeness to a tree."""

from ._clusterings import JaccardConsensus, jaccard_consensus
from ._hierarchy import hierarchical_accuracy
from ._hyperbolic import (  # noqa: F401 - the last ones serve other modules
    DeltaHyperbolicity,
    delta_hyperbolicity,
    half_sinh,
    hyperbolic_distances,
    polar_coordinates,
    row_blocks,
)
from ._segmentation import confusion, mean_iou, pixel_accuracy

__all__ = [
    "DeltaHyperbolicity",
    "JaccardConsensus",
    "confusion",
    "delta_hyperbolicity",
    "hierarchical_accuracy",
    "hyperbolic_distances",
    "jaccard_consensus",
    "mean_iou",
    "pixel_accuracy",
]
