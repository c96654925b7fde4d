"""What segmenters share: images and masks checked, bands standardised, large scenes in tiles, accuracy of pixels."""

from ._bands import band_location_and_scale, standardize_bands
from ._base import BaseSegmenter
from ._images import has_rows, validate_images
from ._masks import check_masks, encode_masks, is_mask
from ._tiles import apply_in_tiles, infer_images

__all__ = [
    "BaseSegmenter",
    "apply_in_tiles",
    "band_location_and_scale",
    "check_masks",
    "encode_masks",
    "has_rows",
    "infer_images",
    "is_mask",
    "standardize_bands",
    "validate_images",
]
