"""Which pixels a polygon holds."""

import numpy as np

_MAX_CORNERS = 10_000


def pixels_within(polygon, scene_shape):
    """Numbers of the pixels whose centres lie within a polygon, by the rule of odd crossings.

    Parameters
    ----------
    polygon : array-like of shape (n, 2)
        Corners (x, y) in pixels from the upper left corner of the scene; the last is joined to the first.
    scene_shape : tuple of two ints
        ``(height, width)``.

    Returns
    -------
    pixels : ndarray of int
        Ascending.

    Raises
    ------
    ValueError
        If it is no polygon.
    """
    corners = np.asarray(polygon, dtype=float)
    if corners.ndim != 2 or corners.shape[1:] != (2,) or not 3 <= len(corners) <= _MAX_CORNERS:
        raise ValueError(f"A polygon is 3 to {_MAX_CORNERS} corners (x, y); got shape {corners.shape}.")
    if not np.isfinite(corners).all():
        raise ValueError("The corners of a polygon must be finite.")
    height, width = scene_shape
    top, bottom = (int(np.clip(np.floor(y), 0, height)) for y in (corners[:, 1].min(), corners[:, 1].max() + 1))
    x0, y0 = corners.T
    x1, y1 = np.roll(corners, -1, axis=0).T
    centers = np.arange(width) + 0.5
    found = [np.zeros(0, dtype=np.int64)]
    for row in range(top, bottom):
        y = row + 0.5
        crossed = (y0 <= y) != (y1 <= y)
        crossings = np.sort((x0 + (x1 - x0) * (y - y0) / np.where(crossed, y1 - y0, 1))[crossed])
        found.append(np.flatnonzero(np.searchsorted(crossings, centers) % 2) + row * width)
    return np.concatenate(found)
