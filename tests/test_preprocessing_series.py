"""SeriesInterpolator: a straight line between measurements, and what there is at the ends."""

import numpy as np
import pytest

from sklearn_geoal.preprocessing import SeriesInterpolator


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gaps_are_filled_as_numpy_interpolates_each_row(dtype):
    rng = np.random.RandomState(0)
    times = np.sort(rng.rand(12)) * 300
    X = rng.randn(200, 12).astype(dtype)
    X[rng.rand(200, 12) < 0.6] = np.nan
    filled = SeriesInterpolator(times).fit_transform(X)
    assert filled.dtype == dtype
    for row, result in zip(X, filled, strict=True):
        known = ~np.isnan(row)
        expected = np.interp(times, times[known], row[known]) if known.any() else row
        np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(result[known], row[known])


def test_dates_of_all_forms():
    X = [[0.0, np.nan, 10.0]]
    dates = ["2020-01-01", "2020-01-03", "2020-01-11"]
    for times in (dates, np.array(dates, dtype="datetime64[D]"), [0, 2, 10]):
        transformer = SeriesInterpolator(times).fit(X)
        assert transformer.times_.tolist() == [0.0, 2.0, 10.0]
        assert transformer.transform(X).tolist() == [[0.0, 2.0, 10.0]]
    # twice on one day
    assert SeriesInterpolator([1, 1, 2]).fit_transform([[np.nan, 4.0, 5.0]]).tolist() == [[4.0, 4.0, 5.0]]


@pytest.mark.parametrize("times", [[0, 1], [0, 2, 1], ["a", "b", "c"], [0, np.nan, 1], [[0, 1, 2]]])
def test_times_that_do_not_go_with_the_columns(times):
    with pytest.raises(ValueError, match="times must be"):
        SeriesInterpolator(times).fit(np.zeros((2, 3)))
