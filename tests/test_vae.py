"""VAETransformer: what a variational autoencoder must satisfy, and what an estimator must."""

import io
import pickle

import joblib
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.decomposition import PCA
from sklearn.preprocessing import MinMaxScaler
from torch import nn

from sklearn_geoal import VAETransformer
from sklearn_geoal._torch import inference


def low_rank_data(n_samples=300, n_features=8, rank=2, noise=0.1, seed=0):
    rng = np.random.default_rng(seed)
    loadings = rng.normal(size=(rank, n_features))
    return rng.normal(size=(n_samples, rank)) @ loadings + noise * rng.normal(size=(n_samples, n_features))


def vae(**changes):
    """A small model trained on the evidence lower bound itself."""
    plain = {"beta": 1.0, "warmup": 0.0, "lr_schedule": "constant"}
    small = {"n_components": 3, "hidden_units": (32,), "max_epochs": 5, "random_state": 0}
    return VAETransformer(**{**plain, **small, **changes})


def copy_of(model):
    return pickle.loads(pickle.dumps(model))


@pytest.fixture(scope="module")
def X():
    return low_rank_data()


@pytest.fixture(scope="module")
def brief(X):
    """The small model, trained for a few steps."""
    return vae().fit(X)


@pytest.fixture(scope="module")
def fitted(X):
    return vae(max_epochs=40, batch_size=32, lr=3e-3).fit(X)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(size=(12, 2, 5, 7)).astype(np.float32)


def test_read_only_and_strided_input_gives_the_same(X, brief):
    strided = np.repeat(X, 2, axis=1)[:, ::2][::-1]
    strided.flags.writeable = False
    assert_array_equal(brief.transform(strided), brief.transform(X)[::-1])
    assert_array_equal(vae().fit(strided[::-1]).transform(X), brief.transform(X))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_of_the_input_is_kept(X, dtype):
    X = X.astype(dtype)
    model = vae(max_epochs=1).fit(X)
    Z = model.transform(X)
    for result in (Z, model.inverse_transform(Z), model.reconstruct(X), model.sample(2), model.score_samples(X)):
        assert result.dtype == dtype


# the model


def test_linear_model_is_probabilistic_pca():
    X = low_rank_data(500)
    params = {"n_components": 2, "hidden_units": (), "batch_size": 50, "lr_schedule": "cosine"}
    model = vae(**params, max_epochs=150, lr=3e-2).fit(X)
    exact = PCA(2).fit(X)
    bound = model.score_samples(X, n_draws=20).mean()
    assert model.score(X) - 0.1 < bound < exact.score(X) + 0.1
    assert bound > exact.score(X) - 0.2
    assert model.noise_variance_ == pytest.approx(exact.noise_variance_, rel=0.2)
    # the total variance is learned last: hardly any likelihood hangs on it
    covariance = exact.get_covariance() - exact.noise_variance_ * np.eye(8)
    sampled = np.cov(model.sample(5000, random_state=0).T)
    assert_allclose(sampled / np.trace(sampled), covariance / np.trace(covariance), atol=0.08)


def test_importance_weighted_bound_rises_with_the_draws(fitted, X):
    bounds = [np.mean([fitted.score_samples(X, n, seed).mean() for seed in range(5)]) for n in (1, 5, 50)]
    assert bounds[0] < bounds[1] < bounds[2]
    assert_array_equal(fitted.score_samples(X, 5), fitted.score_samples(X, 5))
    assert fitted.score(X) == pytest.approx(fitted.score_samples(X).mean())


def test_low_rank_data_is_reconstructed_and_the_rest_collapses():
    X = low_rank_data(noise=0.02)
    model = vae(n_components=5, max_epochs=60, batch_size=32, lr=3e-3).fit(X)
    assert ((model.reconstruct(X) - X) ** 2).mean() < 0.03 * X.var()
    active = model.posterior_scale_ < 0.5
    assert 2 <= active.sum() <= 3
    spread = model.transform(X).std(axis=0)
    assert spread[~active].max() < 0.2 * spread[active].min()


def test_roundtrips(fitted, X):
    Z = fitted.transform(X)
    assert_allclose(fitted.inverse_transform(Z), fitted.reconstruct(X), rtol=1e-4, atol=1e-4)
    raw = copy_of(fitted).set_params(latent_unit="prior")
    assert_allclose(raw.transform(X), Z * fitted.posterior_scale_, rtol=1e-6)
    assert_allclose(raw.inverse_transform(raw.transform(X)), fitted.inverse_transform(Z), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("factor", [2.0**-20, 2.0**14, 2.0**500, 2.0**-500])
def test_scale_of_the_data_does_not_matter(X, brief, factor):
    scaled = vae().fit(factor * X)
    assert_array_equal(scaled.transform(factor * X), brief.transform(X))
    assert_allclose(scaled.reconstruct(factor * X), factor * brief.reconstruct(X))
    shift = X.shape[1] * np.log(factor)
    assert_allclose(scaled.score_samples(factor * X) + shift, brief.score_samples(X), rtol=1e-6, atol=1e-6)


def test_large_offset_does_not_matter(X, brief):
    offset = X + 1e6
    model = vae().fit(offset)
    assert model.location_ == pytest.approx(1e6, rel=1e-3)
    assert_allclose(model.transform(offset), brief.transform(X), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("method", ["transform", "reconstruct", "score_samples"])
def test_rows_do_not_depend_on_each_other_nor_on_the_batches(fitted, X, method, monkeypatch):
    whole = getattr(fitted, method)(X)
    chunks = [getattr(fitted, method)(chunk) for chunk in np.array_split(X, 11)]
    assert_allclose(np.concatenate(chunks), whole, rtol=1e-5, atol=1e-5)
    monkeypatch.setattr(inference, "_MAX_ROWS", 7)
    assert_allclose(getattr(fitted, method)(X), whole, rtol=1e-5, atol=1e-5)


def test_samples_are_fixed_by_the_seed_alone(fitted, X):
    state = torch.get_rng_state()
    assert_array_equal(fitted.sample(9, random_state=1), fitted.sample(9, random_state=1))
    assert not np.array_equal(fitted.sample(9), fitted.sample(9))
    fitted.score_samples(X, 3)
    assert torch.equal(torch.get_rng_state(), state)


def test_bernoulli_model(X):
    X = MinMaxScaler().fit_transform(X)
    model = vae(likelihood="bernoulli", max_epochs=30, batch_size=32, lr=3e-3).fit(X)
    assert (model.location_, model.scale_) == (0, 1)
    assert not hasattr(model, "noise_variance_")
    for result in (model.reconstruct(X), model.sample(50), model.inverse_transform(10 * model.transform(X))):
        assert 0 <= result.min() and result.max() <= 1
    assert model.score(X) > model.score_samples(1 - X).mean()
    with pytest.raises(ValueError, match=r"needs X within \[0, 1\], got values from 0 to 2.*MinMaxScaler"):
        model.fit(2 * X)


def test_warm_up_lets_more_of_the_data_through_at_first(X, brief):
    warm = vae(warmup=1.0).fit(X)
    assert warm.history_[0]["train_loss"] < brief.history_[0]["train_loss"]
    assert warm.net_.module_.warmth == 1.0


def test_large_beta_collapses_everything(X):
    model = vae(beta=1e3, max_epochs=30, lr=1e-2).fit(X)
    assert_allclose(model.posterior_scale_, 1, atol=0.05)


# images and networks


@pytest.mark.parametrize("encoder, decoder", [("auto", "auto"), ("dense", "conv"), ("conv", "dense")])
def test_images_as_images_and_as_rows_are_the_same(images, encoder, decoder):
    rows = images.reshape(len(images), -1)
    params = {"encoder": encoder, "decoder": decoder, "hidden_units": (4, 8)}
    model = vae(**params).fit(images)
    flat = vae(**params, image_shape=(2, 5, 7)).fit(rows)
    assert model.image_shape_ == flat.image_shape_ == (2, 5, 7)
    assert model.n_features_in_ == 70
    Z = model.transform(images)
    for other in (model.transform(rows), flat.transform(rows), flat.transform(images)):
        assert_array_equal(other, Z)
    assert model.inverse_transform(Z).shape == model.reconstruct(rows).shape == images.shape
    assert model.sample(2).shape == (2, 2, 5, 7)
    assert_array_equal(flat.reconstruct(images), model.reconstruct(images).reshape(rows.shape))
    assert_array_equal(model.score_samples(images), flat.score_samples(rows))


def test_images_of_one_pixel(X):
    model = vae(hidden_units=(4, 4)).fit(X[:, :, None, None])
    assert model.transform(X).shape == (len(X), 3)
    assert isinstance(next(model.net_.module_.encoder.modules()), nn.Module)
    assert any(isinstance(layer, nn.Conv2d) for layer in model.net_.module_.encoder.modules())


def test_image_shape_errors(images):
    rows = images.reshape(len(images), -1)
    with pytest.raises(ValueError, match=r"image_shape=\(2, 5, 5\) holds 50 values, but X has 70 features"):
        vae(image_shape=(2, 5, 5)).fit(rows)
    with pytest.raises(ValueError, match=r"X holds images of shape \(2, 5, 7\), expected \(2, 7, 5\)"):
        vae(image_shape=(2, 7, 5)).fit(images)
    with pytest.raises(ValueError, match=r"expected \(2, 5, 7\)"):
        vae().fit(images).transform(images.transpose(0, 1, 3, 2))
    with pytest.raises(ValueError, match=r"expected None.*as it was in fit"):
        vae().fit(rows).transform(images)
    with pytest.raises(ValueError, match='encoder="conv" needs images'):
        vae(encoder="conv").fit(rows)
    with pytest.raises(ValueError, match="dim 3"):
        vae().fit(images[0])


class OwnEncoder(nn.Module):
    def __init__(self, input_shape, n_outputs):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(input_shape[0], 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Dropout(0.1))
        self.layers.append(nn.Linear(16, n_outputs))

    def forward(self, x):
        return self.layers(x)


def test_own_encoder_class(X):
    model = vae(encoder=OwnEncoder, batch_size=26).fit(X[:53])  # the last batch would be a single row
    assert isinstance(model.net_.module_.encoder, OwnEncoder)
    assert_array_equal(model.transform(X), model.transform(X))
    assert_array_equal(pickle.loads(pickle.dumps(model)).transform(X), model.transform(X))


# training in several calls


@pytest.mark.parametrize(
    "params", [{"n_components": 4}, {"beta": 0.5}, {"likelihood": "bernoulli"}, {"encoder": OwnEncoder}], ids=str
)
def test_warm_start_needs_the_model_that_it_finds(X, params):
    X = MinMaxScaler().fit_transform(X)
    model = vae(warm_start=True, max_epochs=1).fit(X)
    with pytest.raises(
        ValueError, match=rf"'{next(iter(params))}': .*are now.*'{next(iter(params))}': .*Set them back"
    ):
        model.set_params(**params).fit(X)


def test_partial_fit_is_one_pass_over_each_chunk(X):
    model = vae(max_epochs=7, lr=1e-2)
    losses = [model.partial_fit(chunk).history_[-1]["train_loss"] for _ in range(15) for chunk in np.array_split(X, 3)]
    assert len(model.history_) == 45
    assert np.mean(losses[-3:]) < np.mean(losses[:3]) - 1
    location = model.location_
    assert_array_equal(model.partial_fit(X + 1).location_, location)
    after_fit = vae(max_epochs=7).fit(X).partial_fit(X)
    assert len(after_fit.history_) == 8
    with pytest.raises(ValueError, match="features"):
        model.partial_fit(X[:, 1:])


@pytest.mark.parametrize("begin", [VAETransformer.fit, VAETransformer.partial_fit])
def test_copies_take_further_chunks_alike(X, begin):
    model = begin(vae(), X)
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    copies = [copy_of(model), joblib.load(file)]
    model.partial_fit(X)
    for copy in copies:
        assert_array_equal(copy.partial_fit(X).transform(X), model.transform(X))


# bad input


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("shape", [(10, 4), (10, 1, 2, 2)])
def test_missing_and_infinite_values_are_an_error(value, shape):
    X = np.zeros(shape)
    X[3, 0] = value
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        vae().fit(X)


@pytest.mark.parametrize(
    "params, message",
    [
        ({"batch_size": 1}, "batch_size == 1, must be >= 2"),
        ({"n_components": 0}, "n_components == 0, must be >= 1"),
        ({"beta": -1}, "beta == -1, must be >= 0"),
        ({"warmup": 2}, "warmup == 2, must be <= 1"),
        ({"likelihood": "poisson"}, "likelihood must be one of 'gaussian', 'bernoulli'; got 'poisson'"),
        ({"latent_unit": "metre"}, "latent_unit must be one of 'posterior', 'prior'; got 'metre'"),
        ({"lr_schedule": "linear"}, "lr_schedule must be one of"),
        ({"optimizer": "adamm"}, "optimizer must be"),
        ({"device": "gpu"}, "device must be"),
        ({"hidden_units": 32}, "hidden_units must be"),
        ({"net_params": {"lr": 1}}, "net_params takes names"),
    ],
)
def test_invalid_parameters(X, params, message):
    with pytest.raises(ValueError, match=message):
        vae(**params).fit(X)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_absent_cuda_is_an_error(X):
    with pytest.raises(ValueError, match="device='cuda' was asked for, but PyTorch finds 0 such devices"):
        vae(device="cuda").fit(X)


def test_wrong_number_of_latent_columns(fitted):
    with pytest.raises(ValueError, match="Z has 2 columns, but the transformer was fitted with n_components=3"):
        fitted.inverse_transform(np.zeros((4, 2)))


@pytest.mark.parametrize("value", [0.0, 0.1, -1e-30, 1e30])
def test_constant_data(value):
    X = np.full((20, 3), value)
    model = vae().fit(X)
    assert model.scale_ == 1
    assert_allclose(model.reconstruct(X), X, rtol=1e-6, atol=0.5)
    assert np.isfinite(model.transform(X)).all() and np.isfinite(model.score(X))


def test_constant_features_and_duplicated_rows(X):
    X = np.column_stack([np.repeat(X[:10], 20, axis=0), np.full(200, 7.0)])
    model = vae(max_epochs=30, lr=1e-2).fit(X)
    assert_allclose(model.reconstruct(X)[:, -1], 7, atol=1.5)
    assert_allclose(model.transform(X)[:20], np.repeat(model.transform(X[:1]), 20, axis=0), rtol=1e-5)


@pytest.mark.parametrize("value", [1e9, 1e300, -1e300])
def test_outliers_beyond_all_measure_stay_finite(fitted, X, value):
    outlier = np.full((1, 8), value)
    for method in (fitted.transform, fitted.reconstruct, fitted.score_samples):
        assert np.isfinite(method(outlier)).all()
    assert np.isfinite(vae().fit(np.vstack([X, outlier])).score(X))


def test_one_sample_and_two():
    with pytest.raises(ValueError, match="1 sample"):
        vae().fit(np.zeros((1, 3)))
    model = vae().fit(np.eye(2, 3))
    assert model.transform(np.zeros((1, 3))).shape == (1, 3)
    with pytest.raises(ValueError, match="leaves 1 of 2 samples"):
        vae(early_stopping=True).fit(np.eye(2, 3))


@pytest.mark.gpu
def test_cuda_latents_resemble_those_of_the_cpu(X):
    model = vae(device="cuda").fit(X)
    loaded = pickle.loads(pickle.dumps(model))
    assert_allclose(loaded.transform(X), model.transform(X), rtol=1e-4, atol=1e-4)
    assert model.score(X) == pytest.approx(vae().fit(X).score(X), abs=2)
