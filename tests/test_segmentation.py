"""What segmenters share: the forms of images and masks, standardised bands, tiles without seams."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator

from sklearn_geoal._labels import MISSING, VOID
from sklearn_geoal._nets.unet import UNet
from sklearn_geoal._segmentation import (
    _bands,
    _masks,
    apply_in_tiles,
    band_location_and_scale,
    check_masks,
    infer_images,
    standardize_bands,
    validate_images,
)
from sklearn_geoal._segmentation._images import as_given
from sklearn_geoal._segmentation._masks import known_accuracy
from sklearn_geoal._symmetric_vae.axes import principal_axes
from sklearn_geoal._symmetric_vae.holes import fill_smoothly

SHAPE = (4, 3, 5, 6)


class Segmenter(BaseEstimator):
    def __init__(self, image_shape=None):
        self.image_shape = image_shape


class Net:
    """As much of a net as inference needs."""

    device = "cpu"

    def __init__(self, module):
        self.module_ = module

    def _set_training(self, training):
        self.module_.train(training)


def images(shape=SHAPE, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def masks(n_classes=4, seed=0):
    return np.random.default_rng(seed).integers(n_classes, size=(SHAPE[0], *SHAPE[2:]))


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(_bands, "_BLOCK_VALUES", 50)
    monkeypatch.setattr(_masks, "_BLOCK_VALUES", 50)


# --- images -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form, image_shape",
    [
        (lambda X: X, None),
        (lambda X: X, SHAPE[1:]),
        (list, None),
        (np.ndarray.tolist, None),
        (torch.tensor, None),
        (lambda X: X.reshape(4, -1), SHAPE[1:]),
        (lambda X: pd.DataFrame(X.reshape(4, -1)), SHAPE[1:]),
    ],
    ids=["images", "images_and_shape", "list", "nested_lists", "tensor", "rows", "frame"],
)
def test_all_forms_of_images_are_the_same(form, image_shape):
    X, segmenter = images(), Segmenter(image_shape)
    np.testing.assert_array_equal(validate_images(segmenter, form(X), reset=True), X)
    assert segmenter.image_shape_ == SHAPE[1:] and segmenter.n_features_in_ == 90
    np.testing.assert_array_equal(validate_images(segmenter, form(X), reset=False), X)


def test_rows_are_single_pixels_and_keep_their_names():
    X = pd.DataFrame(images()[:, :, 0, 0], columns=["red", "green", "blue"])
    segmenter = Segmenter()
    assert validate_images(segmenter, X, reset=True).shape == (4, 3, 1, 1)
    assert list(segmenter.feature_names_in_) == ["red", "green", "blue"]
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        validate_images(segmenter, X.to_numpy(), reset=False)


def test_fitted_with_images_of_one_size_takes_those_of_another():
    segmenter = Segmenter()
    validate_images(segmenter, images(), reset=True)
    assert validate_images(segmenter, images((1, 3, 50, 7)), reset=False).shape == (1, 3, 50, 7)
    with pytest.raises(ValueError, match=r"X has 4 bands.*\(1, 4, 5, 6\).*fitted with 3"):
        validate_images(segmenter, images((1, 4, 5, 6)), reset=False)
    with pytest.raises(ValueError, match="X has 7 features.*expecting 90"):
        validate_images(segmenter, images((1, 7)), reset=False)


def test_memory_map_is_not_copied(tmp_path):
    X = np.lib.format.open_memmap(tmp_path / "scene.npy", "w+", np.uint8, (1, 3, 40, 50))
    X[:] = 1
    assert np.shares_memory(validate_images(Segmenter(), X, reset=True), X)


@pytest.mark.parametrize(
    "X, image_shape, message",
    [
        (images()[0], None, r"shape \(3, 5, 6\), expected \(n_images.*X\[None\]"),
        (images(), (3, 6, 5), r"images of shape \(3, 5, 6\), but image_shape=\(3, 6, 5\)"),
        (images().reshape(4, -1), (3, 6, 6), "holds 108 values, but X has 90 features"),
        (images()[:0], None, "0 sample"),
        (images()[:, :, :0], None, "at least one band and one pixel"),
        (images()[:1, :, :1, :1], None, "n_samples=1 and one pixel"),
        (images()[:1, :, 0, 0], None, "n_samples=1 and one pixel"),
        (np.where(images() > 1, np.nan, images()), None, "contains NaN.*mean of its band.*ignore_label"),
        (np.where(images() > 1, np.inf, images()), None, "contains infinity.*ignore_label"),
        (images()[:, :, 0, 0] * np.nan, None, "contains NaN"),
        (images().astype(str), None, "not compatible with arrays of bytes/strings"),
        ([images()[0], images()[1][:, :2]], None, r"different shapes, \[\(3, 2, 6\), \(3, 5, 6\)\]"),
    ],
)
def test_invalid_images(X, image_shape, message):
    with pytest.raises(ValueError, match=message):
        validate_images(Segmenter(image_shape), X, reset=True)


def test_result_has_the_form_of_the_images():
    assert as_given(np.zeros((4, 2, 1, 1)), np.zeros((4, 3))).shape == (4, 2)
    assert as_given(np.zeros((4, 2, 1, 1)), np.zeros((4, 3, 1, 1))).shape == (4, 2, 1, 1)
    assert as_given(np.zeros((4, 5, 6)), np.zeros((4, 90))).shape == (4, 5, 6)


# --- standardised bands -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", [1e-300, 1e-30, 1.0, 1e300])
@pytest.mark.parametrize("shape", [(2, 3, 40, 50), (500, 3, 1, 1)])
def test_bands_are_standardised_at_any_scale(unit, shape, small_blocks):
    X = unit * (images(shape) * [[[1]], [[0.1]], [[0]]] + [[[0]], [[30]], [[5]]])
    location, scale = band_location_and_scale(X)
    np.testing.assert_allclose(location / unit, (X / unit).mean(axis=(0, 2, 3)), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(scale[:2] / unit, (X[:, :2] / unit).std(axis=(0, 2, 3)), rtol=1e-10)
    assert scale[2] == 1  # constant
    Z = standardize_bands(X, location, scale)
    assert Z.dtype == np.float32
    np.testing.assert_allclose(Z.std(axis=(0, 2, 3)), [1, 1, 0], atol=1e-5)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float16, bool])
def test_bands_of_any_type(dtype, small_blocks):
    X = (50 * np.maximum(images(), 0)).astype(dtype)
    location, scale = band_location_and_scale(X)
    np.testing.assert_allclose(location, X.mean(axis=(0, 2, 3), dtype=float))
    np.testing.assert_allclose(scale, X.std(axis=(0, 2, 3), dtype=float))
    assert standardize_bands(X, location, scale).dtype == np.float32


def test_principal_axes_span_the_bands():
    Z = np.random.default_rng(0).normal(size=(4, 2, 9, 9)) @ np.eye(9)
    Z = np.einsum("ab,nbhw->nahw", np.array([[1.0, 0.0], [1.0, 1.0], [2.0, 1.0]]), Z).astype(np.float32)
    axes = principal_axes(Z, 4)
    pixels = Z.transpose(1, 0, 2, 3).reshape(3, -1)
    assert axes.shape == (3, 4)
    np.testing.assert_allclose(axes @ axes.T, pixels @ pixels.T / pixels.shape[1], rtol=1e-3, atol=1e-3)
    assert not axes[:, 2:].any()  # three bands of which one is the sum of the others
    np.testing.assert_allclose(principal_axes(Z, 1), axes[:, :1], atol=1e-6)


# --- masks ------------------------------------------------------------------------------------------------------------


def as_objects(y):
    """A one-dimensional array with a mask as each element."""
    result = np.empty(len(y), dtype=object)
    result[:] = list(y)
    return result


@pytest.mark.parametrize(
    "form",
    [
        np.asarray,
        list,
        np.ndarray.tolist,
        as_objects,
        torch.tensor,
        lambda y: y.astype(np.uint8),
        lambda y: y.astype(float),
        lambda y: y.astype(object),
        lambda y: y.reshape(4, 30),
        lambda y: pd.DataFrame(y.reshape(4, 30)),
    ],
    ids=["masks", "list", "nested_lists", "objects", "tensor", "uint8", "float", "mask_of_objects", "rows", "frame"],
)
def test_all_forms_of_masks_are_the_same(form, small_blocks):
    y = masks()
    classes, codes = check_masks(form(y), SHAPE, ignore_label=3)
    np.testing.assert_array_equal(classes, [0, 1, 2])
    np.testing.assert_array_equal(codes, np.where(y == 3, VOID, y))
    assert codes.dtype == np.int64


@pytest.mark.parametrize(
    "marked, missing_label, ignore_label",
    [
        (lambda y: np.where(y == 3, -1, y), "auto", None),
        (lambda y: np.where(y == 3, np.nan, y), "auto", None),
        (lambda y: np.where(y == 3, None, y), "auto", None),
        (lambda y: y, 3, None),
        (lambda y: np.where(y == 3, "?", y.astype(str)), "?", None),
        (lambda y: np.where(y == 3, -1, np.where(y == 2, 255, y)), "auto", 255),
        (lambda y: np.where(y == 3, np.nan, np.where(y == 2, -1, y)), "auto", -1),
        (lambda y: np.where(y == 3, -1, np.where(y == 2, np.nan, y)), "auto", np.nan),
        (lambda y: np.where(y == 3, None, np.where(y == 2, "void", y.astype(str))), "auto", "void"),
    ],
)
def test_missing_and_void_pixels(marked, missing_label, ignore_label, small_blocks):
    y = masks()
    expected = np.where(y == 3, MISSING, np.where((y == 2) & (ignore_label is not None), VOID, y))
    classes, codes = check_masks(marked(y), SHAPE, missing_label, ignore_label)
    np.testing.assert_array_equal(codes, expected)
    assert list(classes) == sorted(set(marked(y)[expected >= 0]))


def test_images_without_a_mask():
    y = masks(3)
    y[3, :2] = 9
    _, codes = check_masks([y[0], None, None, y[3]], SHAPE, ignore_label=9)
    np.testing.assert_array_equal(codes[0], y[0])
    assert (codes[1:3] == MISSING).all() and (codes[3, :2] == VOID).all()


def test_single_pixels_take_labels_as_classifiers_do():
    y = pd.Series([0, 1, None, 9], dtype="Int64")
    for form in (y, pd.Series(["a", "b", None, "void"]), np.array([0, 1, np.nan, 9]), [0, 1, -1, 9]):
        void = "void" if form[0] == "a" else 9
        _, codes = check_masks(form, (4, 2, 1, 1), ignore_label=void)
        np.testing.assert_array_equal(codes.ravel(), [0, 1, MISSING, VOID])
    with pytest.warns(UserWarning, match="y holds exactly the values -1 and 1"):
        assert (check_masks([-1, 1, 1, -1], (4, 2, 1, 1))[1] >= 0).all()


@pytest.mark.parametrize(
    "y, arguments, message",
    [
        (None, {}, "requires y to be passed, but the target y is None"),
        (masks()[:3], {}, r"y has shape \(3, 5, 6\), expected \(4, 5, 6\)"),
        (masks()[0], {}, r"y has shape \(5, 6\), expected \(4, 5, 6\)"),
        (masks()[:, None], {}, r"y has shape \(4, 1, 5, 6\)"),
        ([0, 1, 0, 1], {}, r"y\[0\] has shape \(\), expected \(5, 6\)"),
        ([masks()[0], masks()[1][:2], None, None], {}, r"y\[1\] has shape \(2, 6\), expected \(5, 6\)"),
        ([None] * 4, {}, "no pixel with a class: 0 of 120 are void.*120 lack their label"),
        (np.full((4, 5, 6), 255), {"ignore_label": 255}, "120 of 120 are void .ignore_label=255"),
        (np.full((4, 5, 6), -1), {}, "120 lack their label .missing_label='auto'"),
        (masks() + 0.5, {}, "Unknown label type: continuous"),
        (np.where(masks() == 0, np.inf, 1), {}, "contains infinity"),
    ],
)
def test_invalid_masks(y, arguments, message):
    with pytest.raises(ValueError, match=message):
        check_masks(y, SHAPE, **arguments)


def test_labels_of_single_pixels_must_be_as_many():
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        check_masks([0, 1], (3, 2, 1, 1))


def test_accuracy_of_known_pixels():
    y = np.array([[[0, 1], [2, -1]], [[9, 9], [0, 5]]])
    predicted = np.array([[[0, 1], [1, 1]], [[0, 1], [0, 0]]])
    assert known_accuracy(y, predicted, ignore_label=9) == 3 / 5  # also of a class that is never predicted
    assert known_accuracy([y[0], None], predicted) == 2 / 3
    assert known_accuracy(["a", "b", None], np.array(["a", "a", "b"])) == 1 / 2
    with pytest.raises(ValueError, match="y has no pixel with a class: there is nothing to compare"):
        known_accuracy(np.full((2, 2, 2), -1), predicted)


# --- scenes in tiles --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained_statistics():
    """A net with statistics of batches other than its initial ones."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = UNet((2, 32, 32), 3, (4, 6, 8))
        with torch.no_grad():
            for _ in range(5):
                net(3 * torch.randn(4, 2, 32, 32))
    return Net(net.eval())


@pytest.mark.parametrize("shape", [(1, 2, 131, 90), (3, 2, 20, 200), (5, 2, 17, 9), (2, 2, 64, 64)])
def test_tiles_leave_no_seam(trained_statistics, shape):
    net = trained_statistics.module_
    X = images(shape).astype(np.float32)
    whole = infer_images(trained_statistics, net, X)
    out = np.full((len(X), 3, *shape[2:]), np.nan, dtype=np.float32)
    geometry = {"margin": net.receptive_margin, "alignment": net.alignment}
    apply_in_tiles(lambda x: infer_images(trained_statistics, net, x), X, out, tile_size=64, **geometry)
    np.testing.assert_allclose(out, whole, atol=1e-5)


def test_narrow_margin_leaves_a_seam(trained_statistics):
    net, X = trained_statistics.module_, images((1, 2, 131, 90)).astype(np.float32)
    out = np.empty((1, 3, 131, 90), dtype=np.float32)
    apply_in_tiles(lambda x: infer_images(trained_statistics, net, x), X, out, tile_size=64, margin=0, alignment=4)
    assert np.abs(out - infer_images(trained_statistics, net, X)).max() > 1e-3


@pytest.mark.parametrize("shape", [(7, 1, 5, 6), (2, 1, 100, 23), (1, 1, 23, 100), (1000, 1, 1, 1)])
@pytest.mark.parametrize("margin, alignment", [(0, 1), (3, 1), (3, 4), (8, 8)])
def test_tiles_cover_each_pixel_once_and_are_bounded(shape, margin, alignment):
    X, sizes = np.arange(np.prod(shape)).reshape(shape), []

    def function(block):
        sizes.append(block[:, 0].size)
        return block[:, 0]

    out = np.full((shape[0], *shape[2:]), -1)
    apply_in_tiles(function, X, out, tile_size=24, margin=margin, alignment=alignment)
    np.testing.assert_array_equal(out, X[:, 0])
    assert max(sizes) <= 24**2


def test_tile_of_margins_only_is_an_error():
    X = np.zeros((1, 1, 50, 50))
    with pytest.raises(ValueError, match="tile_size=16 leaves nothing between two margins of 8 pixels.*at least 20"):
        apply_in_tiles(lambda x: x[:, 0], X, X[:, 0], tile_size=16, margin=7, alignment=4)


@pytest.mark.parametrize("n_pixels", [1, 2, 15, 100])
def test_a_pixel_does_not_depend_on_the_others(n_pixels):
    net = UNet((6, 1, 1), 3)
    X = images((100, 6, 1, 1)).astype(np.float32)
    whole = infer_images(Net(net), net, X)
    np.testing.assert_array_equal(infer_images(Net(net), net, X[:n_pixels]), whole[:n_pixels])


# --- holes ------------------------------------------------------------------------------------------------------------


def test_filling_is_harmonic_and_keeps_what_is_seen():
    rows, columns = np.mgrid[:12, :15]
    hidden = np.zeros((12, 15), dtype=bool)
    hidden[3:8, 4:11] = True
    plane = (2.0 * rows - 3.0 * columns)[None]
    np.testing.assert_allclose(
        fill_smoothly(np.where(hidden, 99.0, plane), hidden), plane, atol=1e-9
    )  # a plane is harmonic
    image = np.random.default_rng(0).normal(size=(2, 12, 15))
    hidden[0, :5] = True  # at the border, with fewer neighbours
    filled = fill_smoothly(image, hidden)
    np.testing.assert_array_equal(filled[:, ~hidden], image[:, ~hidden])
    inner = (filled[:, 4, 6] + filled[:, 6, 6] + filled[:, 5, 5] + filled[:, 5, 7]) / 4
    np.testing.assert_allclose(filled[:, 5, 6], inner)
    np.testing.assert_allclose(filled[:, 0, 0], (filled[:, 1, 0] + filled[:, 0, 1]) / 2)
    np.testing.assert_array_equal(fill_smoothly(image, np.zeros_like(hidden)), image)
