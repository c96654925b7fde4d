"""NetClassifier: what a classifier trained on few labels must satisfy, and what an estimator must."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_digits, make_blobs
from sklearn.linear_model import LogisticRegression
from skorch.callbacks import Callback
from torch import nn

from sklearn_geoal import NetClassifier
from sklearn_geoal._torch import inference


def classifier(**changes):
    """A small network, trained for a few steps."""
    return NetClassifier(**{"hidden_units": (16,), "max_epochs": 5, "random_state": 0, **changes})


def copy_of(model):
    return pickle.loads(pickle.dumps(model))


@pytest.fixture(scope="module")
def data():
    return make_blobs(90, n_features=4, centers=3, cluster_std=2.0, random_state=0)


@pytest.fixture(scope="module")
def fitted(data):
    return classifier().fit(*data)


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    y = np.arange(24) % 3
    return rng.normal(size=(24, 2, 5, 7)).astype(np.float32) + y[:, None, None, None], y


# what it learns


@pytest.mark.parametrize("n_features", [2, 50, 2000])
def test_ten_samples_are_learned_by_heart(n_features):
    X = np.random.default_rng(0).normal(size=(10, n_features))
    y = np.arange(10) % 2
    model = NetClassifier(random_state=0).fit(X, y)
    assert model.score(X, y) == 1
    assert model.history_[-1]["train_loss"] < 0.01


def test_digits_from_a_tenth_of_the_labels():
    X, y = load_digits(return_X_y=True)
    is_test = np.arange(len(X)) % 10 > 0
    model = NetClassifier(random_state=0).fit(X[~is_test], y[~is_test])
    assert model.score(X[is_test], y[is_test]) > 0.85


def test_circle_within_a_circle_is_no_linear_problem():
    X = np.random.default_rng(0).uniform(-1, 1, size=(1200, 2))
    y = (np.hypot(*X.T) < 0.8).astype(int)
    assert NetClassifier(random_state=0).fit(X[:200], y[:200]).score(X[200:], y[200:]) > 0.95


def regularized(**changes):
    """A model with one optimum, whatever the initial weights."""
    params = {"hidden_units": (), "max_epochs": 400, "lr": 0.1, "net_params": {"optimizer__weight_decay": 0.1}}
    return NetClassifier(**{**params, "random_state": 0, **changes})


def test_without_hidden_units_it_is_logistic_regression(data):
    X, y = data
    model = regularized().fit(X, y)
    # torch decays the intercept too: as the weight of a constant feature
    Z = np.column_stack([(X - model.location_) / model.scale_, np.ones(len(X))])
    exact = LogisticRegression(C=1 / (0.1 * len(X)), fit_intercept=False, tol=1e-8).fit(Z, y)
    assert_allclose(model.predict_proba(X), exact.predict_proba(Z), atol=1e-3)


def test_permuted_classes_permute_the_columns(data):
    X, y = data
    order = np.array([2, 0, 1])  # class k becomes order[k]
    P, Q = (regularized().fit(X, target).predict_proba(X) for target in (y, order[y]))
    assert_allclose(Q[:, order], P, atol=1e-3)


@pytest.mark.parametrize("names", [["b", "c", "d"], [-1.0, 0.0, 7.0], [False, True]])
def test_names_of_the_classes_do_not_matter(data, names):
    X, y = data
    y = y % len(names)
    model, plain = classifier().fit(X, np.array(names)[y]), classifier().fit(X, y)
    assert_array_equal(model.classes_, names)
    assert_array_equal(model.predict_proba(X), plain.predict_proba(X))
    assert_array_equal(model.predict(X), np.array(names)[plain.predict(X)])


def test_one_class_is_predicted_always(data):
    X, _ = data
    model = classifier().fit(X, np.full(len(X), "only"))
    assert_array_equal(model.predict(X), np.full(len(X), "only"))
    assert_array_equal(model.predict_proba(X), np.ones((len(X), 1)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_probabilities(fitted, data, dtype):
    X, _ = data
    P = fitted.predict_proba(X.astype(dtype))
    assert P.dtype == dtype
    assert P.shape == (len(X), 3)
    assert P.min() >= 0
    assert_allclose(P.sum(axis=1), 1, rtol=4 * np.finfo(dtype).eps)
    assert_array_equal(fitted.predict(X.astype(dtype)), fitted.classes_[P.argmax(axis=1)])


def test_train_loss_is_the_cross_entropy_of_the_probabilities(data):
    X, y = data
    model = classifier(max_epochs=300, lr=1e-4, lr_schedule="constant").fit(X, y)
    P = model.predict_proba(X)
    assert model.history_[-1]["train_loss"] == pytest.approx(-np.log(P[np.arange(len(X)), y]).mean(), abs=1e-3)


# the same data in another form


@pytest.mark.parametrize("factor", [2.0**-20, 2.0**14, 2.0**500, 2.0**-500])
def test_scale_of_the_data_does_not_matter(data, fitted, factor):
    X, y = data
    scaled = classifier().fit(factor * X, y)
    assert_array_equal(scaled.predict_proba(factor * X), fitted.predict_proba(X))


def test_large_offset_does_not_matter(data, fitted):
    X, y = data
    assert_allclose(classifier().fit(X + 1e6, y).predict_proba(X + 1e6), fitted.predict_proba(X), atol=1e-3)


def test_read_only_and_strided_input_gives_the_same(data, fitted):
    X, y = data
    strided = np.repeat(X, 2, axis=1)[:, ::2][::-1]
    strided.flags.writeable = False
    assert_array_equal(fitted.predict_proba(strided), fitted.predict_proba(X)[::-1])
    assert_array_equal(classifier().fit(strided[::-1], y).predict_proba(X), fitted.predict_proba(X))


def test_rows_do_not_depend_on_each_other_nor_on_the_batches(data, fitted, monkeypatch):
    X, _ = data
    whole = fitted.predict_proba(X)
    assert_allclose(np.concatenate([fitted.predict_proba(x) for x in np.array_split(X, 7)]), whole, rtol=1e-5)
    monkeypatch.setattr(inference, "_MAX_ROWS", 7)
    assert_allclose(fitted.predict_proba(X), whole, rtol=1e-5)


@pytest.mark.parametrize("backbone", ["auto", "conv", "dense"])
def test_images_as_images_and_as_rows_are_the_same(images, backbone):
    X, y = images
    rows = X.reshape(len(X), -1)
    params = {"backbone": backbone, "hidden_units": (4, 8)}
    model = classifier(**params).fit(X, y)
    flat = classifier(**params, image_shape=(2, 5, 7)).fit(rows, y)
    assert model.image_shape_ == flat.image_shape_ == (2, 5, 7)
    assert model.n_features_in_ == 70
    has_convolutions = any(isinstance(layer, nn.Conv2d) for layer in model.net_.module_.modules())
    assert has_convolutions == (backbone != "dense")
    for P in (model.predict_proba(rows), flat.predict_proba(rows), flat.predict_proba(X)):
        assert_array_equal(P, model.predict_proba(X))
    assert model.score(X, y) == flat.score(rows, y)


def test_image_shape_errors(images):
    X, y = images
    rows = X.reshape(len(X), -1)
    with pytest.raises(ValueError, match=r"image_shape=\(2, 5, 5\) holds 50 values, but X has 70 features"):
        classifier(image_shape=(2, 5, 5)).fit(rows, y)
    with pytest.raises(ValueError, match=r"expected \(2, 5, 7\)"):
        classifier(hidden_units=(4,)).fit(X, y).predict(X.transpose(0, 1, 3, 2))
    with pytest.raises(ValueError, match='backbone="conv" needs images'):
        classifier(backbone="conv").fit(rows, y)


class OwnBackbone(nn.Sequential):
    def __init__(self, input_shape, n_outputs):
        hidden = [nn.Linear(input_shape[0], 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Dropout(0.1)]
        super().__init__(*hidden, nn.Linear(16, n_outputs))


def test_own_backbone_class(data):
    X, y = data
    model = classifier(backbone=OwnBackbone, batch_size=26, max_epochs=50, lr=0.01).fit(X[:53], y[:53])
    assert len(X[:53]) % 26 == 1  # a last batch of one row would stop the batch normalisation
    assert isinstance(model.net_.module_.backbone, OwnBackbone)
    assert model.score(X, y) > 0.8
    assert_array_equal(copy_of(model).predict_proba(X), model.predict_proba(X))


def test_backbone_of_wrong_shape_is_an_error(data):
    class Wrong(nn.Linear):
        def __init__(self, input_shape, n_outputs):
            super().__init__(input_shape[0], n_outputs + 1)

    with pytest.raises(ValueError, match=r"Wrong takes shape \(2, 4\) to \(2, 4\), expected \(2, 3\)"):
        classifier(backbone=Wrong).fit(*data)


# training in several calls, validation


def test_warm_start_equals_longer_training(data):
    X, y = data
    model = classifier(warm_start=True, lr_schedule="constant").fit(X, y)
    model.fit(X, y)
    # all rows in one batch: their order changes the rounding only
    once = classifier(max_epochs=10, lr_schedule="constant").fit(X, y)
    assert [row["epoch"] for row in model.history_] == list(range(1, 11))
    assert_allclose(
        [row["train_loss"] for row in model.history_], [row["train_loss"] for row in once.history_], rtol=1e-5
    )
    assert_allclose(model.predict_proba(X), once.predict_proba(X), atol=1e-5)


def test_warm_start_on_fewer_samples_and_classes_keeps_the_columns(data):
    X, y = data
    names = np.array(["a", "b", "c"])
    model = classifier(warm_start=True, max_epochs=100, lr=0.01).fit(X, names[y])
    model.fit(X[y > 0], names[y[y > 0]])
    assert_array_equal(model.classes_, names)
    assert model.score(X[y > 0], names[y[y > 0]]) > 0.8
    with pytest.raises(ValueError, match=r"new classes \['d'\], but the network was made for \['a', 'b', 'c'\]"):
        model.fit(X, np.where(y > 1, "d", names[y]))


def test_early_stopping_validates_on_each_class_or_as_it_can(data):
    X, y = data
    rows = np.flatnonzero(y == 0)[:6].tolist() + np.flatnonzero(y == 1)[:4].tolist()
    seen = []

    class Record(Callback):
        def on_batch_begin(self, net, batch, training, **kwargs):
            seen.append((training, np.bincount(batch[1]).tolist()))

    early = {"early_stopping": True, "validation_fraction": 0.5, "max_epochs": 1, "callbacks": [Record()]}
    for seed in range(5):
        classifier(**early, random_state=seed).fit(X[rows], y[rows])
    assert seen == [(True, [3, 2]), (False, [3, 2])] * 5
    one_of_the_second = rows[:7]
    model = classifier(**early).fit(X[one_of_the_second], y[one_of_the_second])
    assert_array_equal(model.classes_, [0, 1])


# bad input


@pytest.mark.parametrize("missing", [np.nan, None])
def test_missing_labels_are_an_error(data, missing):
    X, y = data
    y = y.astype(float if missing is not None else object)
    y[:4] = missing
    with pytest.raises(ValueError, match="y lacks the labels of 4 of 90 samples.*semi-supervised"):
        classifier().fit(X, y)


@pytest.mark.parametrize(
    "y, message",
    [
        (None, "requires y to be passed, but the target y is None"),
        ([0, 1, 2], "inconsistent numbers of samples"),
        (np.linspace(0, 1, 90), "Unknown label type"),
        (np.array([1, "a"] * 45, dtype=object), "y mixes strings and numbers"),
        (np.full(90, np.inf), "infinity"),
        (np.zeros((90, 2)), "1d array"),
    ],
)
def test_invalid_labels(data, y, message):
    with pytest.raises(ValueError, match=message):
        classifier().fit(data[0], y)


@pytest.mark.parametrize(
    "params, message",
    [
        ({"max_epochs": 0}, "max_epochs == 0, must be >= 1"),
        ({"batch_size": 1}, "batch_size == 1, must be >= 2"),
        ({"backbone": "deep"}, "backbone must be .*; got 'deep'"),
        ({"backbone": nn.Linear(4, 3)}, "backbone must be"),
        ({"hidden_units": 32}, "hidden_units must be"),
        ({"lr_schedule": "linear"}, "lr_schedule must be one of"),
        ({"optimizer": "adamm"}, "optimizer must be"),
        ({"device": "gpu"}, "device must be"),
        ({"net_params": {"lr": 1}}, "net_params takes names"),
    ],
)
def test_invalid_parameters(data, params, message):
    with pytest.raises(ValueError, match=message):
        classifier(**params).fit(*data)


def test_one_sample_and_two():
    with pytest.raises(ValueError, match="1 sample"):
        classifier().fit(np.zeros((1, 3)), [0])
    model = NetClassifier(random_state=0).fit(np.eye(2, 3), ["a", "b"])
    assert_array_equal(model.predict(np.eye(2, 3)), ["a", "b"])
    with pytest.raises(ValueError, match="leaves 1 of 2 samples"):
        classifier(early_stopping=True).fit(np.eye(2, 3), [0, 1])


def test_duplicated_rows_of_two_classes_get_their_frequencies():
    y = np.array([0, 0, 0, 1] * 10)
    P = NetClassifier(random_state=0).fit(np.ones((40, 3)), y).predict_proba(np.ones((1, 3)))
    assert_allclose(P, [[0.75, 0.25]], atol=0.01)


@pytest.mark.parametrize("value", [1e9, 1e300, -1e300])
def test_outliers_beyond_all_measure_stay_finite(data, fitted, value):
    X, y = data
    outlier = np.full((1, 4), value)
    assert_allclose(fitted.predict_proba(outlier).sum(), 1)
    assert np.isfinite(classifier().fit(np.vstack([X, outlier]), [*y, 0]).predict_proba(X)).all()


@pytest.mark.gpu
def test_cuda_probabilities_resemble_those_of_the_cpu(data):
    X, y = data
    model = classifier(device="cuda").fit(X, y)
    assert_allclose(copy_of(model).predict_proba(X), model.predict_proba(X), atol=1e-4)
    assert_allclose(model.predict_proba(X), classifier().fit(X, y).predict_proba(X), atol=0.05)
