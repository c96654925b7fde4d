"""Pictures as scikit-learn displays: classification maps, label-efficiency curves, latent spaces, the Poincare disk."""

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

__all__ = ["ClassificationMapDisplay", "LabelEfficiencyDisplay", "LatentDisplay", "PoincareDiskDisplay"]
