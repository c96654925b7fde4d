"""What segmenters share: images and masks checked, bands standardised, large scenes in tiles, accuracy of pixels."""

from ._bands import band_location_and_scale, standardize_bands
from ._images import as_given, validate_images
from ._masks import MISSING, VOID, check_masks, encode_masks, known_accuracy, labeled_and_unlabeled
from ._tiles import apply_in_tiles, infer_images

__all__ = [
    "MISSING",
    "VOID",
    "apply_in_tiles",
    "as_given",
    "band_location_and_scale",
    "check_masks",
    "encode_masks",
    "infer_images",
    "known_accuracy",
    "labeled_and_unlabeled",
    "standardize_bands",
    "validate_images",
]
