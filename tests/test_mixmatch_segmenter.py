"""MixMatchSegmenter: what it learns from few masks, in every form they come in, and scenes larger than a tile."""

import copy
import pickle
import tracemalloc

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.model_selection import GridSearchCV
from torch import nn

from sklearn_geoal import MixMatchSegmenter
from sklearn_geoal._mixmatch.training import plan_epoch
from sklearn_geoal._nets.mixmatch import mixup
from sklearn_geoal._torch import batches
from sklearn_geoal.augment import Flip, GaussianNoise
from sklearn_geoal.model_selection import LabeledStratifiedKFold

VOID = 255


@pytest.fixture(scope="module", autouse=True)
def short_epochs():
    """An epoch is one pass over the images of these tests, which are few."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "MIN_STEPS", 1)
        yield


def scenes(n, height=24, width=32, seed=0):
    """Discs of two kinds on a ground, told apart by the two noisy bands together: (n, 2, h, w), (n, h, w)."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    y = np.zeros((n, height, width), dtype=int)
    for mask in y:
        for kind in (1, 2, 1, 2):
            row, column, radius = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(3, 7)
            mask[(rows - row) ** 2 + (columns - column) ** 2 < radius**2] = kind
    means = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]])
    return np.moveaxis(means[y], -1, 1) + 0.5 * rng.normal(size=(n, 2, height, width)), y


def segmenter(**changes):
    """A small network, trained for a few steps."""
    params = {"hidden_units": (4, 8), "max_epochs": 1, "batch_size": 4, "random_state": 0}
    params |= {"alpha": 0.75, "lambda_u": 75.0, "warmup": 1.0}
    return MixMatchSegmenter(**(params | changes))


def learner(**changes):
    """A network that learns the scenes within a few seconds."""
    return segmenter(**{"hidden_units": (8,), "max_epochs": 20, "lr": 1e-2, **changes})


def partly_labeled(y, n_labeled):
    """The first masks, and -1 for all others."""
    return np.where(np.arange(len(y))[:, None, None] < n_labeled, y, -1)


def copy_of(model):
    return pickle.loads(pickle.dumps(model))


class Pixelwise(nn.Conv2d):
    """The same linear map at each pixel; counts how often it is trained."""

    n_calls = 0

    def __init__(self, input_shape, n_outputs):
        super().__init__(input_shape[0], n_outputs, kernel_size=1)

    def forward(self, x):
        Pixelwise.n_calls += self.training
        return super().forward(x)


@pytest.fixture(scope="module")
def data():
    return scenes(8)


@pytest.fixture(scope="module")
def fitted(data):
    X, y = data
    return segmenter().fit(X, partly_labeled(y, 4))


# what it learns


@pytest.mark.parametrize("params", [{}, {"augment": "aerial"}, {"mixing": "mixup", "alpha": 0.2}])
def test_three_masks_of_twelve_scenes(params):
    X, y = scenes(12, seed=1)
    model = learner(**params).fit(X, partly_labeled(y, 3))
    X_new, y_new = scenes(6, seed=2)
    assert model.score(X[3:], y[3:]) > 0.95
    assert model.score(X_new, y_new) > 0.95
    assert (y_new == 0).mean() < 0.7
    assert [*model.history_[-1]] == ["epoch", "train_loss", "labeled_loss", "unlabeled_loss"]
    assert model.history_[-1]["unlabeled_loss"] > 0


@pytest.mark.parametrize("mixing", ["cutmix", "mixup"])
@pytest.mark.parametrize("n_scenes", [1, 6])
def test_a_few_labelled_points_are_masks_enough(n_scenes, mixing):
    X, y = scenes(n_scenes, seed=3)
    rng = np.random.default_rng(0)
    known = np.stack([rng.permutation(np.arange(y[0].size) < 60) for _ in y]).reshape(y.shape)
    max_epochs = 60 // plan_epoch(n_scenes, n_scenes, 4)[0]
    model = learner(augment=[Flip()], mixing=mixing, max_epochs=max_epochs).fit(X, np.where(known, y, -1))
    assert model.score(X, y) > 0.9


def test_rows_of_bands_are_learned_like_a_table():
    X, y = scenes(2, seed=4)
    rows, labels = np.moveaxis(X, 1, -1).reshape(-1, 2), y.ravel()
    some = np.random.default_rng(0).permutation(len(rows))[:400]
    model = learner(batch_size=256, lambda_u=10.0, max_epochs=60)
    model.fit(rows[some], np.where(np.arange(400) < 60, labels[some], -1))
    assert model.predict(rows).shape == labels.shape
    assert model.predict_proba(rows).shape == (len(rows), 3)
    assert model.score(rows, labels) > 0.9
    # the pixels of a whole scene, too
    assert_array_equal(model.predict(X).ravel(), model.predict(rows))


def test_with_all_masks_and_no_mixing_it_is_supervised_training(data):
    X, y = data
    Pixelwise.n_calls = 0
    params = {"backbone": Pixelwise, "alpha": 0, "max_epochs": 2}
    model = segmenter(**params).fit(X, y)
    assert Pixelwise.n_calls == 2 * plan_epoch(8, 0, 4)[0]  # once a step
    assert all(epoch["unlabeled_loss"] == 0 for epoch in model.history_)
    assert all(epoch["labeled_loss"] == epoch["train_loss"] for epoch in model.history_)
    # what concerns guesses and mixtures has no say
    other = segmenter(**params, n_augmentations=5, temperature=0.1, lambda_u=3.0, mixing="mixup").fit(X, y)
    assert_array_equal(other.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize("class_weight", [None, "sqrt", "balanced", {2: 5.0, 0: 0.3}])
def test_supervised_training_agrees_with_a_plain_loop(data, class_weight):
    X, y = data
    model = segmenter(backbone=Pixelwise, alpha=0, augment=None, batch_size=8, lr=0.1, weight_decay=0.0)
    model.set_params(max_epochs=20, ema_decay=1e-9, optimizer="sgd", class_weight=class_weight).fit(X, y)
    counts = np.bincount(y.ravel())
    weights = {None: [1, 1, 1], "sqrt": counts**-0.5, "balanced": 1 / counts}
    weights = [0.3, 1, 5] if isinstance(class_weight, dict) else weights[class_weight]
    weights = torch.as_tensor(np.array(weights), dtype=torch.float32)
    Z = torch.as_tensor((X - X.mean((0, 2, 3), keepdims=True)) / X.std((0, 2, 3), keepdims=True), dtype=torch.float32)
    start = segmenter(backbone=Pixelwise, alpha=0, augment=None, batch_size=8, lr=1e-30).fit(X, y)
    net = copy.deepcopy(start.net_.module_.average).requires_grad_(True)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(20 * plan_epoch(8, 0, 8)[0]):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(Z), torch.as_tensor(y).long(), weight=weights).backward()
        optimizer.step()
    assert_allclose(model.predict_proba(X), torch.softmax(net(Z), 1).detach(), atol=1e-5)


# running statistics of the network that predicts


class Normalized(nn.Sequential):
    """Batch normalisation of the bands."""

    def __init__(self, input_shape, n_outputs):
        super().__init__(nn.BatchNorm2d(input_shape[0]), Pixelwise(input_shape, n_outputs))


@pytest.mark.parametrize("n_images", [1, 5])
def test_running_statistics_are_those_of_the_training_images_as_they_are(n_images):
    X, y = scenes(n_images, seed=7)
    X *= np.arange(1, n_images + 1)[:, None, None, None]  # no image is like another
    y[0, :5] = -1  # has a mask and pixels to guess
    y[3:] = -1
    model = segmenter(backbone=Normalized, augment=[GaussianNoise(3.0), Flip()]).fit(X, y)
    norm = model.net_.module_.average[0]
    n_pixels = n_images * 24 * 32
    assert_allclose(norm.running_mean, [0, 0], atol=1e-5)  # the bands are standardised
    assert_allclose(norm.running_var, np.full(2, n_pixels / (n_pixels - 1)), rtol=1e-4)


# void pixels


def test_mixing_gives_no_target_to_a_pixel_without_one():
    torch.manual_seed(0)
    w = (torch.rand(20, 1, 6, 7) < 0.5).float()
    p = torch.softmax(torch.randn(20, 3, 6, 7), dim=1) * w
    _, mixed, weight = mixup(torch.randn(20, 2, 6, 7), p, w, 0.75)
    assert_array_equal(weight > 0, w > 0)
    assert weight[w > 0].min() >= 0.5  # the share of the sample itself
    assert_allclose(mixed.sum(dim=1, keepdim=True), weight, atol=1e-6)


def with_void(y, marker):
    return np.where(np.arange(y.shape[1])[:, None] < 5, marker, y)


def test_what_marks_void_pixels_does_not_matter(data):
    X, y = data
    y = partly_labeled(y, 4)
    P = segmenter(ignore_label=VOID).fit(X, with_void(y, VOID)).predict_proba(X)
    assert_array_equal(segmenter(ignore_label=-7).fit(X, with_void(y, -7)).predict_proba(X), P)
    assert np.abs(segmenter().fit(X, y).predict_proba(X) - P).max() > 1e-4


def test_what_void_pixels_look_like_does_not_matter(data):
    X, y = data
    moved = X.copy()
    moved[:, :, :5] = X[::-1, :, :5, ::-1]  # mean and deviation stay
    params = {"backbone": Pixelwise, "alpha": 0, "augment": None, "ignore_label": VOID, "max_epochs": 10}
    fits = [segmenter(**params).fit(images, with_void(partly_labeled(y, 4), VOID)) for images in (X, moved)]
    assert_allclose(fits[1].predict_proba(X), fits[0].predict_proba(X), atol=1e-5)


def test_images_without_a_known_or_missing_pixel_take_no_part(data):
    X, y = data
    params = {"ignore_label": VOID, "early_stopping": True, "max_epochs": 5}
    model, more = segmenter(**params).fit(X, y), segmenter(**params)
    more.fit(np.concatenate([X, X]), np.concatenate([y, np.full_like(y, VOID)]))
    assert_allclose(more.predict_proba(X), model.predict_proba(X), atol=1e-3)


def test_score_is_the_accuracy_over_known_pixels(data, fitted):
    X, y = data
    y = with_void(y, VOID)
    y[-1] = -1
    known = (y != VOID) & (y != -1)
    assert copy_of(fitted).set_params(ignore_label=VOID).score(X, y) == np.mean((fitted.predict(X) == y)[known])


# forms of images and masks


def test_probabilities(fitted, data):
    X, y = data
    for dtype, expected in ((np.float64, np.float64), (np.float32, np.float32), (np.int16, np.float32)):
        images = X.astype(dtype)
        P = fitted.predict_proba(images)
        assert P.dtype == expected
        assert P.shape == (8, 3, 24, 32)
        assert P.min() >= 0
        assert_allclose(P.sum(axis=1), 1, rtol=8 * np.finfo(expected).eps)
        assert_array_equal(fitted.predict(images), fitted.classes_[P.argmax(axis=1)])
    assert fitted.predict(X).dtype == fitted.classes_.dtype
    assert segmenter().fit(X, y.astype(np.uint8)).predict(X).dtype == np.uint8


def test_form_of_the_masks_does_not_matter(data, fitted):
    X, y = data
    expected = fitted.predict_proba(X)
    names = np.array(["ground", "round", "surround"])
    forms = {
        "float with NaN": np.where(partly_labeled(y, 4) < 0, np.nan, y),
        "list with None": [*y[:4], *[None] * 4],
        "flattened": partly_labeled(y, 4).reshape(8, -1),
        "objects": np.where(partly_labeled(y, 4) < 0, None, names.astype(object)[y]),
        "list of strings": [*names[y[:4]], *[None] * 4],
    }
    for name, form in forms.items():
        model = segmenter().fit(X, form)
        assert_array_equal(model.predict_proba(X), expected, err_msg=name)
    assert_array_equal(model.predict(X), names[fitted.predict(X)])
    assert model.score(X, names[y]) == fitted.score(X, y)
    marked = segmenter(missing_label="?").fit(X, np.where(partly_labeled(y, 4) < 0, "?", names[y]))
    assert_array_equal(marked.predict_proba(X), expected)


def test_images_as_rows(data, fitted):
    X, y = data
    rows = X.reshape(8, -1)
    flat = segmenter(image_shape=(2, 24, 32)).fit(rows, partly_labeled(y, 4))
    assert flat.image_shape_ == fitted.image_shape_ == (2, 24, 32)
    assert flat.n_features_in_ == fitted.n_features_in_ == 2 * 24 * 32
    assert_array_equal(flat.predict_proba(rows), fitted.predict_proba(X))
    assert_array_equal(flat.predict(rows), fitted.predict(X))
    assert flat.score(rows, y.reshape(8, -1)) == fitted.score(X, y)


def test_frames_of_pixels():
    X, y = scenes(1)
    frame = pd.DataFrame(np.moveaxis(X, 1, -1).reshape(-1, 2)[::8], columns=["red", "infrared"])
    labels = pd.Series(np.array(["a", "b", "c"])[y.ravel()[::8]]).mask(np.arange(96) > 30)
    model = segmenter(hidden_units=(4,)).fit(frame, labels)
    assert_array_equal(model.feature_names_in_, ["red", "infrared"])
    assert model.predict(frame).shape == (96,)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[["infrared", "red"]])


@pytest.mark.parametrize("factor", [2.0**-300, 2.0**20])
def test_scales_of_the_bands_do_not_matter(data, fitted, factor):
    X, y = data
    scaled = X * np.array([1.0, factor])[:, None, None]
    model = segmenter().fit(scaled, partly_labeled(y, 4))
    assert_array_equal(model.predict_proba(scaled), fitted.predict_proba(X))


def test_a_memory_map_serves_and_input_is_left_alone(data, fitted, tmp_path):
    X, y = data
    np.save(tmp_path / "X.npy", X)
    stored = np.load(tmp_path / "X.npy", mmap_mode="r")
    y = partly_labeled(y, 4)
    y_before = y.copy()
    y.flags.writeable = False
    assert_array_equal(segmenter().fit(stored, y).predict_proba(stored), fitted.predict_proba(X))
    assert_array_equal(y, y_before)


@pytest.mark.parametrize("shape", [(23, 31), (7, 5), (1, 9)])
def test_any_size_to_fit(shape):
    X, y = scenes(4, *shape, seed=5)
    y[0].flat[:2] = 0, 1
    model = segmenter(hidden_units="auto").fit(X, partly_labeled(y, 2))
    assert model.predict(X).shape == y.shape


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (23, 31), (50, 70)])
def test_any_size_to_predict(fitted, shape):
    X, _ = scenes(2, *shape)
    assert fitted.predict(X).shape == (2, *shape)
    assert_allclose(fitted.predict_proba(X[:1]), fitted.predict_proba(X)[:1], atol=1e-6)


def test_constant_and_repeated_images():
    X, y = np.zeros((4, 2, 8, 8)), np.tile([0, 1], (4, 8, 4))
    P = segmenter().fit(X, y).predict_proba(X)
    assert np.isfinite(P).all()


# scenes in tiles


def test_tiles_show_no_seam(fitted):
    X, _ = scenes(2, 70, 101)
    whole = fitted.predict_proba(X)
    tiled = copy_of(fitted).set_params(tile_size=32)
    assert_allclose(tiled.predict_proba(X), whole, atol=1e-5)
    assert (tiled.predict(X) == fitted.predict(X)).mean() > 0.999


def test_an_own_backbone_in_tiles(data):
    X, y = data
    model = segmenter(backbone=Pixelwise).fit(X, partly_labeled(y, 4))
    P = model.predict_proba(X)
    assert_allclose(model.set_params(tile_size=9).predict_proba(X), P, atol=1e-6)


def test_memory_does_not_grow_with_the_scene(data, fitted, tmp_path):
    X, y = data
    scene = np.lib.format.open_memmap(tmp_path / "scene.npy", "w+", np.float32, (1, 2, 1200, 900))
    scene[:] = np.tile(X[0], (50, 29))[:, :, :900]
    model = segmenter().fit(X, y.astype(np.uint8)).set_params(tile_size=128)
    sizes = []
    model.net_.module_.average.register_forward_pre_hook(lambda module, args: sizes.append(args[0].shape[2:].numel()))
    tracemalloc.start()
    try:
        mask = model.predict(scene)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert max(sizes) <= 128**2
    assert mask.dtype == np.uint8
    assert peak < mask.nbytes + 2**21  # the tiles' probabilities; those of the scene would be 26 MB
    assert (mask[0, :24, 2:30] == model.predict(X[:1])[0, :, 2:30]).mean() > 0.9


# life as an estimator


def test_pickle_holds_the_average_alone(fitted):
    n_weights = sum(weights.numel() for weights in fitted.net_.module_.average.state_dict().values())
    assert len(pickle.dumps(fitted)) < 4 * n_weights + 40_000


def test_warm_start_goes_on_with_images_of_another_size(data):
    X, y = data
    model = segmenter(warm_start=True, max_epochs=2).fit(X, partly_labeled(y, 4))
    location, first = model.location_, model.predict_proba(X)
    small, small_y = scenes(4, 15, 19, seed=6)
    model.fit(small, np.where(small_y == 1, -1, small_y))  # two of the three classes, smaller images
    assert_array_equal(model.classes_, [0, 1, 2])
    assert model.location_ is location
    assert [epoch["epoch"] for epoch in model.history_] == [1, 2, 3, 4]
    assert np.abs(model.predict_proba(X) - first).max() > 1e-4
    changed = {"mixing": "mixup", "alpha": 0.2, "confidence": 0.5}
    trained = model.set_params(**changed).fit(X, y).net_.module_
    assert {name: getattr(trained, name) for name in changed} == changed


@pytest.mark.parametrize("form", ["array", "list"])
def test_grid_search_over_partly_labelled_scenes(data, form):
    X, y = data
    y = partly_labeled(y, 5) if form == "array" else [*y[:5], *[None] * 3]
    search = GridSearchCV(segmenter(), {"alpha": [0.0, 0.75]}, cv=LabeledStratifiedKFold(2), error_score="raise").fit(
        X, y
    )
    assert search.cv_results_["mean_test_score"].min() > 0.3
    assert search.predict(X).shape == (8, 24, 32)


# errors


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda y: None, "y to be passed"),
        (lambda y: np.full(y.shape, -1), "no pixel with a class"),
        (lambda y: np.full(y.shape, VOID), "no pixel with a class.* void"),
        (lambda y: [None] * 8, "no pixel with a class"),
        (lambda y: np.where(y < 2, 2, -1), "one class only, 2"),
        (lambda y: y[:, :-1], r"shape \(8, 23, 32\), expected \(8, 24, 32\)"),
        (lambda y: y.transpose(0, 2, 1), r"shape \(8, 32, 24\), expected \(8, 24, 32\)"),
        (lambda y: y[:-1], r"shape \(7, 24, 32\), expected \(8, 24, 32\)"),
        (lambda y: [*y[:-1], y[0, 1:]], r"y\[7\] has shape \(23, 32\)"),
        (lambda y: y[:, 0, 0], r"shape \(8,\), expected \(8, 24, 32\)"),
        (lambda y: y + 0.5, "[Uu]nknown label type|continuous"),
        (lambda y: np.where(y > 1, np.inf, y), "infinity"),
    ],
)
def test_masks_that_cannot_be_learned_from(data, change, message):
    X, y = data
    with pytest.raises(ValueError, match=message):
        segmenter(ignore_label=VOID).fit(X, change(y))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"hidden_units": (4,) * 6}, r"image shape \(2, 24, 32\) is too small for 6 convolutions"),
        ({"hidden_units": 4}, 'hidden_units must be "auto" or a tuple'),
        ({"backbone": "dense"}, "backbone must be one of 'unet'"),
        ({"backbone": nn.Conv2d(2, 3, 1)}, "backbone must be one of 'unet'"),
        ({"augment": "moire"}, "augment must be one of"),
        ({"temperature": 0}, "temperature == 0"),
        ({"tile_size": 0}, "tile_size == 0"),
        ({"confidence": 1.1}, "confidence == 1.1"),
        ({"mixing": "mosaic"}, "mixing must be one of 'cutmix', 'mixup'; got 'mosaic'"),
        (
            {"class_weight": "rare"},
            "class_weight, if it is no dict, must be one of 'sqrt', 'balanced', None; got 'rare'",
        ),
        ({"class_weight": {0: 2.0, 7: 1.0}}, r"class_weight has \[7\], which are not among the classes"),
        ({"class_weight": {1: -1.0}}, "none below 0"),
        ({"class_weight": {1: np.inf}}, "must be finite"),
        ({"class_weight": dict.fromkeys(range(3), 0)}, "not all 0"),
        ({"image_shape": (2, 32, 24)}, r"X holds images of shape \(2, 24, 32\)"),
    ],
)
def test_parameters_that_cannot_be(data, params, message):
    with pytest.raises(ValueError, match=message):
        segmenter(**params).fit(*data)


def test_weights_of_classes_are_numbers(data):
    with pytest.raises(TypeError, match=r"class_weight\[1\] must be an instance of float, not str"):
        segmenter(class_weight={1: "much"}).fit(*data)


def test_images_that_cannot_be(data, fitted):
    X, y = data
    broken = X.copy()
    broken[2, 1, 3, 3] = np.nan
    with pytest.raises(ValueError, match="NaN.*void"):
        segmenter().fit(broken, y)
    with pytest.raises(ValueError, match="NaN"):
        fitted.predict(broken)
    with pytest.raises(ValueError, match="X has 1 bands.* was fitted with 2"):
        fitted.predict(X[:, :1])
    with pytest.raises(ValueError, match=r"a single image as X\[None\]"):
        fitted.predict(X[0])
    with pytest.raises(ValueError, match="tile_size=8 leaves nothing between two margins"):
        copy_of(fitted).set_params(tile_size=8).predict(X)


class WrongOutputs(Pixelwise):
    def __init__(self, input_shape, n_outputs):
        super().__init__(input_shape, n_outputs + 1)


def test_backbone_of_another_shape(data):
    with pytest.raises(ValueError, match=r"WrongOutputs takes shape \(2, 2, 24, 32\) to \(2, 4, 24, 32\)"):
        segmenter(backbone=WrongOutputs).fit(*data)
