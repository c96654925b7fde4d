"""Pictures: classification maps, label-efficiency curves and latent spaces, as scikit-learn displays."""

try:
    import matplotlib  # noqa: F401
except ImportError as error:
    raise ImportError(
        "sklearn_geoal.plot draws with matplotlib, which is missing here: pip install matplotlib."
    ) from error

from ._curves import LabelEfficiencyDisplay
from ._latents import LatentDisplay
from ._maps import ClassificationMapDisplay

__all__ = ["ClassificationMapDisplay", "LabelEfficiencyDisplay", "LatentDisplay"]
