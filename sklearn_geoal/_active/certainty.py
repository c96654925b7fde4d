"""How decided diffused labels are: the criteria by which samples are asked for."""

import math

import numpy as np

from .diffusion import margins

# the first two are of one-vs-all diffusion, the others of multivariate diffusion
CRITERIA = ("min_abs", "norm", "uncertainty", "margin", "entropy")


def certainty(u, criterion, norm_order=1):
    """How decided diffused labels are: 0 where nothing speaks for one class against another, 1 at a labelled sample.

    With u_c the probability that a walk meets a label of class c, and r = sum_c u_c, one-vs-all diffusion of +1 and -1
    gives chi_c = 2 u_c - r, and multivariate diffusion from uniform distributions gives p_c = u_c + (1 - r) / C.

    - "min_abs": min_c |chi_c|, eq. (6)
    - "norm": (sum_c |chi_c|^p / C)^(1/p), max_c |chi_c| for p = inf
    - "uncertainty": (max_c p_c - 1/C) / (1 - 1/C)
    - "margin": p of the most probable class minus p of the second
    - "entropy": 1 + sum_c p_c log p_c / log C

    Parameters
    ----------
    u : ndarray of shape (n_samples, n_classes)
    criterion : str
    norm_order : float
        The p of "norm".

    Returns
    -------
    certainty : ndarray of shape (n_samples,)
    """
    n_classes, reached = u.shape[1], u.sum(axis=1, keepdims=True)
    if n_classes < 2:
        return reached[:, 0]  # how far the only class reaches
    chi, p = 2 * u - reached, u + (1 - reached) / n_classes
    if criterion == "min_abs":
        return np.abs(chi).min(axis=1)
    if criterion == "norm":
        largest = np.abs(chi).max(axis=1, keepdims=True)
        ratio = np.abs(chi) / np.where(largest > 0, largest, 1)  # whose powers do not underflow, up to p = inf
        return largest[:, 0] * (ratio**norm_order).mean(axis=1) ** (1 / norm_order)
    if criterion == "uncertainty":
        return (p.max(axis=1) * n_classes - 1) / (n_classes - 1)
    if criterion == "margin":
        return margins(p)
    return 1 + (p * np.log(np.maximum(p, np.finfo(p.dtype).tiny))).sum(axis=1) / math.log(n_classes)
