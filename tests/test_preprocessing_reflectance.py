"""Reflectance: the formula by hand, limits, round trips, the year of the Earth, errors."""

from datetime import datetime, timedelta

import numpy as np
import pytest

from sklearn_geoal.preprocessing import ReflectanceTransformer, earth_sun_distance, gain_and_offset

PARAMETERS = {
    "gain": [0.5, 0.25, 0.1],
    "offset": [-1.0, 0.0, 2.5],
    "solar_irradiance": [1850.0, 1590.0, 1100.0],
    "sun_elevation": 37.0,
    "sun_distance": 0.99,
}


def numbers(n=50, seed=0):
    return np.random.default_rng(seed).integers(1024, size=(n, 3)).astype(float)


def test_formula():
    X = numbers()
    result = ReflectanceTransformer(**PARAMETERS).fit_transform(X)
    for i, j in np.ndindex(X.shape):
        radiance = PARAMETERS["gain"][j] * X[i, j] + PARAMETERS["offset"][j]
        sun = PARAMETERS["solar_irradiance"][j] * np.sin(np.deg2rad(37)) / (np.pi * 0.99**2)
        np.testing.assert_allclose(result[i, j], radiance / sun, rtol=1e-12)


def test_defaults_change_nothing_and_without_irradiance_it_is_radiance():
    X = numbers()
    np.testing.assert_array_equal(ReflectanceTransformer().fit_transform(X), X)
    radiance = ReflectanceTransformer(gain=0.5, offset=2.0, sun_elevation=10.0, sun_distance=2.0).fit_transform(X)
    np.testing.assert_array_equal(radiance, 0.5 * X + 2)


def test_a_white_diffuse_surface_has_reflectance_one():
    # it sends back all that falls on it, the same into every direction
    irradiance, elevation, distance = 1850.0, 25.0, 1.01
    radiance = irradiance * np.sin(np.radians(elevation)) / distance**2 / np.pi
    white = ReflectanceTransformer(solar_irradiance=irradiance, sun_elevation=elevation, sun_distance=distance)
    np.testing.assert_allclose(white.fit_transform([[radiance]]), 1)


def test_irradiance_pi_divides_by_the_sine_of_the_elevation():
    X = numbers()
    result = ReflectanceTransformer(gain=2e-5, offset=-0.1, solar_irradiance=np.pi, sun_elevation=30.0).fit_transform(X)
    np.testing.assert_allclose(result, (2e-5 * X - 0.1) / 0.5)


@pytest.mark.parametrize("dtype, rtol", [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_inverse(dtype, rtol):
    X = numbers().astype(dtype)
    X[3, 1] = np.nan
    reflectance = ReflectanceTransformer(**PARAMETERS).fit(X)
    there = reflectance.transform(X)
    back = reflectance.inverse_transform(there)
    assert there.dtype == back.dtype == dtype
    np.testing.assert_allclose(back, X, rtol=rtol, atol=1e-2 if dtype == np.float32 else 1e-9)


def test_masked_pixels_stay_masked():
    X = np.ma.masked_array(numbers().astype(np.uint16), mask=False)
    X[2, 1] = np.ma.masked
    result = ReflectanceTransformer(**PARAMETERS).fit_transform(X)
    assert np.argwhere(np.isnan(result)).tolist() == [[2, 1]]


def test_one_number_for_all_bands_is_that_number_for_each():
    X = numbers()
    one = ReflectanceTransformer(gain=0.3, offset=1.0, solar_irradiance=1500.0)
    each = ReflectanceTransformer(gain=[0.3] * 3, offset=(1.0,) * 3, solar_irradiance=np.full(3, 1500))
    np.testing.assert_array_equal(one.fit_transform(X), each.fit_transform(X))


@pytest.mark.parametrize("n_bits, dn_min", [(1, 0), (8, 1), (10, 0), (16, 1)])
def test_dynamic_range_ends_where_it_should(n_bits, dn_min):
    low, high = np.array([0.0, -1.5, 3.0]), np.array([52.0, 193.0, 10.0])
    gain, offset = gain_and_offset(low, high, n_bits=n_bits, dn_min=dn_min)
    ends = np.repeat([[dn_min], [2**n_bits - 1]], 3, axis=1)
    radiance = ReflectanceTransformer(gain=gain, offset=offset).fit_transform(ends)
    np.testing.assert_allclose(radiance, [low, high], atol=1e-12)


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ((0, 1, 8, 255), ValueError, "dn_min == 255, must be <= 254"),
        ((0, 1, 0, 0), ValueError, "n_bits == 0, must be >= 1"),
        ((0, 1, 8.0, 0), TypeError, "n_bits must be an instance of"),
        ((0, [1, -1], 8, 0), ValueError, "radiance_max must be above radiance_min in every band"),
        (([0, 1], [2, 3, 4], 8, 0), ValueError, r"radiance_min has shape \(2,\), radiance_max \(3,\)"),
        ((0, np.nan, 8, 0), ValueError, "radiance_max must be above radiance_min in every band"),
    ],
)
def test_invalid_dynamic_range(arguments, error, message):
    low, high, n_bits, dn_min = arguments
    with pytest.raises(error, match=message):
        gain_and_offset(low, high, n_bits=n_bits, dn_min=dn_min)


def almanac(time):
    """Distance to the Sun from the days since the noon of 1 January 2000."""
    days = (time - datetime(2000, 1, 1, 12)).total_seconds() / 86400
    anomaly = np.radians(357.528 + 0.9856003 * days)
    return 1.00014 - 0.01671 * np.cos(anomaly) - 0.00014 * np.cos(2 * anomaly)


def test_earth_sun_distance_is_as_near_as_promised():
    days = np.arange(1, 366)
    distances = earth_sun_distance(days)
    for year in range(1980, 2041):
        exact = [almanac(datetime(year, 1, 1, 12) + timedelta(days=int(day) - 1)) for day in days]
        np.testing.assert_allclose(distances, exact, rtol=0, atol=3e-4)
    assert days[distances.argmin()] in (2, 3, 4, 5) and days[distances.argmax()] in (184, 185, 186, 187)


@pytest.mark.parametrize("day", [0, 367, np.nan, [10, -1]])
def test_invalid_day(day):
    with pytest.raises(ValueError, match="day_of_year must be from 1 to 366"):
        earth_sun_distance(day)


@pytest.mark.parametrize(
    "parameters, error, message",
    [
        ({"gain": 0.0}, ValueError, "gain must not be zero in any band; got 0.0"),
        ({"gain": [1.0, 2.0]}, ValueError, "gain must be a finite number, or one for each of the 3 bands of X"),
        ({"gain": ["1", "high", "2"]}, ValueError, "gain must be a finite number, .* got \\['1', 'high', '2'\\]"),
        ({"offset": None}, ValueError, "offset must be a finite number"),
        ({"offset": np.nan}, ValueError, "offset must be a finite number"),
        ({"solar_irradiance": [1.0, 2.0, 0.0]}, ValueError, "solar_irradiance must be positive in every band"),
        ({"solar_irradiance": np.ones((3, 1))}, ValueError, "solar_irradiance must be a finite number"),
        ({"sun_elevation": 0}, ValueError, r"sun_elevation must be degrees above the horizon, in \(0, 90\]; got 0"),
        ({"sun_elevation": -12.0}, ValueError, "sun_elevation must be degrees above the horizon"),
        ({"sun_elevation": np.nan}, ValueError, "sun_elevation must be degrees above the horizon"),
        ({"sun_elevation": "37"}, TypeError, "sun_elevation must be an instance of"),
        ({"sun_distance": 0.0}, ValueError, "sun_distance must be a positive number of astronomical units"),
        ({"sun_distance": np.inf}, ValueError, "sun_distance must be a positive number of astronomical units"),
    ],
)
def test_invalid_parameters(parameters, error, message):
    with pytest.raises(error, match=message):
        ReflectanceTransformer(**parameters).fit(numbers())


def test_inverse_of_other_bands():
    with pytest.raises(ValueError, match="X has 2 bands, expected 3"):
        ReflectanceTransformer().fit(numbers()).inverse_transform(np.ones((4, 2)))
