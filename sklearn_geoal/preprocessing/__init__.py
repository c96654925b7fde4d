"""Transformers: windows and patches of a scene, reflectance, nearest neighbours in hyperbolic space."""

from ._neighbors import HyperbolicNeighborsTransformer
from ._patches import PatchTransformer
from ._reflectance import ReflectanceTransformer, earth_sun_distance, gain_and_offset
from ._windows import SpatialWindow

__all__ = [
    "HyperbolicNeighborsTransformer",
    "PatchTransformer",
    "ReflectanceTransformer",
    "SpatialWindow",
    "earth_sun_distance",
    "gain_and_offset",
]
