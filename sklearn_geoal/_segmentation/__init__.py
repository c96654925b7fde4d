"""What segmenters share: images and masks checked, bands standardised, large scenes in tiles, accuracy of pixels."""

from ._bands import band_location_and_scale, standardize_bands
from ._images import as_given, validate_images
from ._masks import check_masks, encode_masks, known_accuracy
from ._tiles import apply_in_tiles, infer_images

__all__ = [
    "apply_in_tiles",
    "as_given",
    "band_location_and_scale",
    "check_masks",
    "encode_masks",
    "infer_images",
    "known_accuracy",
    "standardize_bands",
    "validate_images",
]
