"""The game of a decoder and an encoder of images with masks: its two players, and the segmenter that they make."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback
from torch import nn
from torch.distributions import Normal, kl_divergence

from sklearn_geoal import SymmetricVAESegmenter
from sklearn_geoal._nets.hierarchical_vae import HierarchicalVAE, completed, divergence, log_density, product
from sklearn_geoal._nets.unet import UNet
from sklearn_geoal._torch import batches
from sklearn_geoal.augment import Compose, Flip
from sklearn_geoal.model_selection import LabeledStratifiedKFold

VOID = 255


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture(scope="module", autouse=True)
def short_epochs():
    """An epoch is one pass over the images of these tests, which are few."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "MIN_STEPS", 1)
        yield


def scenes(n, height=24, width=32, seed=0):
    """A ground of one colour an image with discs of another: (n, 3, h, w), (n, h, w)."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    y = np.zeros((n, height, width), dtype=int)
    for mask in y:
        for kind in (1, 2, 1, 2):
            row, column, radius = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(3, 7)
            mask[(rows - row) ** 2 + (columns - column) ** 2 < radius**2] = kind
    means = np.array([[0.0, 0.0, 0.0], [2.0, 0.0, 1.0], [0.0, 2.0, 1.0]])
    light = rng.normal(size=(n, 1, 1, 1))
    return np.moveaxis(means[y], -1, 1) + light + 0.2 * rng.normal(size=(n, 3, height, width)), y


def segmenter(**changes):
    """A small network, trained for a few steps."""
    params = {"hidden_units": (4, 8), "max_epochs": 1, "batch_size": 4, "random_state": 0, "augment": None}
    return SymmetricVAESegmenter(**(params | changes))


def module(shape=(3, 13, 9), hidden_units=(4, 6, 8), d=2, **changes):
    params = {"augment": Compose([]), "occlusion": 0.5, "label_weight": 1.0}
    params |= {"class_weight": (1.0,) * 3} | changes
    axes = torch.randn(shape[0], d)
    backbone = params.pop("backbone", lambda input_shape, n: UNet(input_shape, n, hidden_units))
    return HierarchicalVAE(shape, 3, backbone, hidden_units, axes, **params).train()


def batch(n=4, shape=(3, 13, 9)):
    """Labelled images and images of both kinds, with codes."""
    x, u = torch.randn(2, n, *shape)
    y, y_u = torch.randint(0, 3, (2, n, *shape[1:]))
    y_u[: n // 2] = -1
    return x, y, u, y_u


def names_of_losses(n_latents):
    divergences = ["S", "l", "z1", "z2", "z3"][: 1 + n_latents]
    return ["train_loss", "decoder_loss", "labeled_loss", *(f"divergence_{name}" for name in divergences)]


def targets(y):
    w = (y >= 0).unsqueeze(1).float()
    return torch.nn.functional.one_hot(y.clamp_min(0), 3).movedim(-1, 1) * w, w


def gradients(*networks):
    return [weights.grad for network in networks for weights in network.parameters()]


def partly_labeled(y, n_labeled):
    return np.where(np.arange(len(y))[:, None, None] < n_labeled, y, -1)


def copy_of(model):
    return pickle.loads(pickle.dumps(model))


# the two players


def test_each_player_has_gradients_in_its_own_parameters_alone():
    net = module()
    _, _, u, y_u = batch()
    S, z, _ = net.inferred(u, *targets(y_u))
    loss, residuals = net.decoder_loss(u, S, z)
    loss.backward()
    assert all(gradient is None for gradient in gradients(net.classifier, net.recognition))
    assert sum(gradient.abs().sum() for gradient in gradients(net.decoder)) > 0
    net.zero_grad()
    net.encoder_loss(*net.dreamed(S, residuals)).backward()
    assert all(gradient is None for gradient in gradients(net.decoder))
    assert all(sum(g.abs().sum() for g in gradients(part)) > 0 for part in (net.classifier, net.recognition))


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0), (0.5, 2.0, 0.1)])
def test_both_at_once_have_the_gradients_of_each_alone(weights):
    net = module(label_weight=0.7, class_weight=weights)
    x, y, u, y_u = batch()
    torch.manual_seed(1)
    net.losses(x, y, u, y_u)["train_loss"].backward()
    together = gradients(net)
    net.zero_grad()
    torch.manual_seed(1)
    S, z, _ = net.inferred(u, *targets(y_u))
    wake, residuals = net.decoder_loss(u, S, z)
    wake.backward()
    logits = net.classifier(x * net.seen_pixels(x))
    p, w = targets(y)
    (0.7 * torch.nn.functional.cross_entropy(logits, y, torch.tensor(weights))).backward()
    net.encoder_loss(*net.dreamed(completed(p, w, logits.detach()), residuals)).backward()
    for one, other in zip(together, gradients(net), strict=True):
        torch.testing.assert_close(one, other)


def test_samples_leave_no_trace_in_the_player_they_are_drawn_from():
    net = module()
    _, _, u, y_u = batch()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    S, z, _ = net.inferred(u, *targets(y_u))
    _, residuals = net.decoder_loss(u, S, z)
    net.encoder_loss(*net.dreamed(S, residuals))
    for name, tensor in net.state_dict().items():  # running statistics among them: those of dreams do not count
        assert torch.equal(tensor, before[name])
    assert all(part.training for part in net.modules())


def test_known_pixels_stay_and_others_are_drawn():
    p, w = targets(torch.tensor([[[0, 1, -1, -1]]]))
    logits = torch.tensor([-50.0, -50.0, 50.0]).view(1, 3, 1, 1).expand(1, 3, 1, 4)
    assert completed(p, w, logits).argmax(1).tolist() == [[[0, 1, 2, 2]]]


def test_product_of_gaussians_adds_natural_parameters():
    (m, a), (n, b) = torch.randn(2, 2, 50)
    mean, log_precision = product((m, a), (n, b))
    torch.testing.assert_close(log_precision.exp(), a.exp() + b.exp())
    torch.testing.assert_close(mean * log_precision.exp(), m * a.exp() + n * b.exp())
    mean, log_precision = product((m, a), (n, torch.full((50,), -80.0)))  # a factor that says nothing
    torch.testing.assert_close((mean, log_precision), (m, a))


def test_densities_and_divergences_are_those_of_torch():
    (m, a), (n, b) = torch.randn(2, 2, 50)
    q, p, z = Normal(m, torch.exp(-a / 2)), Normal(n, torch.exp(-b / 2)), torch.randn(50)
    torch.testing.assert_close(log_density(z, (m, a)), q.log_prob(z))
    torch.testing.assert_close(divergence((m, a), (n, b)), kl_divergence(q, p))


def test_encoder_finds_what_latents_paint_before_any_training():
    net = module((3, 16, 16), (4, 4, 4), d=3).eval()
    S, seen = torch.zeros(2, 3, 16, 16), torch.ones(2, 1, 16, 16)
    S[:, 0] = 1
    with torch.no_grad():
        z = {k: torch.randn(2, *shape) for k, shape in zip((3, 2, 1), net.latent_shapes(16, 16), strict=True)}
        x, _, _ = net.decoder(S, lambda k, prior: z[k])
        found = net.recognition(x, seen)
    for k in z:
        correlation = np.corrcoef(z[k].flatten(), found[k][0].flatten())[0, 1]
        assert correlation > 0.6


def test_what_is_hidden_does_not_matter():
    net = module().eval()
    x, seen = torch.randn(2, 3, 13, 9), torch.ones(2, 1, 13, 9)
    seen[:, :, 3:9, 2:6] = 0
    other = torch.where(seen > 0, x, 100.0)
    with torch.no_grad():
        torch.testing.assert_close(net.reconstruct(x, seen), net.reconstruct(other, seen))


def test_rectangles_are_hidden_of_some_images():
    net = module(occlusion=0.5)
    seen = net.seen_pixels(torch.zeros(2000, 3, 20, 30))
    whole = seen.flatten(1).all(1).float().mean()
    assert 0.45 < whole < 0.6
    assert 0.75 < seen.mean() < 0.95
    assert set(seen.unique().tolist()) == {0.0, 1.0}
    assert module(occlusion=0.0).seen_pixels(torch.zeros(50, 3, 20, 30)).all()
    assert module((3, 1, 1), (4,), occlusion=1.0).seen_pixels(torch.zeros(50, 3, 1, 1)).all()


@pytest.mark.parametrize(("shape", "hidden_units"), [((3, 13, 9), (4, 6, 8)), ((2, 8, 8), (4,)), ((5, 1, 1), (4,))])
def test_shapes_of_latents(shape, hidden_units):
    net = module(shape, hidden_units)
    shapes = net.latent_shapes(*shape[1:])
    output, z, _ = net.decoder(torch.zeros(2, 3, *shape[1:]), lambda k, prior: prior[0])
    assert output.shape == (2, *shape)
    assert [tuple(part.shape[1:]) for part in z.values()] == shapes
    assert [*net.losses(*batch(4, shape))] == names_of_losses(len(shapes))


# the segmenter


@pytest.fixture(scope="module")
def data():
    return scenes(8)


@pytest.fixture(scope="module")
def fitted(data):
    X, y = data
    return segmenter().fit(X, partly_labeled(y, 4))


@pytest.fixture(scope="module")
def trained():
    """A network that has learned the scenes, and others."""
    X, y = scenes(40)
    model = segmenter(hidden_units=(8, 16), max_epochs=45, batch_size=8, lr=4e-3).fit(X, partly_labeled(y, 4))
    return model, *scenes(10, seed=1)


def test_it_learns_masks_and_no_level_collapses(trained):
    model, X, y = trained
    assert model.score(X, y) > 0.9
    last = model.history_[-1]
    assert [*last] == ["epoch", *names_of_losses(len(model.net_.module_.latent_shapes(24, 32)))]
    assert all(value > 1 for name, value in last.items() if name.startswith("divergence"))
    assert "divergence_l" in last


def test_holes_are_filled_from_what_is_around_them(trained):
    model, X, _ = trained
    hidden = np.zeros((len(X), 24, 32), dtype=bool)
    hidden[:, 6:18, 8:20] = True
    filled = model.reconstruct(X, missing=hidden)
    assert_allclose(np.moveaxis(filled, 1, -1)[~hidden], np.moveaxis(X, 1, -1)[~hidden])

    def error(other):
        return np.mean(np.moveaxis(X - other, 1, -1)[hidden] ** 2)

    assert error(filled) < 0.3 * error(X.mean(axis=0))


def test_reconstructions_are_near_and_samples_follow_their_masks(trained):
    model, X, y = trained
    assert np.mean((model.reconstruct(X) - X) ** 2) < 0.5 * X.var()
    samples, masks = model.sample(10, y=y, random_state=0)
    assert_array_equal(masks, y)
    assert model.score(samples, y) > 0.9
    drawn, masks = model.sample(6, random_state=0)
    assert drawn.shape == (6, 3, 24, 32)
    bank = {mask.tobytes() for mask in model.masks_}
    assert {mask.tobytes() for mask in masks} <= bank
    assert model.masks_.shape == (4, 24, 32)


def test_hidden_values_may_be_anything(data, fitted):
    X, _ = data
    hidden = np.random.default_rng(0).random((8, 24, 32)) < 0.3
    broken = np.where(hidden[:, None], np.nan, X)
    assert_array_equal(fitted.reconstruct(broken, missing=hidden), fitted.reconstruct(X, missing=hidden))
    nothing = np.zeros_like(hidden)
    assert_allclose(fitted.reconstruct(X, missing=nothing), X)
    with pytest.raises(ValueError, match="NaN"):
        fitted.reconstruct(broken, missing=nothing)
    with pytest.raises(ValueError, match=r"missing is an array of float64 .* expected bool of shape \(8, 24, 32\)"):
        fitted.reconstruct(X, missing=hidden.astype(float))
    with pytest.raises(ValueError, match=r"of shape \(8, 24\), expected bool"):
        fitted.reconstruct(X, missing=hidden[:, :, 0])
    hidden[3] = True
    with pytest.raises(ValueError, match="All pixels of image 3 are missing"):
        fitted.reconstruct(X, missing=hidden)
    with pytest.raises(ValueError, match="X has 2 bands"):
        fitted.reconstruct(X[:, :2], missing=nothing)


def test_forms_of_images_agree(data, fitted):
    X, y = data
    y = partly_labeled(y, 4)
    expected = fitted.predict_proba(X)
    rows = X.reshape(8, -1)
    flat = segmenter(image_shape=(3, 24, 32)).fit(rows, y)
    assert_array_equal(flat.predict_proba(rows), expected)
    assert flat.reconstruct(rows).shape == flat.sample(8)[0].shape == rows.shape
    hidden = np.zeros((8, 24, 32), dtype=bool)
    hidden[:, :3] = True
    assert_array_equal(flat.reconstruct(rows, hidden).reshape(X.shape), fitted.reconstruct(X, hidden))
    listed = segmenter().fit(list(X), [*y[:4], *[None] * 4])
    assert_array_equal(listed.predict_proba(X), expected)
    frozen = X.copy()
    frozen.flags.writeable = False
    assert_array_equal(segmenter().fit(frozen, y).predict_proba(frozen), expected)
    single = segmenter().fit(X.astype(np.float32), y)
    assert single.predict_proba(X.astype(np.float32)).dtype == single.sample(1)[0].dtype == np.float32
    assert single.reconstruct(X.astype(np.float32)).dtype == np.float32
    integers = segmenter().fit((20 * X).astype(np.int16), y)
    assert integers.reconstruct((20 * X).astype(np.int16)).dtype == integers.sample(1)[0].dtype == np.float32


def test_rows_of_bands(data):
    X, y = data
    rows, labels = np.moveaxis(X, 1, -1).reshape(-1, 3)[:400], y.reshape(-1)[:400].astype(float)
    labels[300:] = np.nan
    model = segmenter(batch_size=256, max_epochs=30, lr=5e-3).set_params(hidden_units=(8,)).fit(rows, labels)
    assert model.score(rows, y.reshape(-1)[:400]) > 0.6
    assert model.reconstruct(rows).shape == rows.shape
    samples, classes = model.sample(5, y=2, random_state=0)
    assert samples.shape == (5, 3) and classes.tolist() == [2] * 5
    assert model.sample(3)[1].shape == (3,)
    frame = pd.DataFrame(rows, columns=list("abc"))
    again = segmenter(batch_size=256, max_epochs=30, lr=5e-3, hidden_units=(8,)).fit(frame, pd.Series(labels))
    assert_array_equal(again.predict_proba(frame), model.predict_proba(rows))
    assert again.feature_names_in_.tolist() == list("abc")
    with pytest.raises(ValueError, match="All pixels of image 0"):
        model.reconstruct(rows, missing=np.arange(400) < 1)


def test_few_labelled_points_and_void(data):
    X, y = data
    points = np.full(y.shape, -1)
    points[:3, ::6, ::6] = y[:3, ::6, ::6]
    points[5:, :4] = VOID
    points[7] = VOID
    model = segmenter(ignore_label=VOID, max_epochs=5).fit(X, points)
    assert_array_equal(model.classes_, [0, 1, 2])
    assert model.masks_.shape == (3, 24, 32)
    assert_array_equal(model.masks_[:, ::6, ::6], y[:3, ::6, ::6])
    assert np.isin(model.masks_, [0, 1, 2]).all()
    other = X.copy()
    other[7] = X[7][:, ::-1]  # an image all of whose pixels are void takes no part but in the scale of the bands
    again = segmenter(ignore_label=VOID, max_epochs=5).fit(other, points)
    assert_allclose(again.predict_proba(X), model.predict_proba(X), atol=1e-5)


def test_names_as_labels(data, fitted):
    X, y = data
    names = np.array(["field", "oak", "pine"], dtype=object)
    model = segmenter().fit(X, np.where(partly_labeled(y, 4) < 0, None, names[y]))
    assert_array_equal(model.predict(X), names[fitted.predict(X)])
    with pytest.raises(ValueError, match=r"samples of \['palm'\], but the labels of fit"):
        model.sample(1, y=np.full((24, 32), "palm", dtype=object))


@pytest.mark.parametrize(("n", "shape"), [(1, (8, 8)), (2, (7, 5)), (3, (1, 9)), (2, (2, 2))])
def test_few_images_of_any_size(n, shape):
    X, y = scenes(n, *shape, seed=5)
    y[0].flat[:2] = 0, 1
    model = segmenter(hidden_units="auto", max_epochs=1).fit(X, partly_labeled(y, 1))
    assert model.predict(X).shape == y.shape
    assert model.reconstruct(X).shape == X.shape


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (23, 31), (50, 70)])
def test_any_size_afterwards(fitted, shape):
    X, y = scenes(2, *shape)
    assert fitted.predict(X).shape == (2, *shape)
    assert fitted.reconstruct(X).shape == X.shape
    assert fitted.sample(2, y=y)[0].shape == X.shape
    if shape > (1, 1):
        hidden = np.zeros(y.shape, dtype=bool)
        hidden[:, 0, :1] = True
        assert np.isfinite(fitted.reconstruct(X, missing=hidden)).all()


def test_large_scenes_in_tiles(trained):
    X, _ = scenes(1, 90, 101)
    tiled = copy_of(trained[0]).set_params(tile_size=64)
    assert_allclose(tiled.predict_proba(X), trained[0].predict_proba(X), atol=1e-5)
    difference = tiled.reconstruct(X) - trained[0].reconstruct(X)
    assert np.abs(difference).mean() < 0.05 * X.std()


@pytest.mark.parametrize("scale", [1e-20, 1e20])
def test_scale_of_the_bands_does_not_matter(data, fitted, scale):
    X, y = data
    model = segmenter().fit(scale * X, partly_labeled(y, 4))
    assert_allclose(model.predict_proba(scale * X), fitted.predict_proba(X), atol=1e-3)
    assert_allclose(model.reconstruct(scale * X) / scale, fitted.reconstruct(X), atol=1e-2)


def test_constant_and_repeated_images():
    X, y = np.zeros((4, 2, 8, 8)), np.tile([0, 1], (4, 8, 4))
    model = segmenter().fit(X, y)
    assert np.isfinite(model.predict_proba(X)).all()
    assert_allclose(model.reconstruct(X), 0, atol=0.5)


# life as an estimator


def test_pickle_keeps_everything(data, fitted):
    X, _ = data
    copy = copy_of(fitted)
    assert_array_equal(copy.predict_proba(X), fitted.predict_proba(X))
    assert_array_equal(copy.reconstruct(X), fitted.reconstruct(X))
    for one, other in zip(copy.sample(3, random_state=1), fitted.sample(3, random_state=1), strict=True):
        assert_array_equal(one, other)
    assert not np.array_equal(fitted.sample(3, random_state=2)[0], fitted.sample(3, random_state=1)[0])


def test_warm_start_goes_on_with_images_of_another_size(data):
    X, y = data
    model = segmenter(warm_start=True, max_epochs=2).fit(X, partly_labeled(y, 4))
    small, small_y = scenes(4, 15, 19, seed=6)
    model.fit(small, np.where(small_y == 1, -1, small_y))  # two of the three classes, smaller images
    assert [epoch["epoch"] for epoch in model.history_] == [1, 2, 3, 4]
    assert model.masks_.shape == (4, 15, 19)
    for name, value in {"occlusion": 0.1, "n_components": 2, "label_weight": 3.0, "augment": "aerial"}.items():
        with pytest.raises(ValueError, match=rf"'{name}': .*are now.*'{name}': {value!r}.*Set them back"):
            copy_of(model).set_params(**{name: value}).fit(X, y)


def test_early_stopping_sets_images_with_a_mask_aside(data):
    X, y = data
    trained, validated = [], []

    class Images(Callback):
        def on_batch_begin(self, net, batch, training, **kwargs):
            (trained if training else validated).extend(batch[::2])

    early = {"early_stopping": True, "validation_fraction": 0.25, "max_epochs": 5, "callbacks": [Images()]}
    model = segmenter(**early).fit(X, partly_labeled(y, 6))
    assert all("valid_loss" in epoch for epoch in model.history_)
    trained, validated = (torch.cat(images).unique(dim=0) for images in (trained, validated))
    assert (len(trained), len(validated)) == (6, 2)
    assert len(torch.cat([trained, validated]).unique(dim=0)) == 8


@pytest.mark.parametrize("min_steps, n_steps", [(1, 2), (5, 5)])
def test_steps_of_an_epoch(data, min_steps, n_steps, monkeypatch):
    steps = []

    class Count(Callback):
        def on_batch_begin(self, net, **kwargs):
            steps.append(1)

    monkeypatch.setattr(batches, "MIN_STEPS", min_steps)
    segmenter(callbacks=[Count()]).fit(*data)
    assert len(steps) == n_steps


def test_grid_search_over_partly_labelled_scenes(data):
    X, y = data
    search = GridSearchCV(segmenter(), {"n_components": [1, 3]}, cv=LabeledStratifiedKFold(2), error_score="raise").fit(
        X, partly_labeled(y, 5)
    )
    assert search.cv_results_["mean_test_score"].min() > 0.2
    assert search.predict(X).shape == y.shape


def test_augmented_masks_follow_their_images(data):
    X, y = data
    model = segmenter(augment=[Flip()], max_epochs=1).fit(X, partly_labeled(y, 4))
    assert np.isfinite(model.predict_proba(X)).all()


# errors


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda y: None, "y to be passed"),
        (lambda y: np.full(y.shape, -1), "no pixel with a class"),
        (lambda y: np.full(y.shape, VOID), "no pixel with a class.* void"),
        (lambda y: np.where(y < 2, 2, -1), "one class only, 2"),
        (lambda y: y[:, :-1], r"shape \(8, 23, 32\), expected \(8, 24, 32\)"),
        (lambda y: y[:-1], r"shape \(7, 24, 32\), expected \(8, 24, 32\)"),
    ],
)
def test_masks_that_cannot_be_learned_from(data, change, message):
    X, y = data
    with pytest.raises(ValueError, match=message):
        segmenter(ignore_label=VOID).fit(X, change(y))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"hidden_units": (4,) * 6}, r"image shape \(3, 24, 32\) is too small for 6 convolutions"),
        ({"hidden_units": 4}, 'hidden_units must be "auto" or a tuple'),
        ({"hidden_units": ()}, "hidden_units must have one level at least"),
        ({"backbone": "dense"}, "backbone must be one of 'unet'"),
        ({"augment": "moire"}, "augment must be one of"),
        ({"n_components": 0}, "n_components == 0"),
        ({"occlusion": 1.5}, "occlusion == 1.5"),
        ({"label_weight": 0}, "label_weight == 0"),
        ({"tile_size": 0}, "tile_size == 0"),
    ],
)
def test_parameters_that_cannot_be(data, params, message):
    with pytest.raises(ValueError, match=message):
        segmenter(**params).fit(*data)


def test_images_and_samples_that_cannot_be(data, fitted):
    X, y = data
    broken = X.copy()
    broken[2, 1, 3, 3] = np.nan
    with pytest.raises(ValueError, match="NaN.*void"):
        segmenter().fit(broken, y)
    with pytest.raises(ValueError, match=r"samples of \[5\], but the labels of fit were of the classes \[0, 1, 2\]"):
        fitted.sample(1, y=np.full((24, 32), 5))
    with pytest.raises(ValueError, match="one mask"):
        fitted.sample(3, y=y[:2])
    with pytest.raises(ValueError, match="n_samples"):
        fitted.sample(0)


class Pixelwise(nn.Sequential):
    """A dense net on each pixel."""

    def __init__(self, input_shape, n_outputs):
        super().__init__(nn.Conv2d(input_shape[0], 8, 1), nn.ReLU(), nn.Conv2d(8, n_outputs, 1))


def test_own_backbone(data):
    X, y = data
    model = segmenter(backbone=Pixelwise).fit(X, partly_labeled(y, 4))
    assert model.predict(X).shape == y.shape
    assert model.reconstruct(X).shape == X.shape
