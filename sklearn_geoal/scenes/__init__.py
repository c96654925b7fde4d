"""Scenes from file to file, of any size: read, sample, label, predict and write them."""

from ._predict import predict_scene
from ._sampling import sample_pixels
from ._scene import Scene, any_bit, open_scene

__all__ = ["Scene", "any_bit", "open_scene", "predict_scene", "sample_pixels"]
