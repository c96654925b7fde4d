"""Weights of classes mean the same in every estimator with a supervised loss, and None changes nothing."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.base import clone
from sklearn.metrics import recall_score
from sklearn.model_selection import GridSearchCV

import sklearn_geoal
from sklearn_geoal import (
    DDALQueryStrategy,
    MixMatchClassifier,
    MixMatchSegmenter,
    NetClassifier,
    SymmetricVAEClassifier,
    SymmetricVAESegmenter,
)
from sklearn_geoal._nets.classifier import class_cross_entropy
from sklearn_geoal._nets.mixmatch import weighted_cross_entropy
from sklearn_geoal._torch.class_weight import weights_of_classes

SMALL = {"hidden_units": (8,), "max_epochs": 6, "lr": 1e-2, "random_state": 0}
ESTIMATORS = [
    NetClassifier(**SMALL | {"max_epochs": 60}),
    MixMatchClassifier(**SMALL),
    SymmetricVAEClassifier(**SMALL),
    SymmetricVAEClassifier(objective="elbo", label_weight=100, **SMALL),
    MixMatchSegmenter(**SMALL | {"class_weight": None}),
    SymmetricVAESegmenter(**SMALL),
]
each = pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: f"{type(e).__name__}-{e.max_epochs}")
codes = np.array([0, 0, 0, 0, 0, 0, 1, 1, 2, -1, -1, -2])


@pytest.fixture(scope="module")
def data():
    """Two classes that overlap, one of them rare; and all labels, of which the estimators get three quarters."""
    rng = np.random.default_rng(0)
    truth = (rng.random(240) < 0.15).astype(int)
    X = rng.normal(size=(240, 3)) + 0.8 * truth[:, None]
    return X, np.where(rng.random(240) < 0.25, -1, truth), truth


def fitted(estimator, data, **params):
    X, y, truth = data
    return clone(estimator).set_params(**params).fit(X, y if hasattr(estimator, "missing_label") else truth)


def probabilities(estimator, data, class_weight):
    return fitted(estimator, data, class_weight=class_weight).predict_proba(data[0])


def test_every_estimator_with_a_supervised_loss_has_it():
    classes = [getattr(sklearn_geoal, name) for name in sklearn_geoal._ESTIMATORS]
    deep = {c for c in classes if hasattr(c, "predict_proba") and hasattr(c, "_module_class")}
    without_labels = {sklearn_geoal.RECALClusterer}
    assert {type(estimator) for estimator in ESTIMATORS} == deep - without_labels


@each
def test_a_rare_class_is_found_more_often_the_more_it_weighs(estimator, data):
    X, _, truth = data
    recalls = [
        recall_score(truth, fitted(estimator, data, class_weight=weight).predict(X)) for weight in (None, {1: 20.0})
    ]
    assert recalls[1] > recalls[0] + 0.2


@each
def test_balanced_is_a_dict_of_inverse_counts(estimator, data):
    y = data[1] if hasattr(estimator, "missing_label") else data[2]
    counts = np.bincount(y[y >= 0])
    weights = {c: counts.sum() / (2 * n) for c, n in enumerate(counts)}
    np.testing.assert_array_equal(*(probabilities(estimator, data, weight) for weight in ("balanced", weights)))


@each
def test_none_is_all_alike(estimator, data):
    expected = probabilities(estimator, data, None)
    for same in ({}, {0: 1}, {0: 0.3, 1: 0.3}):
        np.testing.assert_array_equal(probabilities(estimator, data, same), expected)


@each
def test_only_ratios_of_weights_matter(estimator, data):
    results = [probabilities(estimator, data, {0: scale, 1: 3 * scale}) for scale in (1, 2)]
    np.testing.assert_array_equal(*results)


@each
def test_text_and_small_classes(estimator, data):
    X, y, truth = data
    names = np.array(["bare", "wet"], dtype=object)[truth]
    if hasattr(estimator, "missing_label"):
        names[y < 0] = None
    model = clone(estimator).set_params(class_weight={"wet": 4}).fit(X, names)
    np.testing.assert_array_equal(model.predict_proba(X), probabilities(estimator, data, {1: 4}))


@each
def test_a_training_that_goes_on_takes_the_weights_as_they_are_now(estimator, data):
    X, y, truth = data
    y = y if hasattr(estimator, "missing_label") else truth
    once = fitted(estimator, data, warm_start=True)
    again = [clone(estimator).set_params(warm_start=True).fit(X, y) for _ in range(2)]
    again[0].fit(X, y)
    again[1].set_params(class_weight={1: 20.0}).fit(X, y)
    recalls = [recall_score(truth, model.predict(X)) for model in (once, *again)]
    assert recalls[2] > max(recalls[:2]) + 0.1


@each
@pytest.mark.parametrize(
    "class_weight, error, message",
    [
        ("rare", ValueError, "class_weight, if it is no dict, must be one of 'sqrt', 'balanced', None; got 'rare'"),
        ({0: 2.0, 7: 1.0}, ValueError, r"class_weight has \[7\], which are not among the classes of y, \[0, 1\]"),
        ({1: -1.0}, ValueError, "none below 0"),
        ({1: np.inf}, ValueError, "must be finite"),
        ({1: np.nan}, ValueError, "must be finite"),
        ({0: 0, 1: 0}, ValueError, "not all 0"),
        ({1: "much"}, TypeError, r"class_weight\[1\] must be an instance of float, not str"),
    ],
)
def test_what_is_no_weight_is_refused(estimator, data, class_weight, error, message):
    with pytest.raises(error, match=message):
        fitted(estimator, data, class_weight=class_weight)


@each
def test_it_goes_through_checkpoints_files_and_searches(estimator, data, tmp_path):
    X, _, truth = data
    params = {"class_weight": {0: 1, 1: 2.5}}
    model = fitted(estimator, data, checkpoint=tmp_path / "training", **params)
    resumed = fitted(estimator, data, checkpoint=tmp_path / "training", **params)
    sklearn_geoal.save(model, tmp_path / "model")
    loaded = sklearn_geoal.load(tmp_path / "model")
    assert loaded.class_weight == params["class_weight"]
    for other in (resumed, loaded):
        np.testing.assert_array_equal(other.predict_proba(X), model.predict_proba(X))
    with pytest.raises(ValueError, match="class_weight"):
        fitted(estimator, data, checkpoint=tmp_path / "training", class_weight="balanced")
    grid = {"class_weight": [None, {1: 20.0}], "max_epochs": [2]}
    search = GridSearchCV(clone(estimator), grid, cv=2, scoring="recall", error_score="raise", refit=False)
    assert len(search.fit(X, truth).cv_results_["mean_test_score"]) == 2


def test_weights_are_one_on_average_over_the_labels():
    for class_weight in (None, "sqrt", "balanced", {1: 5.0}):
        weights = weights_of_classes(class_weight, np.arange(3), codes)
        assert np.dot(weights, [6, 2, 1]) == pytest.approx(9)
    np.testing.assert_allclose(weights_of_classes("balanced", np.arange(3), codes), [0.5, 1.5, 3])
    ratios = np.array(weights_of_classes("sqrt", np.arange(3), codes))
    np.testing.assert_allclose(ratios / ratios[2], [6**-0.5, 2**-0.5, 1])
    assert np.isfinite(weights_of_classes("balanced", np.arange(4), codes)).all()  # a class without a label


def test_a_weight_counts_a_row_so_often():
    logits = torch.randn(9, 3, generator=torch.Generator().manual_seed(0))
    y = torch.from_numpy(codes[:9])
    repeats = torch.tensor([1, 2, 4])
    expected = F.cross_entropy(logits.repeat_interleave(repeats[y], 0), y.repeat_interleave(repeats[y]))
    weights = weights_of_classes(dict(enumerate(repeats.tolist())), np.arange(3), codes)
    torch.testing.assert_close(class_cross_entropy(logits, y, weights), expected)
    torch.testing.assert_close(weighted_cross_entropy(logits, F.one_hot(y, 3).float(), weights), expected)


def test_a_batch_whose_classes_weigh_nothing_teaches_nothing():
    logits = torch.randn(4, 2, requires_grad=True)
    loss = class_cross_entropy(logits, torch.zeros(4, dtype=torch.int64), (0.0, 2.0))
    loss.backward()
    assert loss == 0 and not logits.grad.any()


@pytest.mark.parametrize("class_weight", [None, {1: 4.0}])
def test_the_loss_of_a_validation_is_weighted_as_that_of_the_training(data, class_weight):
    X, _, truth = data
    params = {"early_stopping": True, "validation_fraction": 0.5, "max_epochs": 3, "class_weight": class_weight}
    model = NetClassifier(hidden_units=(8,), lr=1e-9, batch_size=512, random_state=0, **params).fit(X, truth)
    # the network hardly moves, and both halves are drawn class by class
    weights = np.array([1, 4.0 if class_weight else 1])[truth]
    p = model.predict_proba(X)[np.arange(len(X)), truth]
    losses = model.history_[-1]
    assert (losses["train_loss"] + losses["valid_loss"]) / 2 == pytest.approx(
        -np.average(np.log(p), weights=weights), rel=1e-3
    )


def test_diffusion_passes_it_by_its_learner(data):
    X, _, truth = data
    learners = [
        DDALQueryStrategy(NetClassifier(class_weight=weight, **SMALL), random_state=0) for weight in (None, "balanced")
    ]
    for learner in learners:
        learner.fit(X)
        learner.teach(np.arange(10), truth[:10])
        learner.teach(np.arange(10, 60), truth[10:60])
        learner.retrain()
    assert learners[1].estimator_.class_weight == "balanced"
    recalls = [recall_score(truth, learner.predict(X)) for learner in learners]
    assert recalls[1] > recalls[0]
