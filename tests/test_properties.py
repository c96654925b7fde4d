"""What holds for X and y in any form: a finite result of the right shape, or a ValueError or TypeError that says why.

Whatever comes, the caller's arrays, generators and settings stay as they are, and the same again gives the same. The
suite tries a few cases of each estimator, always the same ones; SKLEARN_GEOAL_EXAMPLES=200 asks for so many.
"""

import os
import re
import warnings
from contextlib import contextmanager
from functools import cache, partial

import numpy as np
import pytest
import sklearn
import torch
from forms import array_of, data, fingerprint, labels, labels_of
from hypothesis import HealthCheck, currently_in_test_context, given, note, settings
from hypothesis import strategies as st
from scipy.sparse import issparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import get_tags
from sklearn.utils.validation import _num_samples

import sklearn_geoal
from sklearn_geoal import (
    DDALQueryStrategy,
    HyperbolicVAETransformer,
    LANDClassifier,
    MixMatchClassifier,
    MixMatchSegmenter,
    NetClassifier,
    RECALClusterer,
    SymmetricVAEClassifier,
    SymmetricVAESegmenter,
    VAETransformer,
    metrics,
    preprocessing,
)
from sklearn_geoal._torch.fitting import DeepEstimator
from sklearn_geoal.model_selection import LabeledStratifiedKFold
from sklearn_geoal.preprocessing import (
    HyperbolicNeighborsTransformer,
    PatchTransformer,
    ReflectanceTransformer,
    SeriesInterpolator,
    SpatialWindow,
    SpectraScaler,
    ValidRows,
)

any_form = settings(
    max_examples=int(os.environ.get("SKLEARN_GEOAL_EXAMPLES", 12)),
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)

SMALL = {"max_epochs": 1, "hidden_units": (4,), "batch_size": 8, "random_state": 0}
ESTIMATORS = [
    VAETransformer(n_components=2, **SMALL),
    HyperbolicVAETransformer(n_components=2, **SMALL),
    RECALClusterer(2, n_components=2, n_init=1, init_epochs=1, overclustering=1, **SMALL),
    LANDClassifier(n_neighbors=4, random_state=0),
    DDALQueryStrategy(NetClassifier(**SMALL), n_neighbors=4, random_state=0),
    MixMatchClassifier(**SMALL),
    MixMatchSegmenter(**SMALL),
    SymmetricVAEClassifier(n_components=2, **SMALL),
    SymmetricVAESegmenter(**SMALL),
    NetClassifier(**SMALL),
    ValidRows(LANDClassifier(n_neighbors=4, random_state=0)),
    HyperbolicNeighborsTransformer(2),
    PatchTransformer(size=2),
    ReflectanceTransformer(offset=0.5),
    SeriesInterpolator(),
    SpatialWindow(size=3),
    SpectraScaler(),
]
ROWS = np.random.default_rng(0).normal(size=(12, 3))
CODES = np.arange(12) % 3
# what an error says where nobody foresaw the case
UNFORESEEN = re.compile(
    r"unsupported operand|object is not|object has no|has no attribute|NoneType|not supported between|is ambiguous|"
    r"out of (bounds|range)|broadcast|cannot reshape|dtype argument|unpack|ufunc|only integer scalar|must be real num|"
    r"unhashable|size mismatch|mat1|not iterable|0-d|zero-size|boolean index|at least one arr"
)
each = pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)


def test_no_estimator_is_missing():
    classes = {getattr(sklearn_geoal, each_name) for each_name in sklearn_geoal._ESTIMATORS}
    classes |= {getattr(preprocessing, each_name) for each_name in preprocessing.__all__}
    assert {c for c in classes if hasattr(c, "fit")} == set(map(type, ESTIMATORS))


def surroundings():
    """What belongs to the caller beside the arrays."""
    return {
        "generator of numpy": [str(part) for part in np.random.get_state(legacy=False).items()],  # noqa: NPY002
        "generator of torch": torch.get_rng_state().tolist(),
        "threads": torch.get_num_threads(),
        "dtype": torch.get_default_dtype(),
        "modes": (
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            torch.are_deterministic_algorithms_enabled(),
        ),
        "errors of numpy": np.geterr(),
        "filters of warnings": list(warnings.filters),
        "configuration": sklearn.get_config(),
    }


@contextmanager
def all_left_alone(*values):
    """What surrounds a call stays as it is, and it warns of no operation on numbers that failed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", RuntimeWarning)
        # where scikit-learn looks whether all is finite
        warnings.filterwarnings("ignore", "invalid value encountered in (reduce|cast)")
        before = surroundings() | {"given": list(map(fingerprint, values))}
        yield
        after = surroundings() | {"given": list(map(fingerprint, values))}
        assert [name for name in before if before[name] != after[name]] == []


@pytest.fixture(scope="module", autouse=True)
def all_imported():
    """Fit each once: what a library does when it is first imported is not looked at."""
    for estimator in ESTIMATORS:
        clone(estimator).fit(ROWS, CODES)


def attempt(call, *errors):
    """What a call returns, None if it says why it does not."""
    try:
        return call()
    except (ValueError, TypeError, *errors) as error:
        if currently_in_test_context():
            note(f"{type(error).__name__}: {error}")
        assert len(str(error).split()) > 3
        assert not UNFORESEEN.search(str(error)), error
    return None


def check_labels(predicted, shape, classes):
    assert predicted.shape == shape
    assert set(predicted.ravel().tolist()) <= set(np.asarray(classes).tolist())


def check_numbers(values, n, may_be_nan=False):
    assert len(values) == n and values.ndim > 1
    assert np.isfinite(values[~np.isnan(values)] if may_be_nan else values).all()


def said(estimator, X):
    """What a fitted estimator says of the X of fit, checked: a list of arrays."""
    n, results = _num_samples(X), []
    shape = (n, *X.shape[2:]) if type(estimator).__name__.endswith("Segmenter") and getattr(X, "ndim", 2) == 4 else (n,)
    allows_nan = get_tags(estimator).input_tags.allow_nan
    if hasattr(estimator, "predict"):
        try:
            predicted, probabilities = estimator.predict(X), estimator.predict_proba(X)
        except NotFittedError:
            assert not len(estimator.classes_)
        else:
            classes = estimator.classes_ if hasattr(estimator, "classes_") else np.arange(estimator.n_clusters)
            if not allows_nan:
                check_labels(predicted, shape, classes)
            check_numbers(probabilities, n, allows_nan)
            np.testing.assert_allclose(np.nansum(probabilities, axis=1), ~np.isnan(probabilities[:, 0]), rtol=1e-5)
            results += [predicted, probabilities]
    if hasattr(estimator, "query"):
        assert estimator.query_scores_.shape == (n,) and np.isfinite(estimator.query_scores_).all()
        results.append(estimator.query_scores_)
        asked = attempt(lambda: estimator.query(1))
        if asked is not None:
            assert asked.shape == (1,) and 0 <= asked[0] < n and asked[0] not in estimator.labeled_indices_
    for name in {"transduction_", "labels_", "masks_"} & {*dir(estimator)}:
        assert name == "masks_" or getattr(estimator, name).shape == shape
        results.append(getattr(estimator, name))
    if hasattr(estimator, "transform"):
        few = isinstance(estimator, HyperbolicNeighborsTransformer) and n < 3
        Z = attempt(lambda: estimator.transform(X)) if few else estimator.transform(X)
        if Z is not None:
            Z = Z.toarray() if issparse(Z) else Z
            is_scene = isinstance(estimator, PatchTransformer | SpatialWindow)
            check_numbers(Z, len(Z) if is_scene else n, allows_nan)
            results.append(Z)
    return results


def fit_and_say(estimator, X, y):
    """All that an estimator says, None if it refuses X or y and stays without a fit."""
    model = clone(estimator)
    diverges = (FloatingPointError,) if isinstance(estimator, DeepEstimator) else ()
    if attempt(lambda: model.fit(X, y), *diverges) is None:
        assert vars(model).keys() == vars(clone(estimator)).keys()
        return None
    assert str(model.get_params()) == str(estimator.get_params())
    return said(model, X)


def n_samples(X):
    """How many labels to give with X, 12 where that is no question."""
    try:
        return _num_samples(X)
    except (TypeError, ValueError):
        return 12


def same(first, second):
    return all(map(np.array_equal, first, second, [True] * len(first)))


def check_fit(estimator, X, y):
    with all_left_alone(X, y):
        first, second = fit_and_say(estimator, X, y), fit_and_say(estimator, X, y)
    assert (first is None) == (second is None)
    for a, b in zip(first or (), second or (), strict=True):
        np.testing.assert_array_equal(a, b)


# other values of parameters that have to do with the form of X and y
PARAMETERS = {
    "early_stopping": [True],
    "fill": [7],
    "image_shape": [(3, 1, 1), (1, 3, 1), (2, 4, 4), (1, 1, 1)],
    "kernel_scale": ["global", "own", 2.0],
    "likelihood": ["bernoulli"],
    "missing_label": [None, -1, "fen"],
    "model": ["poincare"],
    "propagation": ["forest"],
    "scene_shape": [(3, 4)],
    "statistic": ["median", "patch"],
}


@each
@any_form
@given(draw=st.data())
def test_fit(estimator, draw):
    names = sorted({*PARAMETERS} & {*estimator.get_params()})
    if names and draw.draw(st.booleans()):
        name = draw.draw(st.sampled_from(names))
        estimator = clone(estimator).set_params(**{name: draw.draw(st.sampled_from(PARAMETERS[name]))})
    X = draw.draw(data())
    n = n_samples(X)
    if type(estimator).__name__.endswith("Segmenter") and getattr(X, "ndim", 2) == 4 and draw.draw(st.booleans()):
        y = np.random.default_rng(0).integers(-1, 3, size=(n, *X.shape[2:]))
    else:
        y = draw.draw(labels(n))
    check_fit(estimator, X, y)


@pytest.mark.parametrize(
    "form, kind",
    [
        ({"container": "tensor with gradient"}, "marked by -1"),
        ({"container": "list of tensors with gradient"}, "marked by -1"),
        ({"container": "tensor on meta"}, "marked by -1"),
        ({"container": "frame of categories", "values": ["all nan"]}, "marked by -1"),
        ({"container": "frame", "shape": (12, 0)}, "marked by -1"),
        ({"dtype": "T"}, "marked by -1"),
        ({"shape": (6, 0, 4, 4)}, "marked by -1"),
        ({"values": ["largest"]}, "marked by -1"),
        ({"values": ["equal rows"], "shape": (6, 32)}, "marked by -1"),
        ({"values": ["huge and -huge"]}, "marked by -1"),
        ({"values": ["huge and -huge"], "dtype": "g"}, "marked by -1"),
        ({}, "tensor with gradient"),
        ({}, "dict"),
    ],
    ids=str,
)
@each
def test_what_went_wrong_before(estimator, form, kind):
    X = array_of(**form)
    check_fit(estimator, X, labels_of(n_samples(X), kind))


@cache
def fitted(index):
    return clone(ESTIMATORS[index]).fit(ROWS, CODES)


VERBS = (
    *("predict", "predict_proba", "transform", "inverse_transform", "reconstruct", "score_samples", "embed"),
    *("fit_predict", "fit_transform"),
)


@pytest.mark.parametrize("index", range(len(ESTIMATORS)), ids=lambda i: type(ESTIMATORS[i]).__name__)
@any_form
@given(draw=st.data())
def test_verbs(index, draw):
    model = fitted(index)
    verb = draw.draw(st.sampled_from([verb for verb in VERBS[:-2] if hasattr(model, verb)]))
    X = draw.draw(data(ordinary=[(12, 3)]))
    with all_left_alone(X):
        results = [attempt(lambda: getattr(model, verb)(X)) for _ in range(2)]
    if results[0] is not None:
        first, second = (result.toarray() if issparse(result) else result for result in results)
        np.testing.assert_array_equal(first, second)
        may_be_nan = get_tags(model).input_tags.allow_nan or first.dtype.kind not in "fc"
        assert may_be_nan or np.isfinite(first).all()


@pytest.mark.parametrize(
    "index", [i for i, e in enumerate(ESTIMATORS) if hasattr(e, "score")], ids=lambda i: type(ESTIMATORS[i]).__name__
)
@any_form
@given(draw=st.data())
def test_score(index, draw):
    y = draw.draw(labels(12))
    model = fitted(index)
    with all_left_alone(y):
        score = attempt(lambda: model.score(ROWS, y))
    assert score is None or (0 <= score <= 1 if hasattr(model, "predict_proba") else np.isfinite(score))


@pytest.mark.parametrize("estimator", [e for e in ESTIMATORS if hasattr(e, "teach")], ids=lambda e: type(e).__name__)
@any_form
@given(draw=st.data())
def test_teach_and_query(estimator, draw):
    model = clone(estimator).fit(ROWS, np.where(np.arange(12) < draw.draw(st.integers(1, 4)), CODES, -1))
    indices = draw.draw(
        st.sampled_from([[5, 6, 7], range(3, 6), np.array([5, 5, 6]), [0, 1, 2], (9, 10, 11), [99, 1, 2]])
    )
    y = draw.draw(labels(3, may_be_ordinary=False))
    before = said(model, ROWS)
    with all_left_alone(y):
        if attempt(lambda: model.teach(indices, y), IndexError) is None:
            assert same(said(model, ROWS), before)
        else:
            said(model, ROWS)


@any_form
@given(draw=st.data())
def test_splitter_and_metrics(draw):
    y = draw.draw(labels(12, may_be_ordinary=False))
    with all_left_alone(y):
        folds = attempt(lambda: list(LabeledStratifiedKFold(2).split(ROWS, y)))
        for train, test in folds or ():
            assert not set(train) & set(test) and len(test) and train.max() < 12
        for pair in ((y, y), (y, CODES)):
            for metric in (metrics.pixel_accuracy, metrics.mean_iou):
                value = attempt(partial(metric, *pair))
                assert value is None or np.isnan(value) or 0 <= value <= 1  # NaN where there are no labels
        attempt(lambda: metrics.jaccard_consensus(y, CODES))
        attempt(lambda: metrics.hierarchical_accuracy(y, y, {}))
