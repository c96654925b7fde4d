"""Loaders of tables."""

import numpy as np
from sklearn.utils import Bunch

from ._bunches import deliver
from ._files import read


def load_pokerhand(*, data_home=None, return_X_y=False, as_frame=False):
    """Load the poker hands: 10 very uneven classes, 25010 hands, suit and rank of five cards.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder that holds ``pokerhand``. None reads the environment variable ``SKLEARN_GEOAL_DATA``.
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=False
        Give data as a pandas DataFrame and target as a Series.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the attributes ``data`` (25010, 10) float32, ``target`` (25010,) int64,
        ``feature_names``, ``target_names``, ``DESCR``, ``filename``, and ``frame`` with ``as_frame=True``.
    (data, target) : tuple if ``return_X_y`` is True

    Raises
    ------
    FileNotFoundError
        If no folder is given or a file is not in it.
    OSError
        If a file is not the expected one.
    """
    name = "pokerhand/pokerhand_train25010.npz"
    arrays = read(name, data_home)
    hands = "nothing one_pair two_pairs three_of_a_kind straight flush full_house four_of_a_kind straight_flush"
    bunch = Bunch(
        data=arrays["X"].astype(np.float32),
        target=arrays["y"].astype(np.int64),
        feature_names=arrays["names"].tolist(),
        target_names=np.array([*hands.split(), "royal_flush"]),
    )
    return deliver(bunch, name, data_home, return_X_y, as_frame)
