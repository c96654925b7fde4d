"""Loaders of public benchmark data, and generators of a hyperspectral scene and of images of fields."""

from ._generators import make_fields, make_hyperspectral_scene
from ._image_loaders import load_aid, load_camvid, load_coil20, load_mnist, load_usps
from ._scene_loaders import load_jasper_ridge, load_landsat8_zion, load_salinas_a, load_sentinel2_amazon
from ._table_loaders import load_pokerhand

__all__ = [
    "load_aid",
    "load_camvid",
    "load_coil20",
    "load_jasper_ridge",
    "load_landsat8_zion",
    "load_mnist",
    "load_pokerhand",
    "load_salinas_a",
    "load_sentinel2_amazon",
    "load_usps",
    "make_fields",
    "make_hyperspectral_scene",
]
