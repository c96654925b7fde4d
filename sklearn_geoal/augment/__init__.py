"""Random changes of spectra and images that leave their labels as they are."""

from ._compose import PRESETS, Compose, resolve_augment
from ._images import Affine, Flip, Photometric, Rotate90, Shift, Warp
from ._spectra import BandDropout, BandShift, GainOffset, GaussianNoise, Tilt

__all__ = [
    "PRESETS",
    "Affine",
    "BandDropout",
    "BandShift",
    "Compose",
    "Flip",
    "GainOffset",
    "GaussianNoise",
    "Photometric",
    "Rotate90",
    "Shift",
    "Tilt",
    "Warp",
    "resolve_augment",
]
