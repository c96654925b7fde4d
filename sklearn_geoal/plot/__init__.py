"""Pictures as scikit-learn displays: maps, segmented images, label-efficiency curves, latent spaces, Poincare disks."""

try:
    import matplotlib  # noqa: F401
except ImportError as error:
    raise ImportError(
        "sklearn_geoal.plot draws with matplotlib, which is missing here: pip install matplotlib."
    ) from error

from ._curves import LabelEfficiencyDisplay
from ._latents import LatentDisplay
from ._maps import ClassificationMapDisplay
from ._poincare import PoincareDiskDisplay
from ._segmentation import SegmentationDisplay

__all__ = [
    "ClassificationMapDisplay",
    "LabelEfficiencyDisplay",
    "LatentDisplay",
    "PoincareDiskDisplay",
    "SegmentationDisplay",
]
