"""Large scenes in overlapping tiles, with bounded memory and without seams."""

import numpy as np
import torch

from .._torch.device import undisturbed
from .._torch.inference import as_tensor


def apply_in_tiles(function, X, out, *, tile_size, margin, alignment):
    """Fill ``out`` with a function of images, small ones several at a time, large ones tile by tile.

    Of each tile the ``margin`` to its neighbours is thrown away, so that no seam shows: none at all if the margin is at
    least the receptive one of the network. The memory needed beside X and ``out`` depends on ``tile_size`` alone.

    Parameters
    ----------
    function : callable
        Takes images (m, bands, h, w) as they are in X and returns an array (m, ..., h, w).
    X : ndarray of shape (n_images, bands, height, width)
        Images.
    out : ndarray of shape (n_images, ..., height, width)
        Where to write the results.
    tile_size : int
        Height and width of a tile, its margins included. Images that are not larger are taken whole.
    margin : int
        Pixels on each side of a tile that only serve the others.
    alignment : int
        Tiles start at multiples of it.

    Raises
    ------
    ValueError
        If ``tile_size`` leaves nothing between the margins, and an image is larger.
    """
    height, width = X.shape[2:]
    row_spans, column_spans = (spans(side, tile_size, margin, alignment) for side in (height, width))
    n_images = max(1, tile_size**2 // (min(height, tile_size) * min(width, tile_size)))
    for start in range(0, len(X), n_images):
        images = slice(start, start + n_images)
        for rows, read_rows in row_spans:
            for columns, read_columns in column_spans:
                result = function(X[images, :, read_rows, read_columns])
                kept = (_within(rows, read_rows), _within(columns, read_columns))
                out[images, ..., rows, columns] = result[..., *kept]


def infer_images(net, function, X):
    """Apply a function of the net's module to images in evaluation mode: (m, bands, h, w) float32 -> (m, ...)."""
    n_images = len(X)
    if X.shape[2:] == (1, 1):
        # products of a few rows are rounded otherwise than those of many
        X = np.concatenate([X, np.zeros((-n_images % 16, *X.shape[1:]), dtype=X.dtype)])
    net._set_training(False)
    with undisturbed(), torch.inference_mode():
        return function(as_tensor(X).to(net.device))[:n_images].cpu().numpy()


def spans(length, tile_size, margin, alignment):
    """The tiles along a side: pairs of slices, what is kept of each and what is read for it."""
    if length <= tile_size:
        return [(slice(0, length), slice(0, length))]
    margin += -margin % alignment
    step = (tile_size - 2 * margin) // alignment * alignment
    if step <= 0:
        raise ValueError(
            f"tile_size={tile_size} leaves nothing between two margins of {margin} pixels: give at least "
            f"{2 * margin + alignment}."
        )
    return [
        (
            slice(start, min(start + step, length)),
            slice(max(start - margin, 0), min(start + step + margin, length)),
        )
        for start in range(0, length, step)
    ]


def _within(kept, read):
    return slice(kept.start - read.start, kept.stop - read.start)
