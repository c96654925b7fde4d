"""The directions in which latents of images paint at first."""

import numpy as np

_MAX_PIXELS = 2**20  # as good as all


def principal_axes(Z, n_components):
    """Principal components of standardised bands, each as long as its standard deviation: (bands, n_components).

    Those that there are not are 0, as those with hardly any variance.
    """
    pixels = Z.transpose(1, 0, 2, 3).reshape(Z.shape[1], -1)
    pixels = pixels[:, :: max(1, pixels.shape[1] // _MAX_PIXELS)].astype(np.float64)
    variances, directions = np.linalg.eigh(pixels @ pixels.T / pixels.shape[1])
    order = np.argsort(-variances)[:n_components]
    kept = order[variances[order] > 1e-4 * variances[order[0]]]
    axes = np.zeros((len(Z[0]), n_components), dtype=np.float32)
    axes[:, : len(kept)] = directions[:, kept] * np.sqrt(variances[kept])
    return axes
