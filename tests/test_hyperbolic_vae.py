"""HyperbolicVAETransformer: what a model on a curved space must satisfy, and what an estimator must."""

import pickle

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.decomposition import PCA
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.estimator_checks import check_transformer_get_feature_names_out, parametrize_with_checks
from torch import nn

from sklearn_geoal._autoencoders.hyperbolic import HyperbolicVAETransformer
from sklearn_geoal.metrics import hyperbolic_distances

OUTPUTS = ("tangent", "lorentz", "poincare")


def low_rank_data(n_samples=300, n_features=8, rank=2, noise=0.1, seed=0):
    rng = np.random.default_rng(seed)
    loadings = rng.normal(size=(rank, n_features))
    return rng.normal(size=(n_samples, rank)) @ loadings + noise * rng.normal(size=(n_samples, n_features))


def vae(**changes):
    small = {"n_components": 3, "hidden_units": (32,), "max_epochs": 5, "random_state": 0}
    return HyperbolicVAETransformer(**{**small, **changes})


def copy_of(model, **params):
    return pickle.loads(pickle.dumps(model)).set_params(**params)


@pytest.fixture(scope="module")
def X():
    return low_rank_data()


@pytest.fixture(scope="module", params=["lorentz", "poincare"])
def fitted(X, request):
    params = {"clip_radius": None, "prior_scale": 1.0, "curvature": 0.5}
    return vae(model=request.param, **params, max_epochs=40, batch_size=32, lr=3e-3).fit(X)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(size=(12, 2, 5, 7)).astype(np.float32)


@parametrize_with_checks([HyperbolicVAETransformer(model="poincare", max_epochs=2)])
@pytest.mark.filterwarnings("error")
def test_estimator_checks_in_the_ball(estimator, check):
    check(estimator)


@pytest.mark.parametrize("output", OUTPUTS)
def test_feature_names_fit_the_coordinates(X, output):
    model = vae(output=output).fit(X)
    assert len(model.get_feature_names_out()) == model.transform(X).shape[1] == 3 + (output == "lorentz")
    check_transformer_get_feature_names_out("vae", vae(output=output))


# the space


def test_coordinates_are_views_of_the_same_points(fitted, X):
    views = {output: copy_of(fitted, output=output) for output in OUTPUTS}
    Z = {output: view.transform(X) for output, view in views.items()}
    distances = {output: hyperbolic_distances(Z[output], model=output, curvature=0.5) for output in OUTPUTS}
    data = {output: view.inverse_transform(Z[output]) for output, view in views.items()}
    for output in OUTPUTS:
        assert_allclose(distances[output], distances["tangent"], atol=1e-6)
        assert_allclose(data[output], fitted.reconstruct(X), atol=1e-4)
    time, space = Z["lorentz"][:, 0], Z["lorentz"][:, 1:]
    assert_allclose(time**2 - (space**2).sum(axis=1), 1 / 0.5, rtol=1e-9)
    assert_allclose(np.arccosh(np.sqrt(0.5) * time) / np.sqrt(0.5), np.linalg.norm(Z["tangent"], axis=1), rtol=1e-6)
    assert (np.linalg.norm(Z["poincare"], axis=1) < 1 / np.sqrt(0.5)).all()


def test_both_models_learn(fitted, X):
    assert ((fitted.reconstruct(X) - X) ** 2).mean() < 0.1 * X.var()
    assert fitted.noise_variance_ < 0.2 * X.var()
    assert fitted.score(X) > vae(max_epochs=1).fit(X).score(X) + 2


@pytest.mark.parametrize("radius", [0.1, 1.0])
def test_clip_bounds_the_radius(X, radius):
    params = {"prior_scale": 1.0, "max_epochs": 20, "batch_size": 32, "lr": 1e-2}
    Z = vae(clip_radius=radius, **params).fit(X).transform(X)
    assert np.linalg.norm(Z, axis=1).max() <= radius * (1 + 1e-5)
    free = vae(clip_radius=None, **params).fit(X).transform(X)
    assert np.linalg.norm(free, axis=1).max() > 1.5


def test_tiny_curvature_is_the_flat_model(X):
    # far inside the radius of curvature there is no telling the two models apart
    params = {"clip_radius": None, "prior_scale": 1.0, "max_epochs": 10}
    flat, flatter = (vae(curvature=c, **params).fit(X) for c in (1e-5, 1e-7))
    assert_allclose(flat.transform(X), flatter.transform(X), atol=1e-2)
    ball = copy_of(flat, output="poincare")
    assert_allclose(2 * ball.transform(X), flat.transform(X), atol=1e-2)


def test_units_of_length_do_not_matter(X):
    # a space k times as large with k^-2 times the curvature is the same space
    model = vae(curvature=0.8, clip_radius=1.5, prior_scale=0.5).fit(X)
    larger = vae(curvature=0.2, clip_radius=3.0, prior_scale=1.0).fit(X)
    assert_allclose(larger.transform(X), 2 * model.transform(X), rtol=1e-5)
    assert_allclose(larger.score_samples(X, 4), model.score_samples(X, 4), rtol=1e-5)
    assert_allclose(larger.sample(5, random_state=0), model.sample(5, random_state=0), rtol=1e-4, atol=1e-6)


def test_learned_curvature_moves_is_reported_and_used(X):
    model = vae(curvature="learn", max_epochs=20, lr=1e-2, batch_size=32, clip_radius=None, prior_scale=1.0).fit(X)
    assert 1e-3 <= model.curvature_ <= 10
    assert abs(np.log(model.curvature_)) > 0.05
    Z = model.set_params(output="lorentz").transform(X)
    assert_allclose(Z[:, 0] ** 2 - (Z[:, 1:] ** 2).sum(axis=1), 1 / model.curvature_, rtol=1e-6)
    assert pickle.loads(pickle.dumps(model)).curvature_ == model.curvature_
    assert vae(curvature=0.3).fit(X).curvature_ == 0.3


def test_learned_curvature_stays_within_its_range(X):
    # a step size that would leave the range at once
    module = vae(curvature="learn", lr=1e-3).fit(X).net_.module_
    for factor, expected in ((50.0, 10), (-50.0, 1e-3)):
        module.log_factor.data.fill_(factor)
        assert (module.c / module.curvature).item() == pytest.approx(expected, rel=1e-4)
        module(torch.zeros(4, 8)).backward()
        assert torch.isfinite(module.log_factor.grad) and module.log_factor.grad != 0
        module.zero_grad()


# the model


def test_importance_weighted_bound_rises_with_the_draws(fitted, X):
    few = X[:100]
    bounds = [np.mean([fitted.score_samples(few, n, seed).mean() for seed in range(5)]) for n in (1, 5, 50)]
    assert bounds[0] < bounds[1] < bounds[2]
    assert_array_equal(fitted.score_samples(X, 5), fitted.score_samples(X, 5))
    assert fitted.score(X) == pytest.approx(fitted.score_samples(X).mean())


def test_without_hidden_units_in_flat_space_the_data_are_explained_as_by_principal_components():
    X = low_rank_data(500)
    params = {"n_components": 2, "hidden_units": (), "batch_size": 50, "curvature": 1e-6, "prior_scale": 1.0}
    model = vae(**params, clip_radius=None, beta=1.0, warmup=0.0, max_epochs=150, lr=3e-2).fit(X)
    exact = PCA(2).fit(X).score(X)
    bound = model.score_samples(X, n_draws=20).mean()
    assert exact - 0.3 < bound < exact + 0.1


def test_large_beta_collapses_everything(X):
    model = vae(beta=1e3, max_epochs=60, lr=1e-1, warmup=0.0).fit(X)
    assert_allclose(model.posterior_scale_, 1, atol=0.1)
    assert np.abs(model.transform(X)).mean() < 0.1 * model.prior_scale


def test_samples_are_fixed_by_the_seed_alone_and_resemble_the_data(fitted, X):
    assert_array_equal(fitted.sample(9, random_state=1), fitted.sample(9, random_state=1))
    assert not np.array_equal(fitted.sample(9), fitted.sample(9))
    assert 0.2 < fitted.sample(2000, random_state=0).std() / X.std() < 5


def test_bernoulli_model(X):
    X = MinMaxScaler().fit_transform(X)
    model = vae(likelihood="bernoulli", max_epochs=30, batch_size=32, lr=3e-3).fit(X)
    assert (model.location_, model.scale_) == (0, 1)
    assert not hasattr(model, "noise_variance_")
    for result in (model.reconstruct(X), model.sample(50), model.inverse_transform(10 * model.transform(X))):
        assert 0 <= result.min() and result.max() <= 1
    assert model.score(X) > model.score_samples(1 - X).mean()
    with pytest.raises(ValueError, match=r"needs X within \[0, 1\]"):
        model.fit(2 * X)


@pytest.mark.parametrize("n_components", [1, 64, 700])
@pytest.mark.parametrize("params", [{}, {"curvature": 50.0}, {"curvature": "learn"}, {"model": "poincare"}])
def test_unclipped_training_stays_finite(X, n_components, params):
    params = {"n_components": n_components, "clip_radius": None, "prior_scale": 1.0, "lr": 1e-2, **params}
    model = vae(**params, batch_size=32).fit(X)
    for result in (model.transform(X), model.reconstruct(X), model.sample(20), model.score_samples(X, 2)):
        assert np.isfinite(result).all()
    assert np.linalg.norm(model.transform(X), axis=1).max() <= 12.001 / np.sqrt(model.curvature_)


# images and networks


@pytest.mark.parametrize("encoder, decoder", [("auto", "auto"), ("dense", "conv"), ("conv", "dense")])
def test_images_as_images_and_as_rows_are_the_same(images, encoder, decoder):
    rows = images.reshape(len(images), -1)
    params = {"encoder": encoder, "decoder": decoder, "hidden_units": (4, 8)}
    model = vae(**params).fit(images)
    flat = vae(**params, image_shape=(2, 5, 7)).fit(rows)
    Z = model.transform(images)
    for other in (model.transform(rows), flat.transform(rows), flat.transform(images)):
        assert_array_equal(other, Z)
    assert model.inverse_transform(Z).shape == model.reconstruct(rows).shape == images.shape
    assert model.sample(2).shape == (2, 2, 5, 7)
    assert_array_equal(model.score_samples(images), flat.score_samples(rows))


def test_convolutions_give_back_what_lies_within_the_range_of_the_data(images):
    images = 3 + images
    model = vae().fit(images)
    assert (model.location_ - model.scale_, model.location_ + model.scale_) == pytest.approx(
        (images.min(), images.max())
    )
    for result in (model.reconstruct(images), model.sample(20), model.inverse_transform(9 * model.transform(images))):
        assert images.min() - 1e-4 <= result.min() and result.max() <= images.max() + 1e-4
    dense = vae(decoder="dense").fit(images)
    assert (dense.location_, dense.scale_) == pytest.approx((images.mean(), images.std()), rel=1e-4)


@pytest.mark.parametrize("value", [0.0, -7.5, 1e300, -1e300])
def test_constant_images(value):
    X = np.full((9, 1, 4, 4), value)
    model = vae().fit(X)
    assert model.scale_ == 1
    assert_allclose(model.reconstruct(X), X, rtol=1e-6, atol=1)


def test_bernoulli_images_have_no_tanh():
    X = np.random.default_rng(0).uniform(size=(20, 1, 6, 6)).round()
    model = vae(likelihood="bernoulli", max_epochs=50, lr=5e-2, warmup=0.0, beta=0.0).fit(X)
    assert model.reconstruct(X).max() > 0.9  # logits within [-1, 1] end at 0.73


def test_too_many_convolutions_for_the_image(images):
    message = r"image shape \(2, 5, 7\) is too small for 4 convolutions.*hidden_units of at most 3"
    for bodies in ({}, {"encoder": "dense"}, {"decoder": "dense"}):
        with pytest.raises(ValueError, match=message):
            vae(hidden_units=(4,) * 4, **bodies).fit(images)
    assert vae(hidden_units=(4,) * 3).fit(images).transform(images).shape == (12, 3)


def test_images_of_one_pixel_and_one_row(X):
    for shape in ((300, 8, 1, 1), (300, 1, 1, 8)):
        model = vae(hidden_units="auto", max_epochs=1).fit(X.reshape(shape))
        n_convolutions = sum(isinstance(layer, nn.Conv2d) for layer in model.net_.module_.encoder.modules())
        assert n_convolutions == 1
        assert model.transform(X.reshape(shape)).shape == (300, 3)


# an estimator


@pytest.mark.parametrize("params", [{"clip_radius": 2}, {"model": "poincare"}, {"curvature": 2}, {"prior_scale": 1}])
def test_warm_start_needs_the_space_that_it_finds(X, params):
    model = vae(warm_start=True, curvature="learn", max_epochs=1).fit(X)
    (name,) = params
    with pytest.raises(ValueError, match=rf"'{name}': .*are now.*'{name}': {params[name]!r}.*Set them back"):
        model.set_params(**params).fit(X)


def test_training_goes_on_with_the_curvature_it_has_learned(X):
    model = vae(warm_start=True, curvature="learn", lr=1e-2).fit(X)
    first = model.curvature_
    model.fit(X)
    assert len(model.history_) == 10
    assert 0 < abs(np.log(model.curvature_ / first)) < 1


def test_chunks_are_learned_from_one_by_one(X):
    model = vae(lr=1e-2)
    losses = [model.partial_fit(part).history_[-1]["train_loss"] for _ in range(10) for part in np.array_split(X, 3)]
    assert np.mean(losses[-3:]) < np.mean(losses[:3]) - 1


def test_parameters_changed_after_the_fit_wait_for_the_next(X):
    model = vae(output="lorentz").fit(X)
    Z = model.transform(X)
    changed = copy_of(model, curvature=3.0, prior_scale=2.0, clip_radius=None)
    assert changed.curvature_ == 1
    assert_array_equal(changed.transform(X), Z)
    assert_array_equal(changed.inverse_transform(Z), model.inverse_transform(Z))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("output", OUTPUTS)
def test_dtype_of_the_input_is_kept(X, dtype, output):
    X = X.astype(dtype)
    model = vae(max_epochs=1, output=output).fit(X)
    Z = model.transform(X)
    for result in (Z, model.inverse_transform(Z), model.reconstruct(X), model.sample(2), model.score_samples(X)):
        assert result.dtype == dtype


@pytest.mark.parametrize("value", [1e9, 1e300, -1e300])
def test_outliers_beyond_all_measure_stay_finite(fitted, X, value):
    outlier = np.full((1, 8), value)
    for output in OUTPUTS:
        assert np.isfinite(copy_of(fitted, output=output).transform(outlier)).all()
    for method in (fitted.reconstruct, fitted.score_samples, lambda x: fitted.score_samples(x, 3)):
        assert np.isfinite(method(outlier)).all()
    assert np.isfinite(vae(clip_radius=None).fit(np.vstack([X, outlier])).score(X))


def test_verbs_before_fit():
    model = vae()
    assert not hasattr(model, "curvature_")
    for verb in (model.transform, model.inverse_transform, model.reconstruct, model.score_samples, model.sample):
        with pytest.raises(ValueError, match="not fitted"):
            verb(np.zeros((2, 3)) if verb != model.sample else 1)


@pytest.mark.parametrize(
    "params, message",
    [
        ({"clip_radius": 0}, "clip_radius must be a positive number, or None; got 0"),
        ({"clip_radius": np.nan}, "clip_radius must be a positive number, or None; got nan"),
        ({"clip_radius": "1"}, "clip_radius must be a positive number, or None; got '1'"),
        ({"curvature": 0.0}, "curvature must be a positive number c.*; got 0.0"),
        ({"curvature": -1}, "curvature must be a positive number c.*; got -1"),
        ({"curvature": "learned"}, "curvature must be .* or \"learn\"; got 'learned'"),
        ({"curvature": None}, "curvature must be .*; got None"),
        ({"prior_scale": np.inf}, "prior_scale must be a positive number; got inf"),
        ({"model": "klein"}, "model must be one of 'lorentz', 'poincare'; got 'klein'"),
        ({"output": "klein"}, "output must be one of 'tangent', 'lorentz', 'poincare'; got 'klein'"),
        ({"beta": -1}, "beta == -1, must be >= 0"),
        ({"batch_size": 1}, "batch_size == 1, must be >= 2"),
    ],
)
def test_invalid_parameters(X, params, message):
    with pytest.raises(ValueError, match=message):
        vae(**params).fit(X)


def test_inverse_transform_wants_points_of_the_space(fitted):
    tangent, lorentz, ball = (copy_of(fitted, output=output) for output in OUTPUTS)
    for model, width in ((tangent, 4), (lorentz, 3), (ball, 4)):
        with pytest.raises(ValueError, match=rf"Z has {width} columns.*n_components=3.*in {7 - width} columns"):
            model.inverse_transform(np.zeros((2, width)))
    with pytest.raises(ValueError, match=r"as transform returns them with output='lorentz'\. Row 1 .*off the hyperb"):
        lorentz.inverse_transform([[np.sqrt(2), 0, 0, 0], [1, 0, 0, 0]])
    with pytest.raises(ValueError, match=r"as transform returns them with output='poincare'\. Row 0 "):
        ball.inverse_transform([[1.5, 0, 0]])
    origin = tangent.inverse_transform(np.zeros((1, 3)))
    assert_allclose(lorentz.inverse_transform([[np.sqrt(2), 0, 0, 0]]), origin)
    assert_allclose(ball.inverse_transform(np.zeros((1, 3))), origin)


def test_one_sample_and_two():
    with pytest.raises(ValueError, match="1 sample"):
        vae().fit(np.zeros((1, 3)))
    model = vae().fit(np.eye(2, 3))
    assert model.transform(np.zeros((1, 3))).shape == (1, 3)
    images = np.eye(2, 16).reshape(2, 1, 4, 4)
    assert vae(hidden_units="auto").fit(images).transform(images[:1]).shape == (1, 3)


@pytest.mark.gpu
def test_cuda_latents_resemble_those_of_the_cpu(X):
    model = vae(device="cuda", curvature="learn").fit(X)
    loaded = pickle.loads(pickle.dumps(model))
    assert_allclose(loaded.transform(X), model.transform(X), rtol=1e-4, atol=1e-4)
    assert model.score(X) == pytest.approx(vae().fit(X).score(X), abs=2)
