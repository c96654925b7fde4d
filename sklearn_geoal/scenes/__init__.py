"""Scenes from file to file, of any size: read, sample, label, predict and write them."""

from ._labels import labels_from
from ._predict import predict_scene
from ._sampling import sample_pixels
from ._scene import Scene, any_bit, open_scene
from ._vectors import colors_from, queries_to_vector

__all__ = [
    "Scene",
    "any_bit",
    "colors_from",
    "labels_from",
    "open_scene",
    "predict_scene",
    "queries_to_vector",
    "sample_pixels",
]
