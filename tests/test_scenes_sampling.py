"""sample_pixels: who is drawn, what each stands for, and that neither blocks nor the source have a say in it."""

import numpy as np
import pytest
from scipy import stats
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from test_scenes import write

from sklearn_geoal.preprocessing import SpatialWindow
from sklearn_geoal.scenes import _sampling, open_scene, predict_scene, sample_pixels

STRATEGIES = ("random", "spread", "coverage")


@pytest.fixture
def bands():
    rng = np.random.RandomState(0)
    bands = rng.randn(3, 120, 150) + rng.randint(4, size=(12, 15)).repeat(10, axis=0).repeat(10, axis=1)
    bands[:, 30:60, 50:90] = np.nan
    return bands


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_sample_is_n_valid_pixels_that_stand_for_all(bands, strategy):
    sample = sample_pixels(bands, 500, strategy=strategy, random_state=0)
    rows = open_scene(bands).to_rows()
    np.testing.assert_array_equal(sample.X, rows[sample.rows])
    assert len(np.unique(sample.rows)) == 500 and (np.diff(sample.rows) > 0).all()
    assert np.isfinite(sample.X).all() and (sample.weights > 0).all()
    assert sample.weights.sum() == pytest.approx(np.isfinite(rows[:, 0]).sum())
    np.testing.assert_array_equal(sample.pixels, np.stack(np.divmod(sample.rows, 150), axis=1))
    assert sample.coordinates is None


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_strips_and_source_have_no_say(bands, strategy, monkeypatch, tmp_path):
    sample = sample_pixels(bands, 300, strategy=strategy, random_state=3)
    path = write(tmp_path / "scene.tif", bands, nodata=np.nan)
    others = [sample_pixels(path, 300, strategy=strategy, random_state=3)]
    monkeypatch.setattr(_sampling, "_STRIP_VALUES", 150 * 3 * 7)
    others.append(sample_pixels(bands, 300, strategy=strategy, random_state=3))
    for other in others:
        np.testing.assert_array_equal(other.rows, sample.rows)
        np.testing.assert_array_equal(other.weights, sample.weights)
    assert others[0].coordinates.shape == (300, 2)
    assert not np.array_equal(sample_pixels(bands, 300, strategy=strategy, random_state=4).rows, sample.rows)


def test_many_strips_are_merged_as_few_are(bands, monkeypatch):
    """Cells are counted alike however the pixels come."""
    layout = _sampling._Layout.of(open_scene(bands).to_rows()[open_scene(bands).valid_rows()])
    counted = []
    for step in (10**6, 700):
        monkeypatch.setattr(_sampling, "_STRIP_VALUES", step)
        cells = _sampling._Cells(100, layout)
        for pixels in _sampling._Stream(open_scene(bands), None, "any", 0).pixels():
            cells.add(pixels)
        order = np.lexsort(cells._places.T)
        counted.append((cells._level, cells._places[order], cells._counts[order], cells._first.rows[order]))
    for one, other in zip(*counted, strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(counted[0][1]) <= 100 < len(np.unique(counted[0][1] * 2, axis=0)) * 2**4


@pytest.mark.parametrize("n_bands", [1, 2, 4, 6, 12])
def test_coverage_of_few_pixels_comes_to_an_end(n_bands):
    """More sides of the center, 2 to the power of the directions, than cells that are asked for."""
    scene = np.random.RandomState(0).randn(n_bands, 40, 50)
    for n in (1, 2, 5, 20, 100):
        sample = sample_pixels(scene, n, strategy="coverage", random_state=0)
        assert len(sample.rows) == n and sample.weights.sum() == pytest.approx(2000)


def test_coverage_of_cells_of_any_level_is_about_half():
    """A level more makes a cell of some, not one of all sides of the center at once."""
    scene = np.random.RandomState(0).randn(4, 100, 100)
    for n in (60, 100, 200, 400, 800):
        cells = _sampling._Cells(n // 2, _sampling._Layout.of(open_scene(scene).to_rows()))
        for pixels in _sampling._Stream(open_scene(scene), None, "any", 0).pixels():
            cells.add(pixels)
        assert n / 2 / 2**5 <= len(cells._places) <= n / 2


def test_coverage_finds_values_wherever_they_lie(bands, monkeypatch):
    """Valid pixels only where the cells are not laid out by, and of all kinds: also in the last line."""
    monkeypatch.setattr(_sampling, "_STRIP_VALUES", 150 * 3)
    monkeypatch.setattr(_sampling, "_LOOK_SHAPE", (1, 2))
    for lines in (slice(1, 3), slice(117, 119), slice(119, 120)):
        scene = np.full_like(bands, np.nan)
        scene[:, lines] = bands[:, lines]
        sample = sample_pixels(scene, 100, strategy="coverage", random_state=0)
        assert len(sample.rows) == 100
        assert sample.weights.sum() == pytest.approx(150 * (lines.stop - lines.start))


def test_random_is_uniform():
    counts = np.zeros(400)
    scene = np.zeros((1, 20, 20))
    for seed in range(300):
        counts[sample_pixels(scene, 40, strategy="random", random_state=seed).rows] += 1
    # without replacement: of variance n p (1 - p)
    assert stats.chi2(399).cdf(((counts - 30) ** 2 / (30 * 0.9)).sum()) < 0.999


def test_spread_is_even_in_space():
    scene = np.zeros((1, 64, 64))
    variances = {}
    for strategy in ("random", "spread"):
        per_cell = [
            np.histogram2d(*sample_pixels(scene, 256, strategy=strategy, random_state=seed).pixels.T, bins=8)[0].var()
            for seed in range(10)
        ]
        variances[strategy] = np.mean(per_cell)
    assert variances["spread"] < 0.4 * variances["random"]


def test_coverage_keeps_what_is_rare():
    rng = np.random.RandomState(0)
    scene = rng.randn(4, 250, 400).astype(np.float32)
    rare = np.array([[3, 7], [200, 390], [100, 100]])
    scene[:, rare[:, 0], rare[:, 1]] = np.array([12.0, -9.0, 14.0, 3.0])[:, None]
    found = {
        strategy: np.isin(rare @ [400, 1], sample_pixels(scene, 200, strategy=strategy, random_state=0).rows).any()
        for strategy in STRATEGIES
    }
    assert found == {"random": False, "spread": False, "coverage": True}
    sample = sample_pixels(scene, 200, strategy="coverage", random_state=0)
    assert sample.weights[np.isin(sample.rows, rare @ [400, 1])].sum() == 3


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_few_pixels(strategy):
    scene = np.full((2, 5, 6), np.nan)
    with pytest.raises(ValueError, match="no valid pixel"):
        sample_pixels(scene, 3, strategy=strategy)
    scene[:, 2, 3] = 7
    sample = sample_pixels(scene, 3, strategy=strategy)
    assert sample.rows.tolist() == [15] and sample.weights.tolist() == [1.0]
    scene[:, :2] = 7  # constant
    everything = sample_pixels(scene, 100, strategy=strategy)
    assert len(everything.rows) == 13 and everything.weights.tolist() == [1.0] * 13
    assert len(sample_pixels(scene, 1, strategy=strategy).rows) == 1


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_huge_and_tiny_values(bands, strategy, scale):
    expected = sample_pixels(bands, 200, strategy=strategy, random_state=0)
    bands = bands * scale
    assert len(sample_pixels(bands, 200, strategy=strategy, random_state=0).rows) == 200
    for marker in (-1e38, -np.finfo(float).max):  # that nobody has declared
        bands[:, 0, 0] = marker
        with np.errstate(all="raise", under="ignore"):
            sample = sample_pixels(bands, 200, strategy=strategy, random_state=0)
        assert sample.weights.sum() == pytest.approx(expected.weights.sum())


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_features_are_those_of_the_scene(bands, strategy):
    scene = open_scene(bands)
    transformer = make_pipeline(SpatialWindow(size=5), StandardScaler()).fit(bands)
    sample = sample_pixels(scene, 200, strategy=strategy, transformer=transformer, random_state=0)
    features = predict_scene(transformer, scene).features.values
    np.testing.assert_array_equal(sample.X, features[:, sample.pixels[:, 0], sample.pixels[:, 1]].T)


def test_pixels_of_which_some_bands_are_missing(bands):
    bands[0, 0, 0] = bands[1, 5] = np.nan
    fill = SimpleImputer().fit(open_scene(bands).to_rows())
    sample = sample_pixels(bands, 10**6, transformer=fill, missing="all")
    assert len(sample.rows) == np.isfinite(bands).any(axis=0).sum() and np.isfinite(sample.X).all()
    assert len(sample_pixels(bands, 10**6, transformer=fill).rows) == np.isfinite(bands).all(axis=0).sum()


def test_parameters_are_checked(bands):
    for options, error, message in (
        ({"n": 0}, ValueError, "n == 0"),
        ({"n": 2.5}, TypeError, "n must be"),
        ({"n": 5, "missing": "all"}, ValueError, "needs a transformer that fills the gaps"),
        ({"n": 5, "strategy": "best"}, ValueError, "strategy must be one of 'random', 'spread', 'coverage'"),
    ):
        with pytest.raises(error, match=message):
            sample_pixels(bands, **options)
