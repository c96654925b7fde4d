"""Generators of a hyperspectral scene and of images of fields."""

from numbers import Integral, Real

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial import KDTree
from scipy.special import expit
from sklearn.utils import Bunch, check_scalar

from .._validation import as_random_state, check_scene_shape
from ._bunches import image_bunch, numbered

# kind of field -> reflectance in red, green and blue, and how much it varies from pixel to pixel
_FIELDS = {
    "meadow": (0.35, 0.5, 0.2, 0.03),
    "wheat": (0.7, 0.6, 0.3, 0.05),
    "soil": (0.45, 0.35, 0.25, 0.02),
    "wood": (0.2, 0.35, 0.25, 0.12),
}


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
    rng = as_random_state(random_state)

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
        target_names=numbered("material", n_classes),
        feature_names=numbered("band", n_bands).tolist(),
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
    rng = as_random_state(random_state)

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
    bunch = image_bunch(images, target, list(_FIELDS))
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
