"""Images with channels last are told from those with channels first, before a network learns from them."""

import warnings

import numpy as np
import pytest

from sklearn_geoal import MixMatchSegmenter, NetClassifier, VAETransformer
from sklearn_geoal._validation import warn_of_channels_last

LAST = [(16, 16, 3), (28, 28, 1), (8, 8, 1), (4, 4, 3), (48, 64, 3), (480, 640, 4)]
FIRST = [
    *((3, 8, 8), (1, 4, 4), (4, 16, 16), (1, 28, 28), (3, 48, 64)),
    *((200, 3, 3), (200, 1, 1), (16, 3, 3), (8, 4, 4), (5, 4, 4), (4, 4, 4), (3, 3, 3), (12, 2, 2), (9, 9, 9)),
    # a series of measurements as an image of one row or column, narrow images of many bands
    *(
        (8, 100, 1),
        (3, 100, 1),
        (1, 100, 1),
        (100, 1, 1),
        (200, 5, 3),
        (8, 1, 4),
        (3, 100, 3),
        (10, 10, 2),
        (10, 10, 5),
    ),
]


@pytest.mark.parametrize("shape", LAST, ids=str)
def test_channels_that_stand_last_are_told(shape):
    height, width, channels = shape
    message = rf"read as {height} channels of {width} x {channels} pixels.*X.transpose\(0, 3, 1, 2\)"
    with pytest.warns(UserWarning, match=message):
        warn_of_channels_last((7, *shape), None)


@pytest.mark.parametrize("shape", FIRST, ids=str)
def test_channels_that_stand_first_pass_without_a_word(shape):
    with warnings.catch_warnings(action="error"):
        warn_of_channels_last((7, *shape), None)


@pytest.mark.parametrize(
    "estimator",
    [NetClassifier(max_epochs=1), VAETransformer(max_epochs=1), MixMatchSegmenter(max_epochs=1, hidden_units=(4,))],
    ids=lambda estimator: type(estimator).__name__,
)
def test_estimators_say_so_in_fit(estimator):
    X = np.random.default_rng(0).normal(size=(6, 8, 8, 3))
    # masks of the pixels as they are read, so that the segmenter is fitted as well
    y = np.indices((6, 8, 3))[1] % 2 if "Segmenter" in type(estimator).__name__ else np.arange(6) % 2
    with pytest.warns(UserWarning, match=r"say so with image_shape=\(8, 8, 3\)"):
        estimator.fit(X, y)
    with warnings.catch_warnings(action="error"):
        getattr(estimator, "predict", getattr(estimator, "transform", None))(X)
        estimator.set_params(image_shape=(8, 8, 3)).fit(X, y)
        estimator.set_params(image_shape=None)
        if y.ndim == 1:
            estimator.fit(X.transpose(0, 3, 1, 2), y)
