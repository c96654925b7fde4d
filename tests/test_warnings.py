"""Every warning of the package points at the line of the user, through whatever tools of scikit-learn it comes."""

import warnings

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

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
)
from sklearn_geoal._labels import labeled_mask
from sklearn_geoal.model_selection import LabeledStratifiedKFold, label_efficiency_curve
from sklearn_geoal.preprocessing import PatchTransformer, ValidRows

SMALL = {"max_epochs": 1, "hidden_units": (4,), "random_state": 0}
NETS = [
    NetClassifier(**SMALL),
    MixMatchClassifier(**SMALL),
    MixMatchSegmenter(**SMALL),
    RECALClusterer(2, n_components=2, init_epochs=1, n_init=1, overclustering=1, **SMALL),
    SymmetricVAEClassifier(n_components=2, **SMALL),
    SymmetricVAESegmenter(**SMALL),
    VAETransformer(n_components=2, **SMALL),
    HyperbolicVAETransformer(n_components=2, **SMALL),
]
ESTIMATORS = [*NETS, LANDClassifier(random_state=0), DDALQueryStrategy(LogisticRegression(), random_state=0)]
SEMI_SUPERVISED = [estimator for estimator in ESTIMATORS if hasattr(estimator, "missing_label")]

rng = np.random.default_rng(0)
X, y = rng.normal(size=(40, 3)), np.arange(40) % 2
FAR = np.where(np.arange(120).reshape(40, 3) == 7, -9999.0, X)
SIGNS = 2 * y - 1


def name(estimator):
    return type(estimator).__name__


def warned(call, match):
    """The files and lines of the warnings with such a text that a call raises."""
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        call()
    return [(one.filename, one.lineno) for one in record if match in str(one.message)]


def points_here(call, match):
    """Whether such warnings come, and all of them name the line of the call, a lambda in this file."""
    places = warned(call, match)
    return bool(places) and set(places) == {(__file__, call.__code__.co_firstlineno)}


@pytest.mark.parametrize("estimator", [e for e in ESTIMATORS if not isinstance(e, DDALQueryStrategy)], ids=name)
def test_far_values(estimator):
    wrapped, pipeline = ValidRows(estimator), make_pipeline(FunctionTransformer(), estimator)
    assert points_here(lambda: estimator.fit(FAR, y), "X has values beyond")
    assert points_here(lambda: wrapped.fit(FAR, y), "X has values beyond")
    assert points_here(lambda: pipeline.fit(FAR, y), "X has values beyond")


def test_a_line_of_the_package_is_told_by_the_names_of_modules(tmp_path):
    # a file of the user below a folder called as the package is none of it
    path = tmp_path / "sklearn_geoal" / "script.py"
    path.parent.mkdir()
    path.write_text("def call(function, *args):\n    return function(*args)\n")
    namespace = {"__name__": "script"}
    exec(compile(path.read_text(), str(path), "exec"), namespace)
    assert warned(lambda: namespace["call"](labeled_mask, SIGNS), "exactly the values -1 and 1") == [(str(path), 2)]


@pytest.mark.parametrize("estimator", NETS, ids=name)
def test_channels_last(estimator):
    images = np.random.default_rng(0).normal(size=(4, 8, 8, 1))
    masks = np.zeros((4, 8, 1), dtype=int)
    masks[::2] = 1
    labels = masks if "Segmenter" in name(estimator) else [0, 1, 0, 1]
    assert points_here(lambda: estimator.fit(images, labels), "read as 8 channels of 8 x 1 pixels")


@pytest.mark.parametrize("estimator", SEMI_SUPERVISED, ids=name)
def test_minus_one_and_one(estimator):
    search = GridSearchCV(estimator, {"random_state": [0]}, cv=2, refit=False)
    text = "exactly the values -1 and 1"
    assert points_here(lambda: estimator.fit(X, SIGNS), text)
    assert points_here(lambda: make_pipeline(estimator).fit(X, SIGNS), text)
    assert points_here(lambda: search.fit(X, SIGNS), text)
    with joblib.parallel_config(backend="sequential"):
        assert points_here(lambda: cross_val_score(estimator, X, SIGNS, cv=2), text)


def test_minus_one_and_one_elsewhere():
    text = "exactly the values -1 and 1"
    land = LANDClassifier(random_state=0)
    patches = PatchTransformer((4, 10), size=1).fit(X)
    assert points_here(lambda: list(LabeledStratifiedKFold(2).split(X, SIGNS)), text)
    assert points_here(lambda: label_efficiency_curve(land, X, SIGNS, [2]), text)
    assert points_here(lambda: patches.label_map(SIGNS, missing_label="auto"), text)
    land.fit(X)
    assert points_here(lambda: land.teach([0, 1], [-1, 1]), text)


@pytest.mark.parametrize("make", [LANDClassifier, lambda: DDALQueryStrategy(LogisticRegression())])
def test_only_minus_one_is_taught(make):
    learner, wrapped = make().fit(X), ValidRows(make()).fit(X)
    assert points_here(lambda: learner.teach([0], [-1]), "only labels are -1")
    assert points_here(lambda: wrapped.teach([0], [-1]), "only labels are -1")


def test_recal():
    few = RECALClusterer(30, n_components=2, init_epochs=1, n_init=1, batch_size=2, accumulate_batches=1, **SMALL)
    assert points_here(lambda: few.fit(X), "fewer than n_clusters=30")
    alike = RECALClusterer(4, n_components=2, init_epochs=1, n_init=1, **SMALL)
    constant = np.ones((40, 3))
    assert points_here(lambda: alike.fit(constant), "of 4 clusters are used")


def test_files(tmp_path, monkeypatch):
    net = NetClassifier(**SMALL).set_params(checkpoint=tmp_path).fit(X, y)
    for path in tmp_path.iterdir():
        path.write_bytes(b"no file of arrays")
    assert points_here(lambda: net.fit(X, y), "cannot be read")
    net.set_params(checkpoint=None)
    sklearn_geoal.save(net, tmp_path / "model")
    versions = sklearn_geoal.persistence._versions() | {"sklearn_geoal": "0.0.3"}
    monkeypatch.setattr(sklearn_geoal.persistence, "_versions", lambda: versions)
    assert points_here(lambda: sklearn_geoal.load(tmp_path / "model"), "was written by")
    monkeypatch.setattr(net.net_, "device", "cuda:99")
    sklearn_geoal.save(net, tmp_path / "model")
    assert points_here(lambda: sklearn_geoal.load(tmp_path / "model"), "which is not here")
