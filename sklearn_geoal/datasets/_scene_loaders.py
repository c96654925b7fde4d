"""Loaders of scenes: rows of pixels in raster order with a map of their classes."""

import numpy as np
from sklearn.utils import Bunch

from ._bunches import deliver, numbered
from ._files import read


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
    cube = read("salinas_a/SalinasA_corrected.mat", data_home)["salinasA_corrected"]
    codes = read("salinas_a/SalinasA_gt.mat", data_home)["salinasA_gt"]
    names = {
        1: "brocoli_green_weeds_1",
        10: "corn_senesced_green_weeds",
        11: "lettuce_romaine_4wk",
        12: "lettuce_romaine_5wk",
        13: "lettuce_romaine_6wk",
        14: "lettuce_romaine_7wk",
    }
    bunch = _scene(cube, codes, names)
    return deliver(bunch, "salinas_a/SalinasA_corrected.mat", data_home, return_X_y, as_frame)


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
    arrays = read(name, data_home)
    names = {1: "tree", 2: "water", 3: "dirt", 4: "road"}
    bunch = _scene(arrays["cube"], arrays["gt_argmax"], names)
    bunch.abundances = arrays["abundance"].reshape(len(bunch.data), -1)
    bunch.endmembers = arrays["endmembers"].T
    return deliver(bunch, name, data_home, return_X_y, as_frame)


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
    image = read(name, data_home)
    codes = read("landsat8_zion/labels_nlcd8.tif", data_home)
    names = ["water", "developed", "barren", "forest", "shrubland", "herbaceous", "cultivated", "wetlands"]
    return deliver(_geo_scene(image, codes, dict(enumerate(names, 1))), name, data_home, return_X_y, as_frame)


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
    image = read(name, data_home)
    codes = read("sentinel2_amazon/labels.tif", data_home)
    names = {int(code): name for code, name in read("sentinel2_amazon/classes.json", data_home).items()}
    return deliver(_geo_scene(image, codes, names), name, data_home, return_X_y, as_frame)


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
        feature_names=numbered("band", cube.shape[2]).tolist(),
        scene_shape=cube.shape[:2],
    )


def _geo_scene(image, codes, names):
    bunch = _scene(image.cube, codes.cube, names)
    bunch.update(feature_names=list(image.band_names), crs=image.crs, transform=image.transform)
    return bunch
