"""Holes in images."""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.linalg import splu


def fill_smoothly(image, hidden):
    """An image whose hidden pixels are harmonic: each the mean of the pixels above, below, left and right of it.

    Parameters
    ----------
    image : ndarray of shape (bands, height, width)
        Values of the hidden pixels do not matter, but must be finite.
    hidden : ndarray of shape (height, width), dtype bool
        Not all of them.

    Returns
    -------
    filled : ndarray of shape (bands, height, width)
    """
    filled = image.copy()
    if not hidden.any():
        return filled
    number = np.full(hidden.shape, -1)
    number[hidden] = np.arange(hidden.sum())
    n_neighbors, seen = np.zeros(hidden.sum()), np.zeros((hidden.sum(), len(image)))
    rows, columns = [], []
    # pairs of pixels side by side and one above the other, each in both orders
    for one, other in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:, :], np.s_[:-1, :])):
        for here, there in ((one, other), (other, one)):
            inside = hidden[here]
            pixels = number[here][inside]
            n_neighbors[pixels] += 1
            neighbors = number[there][inside]
            rows.append(pixels[neighbors >= 0])
            columns.append(neighbors[neighbors >= 0])
            seen[pixels[neighbors < 0]] += image[:, *there][:, inside].T[neighbors < 0]
    rows, columns = np.concatenate([*rows, np.arange(len(seen))]), np.concatenate([*columns, np.arange(len(seen))])
    values = np.concatenate([np.full(len(rows) - len(seen), -1.0), n_neighbors])
    laplacian = coo_array((values, (rows, columns)), shape=(len(seen), len(seen))).tocsc()
    filled[:, hidden] = splu(laplacian).solve(seen).T
    return filled
