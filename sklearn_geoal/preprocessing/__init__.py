"""Windows and patches of a scene, reflectance, gaps in series, hyperbolic neighbours; estimators of valid rows."""

from ._neighbors import HyperbolicNeighborsTransformer
from ._patches import PatchTransformer
from ._reflectance import ReflectanceTransformer, earth_sun_distance, gain_and_offset
from ._series import SeriesInterpolator
from ._valid_rows import ValidRows
from ._windows import SpatialWindow

__all__ = [
    "HyperbolicNeighborsTransformer",
    "PatchTransformer",
    "ReflectanceTransformer",
    "SeriesInterpolator",
    "SpatialWindow",
    "ValidRows",
    "earth_sun_distance",
    "gain_and_offset",
]
