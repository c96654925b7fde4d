"""Spectra by their shape: what brightness, masks and zeros do."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.preprocessing import Normalizer

from sklearn_geoal.preprocessing import SpectraScaler


@pytest.fixture
def spectra():
    return np.random.default_rng(0).uniform(0.1, 0.6, size=(40, 5))


def test_bands_have_mean_zero_and_variance_one_on_average(spectra):
    Z = SpectraScaler().fit_transform(spectra)
    np.testing.assert_allclose(Z.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(Z.var(axis=0).mean(), 1)


def test_distances_are_those_of_unit_spectra_in_one_unit(spectra):
    scaler = SpectraScaler().fit(spectra)
    Z, units = scaler.transform(spectra), Normalizer().fit_transform(spectra)
    expected = np.linalg.norm(units[:, None] - units, axis=-1) / scaler.scale_
    np.testing.assert_allclose(np.linalg.norm(Z[:, None] - Z, axis=-1), expected, atol=1e-9)


@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-9), (np.float32, 2e-4)])
@pytest.mark.parametrize("unit", [1e-30, 1e-3, 1e30])
def test_brightness_changes_nothing(spectra, unit, dtype, tolerance):
    brightness = np.random.default_rng(1).uniform(0.5, 2, size=(40, 1))
    dimmed = (spectra * brightness * unit).astype(dtype)
    result = SpectraScaler().fit_transform(dimmed)
    assert result.dtype == dtype
    np.testing.assert_allclose(result, SpectraScaler().fit_transform(spectra), atol=tolerance)


def test_inverse_gives_unit_spectra(spectra):
    scaler = SpectraScaler().fit(spectra)
    back = scaler.inverse_transform(scaler.transform(spectra))
    np.testing.assert_allclose(back, Normalizer().fit_transform(spectra))
    with pytest.raises(ValueError, match="X has 2 bands, expected 5"):
        scaler.inverse_transform(spectra[:, :2])


@pytest.mark.parametrize("masked", ["nan", "mask"])
def test_masked_rows_have_no_part(spectra, masked):
    odd = np.zeros(spectra.shape, dtype=bool)
    odd[3, 1] = odd[7] = True
    X = np.where(odd, np.nan, spectra) if masked == "nan" else np.ma.masked_array(spectra, mask=odd)
    Z, whole = SpectraScaler().fit_transform(X), ~odd.any(axis=1)
    assert np.isnan(Z[~whole]).all()
    np.testing.assert_allclose(Z[whole], SpectraScaler().fit_transform(spectra[whole]))


def test_rows_of_zeros_have_no_part_and_stay_zero(spectra):
    dark = np.vstack([spectra, np.zeros((3, 5))])
    scaler = SpectraScaler().fit(dark)
    np.testing.assert_allclose(scaler.location_, SpectraScaler().fit(spectra).location_)
    np.testing.assert_allclose(scaler.inverse_transform(scaler.transform(dark))[-3:], 0, atol=1e-12)


@pytest.mark.parametrize("X", [np.zeros((4, 3)), np.ones((4, 3)), np.full((4, 3), np.nan), [[1.0, 2.0, 3.0]]])
def test_rows_that_do_not_vary_keep_their_scale(X):
    scaler = SpectraScaler().fit(X)
    assert scaler.scale_ == 1
    np.testing.assert_array_equal(np.isnan(scaler.transform(X)), np.isnan(X))


def test_sparse_is_refused(spectra):
    with pytest.raises(TypeError, match="[Ss]parse"):
        SpectraScaler().fit(csr_array(spectra))
