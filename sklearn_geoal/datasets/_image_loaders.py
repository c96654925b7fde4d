"""Loaders of images: rows of pixels, channel first, with a class for each image or each pixel."""

import numpy as np

from .._validation import check_choice
from ._bunches import deliver, image_bunch, numbered
from ._files import read

_DIGITS = np.arange(10).astype(str)


def load_usps(*, subset="all", data_home=None, return_X_y=False):
    """Load the USPS digits: 10 classes, 7291 training and 2007 test images of 16 x 16 pixels.

    Parameters
    ----------
    subset : {"all", "train", "test"}, default="all"
        Which part of the set.
    data_home : str or path-like, default=None
        Folder that holds ``usps``. None reads the environment variable ``SKLEARN_GEOAL_DATA``.
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the attributes

        data : ndarray of shape (n_samples, channels * height * width), dtype float32
            One image a row, channel first, in [0, 1].
        target : ndarray of shape (n_samples,), dtype int64
            Index into ``target_names``.
        target_names : ndarray of shape (n_classes,)
            Names of the classes.
        feature_names : list of str
            ``pixel_<channel>_<row>_<column>``.
        image_shape : tuple of int
            ``(channels, height, width)``.
        DESCR : str
            Description and source.
        filename : str
            Path of the file that was read.
    (data, target) : tuple if ``return_X_y`` is True

    Raises
    ------
    FileNotFoundError
        If no folder is given or a file is not in it.
    OSError
        If a file is not the expected one.
    ValueError
        If ``subset`` is unknown.
    """
    arrays = read("usps/usps.npz", data_home)
    is_test = arrays["is_test"]
    rows = {"all": slice(None), "train": ~is_test, "test": is_test}
    rows = rows[check_choice("subset", subset, rows)]
    bunch = image_bunch(arrays["X"][rows, None], arrays["y"][rows], _DIGITS)
    return deliver(bunch, "usps/usps.npz", data_home, return_X_y)


def load_mnist(*, subset="all", data_home=None, return_X_y=False):
    """Load the MNIST digits: 10 classes, 60000 training and 10000 test images of 28 x 28 pixels.

    Parameters
    ----------
    subset : {"all", "train", "test"}, default="all"
        Which part of the set; "all" gives the training part first.
    data_home : str or path-like, default=None
        Folder that holds ``mnist``. None reads the environment variable ``SKLEARN_GEOAL_DATA``.
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        The attributes of :func:`load_usps`.
    (data, target) : tuple if ``return_X_y`` is True

    Raises
    ------
    FileNotFoundError
        If no folder is given or a file is not in it.
    OSError
        If a file is not the expected one.
    ValueError
        If ``subset`` is unknown.
    """
    images, target = _subset(read("mnist/mnist.npz", data_home), subset, ("train", "test"))
    bunch = image_bunch(images[:, None], target, _DIGITS)
    return deliver(bunch, "mnist/mnist.npz", data_home, return_X_y)


def load_coil20(*, data_home=None, return_X_y=False):
    """Load the COIL-20 objects: 20 classes, 1440 images of 32 x 32 pixels.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder that holds ``coil20``. None reads the environment variable ``SKLEARN_GEOAL_DATA``.
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        The attributes of :func:`load_usps`.
    (data, target) : tuple if ``return_X_y`` is True

    Raises
    ------
    FileNotFoundError
        If no folder is given or a file is not in it.
    OSError
        If a file is not the expected one.
    """
    arrays = read("coil20/coil20.npz", data_home)
    names = numbered("object", 20)
    bunch = image_bunch(arrays["X"][:, None], arrays["y"] - 1, names)
    return deliver(bunch, "coil20/coil20.npz", data_home, return_X_y)


def load_aid(*, subset="all", data_home=None, return_X_y=False):
    """Load the aerial scenes of AID: 30 classes, 6890 colour images of 64 x 64 pixels.

    Parameters
    ----------
    subset : {"all", "train", "val", "test"}, default="all"
        Which part of the set (3000, 1500 and 2390 images); "all" gives them in this order.
    data_home : str or path-like, default=None
        Folder that holds ``aid``. None reads the environment variable ``SKLEARN_GEOAL_DATA``.
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        The attributes of :func:`load_usps` and

        level3, level2 : ndarray of shape (30,), dtype int64
            Group of each class in the two coarser levels of the hierarchy.
        level3_names, level2_names : ndarray of shape (9,) and (4,)
            Names of the groups.
    (data, target) : tuple if ``return_X_y`` is True

    Raises
    ------
    FileNotFoundError
        If no folder is given or a file is not in it.
    OSError
        If a file is not the expected one.
    ValueError
        If ``subset`` is unknown.
    """
    arrays = read("aid/aid_64_split.npz", data_home)
    images, target = _subset(arrays, subset, ("train", "val", "test"))
    bunch = image_bunch(np.moveaxis(images, -1, 1), target, arrays["classes"])
    for level in ("level3", "level2"):
        bunch[level] = arrays[level].astype(np.int64)
        bunch[f"{level}_names"] = arrays[f"{level}_names"]
    return deliver(bunch, "aid/aid_64_split.npz", data_home, return_X_y)


def load_camvid(*, subset="all", data_home=None, return_X_y=False):
    """Load the CamVid street scenes: 701 colour images of 90 x 120 pixels, one of 11 classes for each pixel.

    Parameters
    ----------
    subset : {"all", "train", "val", "test"}, default="all"
        Which part of the set (367, 101 and 233 images); "all" gives them in this order.
    data_home : str or path-like, default=None
        Folder that holds ``camvid``. None reads the environment variable ``SKLEARN_GEOAL_DATA``.
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        The attributes of :func:`load_usps`, but

        target : ndarray of shape (n_samples, 90, 120), dtype int64
            Index into ``target_names``, or ``ignore_label`` where a pixel is void.
        ignore_label : int
            11, the marker of void pixels, for the parameter of that name of segmenters and measures.
    (data, target) : tuple if ``return_X_y`` is True

    Raises
    ------
    FileNotFoundError
        If no folder is given or a file is not in it.
    OSError
        If a file is not the expected one.
    ValueError
        If ``subset`` is unknown.
    """
    arrays = read("camvid/camvid_90x120.npz", data_home)
    images, masks = _subset(arrays, subset, ("train", "val", "test"))
    names = arrays["classes"][:-1]
    bunch = image_bunch(np.moveaxis(images, -1, 1), masks, names)
    bunch.ignore_label = len(names)
    return deliver(bunch, "camvid/camvid_90x120.npz", data_home, return_X_y)


def _subset(arrays, subset, parts):
    """Images and target of one part, or of all parts in order."""
    chosen = parts if check_choice("subset", subset, ("all", *parts)) == "all" else (subset,)
    return tuple(np.concatenate([arrays[f"{kind}_{part}"] for part in chosen]) for kind in "xy")
