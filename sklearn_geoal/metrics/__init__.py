"""Measures: accuracy of masks and hierarchies, consensus of clusterings, hyperbolic distances, closeness to a tree."""

from ._clusterings import JaccardConsensus, jaccard_consensus
from ._hierarchy import hierarchical_accuracy
from ._hyperbolic import DeltaHyperbolicity, delta_hyperbolicity, hyperbolic_distances
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
