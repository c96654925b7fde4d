"""Loaders of public benchmark data, and generators of a hyperspectral scene and of images of fields."""

import hashlib
import json
import os
from functools import cache
from numbers import Integral, Real
from pathlib import Path

import numpy as np
from scipy.io import loadmat
from scipy.ndimage import gaussian_filter
from scipy.spatial import KDTree
from scipy.special import expit
from sklearn.utils import Bunch, check_random_state, check_scalar

from ._validation import check_choice, check_scene_shape

_VARIABLE = "SKLEARN_GEOAL_DATA"
_DIGITS = np.arange(10).astype(str)

# kind of field -> reflectance in red, green and blue, and how much it varies from pixel to pixel
_FIELDS = {
    "meadow": (0.35, 0.5, 0.2, 0.03),
    "wheat": (0.7, 0.6, 0.3, 0.05),
    "soil": (0.45, 0.35, 0.25, 0.02),
    "wood": (0.2, 0.35, 0.25, 0.12),
}

# folder -> what it holds, where it comes from, and the sha256 of each file
_SETS = {
    "salinas_a": (
        "AVIRIS scene of fields in the Salinas Valley, California: 83 x 86 pixels, 204 bands after removal of the "
        "water absorption bands, six classes, 5348 of 7138 pixels labelled.",
        "Grupo de Inteligencia Computacional, EHU, "
        "https://www.ehu.eus/ccwintco/index.php/Hyperspectral_Remote_Sensing_Scenes",
        {
            "SalinasA_corrected.mat": "d75684ed3ab71a1024cee0f9db9061f50a3523a92ff5edfbbb1eed976b9f1721",
            "SalinasA_gt.mat": "17814c1d3296c0e29b27f320f2c4174d2a68adb87e376abe78f02923e2c2e454",
        },
    ),
    "jasper_ridge": (
        "AVIRIS scene of Jasper Ridge, California: 100 x 100 pixels, 198 bands, abundances of four materials. The "
        "target is the most abundant material of each pixel, not a published map.",
        "unmixing benchmarks of the Remote Sensing Laboratory, https://rslab.ut.ac.ir/data, repacked as one npz file "
        "(cube, abundance, gt_argmax, endmembers, names, bands)",
        {"jasper_ridge.npz": "563f6c35e75b8bf9cb7e35365eb3e6e63ad7e5fb8b4acd44d6967df3dcb7b76f"},
    ),
    "usps": (
        "Handwritten digits from envelopes of the US postal service: 9298 grey images of 16 x 16 pixels.",
        "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass.html#usps, repacked as one npz file "
        "(X, y, is_test)",
        {"usps.npz": "0edc2cda3619d6ae989d93bd099d256076f9a582a42273cd8cf599284c4a04ae"},
    ),
    "mnist": (
        "Handwritten digits: 60000 training and 10000 test images, grey, 28 x 28 pixels. CC BY-SA 3.0.",
        "http://yann.lecun.com/exdb/mnist, repacked as one npz file (x_train, y_train, x_test, y_test)",
        {"mnist.npz": "06af5dfe73b70e3bc1c36439982b18a8d76803db9b544f6fdf838a37fbb01b64"},
    ),
    "coil20": (
        "Columbia object image library: 20 objects, each turned through 72 angles, 1440 grey images of 32 x 32 "
        "pixels. For research use.",
        "https://www.cs.columbia.edu/CAVE/software/softlib/coil-20.php, repacked as one npz file (X, y)",
        {"coil20.npz": "a63c35c70652a6d83560991970aed4e5364d482d30c5b685c6d8656a44c0af2b"},
    ),
    "aid": (
        "Aerial scenes of 30 classes in a hierarchy of 9 and 4 groups: 6890 colour images reduced to 64 x 64 pixels. "
        "For academic use.",
        "https://captain-whu.github.io/AID, reduced, split and repacked as one npz file "
        "(x_train, y_train, x_val, y_val, x_test, y_test, classes, level2, level3, level2_names, level3_names)",
        {"aid_64_split.npz": "db75b05c8cee0f847866116dfef95c3dc1c41825d487047a8a8987c0bf873e19"},
    ),
    "camvid": (
        "Street scenes with a class for each pixel: 701 colour images reduced to 90 x 120 pixels, 11 classes and "
        "void. For research use.",
        "http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid, reduced, split and repacked as one npz file "
        "(x_train, y_train, x_val, y_val, x_test, y_test, classes)",
        {"camvid_90x120.npz": "a5f6847dc802d480a0f14485dedd3306693c80066d59d1dc2727c2487235b915"},
    ),
    "landsat8_zion": (
        "Landsat 8 scene around Zion National Park, Utah: 1428 x 1128 pixels of 30 m, four bands of digital numbers, "
        "land cover of every pixel in eight classes. CC0.",
        "Landsat 8 and the National Land Cover Database, https://earthexplorer.usgs.gov and https://www.mrlc.gov, "
        "cut out as GeoTIFF files",
        {
            "landsat8_zion_4band.tif": "650e4b226ab7021e854aff23192536ebb2bed27c9a1ae9744753d193a5ad7cc5",
            "labels_nlcd8.tif": "96ef9cfae796b700b8e058d81568e66e667488cb0f5fae829f277337fbafdc9d",
        },
    ),
    "sentinel2_amazon": (
        "Sentinel-2 scene on the Amazon: 237 x 247 pixels, twelve bands of reflectance, 2370 pixels labelled in four "
        "classes. Contains Copernicus Sentinel data.",
        "https://dataspace.copernicus.eu, cut out as GeoTIFF files",
        {
            "sentinel2_amazon_12band.tif": "ac9410c40a43fc89fd70323ff7dfdb1a9c3bb58cf7f7a0499efb648d44159fe2",
            "labels.tif": "f6b6a89f57d53871a0429ebb142f5450057381c88e8ac6097d4c0ee01cee1458",
            "classes.json": "db64228dfce0bbecd6a464f2111e55eb63b37a7d6845fcba9e18f48ceffdd35f",
        },
    ),
    "pokerhand": (
        "Poker hands: suit (1 to 4) and rank (1 to 13) of five cards, ten classes of hands, the 25010 hands of the "
        "training part. CC BY 4.0.",
        "https://archive.ics.uci.edu/dataset/158/poker+hand, the training part repacked as one npz file (X, y, names)",
        {"pokerhand_train25010.npz": "4c5c804f69cbf6c1f6e5225e64d0b010c3516a8e31b111f9aa24d70352853b84"},
    ),
}


def load_salinas_a(*, data_home=None, return_X_y=False, as_frame=False):
    """Load the Salinas-A hyperspectral scene: 6 classes, 83 x 86 pixels, 5348 of them labelled, 204 bands.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder that holds ``salinas_a``. None reads the environment variable ``SKLEARN_GEOAL_DATA``.
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=False
        Give data as a pandas DataFrame, one column a band, and target as a Series.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the attributes

        data : ndarray of shape (7138, 204), dtype float32
            One row a pixel in raster order, radiance in the units of the file.
        target : ndarray of shape (7138,), dtype int64
            Index into ``target_names``, -1 where a pixel has no label.
        target_names : ndarray of shape (n_classes,)
            Names of the classes.
        target_codes : ndarray of shape (n_classes,)
            Code of each class in the original map.
        feature_names : list of str
            Names of the bands.
        scene_shape : tuple of int
            ``(height, width)`` in pixels.
        frame : DataFrame
            Data and target; only with ``as_frame=True``.
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
    """
    cube = _read("salinas_a/SalinasA_corrected.mat", data_home)["salinasA_corrected"]
    codes = _read("salinas_a/SalinasA_gt.mat", data_home)["salinasA_gt"]
    names = {
        1: "brocoli_green_weeds_1",
        10: "corn_senesced_green_weeds",
        11: "lettuce_romaine_4wk",
        12: "lettuce_romaine_5wk",
        13: "lettuce_romaine_6wk",
        14: "lettuce_romaine_7wk",
    }
    bunch = _scene(cube, codes, names)
    return _deliver(bunch, "salinas_a/SalinasA_corrected.mat", data_home, return_X_y, as_frame)


def load_jasper_ridge(*, data_home=None, return_X_y=False, as_frame=False):
    """Load the Jasper Ridge hyperspectral scene: 4 classes, 100 x 100 pixels, all labelled, 198 bands.

    The target is the most abundant material of each pixel, not a published map.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder that holds ``jasper_ridge``. None reads the environment variable ``SKLEARN_GEOAL_DATA``.
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=False
        Give data as a pandas DataFrame, one column a band, and target as a Series.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        The attributes of :func:`load_salinas_a` and

        abundances : ndarray of shape (10000, 4), dtype float32
            Share of each material in a pixel.
        endmembers : ndarray of shape (4, 198)
            Spectrum of each material.
    (data, target) : tuple if ``return_X_y`` is True

    Raises
    ------
    FileNotFoundError
        If no folder is given or a file is not in it.
    OSError
        If a file is not the expected one.
    """
    name = "jasper_ridge/jasper_ridge.npz"
    arrays = _read(name, data_home)
    names = {1: "tree", 2: "water", 3: "dirt", 4: "road"}
    bunch = _scene(arrays["cube"], arrays["gt_argmax"], names)
    bunch.abundances = arrays["abundance"].reshape(len(bunch.data), -1)
    bunch.endmembers = arrays["endmembers"].T
    return _deliver(bunch, name, data_home, return_X_y, as_frame)


def load_landsat8_zion(*, data_home=None, return_X_y=False, as_frame=False):
    """Load the Landsat 8 scene of Zion National Park: 8 classes, 1428 x 1128 pixels, all labelled, 4 bands.

    Reads GeoTIFF files with rasterio, which comes with ``pip install 'sklearn_geoal[geo]'``.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder that holds ``landsat8_zion``. None reads the environment variable ``SKLEARN_GEOAL_DATA``.
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=False
        Give data as a pandas DataFrame, one column a band, and target as a Series.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        The attributes of :func:`load_salinas_a` and

        crs : str
            Coordinate reference system.
        transform : tuple of 6 floats
            Affine map from (column, row) to coordinates.
    (data, target) : tuple if ``return_X_y`` is True

    Raises
    ------
    FileNotFoundError
        If no folder is given or a file is not in it.
    OSError
        If a file is not the expected one.
    ImportError
        If rasterio is not installed.
    """
    name = "landsat8_zion/landsat8_zion_4band.tif"
    image = _read(name, data_home)
    codes = _read("landsat8_zion/labels_nlcd8.tif", data_home)
    names = ["water", "developed", "barren", "forest", "shrubland", "herbaceous", "cultivated", "wetlands"]
    return _deliver(_geo_scene(image, codes, dict(enumerate(names, 1))), name, data_home, return_X_y, as_frame)


def load_sentinel2_amazon(*, data_home=None, return_X_y=False, as_frame=False):
    """Load the Sentinel-2 scene on the Amazon: 4 classes, 237 x 247 pixels, 2370 of them labelled, 12 bands.

    Reads GeoTIFF files with rasterio, which comes with ``pip install 'sklearn_geoal[geo]'``.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder that holds ``sentinel2_amazon``. None reads the environment variable ``SKLEARN_GEOAL_DATA``.
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=False
        Give data as a pandas DataFrame, one column a band, and target as a Series.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        The attributes of :func:`load_landsat8_zion`; data are reflectances.
    (data, target) : tuple if ``return_X_y`` is True

    Raises
    ------
    FileNotFoundError
        If no folder is given or a file is not in it.
    OSError
        If a file is not the expected one.
    ImportError
        If rasterio is not installed.
    """
    name = "sentinel2_amazon/sentinel2_amazon_12band.tif"
    image = _read(name, data_home)
    codes = _read("sentinel2_amazon/labels.tif", data_home)
    names = {int(code): name for code, name in _read("sentinel2_amazon/classes.json", data_home).items()}
    return _deliver(_geo_scene(image, codes, names), name, data_home, return_X_y, as_frame)


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
    arrays = _read("usps/usps.npz", data_home)
    is_test = arrays["is_test"]
    rows = {"all": slice(None), "train": ~is_test, "test": is_test}
    rows = rows[check_choice("subset", subset, rows)]
    bunch = _images(arrays["X"][rows, None], arrays["y"][rows], _DIGITS)
    return _deliver(bunch, "usps/usps.npz", data_home, return_X_y)


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
    images, target = _subset(_read("mnist/mnist.npz", data_home), subset, ("train", "test"))
    bunch = _images(images[:, None], target, _DIGITS)
    return _deliver(bunch, "mnist/mnist.npz", data_home, return_X_y)


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
    arrays = _read("coil20/coil20.npz", data_home)
    names = _numbered("object", 20)
    bunch = _images(arrays["X"][:, None], arrays["y"] - 1, names)
    return _deliver(bunch, "coil20/coil20.npz", data_home, return_X_y)


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
    arrays = _read("aid/aid_64_split.npz", data_home)
    images, target = _subset(arrays, subset, ("train", "val", "test"))
    bunch = _images(np.moveaxis(images, -1, 1), target, arrays["classes"])
    for level in ("level3", "level2"):
        bunch[level] = arrays[level].astype(np.int64)
        bunch[f"{level}_names"] = arrays[f"{level}_names"]
    return _deliver(bunch, "aid/aid_64_split.npz", data_home, return_X_y)


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
    arrays = _read("camvid/camvid_90x120.npz", data_home)
    images, masks = _subset(arrays, subset, ("train", "val", "test"))
    names = arrays["classes"][:-1]
    bunch = _images(np.moveaxis(images, -1, 1), masks, names)
    bunch.ignore_label = len(names)
    return _deliver(bunch, "camvid/camvid_90x120.npz", data_home, return_X_y)


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
    arrays = _read(name, data_home)
    hands = "nothing one_pair two_pairs three_of_a_kind straight flush full_house four_of_a_kind straight_flush"
    bunch = Bunch(
        data=arrays["X"].astype(np.float32),
        target=arrays["y"].astype(np.int64),
        feature_names=arrays["names"].tolist(),
        target_names=np.array([*hands.split(), "royal_flush"]),
    )
    return _deliver(bunch, name, data_home, return_X_y, as_frame)


def make_hyperspectral_scene(
    n_classes=6,
    scene_shape=(64, 64),
    n_bands=100,
    *,
    patch_scale=6.0,
    border_width=0.7,
    variability=0.1,
    noise=0.01,
    background=0.2,
    return_X_y=False,
    random_state=None,
):
    """Make a hyperspectral scene: smooth regions of materials whose spectra vary, partly labelled.

    Each pixel is a linear mixture, by its abundances, of the spectra of the materials, smooth curves over 400 to
    2500 nm. From pixel to pixel the spectra vary by smooth factors and offsets, each material in its own way, and by
    the illumination. Pixels at the border of two regions are mixed. Part of each region carries no label.

    Parameters
    ----------
    n_classes : int, default=6
        Number of materials.
    scene_shape : tuple of two ints, default=(64, 64)
        ``(height, width)`` in pixels.
    n_bands : int, default=100
        Number of bands, equally spaced between 400 and 2500 nm.
    patch_scale : float, default=6.0
        Scale of the regions in pixels: standard deviation of the Gaussian filter that makes them.
    border_width : float, default=0.7
        Standard deviation in pixels of the Gaussian filter that mixes the materials across borders. 0 mixes nothing.
    variability : float, default=0.1
        Standard deviation of each of the three smooth factors by which the spectra of a class vary, and of the
        logarithm of the illumination. The smooth offsets have a tenth of it, in units of reflectance.
    noise : float, default=0.01
        Standard deviation of the sensor noise, in units of reflectance.
    background : float, default=0.2
        Fraction of the pixels of each class without a label, in [0, 1).
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.
    random_state : int, RandomState instance or None, default=None
        Seed of the scene.

    Returns
    -------
    scene : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the attributes

        data : ndarray of shape (n_pixels, n_bands), dtype float32
            Reflectance, one row a pixel in raster order.
        target : ndarray of shape (n_pixels,), dtype int64
            Material with the largest abundance, -1 where a pixel has no label.
        target_names : ndarray of shape (n_classes,)
            Names of the materials.
        feature_names : list of str
            Names of the bands.
        scene_shape : tuple of int
            ``(height, width)`` in pixels.
        wavelengths : ndarray of shape (n_bands,)
            Centre of each band in nm.
        endmembers : ndarray of shape (n_classes, n_bands)
            Spectrum of each material.
        abundances : ndarray of shape (n_pixels, n_classes)
            Share of each material in a pixel; rows sum to one.
        DESCR : str
            Description.
    (data, target) : tuple if ``return_X_y`` is True

    Raises
    ------
    TypeError
        If a parameter is not a number of the kind expected.
    ValueError
        If a parameter is out of range or the scene is too small for each class to have a labelled pixel.

    Examples
    --------
    >>> from sklearn_geoal.datasets import make_hyperspectral_scene
    >>> scene = make_hyperspectral_scene(n_classes=4, scene_shape=(30, 40), random_state=0)
    >>> scene.data.shape
    (1200, 100)
    >>> scene.target.shape, scene.endmembers.shape
    ((1200,), (4, 100))
    """
    n_classes = check_scalar(n_classes, "n_classes", Integral, min_val=1)
    n_bands = check_scalar(n_bands, "n_bands", Integral, min_val=1)
    scene_shape = check_scene_shape(scene_shape)
    check_scalar(patch_scale, "patch_scale", Real, min_val=0, include_boundaries="neither")
    check_scalar(background, "background", Real, min_val=0, max_val=1, include_boundaries="left")
    for name, value in (("border_width", border_width), ("variability", variability), ("noise", noise)):
        check_scalar(value, name, Real, min_val=0)
    rng = check_random_state(random_state)

    wavelengths = np.linspace(400, 2500, n_bands)
    common, own = _smooth_curves(1, wavelengths, rng), _smooth_curves(n_classes, wavelengths, rng)
    endmembers = 0.05 + 0.6 * expit(common + 0.8 * own - 0.5)  # (n_classes, n_bands), reflectances below 0.65

    abundances = _abundances(n_classes, scene_shape, patch_scale, border_width, rng)
    data = _mix(abundances, endmembers, wavelengths, variability, rng)
    data *= np.exp(variability * _smooth_fields(1, scene_shape, patch_scale, rng)).reshape(-1, 1)
    data += noise * rng.standard_normal(data.shape)

    target = abundances.argmax(axis=1)
    hidden = _hidden(target, _smooth_fields(1, scene_shape, patch_scale, rng).ravel(), background)
    if len(np.unique(target[~hidden])) < n_classes:
        raise ValueError(
            f"scene_shape={scene_shape} leaves no pixel for some of n_classes={n_classes} classes: take a "
            f"larger scene, fewer classes, or smaller regions than patch_scale={patch_scale}."
        )
    bunch = Bunch(
        data=data.astype(np.float32),
        target=np.where(hidden, -1, target),
        target_names=_numbered("material", n_classes),
        feature_names=_numbered("band", n_bands).tolist(),
        scene_shape=scene_shape,
        wavelengths=wavelengths,
        endmembers=endmembers,
        abundances=abundances,
        DESCR=f"Synthetic hyperspectral scene of {n_classes} materials in {n_bands} bands of 400 to 2500 nm.",
    )
    return (bunch.data, bunch.target) if return_X_y else bunch


def make_fields(n_images=60, side=40, *, n_fields=9, light=0.35, return_X_y=False, random_state=None):
    """Make colour images of fields seen from above, each in the light of its own day, with the class of each pixel.

    An image is parted into fields, the cells of a Voronoi diagram of random points. Each is of one of four kinds at
    random: meadow, wheat, soil and wood, which differ in their colour and in how rough they look. Brightness and
    tint vary from image to image.

    Parameters
    ----------
    n_images : int, default=60
        Number of images.
    side : int, default=40
        Height and width in pixels.
    n_fields : int, default=9
        Number of fields in an image.
    light : float in [0, 1), default=0.35
        Brightness is uniform in [1 - light, 1 + light], and another factor of each channel uniform in
        [1 - 0.4 light, 1 + 0.4 light].
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.
    random_state : int, RandomState instance or None, default=None
        Seed of the images.

    Returns
    -------
    fields : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the attributes

        data : ndarray of shape (n_images, 3 * side * side), dtype float32
            The images as rows; ``data.reshape(-1, *image_shape)`` are the images. Reflectances in red, green, blue.
        target : ndarray of shape (n_images, side, side), dtype int64
            Index into ``target_names`` for each pixel.
        target_names : ndarray of shape (4,)
            Names of the classes.
        feature_names : list of str
            Names of the columns of ``data``.
        image_shape : tuple of int
            (3, side, side).
        DESCR : str
            Description.
    (data, target) : tuple if ``return_X_y`` is True

    Raises
    ------
    TypeError
        If a parameter is not a number of the kind expected.
    ValueError
        If a parameter is out of range.

    Examples
    --------
    >>> from sklearn_geoal.datasets import make_fields
    >>> fields = make_fields(n_images=5, side=20, random_state=0)
    >>> fields.data.reshape(-1, *fields.image_shape).shape
    (5, 3, 20, 20)
    >>> fields.target.shape
    (5, 20, 20)
    """
    for name, value in (("n_images", n_images), ("side", side), ("n_fields", n_fields)):
        check_scalar(value, name, Integral, min_val=1)
    check_scalar(light, "light", Real, min_val=0, max_val=1, include_boundaries="left")
    rng = check_random_state(random_state)

    places = np.stack(np.mgrid[:side, :side], axis=-1)  # (side, side, 2)
    target = np.empty((n_images, side, side), dtype=np.int64)
    for mask in target:
        centers, kinds = rng.uniform(0, side, size=(n_fields, 2)), rng.randint(len(_FIELDS), size=n_fields)
        mask[:] = kinds[KDTree(centers).query(places)[1]]  # of the nearest centre
    *colors, roughness = np.array(list(_FIELDS.values())).T
    brightness = rng.uniform(1 - light, 1 + light, size=(n_images, 1, 1, 1))
    tint = rng.uniform(1 - 0.4 * light, 1 + 0.4 * light, size=(n_images, 3, 1, 1))
    texture = gaussian_filter(rng.standard_normal(target.shape), (0, 0.7, 0.7))
    images = (
        brightness * tint * np.stack([color[target] for color in colors], axis=1)
        + (roughness[target] * texture)[:, None]
    )
    bunch = _images(images, target, list(_FIELDS))
    bunch.DESCR = f"Synthetic colour images of {side} x {side} pixels: fields of four kinds in varying light."
    return (bunch.data, bunch.target) if return_X_y else bunch


def _smooth_curves(n_curves, wavelengths, rng, n_bumps=12):
    """Random sums of Gaussian bumps and dips, each curve scaled to a root mean square of one."""
    centers = rng.uniform(wavelengths[0] - 200, wavelengths[-1] + 200, (n_curves, n_bumps, 1))
    widths = rng.uniform(60, 500, (n_curves, n_bumps, 1))
    heights = rng.standard_normal((n_curves, n_bumps, 1))
    curves = (heights * np.exp(-0.5 * ((wavelengths - centers) / widths) ** 2)).sum(axis=1)  # (n_curves, n_bands)
    return curves / np.sqrt((curves**2).mean(axis=1, keepdims=True))


def _smooth_fields(n_fields, scene_shape, scale, rng):
    """Gaussian random fields, each of mean zero and unit variance: (n_fields, height, width)."""
    fields = gaussian_filter(rng.standard_normal((n_fields, *scene_shape)), (0, scale, scale))
    fields -= fields.mean(axis=(1, 2), keepdims=True)
    return fields / np.maximum(fields.std(axis=(1, 2), keepdims=True), np.finfo(float).tiny)


def _abundances(n_classes, scene_shape, scale, border_width, rng):
    """Regions where one field exceeds the others, blurred at their borders: (n_pixels, n_classes)."""
    fields = _smooth_fields(n_classes, scene_shape, scale, rng)
    wanted = rng.uniform(0.5, 1.5, n_classes)
    wanted /= wanted.sum()
    # raise the fields of rare classes: the largest of a few fields alone would leave some classes next to nothing
    for _ in range(20):
        share = np.bincount(fields.argmax(axis=0).ravel(), minlength=n_classes) / fields[0].size
        fields += (wanted - share)[:, None, None]
    pure = fields.argmax(axis=0) == np.arange(n_classes)[:, None, None]
    abundances = gaussian_filter(pure.astype(float), (0, border_width, border_width)).reshape(n_classes, -1).T
    return abundances / abundances.sum(axis=1, keepdims=True)


def _mix(abundances, endmembers, wavelengths, variability, rng, n_modes=3):
    """Linear mixtures of spectra, each with random smooth factors and offsets of its own: (n_pixels, n_bands)."""
    data = np.zeros((len(abundances), len(wavelengths)))
    for share, endmember in zip(abundances.T, endmembers, strict=True):
        factors, offsets = _smooth_curves(2 * n_modes, wavelengths, rng).reshape(2, n_modes, -1)
        weights = variability * rng.standard_normal((2, len(data), n_modes))
        data += share[:, None] * (endmember * (1 + weights[0] @ factors) + 0.1 * (weights[1] @ offsets))
    return data


def _hidden(target, field, fraction):
    """Mark in each class the given fraction of pixels where the field is largest."""
    hidden = np.zeros(len(target), dtype=bool)
    for label in np.unique(target):
        members = np.flatnonzero(target == label)
        hidden[members[np.argsort(-field[members])[: int(fraction * len(members))]]] = True
    return hidden


def _numbered(prefix, n_names):
    return np.array([f"{prefix}_{number:03d}" for number in range(1, n_names + 1)])


def _path(name, data_home):
    """Path of a file of a set, after checking that it is there and is the expected one."""
    folder, file = name.split("/")
    _, source, checksums = _SETS[folder]
    root = os.environ.get(_VARIABLE) if data_home is None else data_home
    if not root:
        raise FileNotFoundError(
            f"No folder to look for {name} in: pass data_home or set the environment variable {_VARIABLE} to a folder "
            f"that holds {folder}/{file}. Source: {source}."
        )
    path = Path(root).expanduser().absolute() / folder / file
    if not path.is_file():
        origin = "data_home" if data_home is not None else f"the environment variable {_VARIABLE}"
        raise FileNotFoundError(
            f"{file} is not in {path.parent}: {origin} must name a folder that holds {name}. Source: {source}."
        )
    stat = path.stat()
    got = _sha256(path, stat.st_mtime_ns, stat.st_size)
    if got != checksums[file]:
        raise OSError(
            f"{path} has sha256 {got}, expected {checksums[file]}: it is damaged or of another version. Replace it. "
            f"Source: {source}."
        )
    return path


@cache
def _sha256(path, mtime_ns, size):
    """Checksum of a file; time and size are there so that a file is read again only when it has changed."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(name, data_home):
    """What a file holds: arrays by name, or for a GeoTIFF a Bunch of its bands and where they lie."""
    path = _path(name, data_home)
    if path.suffix == ".mat":
        return loadmat(path)
    if path.suffix == ".json":
        return json.loads(path.read_text(encoding="utf-8"))
    if path.suffix == ".tif":
        return _read_geotiff(path)
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def _read_geotiff(path):
    try:
        import rasterio
    except ImportError as error:
        raise ImportError(
            f"Reading {path.name} needs rasterio, which is not installed: pip install 'sklearn_geoal[geo]'."
        ) from error
    with rasterio.open(path) as image:
        return Bunch(
            cube=np.moveaxis(image.read(), 0, -1),  # (height, width, bands)
            band_names=image.descriptions,
            crs=image.crs.to_string(),
            transform=tuple(image.transform)[:6],
        )


def _scene(cube, codes, names):
    """Bunch of a (height, width, bands) cube and its map of class codes, named by ``names[code]``."""
    target = np.full(codes.size, -1, dtype=np.int64)
    for index, code in enumerate(names):
        target[codes.ravel() == code] = index
    return Bunch(
        data=cube.reshape(-1, cube.shape[2]).astype(np.float32),
        target=target,
        target_names=np.array(list(names.values())),
        target_codes=np.array(list(names)),
        feature_names=_numbered("band", cube.shape[2]).tolist(),
        scene_shape=cube.shape[:2],
    )


def _geo_scene(image, codes, names):
    bunch = _scene(image.cube, codes.cube, names)
    bunch.update(feature_names=list(image.band_names), crs=image.crs, transform=image.transform)
    return bunch


def _images(images, target, names):
    """Bunch of images (n_samples, channels, height, width), integers scaled from 0..255 to [0, 1]."""
    data = np.array(images, dtype=np.float32, order="C").reshape(len(images), -1)
    if images.dtype == np.uint8:
        data /= 255
    return Bunch(
        data=data,
        target=target.astype(np.int64),
        target_names=np.asarray(names),
        feature_names=["pixel_" + "_".join(map(str, index)) for index in np.ndindex(images.shape[1:])],
        image_shape=images.shape[1:],
    )


def _subset(arrays, subset, parts):
    """Images and target of one part, or of all parts in order."""
    chosen = parts if check_choice("subset", subset, ("all", *parts)) == "all" else (subset,)
    return tuple(np.concatenate([arrays[f"{kind}_{part}"] for part in chosen]) for kind in "xy")


def _deliver(bunch, name, data_home, return_X_y, as_frame=False):
    """Add the description of the set to a Bunch and give it in the form asked for."""
    description, source, _ = _SETS[name.split("/")[0]]
    bunch.update(DESCR=f"{description}\n\nSource: {source}.", filename=str(_path(name, data_home)))
    if as_frame:
        import pandas as pd

        bunch.frame = pd.DataFrame(bunch.data, columns=bunch.feature_names).assign(target=bunch.target)
        bunch.data, bunch.target = bunch.frame[bunch.feature_names], bunch.frame["target"]
    return (bunch.data, bunch.target) if return_X_y else bunch
