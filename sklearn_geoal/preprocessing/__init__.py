"""Windows and patches of a scene, spectra, reflectance, gaps in series, hyperbolic neighbours, valid rows."""

from ._neighbors import HyperbolicNeighborsTransformer
from ._patches import PatchTransformer
from ._reflectance import ReflectanceTransformer, earth_sun_distance, gain_and_offset
from ._series import SeriesInterpolator
from ._spectra import SpectraScaler
from ._valid_rows import ValidRows
from ._windows import SpatialWindow

__all__ = [
    "HyperbolicNeighborsTransformer",
    "PatchTransformer",
    "ReflectanceTransformer",
    "SeriesInterpolator",
    "SpatialWindow",
    "SpectraScaler",
    "ValidRows",
    "earth_sun_distance",
    "gain_and_offset",
]
