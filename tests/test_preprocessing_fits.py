"""Every transformer is fitted as a whole: parameters act at the next fit, and a fit that fails changes nothing."""

import numpy as np
import pandas as pd
import pytest

from sklearn_geoal.preprocessing import (
    HyperbolicNeighborsTransformer,
    PatchTransformer,
    ReflectanceTransformer,
    SpatialWindow,
)

# 48 rows of three bands: a scene of 6 x 8 pixels, and points inside the Poincare ball
X = pd.DataFrame(np.random.default_rng(0).uniform(0.1, 0.5, size=(48, 3)), columns=["blue", "green", "red"])

# for each parameter one value and another, both valid for X
PARAMETERS = {
    SpatialWindow: {"scene_shape": [(6, 8), (4, 12)], "size": [3, 5], "statistic": ["patch", "mean"]},
    PatchTransformer: {"scene_shape": [(6, 8), (8, 6)], "size": [2, 3], "stride": [1, 2]},
    ReflectanceTransformer: {
        "gain": [[0.5, 0.25, 1.0], 2.0],
        "offset": [0.0, 1.0],
        "solar_irradiance": [1850.0, None],
        "sun_elevation": [90.0, 30.0],
        "sun_distance": [1.0, 0.98],
    },
    HyperbolicNeighborsTransformer: {
        "n_neighbors": [3, 4],
        "model": ["tangent", "poincare"],
        "curvature": [1.0, 2.0],
        "mode": ["distance", "connectivity"],
    },
}
each_transformer = pytest.mark.parametrize("cls", PARAMETERS)
each_parameter = pytest.mark.parametrize("cls, name", [(cls, name) for cls in PARAMETERS for name in PARAMETERS[cls]])


class Interrupted:
    def __array__(self, dtype=None, copy=None):
        raise KeyboardInterrupt


def make(cls, **changes):
    return cls(**{name: values[0] for name, values in PARAMETERS[cls].items()} | changes)


def answers(fitted):
    """What each verb gives."""
    result = fitted.transform(X)
    yield result.toarray() if hasattr(result, "toarray") else result
    yield fitted.get_feature_names_out()
    if hasattr(fitted, "inverse_transform"):
        yield fitted.inverse_transform(X)
    if hasattr(fitted, "label_map"):
        labels = np.arange(len(result)) % 3
        for scene in (None, X):
            yield fitted.mean_map(result, scene)
            yield fitted.label_map(labels, scene)


def equal(first, second):
    try:
        np.testing.assert_equal(list(first), list(second))
    except AssertionError:
        return False
    return True


@each_transformer
def test_every_parameter_has_two_values(cls):
    assert set(PARAMETERS[cls]) == set(cls().get_params())


@each_parameter
def test_a_parameter_acts_at_the_next_fit(cls, name):
    transformer = make(cls).fit(X)
    before = list(answers(transformer))
    change = {name: PARAMETERS[cls][name][1]}
    transformer.set_params(**change)
    assert equal(answers(transformer), before)
    transformer.fit(X)
    assert equal(answers(transformer), answers(make(cls, **change).fit(X)))
    assert not equal(answers(transformer), before)


@pytest.mark.parametrize(
    "cls, name", [(SpatialWindow, "scene_shape"), (PatchTransformer, "scene_shape"), (ReflectanceTransformer, "gain")]
)
def test_a_parameter_changed_in_place_acts_at_the_next_fit(cls, name):
    value = list(PARAMETERS[cls][name][0])
    transformer = make(cls, **{name: value}).fit(X)
    before = list(answers(transformer))
    value.reverse()
    assert equal(answers(transformer), before)


def rows(*shape):
    return np.random.default_rng(1).uniform(0.1, 0.5, size=shape)


@each_transformer
@pytest.mark.parametrize(
    "bad, error",
    [
        (np.full((48, 2), np.inf), ValueError),
        (X.rename(columns=str.upper).assign(RED=np.inf), ValueError),
        (rows(48), ValueError),
        (rows(0, 2), ValueError),
        (Interrupted(), KeyboardInterrupt),
    ],
    ids=["other features, infinite", "other names, infinite", "one axis", "no rows", "interrupted"],
)
def test_a_fit_on_bad_data_changes_nothing(cls, bad, error):
    check_refit_changes_nothing(make(cls).fit(X), bad, error)


@pytest.mark.parametrize(
    "cls, change, bad, error",
    [
        (SpatialWindow, {}, rows(47, 2), ValueError),
        (SpatialWindow, {"scene_shape": (5, 9)}, rows(48, 2), ValueError),
        (SpatialWindow, {"statistic": "max"}, rows(48, 2), ValueError),
        (PatchTransformer, {}, rows(47, 2), ValueError),
        (PatchTransformer, {"size": 7}, rows(48, 2), ValueError),
        (PatchTransformer, {"stride": 1.5}, rows(48, 2), TypeError),
        (PatchTransformer, {}, np.full((48, 2), np.nan), ValueError),
        (ReflectanceTransformer, {}, rows(48, 2), ValueError),
        (ReflectanceTransformer, {"gain": 0.0}, rows(48, 2), ValueError),
        (ReflectanceTransformer, {"gain": 1.0, "sun_elevation": "high"}, rows(48, 2), TypeError),
        (HyperbolicNeighborsTransformer, {"model": "poincare"}, 9 * rows(48, 2), ValueError),
        (HyperbolicNeighborsTransformer, {"mode": "connectivity", "curvature": -1.0}, rows(48, 2), ValueError),
        (HyperbolicNeighborsTransformer, {}, np.full((48, 2), np.nan), ValueError),
    ],
)
def test_a_fit_that_fails_late_changes_nothing(cls, change, bad, error):
    check_refit_changes_nothing(make(cls).fit(X).set_params(**change), bad, error)


def check_refit_changes_nothing(fitted, bad, error):
    before, attributes = list(answers(fitted)), dict(vars(fitted))
    with pytest.raises(error):
        fitted.fit(bad)
    assert vars(fitted).keys() == attributes.keys()
    assert all(vars(fitted)[name] is value for name, value in attributes.items())
    assert equal(answers(fitted), before)


@each_transformer
def test_a_first_fit_that_fails_leaves_nothing_fitted(cls):
    transformer = make(cls)
    with pytest.raises(ValueError, match="infinity"):
        transformer.fit(np.full((48, 3), np.inf))
    assert vars(transformer) == vars(make(cls))


def test_windows_of_another_statistic_forget_the_shape_of_patches():
    window = make(SpatialWindow).fit(X)
    assert window.image_shape_ == (3, 3, 3)
    assert window.set_params(statistic="mean").fit(X).image_shape_ is None
