"""What segmenters share: images and masks checked, bands standardised, large scenes in tiles, accuracy of pixels."""

from ._bands import band_location_and_scale, principal_axes, standardize_bands
from ._base import BaseSegmenter
from ._holes import fill_smoothly
from ._images import has_rows, validate_images
from ._masks import check_masks, encode_masks
from ._tiles import apply_in_tiles, infer_images

__all__ = [
    "BaseSegmenter",
    "apply_in_tiles",
    "band_location_and_scale",
    "check_masks",
    "encode_masks",
    "fill_smoothly",
    "has_rows",
    "infer_images",
    "principal_axes",
    "standardize_bands",
    "validate_images",
]
