"""Bands of images shifted and scaled to mean 0 and standard deviation 1."""

import math

import numpy as np

from .._scaling import FAR, LIMIT, TAIL, Scaling, Spread, standardize, warn_of_far_values

_BLOCK_VALUES = 2**20  # 8 MiB of float64, a few times over
# images and pixels that tell the median of a band as well as all of them
_MAX_IMAGES, _MAX_PIXELS = 64, 100_000


@np.errstate(over="ignore")  # bounds beyond the range of floats bound nothing
def band_location_and_scale(X):
    """Mean and standard deviation of each band over all pixels of all images; the scale of a constant band is 1.

    They are of values without far outliers, of which a warning names the images. Read block by block:
    (n, bands, height, width) -> (bands,), (bands,).
    """
    spread = Spread.of(_some_pixels(X), _MAX_PIXELS)
    low, high = (part[:, None, None] for part in spread.bounds(TAIL))
    peak, far = np.zeros(X.shape[1]), np.zeros((len(X), X.shape[1]), dtype=bool)
    for images, block in _blocks(X):
        distances = np.abs(block - spread.center[:, None, None]).max(axis=(2, 3))
        far[images] |= distances > FAR * spread.reach
        np.maximum(peak, np.abs(block.clip(low, high)).max(axis=(0, 2, 3)), out=peak)
    warn_of_far_values(far)
    peak[peak == 0] = 1  # divided out: squares of huge or tiny values leave the float range
    n, mean, deviation = 0, np.zeros(X.shape[1]), np.zeros(X.shape[1])
    for _, block in _blocks(X):
        Z = block.clip(low, high) / peak[:, None, None]
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
    return standardize(X, Scaling(location[:, None, None], scale[:, None, None], LIMIT))


def _some_pixels(X):
    """Pixels of all parts of the images: (n, bands, height, width) -> (n_pixels, bands)."""
    images = X[:: -(-len(X) // _MAX_IMAGES)]
    step = math.ceil((images[:, 0].size / _MAX_PIXELS) ** 0.5)
    return np.moveaxis(images[:, :, ::step, ::step], 1, -1).reshape(-1, X.shape[1])


def _blocks(X):
    """Blocks of images, or of rows of a large image, of a bounded size, in double precision, and which images."""
    n_rows = max(1, _BLOCK_VALUES // (X.shape[1] * X.shape[3]))
    n_images = max(1, n_rows // X.shape[2])
    for i in range(0, len(X), n_images):
        for row in range(0, X.shape[2], n_rows):
            images = slice(i, i + n_images)
            yield images, X[images, :, row : row + n_rows].astype(np.float64)
