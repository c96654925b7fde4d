"""Bands of images shifted and scaled to mean 0 and standard deviation 1."""

import numpy as np

from .._torch.fitting import standardize

_BLOCK_VALUES = 2**20  # 8 MiB of float64, a few times over


def band_location_and_scale(X):
    """Mean and standard deviation of each band over all pixels of all images; the scale of a constant band is 1.

    (n, bands, height, width) -> (bands,), (bands,), read block by block.
    """
    peak = np.zeros(X.shape[1])
    for block in _blocks(X):
        np.maximum(peak, np.abs(block).max(axis=(0, 2, 3)), out=peak)
    peak[peak == 0] = 1  # divided out: squares of huge or tiny values leave the float range
    n, mean, deviation = 0, np.zeros(X.shape[1]), np.zeros(X.shape[1])
    for block in _blocks(X):
        Z = block / peak[:, None, None]
        m, block_mean = Z[:, 0].size, Z.mean(axis=(0, 2, 3))
        Z -= block_mean[:, None, None]
        # sums of squares about the means of two parts, put together
        deviation += (Z * Z).sum(axis=(0, 2, 3)) + (block_mean - mean) ** 2 * (n * m / (n + m))
        mean += (block_mean - mean) * (m / (n + m))
        n += m
    std = np.sqrt(deviation / n)
    eps = np.finfo(X.dtype if X.dtype.kind == "f" else np.float64).eps
    return mean * peak, np.where(std < eps, 1.0, std * peak)  # below, it differs by rounding only


def standardize_bands(X, location, scale):
    """Images as a network takes them: bands shifted and scaled, in single precision."""
    dtype = np.result_type(X.dtype, np.float32)
    return standardize(X, location.astype(dtype)[:, None, None], scale.astype(dtype)[:, None, None])


def _blocks(X):
    """Blocks of images, or of rows of a large image, of a bounded size, in double precision."""
    n_rows = max(1, _BLOCK_VALUES // (X.shape[1] * X.shape[3]))
    n_images = max(1, n_rows // X.shape[2])
    for i in range(0, len(X), n_images):
        for row in range(0, X.shape[2], n_rows):
            yield X[i : i + n_images, :, row : row + n_rows].astype(np.float64)
