"""Symmetric learning: the game of two players against enumeration, and the classifier that plays it."""

import pickle
from functools import partial
from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_digits, make_blobs
from skorch.callbacks import Callback
from torch import nn
from torch.distributions import Bernoulli, Normal, kl_divergence

from sklearn_geoal import SymmetricVAEClassifier
from sklearn_geoal._nets.dense import DenseDecoder, DenseEncoder
from sklearn_geoal._nets.symmetric_vae import SymmetricVAE, dream_noise

OBJECTIVES = ("symmetric", "elbo")


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


class Normalized(nn.Sequential):
    """An encoder with batch normalisation."""

    def __init__(self, input_shape, n_outputs):
        super().__init__(nn.BatchNorm1d(input_shape[0]), nn.Linear(input_shape[0], n_outputs))


class NormalizedDecoder(Normalized):
    def __init__(self, n_inputs, output_shape):
        super().__init__((n_inputs,), output_shape[0])


def module(n_features=4, priors=(0.2, 0.3, 0.5), n_components=2, encoder=None, decoder=None, **changes):
    params = {"latent": "gaussian", "likelihood": "gaussian", "objective": "symmetric", "label_weight": 1.0}
    params |= {"class_weight": (1.0,) * len(priors)} | changes
    encoder = encoder or partial(DenseEncoder, hidden_units=(8,))
    decoder = decoder or partial(DenseDecoder, hidden_units=(8,))
    return SymmetricVAE((n_features,), list(priors), n_components, encoder, decoder, **params).train()


def batch(n=12, n_features=4, n_classes=3):
    """Labelled rows and rows of both kinds, within [0, 1]."""
    x, u = torch.rand(2, n, n_features)
    y = torch.arange(n) % n_classes
    return x, y, u, torch.where(torch.arange(n) < n // 2, -1, y)


def gradients(*networks):
    return [weights.grad for network in networks for weights in network.parameters()]


# the two players


@pytest.mark.parametrize("latent", ["gaussian", "bernoulli"])
@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_each_player_has_gradients_in_its_own_parameters_alone(latent, likelihood):
    net = module(latent=latent, likelihood=likelihood)
    _, _, u, y_u = batch()
    y_q, s_q, _ = net.inferred(u, y_u)
    loss, residuals = net.decoder_loss(u, y_q, s_q)
    loss.backward()
    assert all(gradient is None for gradient in gradients(net.classifier, net.recognition))
    assert all(gradient.abs().sum() > 0 for gradient in gradients(net.decoder))
    net.zero_grad()
    y_p, s_p, x_p = net.dreamed(len(u), residuals, y_q)
    net.encoder_loss(x_p, y_p, s_p).backward()
    assert all(gradient is None for gradient in gradients(net.decoder))
    assert all(gradient.abs().sum() > 0 for gradient in gradients(net.classifier, net.recognition))


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0), (0.5, 2.0, 0.1)])
def test_both_at_once_have_the_gradients_of_each_alone(weights):
    net = module(label_weight=0.7, class_weight=weights)
    x, y, u, y_u = batch()
    torch.manual_seed(1)
    net.game(x, y, u, y_u)[0].backward()
    together = gradients(net)
    net.zero_grad()
    torch.manual_seed(1)
    y_q, s_q, _ = net.inferred(u, y_u)
    wake, residuals = net.decoder_loss(u, y_q, s_q)
    wake.backward()
    y_p, s_p, x_p = net.dreamed(len(u), residuals, y_q)
    (net.encoder_loss(x_p, y_p, s_p) + 0.7 * F.cross_entropy(net.logits(x), y, torch.tensor(weights))).backward()
    for one, other in zip(together, gradients(net), strict=True):
        torch.testing.assert_close(one, other)


def test_known_classes_stay_and_samples_leave_no_trace_in_the_player_they_are_drawn_from():
    net = module(encoder=Normalized, decoder=NormalizedDecoder)
    _, _, u, y_u = batch()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    y, _, _ = net.inferred(u, y_u)
    assert torch.equal(y[y_u >= 0], y_u[y_u >= 0])
    assert y.min() >= 0
    net.dreamed(len(u), torch.randn(5, 4), torch.zeros(5))
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert net.decoder.training and net.classifier.training


def test_dreams_come_from_the_priors():
    net = module(priors=(0.1, 0.3, 0.6), latent="bernoulli")
    y, s, _ = net.dreamed(20_000, torch.zeros(3, 4), torch.arange(3))
    assert_allclose(torch.bincount(y) / len(y), [0.1, 0.3, 0.6], atol=0.02)
    assert_allclose(s.mean(0), [0.5, 0.5], atol=0.02)
    assert set(s.unique().tolist()) == {0.0, 1.0}


def test_noise_of_dreams_has_the_covariance_of_the_residuals_of_its_class():
    residuals, classes = torch.randn(50, 3), torch.arange(50) % 2
    for y in range(3):  # the last has no residuals of its own
        noise = dream_noise(residuals, classes, torch.full((100_000,), y))
        own = residuals[classes == y] if y < 2 else residuals
        assert_allclose(noise.T @ noise / len(noise), own.T @ own / len(own), atol=0.03)
        assert noise.mean(0).abs().max() < 0.03


def test_dreams_lose_their_noise_as_the_training_starts():
    net, residuals = module(), torch.randn(5, 4)
    net.warmth = 0.0
    y, s, x = net.dreamed(7, residuals, torch.zeros(5))
    torch.testing.assert_close(x, net.expected(y, s))


# the distributions


def test_divergences_and_densities_are_those_of_torch():
    moments, s = torch.randn(7, 4), torch.randn(7, 2)
    net, q = module(), Normal(moments[:, :2], torch.exp(moments[:, 2:] / 2))
    prior = Normal(torch.zeros(7, 2), 1.0)
    torch.testing.assert_close(net.divergence(moments), kl_divergence(q, prior).sum(1))
    torch.testing.assert_close(net.log_posterior(moments, s), q.log_prob(s).sum(1))
    torch.testing.assert_close(net.log_prior(s), prior.log_prob(s).sum(1))
    moments, s = torch.randn(7, 2), torch.bernoulli(torch.full((7, 2), 0.5))
    net, q, prior = module(latent="bernoulli"), Bernoulli(logits=moments), Bernoulli(torch.full((7, 2), 0.5))
    torch.testing.assert_close(net.divergence(moments), kl_divergence(q, prior).sum(1))
    torch.testing.assert_close(net.log_posterior(moments, s), q.log_prob(s).sum(1))
    torch.testing.assert_close(net.log_prior(s), prior.log_prob(s).sum(1))


def test_lower_bound_sums_the_classes_out():
    net = module(objective="elbo", likelihood="bernoulli", label_weight=0.0)
    x, y, u, y_u = batch()
    torch.manual_seed(1)
    loss = net.losses(x, y, u, y_u)["train_loss"]
    torch.manual_seed(1)
    noise = torch.randn(len(u), 3, 2)
    q, expected = net.probabilities(u), 0.0
    for i in range(len(u)):
        for c in range(3) if y_u[i] < 0 else [int(y_u[i])]:
            moments, row = net.moments(u[i : i + 1])[:, c], u[i : i + 1]
            s = net.draw(moments, noise[i, c][None])
            cost = (net.divergence(moments) - net.log_likelihood(row, torch.tensor([c]), s))[0]
            weight = q[i, c] if y_u[i] < 0 else 1.0
            rate = torch.log(q[i, c] / net.log_priors[c].exp()) if y_u[i] < 0 else 0.0
            expected += weight * (cost + rate) / len(u)
    torch.testing.assert_close(loss, expected)


# two binary latents and two binary features: everything can be summed


def enumerated(net):
    """p(y, s, x) of the decoder and the conditionals of the encoder, for x in order: (4, 2, 2), (4, 2), (4, 2)."""
    x = torch.tensor(list(product([0.0, 1.0], repeat=2)))
    joint = torch.zeros(4, 2, 2)
    with torch.no_grad():
        for y, s in product(range(2), repeat=2):
            log_p = net.log_likelihood(x, torch.full((4,), y), torch.full((4, 1), float(s)))
            joint[:, y, s] = torch.exp(net.log_priors[y] + log_p) / 2
        return joint, net.probabilities(x), torch.sigmoid(net.moments(x))[:, :, 0]


def toy():
    return module(
        2, (0.4, 0.6), 1, decoder=partial(DenseDecoder, hidden_units=()), latent="bernoulli", likelihood="bernoulli"
    )


def test_game_of_binary_variables_ends_where_the_encoder_is_the_posterior_of_the_decoder():
    truth, net = toy(), toy()
    with torch.no_grad():  # features that follow y and s in different ways
        truth.decoder[0].weight.copy_(torch.tensor([[-1.0, 1.0, 2.0], [1.0, -0.5, -2.0]]))
        truth.decoder[0].bias.copy_(torch.tensor([-0.5, 0.5]))
        y = torch.multinomial(truth.log_priors.exp().expand(20_000, -1), 1)[:, 0]
        x = torch.bernoulli(truth.expected(y, torch.bernoulli(torch.full((len(y), 1), 0.5))))
    known = torch.where(torch.rand(len(y)) < 0.5, y, -1)
    net.decoder.load_state_dict(truth.decoder.state_dict())
    optimizer = torch.optim.Adam(net.parameters(), lr=0.03)
    for step in range(400):
        optimizer.param_groups[0]["lr"] = 0.03 * (1 - step / 400)
        rows, labeled = torch.randint(len(x), (1024,)), torch.randint(len(x), (1024,))
        optimizer.zero_grad()
        net.losses(x[labeled], y[labeled], x[rows], known[rows])["train_loss"].backward()
        optimizer.step()
    joint, q_y, q_s = enumerated(net)
    p_x = joint.sum((1, 2))
    assert_allclose(q_y, joint.sum(2) / p_x[:, None], atol=0.05)
    assert_allclose(q_s, joint[:, :, 1] / joint.sum(2), atol=0.05)
    assert_allclose(joint.sum(2), enumerated(truth)[0].sum(2), atol=0.03)  # p(x, y)
    assert q_s.max() - q_s.min() > 0.3


def test_bound_of_the_likelihood_tends_to_it():
    net = toy().eval()
    joint = enumerated(net)[0].sum((1, 2)).log()
    x = torch.tensor(list(product([0.0, 1.0], repeat=2)))
    with torch.no_grad():
        bounds = torch.stack([net.bound(x, torch.rand(1, 1)) for _ in range(500)]).mean(0)
        assert_allclose(net.bound(x, torch.rand(5000, 1)), joint, atol=0.02)
    assert (bounds <= joint + 0.01).all()


# the classifier


@pytest.fixture(scope="module")
def blobs():
    X, truth = make_blobs(150, n_features=4, centers=3, cluster_std=2.0, random_state=0)
    return X, truth, np.where(np.arange(150) < 30, truth, -1)


def quick(**changes):
    """A small network, trained for a few steps."""
    return SymmetricVAEClassifier(**{"hidden_units": (16,), "max_epochs": 3, "random_state": 0} | changes)


@pytest.fixture(scope="module")
def fitted(blobs):
    X, _, y = blobs
    return quick().fit(X, y)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_unlabelled_digits_help(objective):
    X, truth = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    labeled = np.concatenate([rng.permutation(np.flatnonzero(truth == c))[:10] for c in range(10)])
    y = np.full(len(X), -1)
    y[labeled] = truth[labeled]
    model = SymmetricVAEClassifier(objective=objective, label_weight=10, max_epochs=10, random_state=0).fit(X, y)
    assert (model.transduction_ == truth)[y < 0].mean() > 0.85
    assert_array_equal(model.transduction_[labeled], truth[labeled])
    assert model.history_[-1]["divergence_y"] > 1
    samples, classes = model.sample(200, y=np.repeat(np.arange(10), 20), random_state=0)
    assert (model.predict(samples) == classes).mean() > 0.9


def test_reconstructions_are_nearer_than_the_mean_and_likelihood_tells_data_from_noise():
    X, truth = load_digits(return_X_y=True)
    model = quick(hidden_units=(16, 32), max_epochs=10, image_shape=(1, 8, 8)).fit(X[:500], truth[:500])
    error = ((model.reconstruct(X) - X) ** 2).mean()
    assert error < 0.9 * X.var(axis=0).mean()
    some = X[::6]
    noise = np.random.default_rng(0).permuted(some, axis=1)
    assert model.score_samples(some).mean() > model.score_samples(noise).mean() + 10
    assert model.score_samples(some, n_draws=20).mean() > model.score_samples(some).mean()


@pytest.mark.parametrize("latent", ["gaussian", "bernoulli"])
def test_verbs_keep_form_and_dtype(blobs, latent):
    X, _, y = blobs
    for data in (X.astype(np.float32), X):
        model = quick(latent=latent).fit(data, y)
        assert model.predict_proba(data).dtype == data.dtype
        for result in (model.reconstruct(data), model.sample(5)[0], model.transform(data)):
            assert result.dtype == data.dtype and np.isfinite(result).all()
        assert model.transform(data).shape == (150, 2)
        assert model.score_samples(data).shape == (150,)
    images = X.reshape(-1, 1, 2, 2)
    model = quick(latent=latent, hidden_units=(4,)).fit(images, y)
    assert model.reconstruct(images).shape == images.shape
    assert model.sample(5)[0].shape == (5, 1, 2, 2)


def test_labels_of_any_kind(blobs, fitted):
    X, truth, y = blobs
    expected = fitted.predict(X)
    names = np.array(["birch", "oak", "pine"], dtype=object)
    named = quick().fit(X, np.where(y < 0, None, names[truth]))
    assert_array_equal(named.predict(X), names[expected])
    assert_array_equal(quick().fit(X, np.where(y < 0, np.nan, y)).predict(X), expected)
    assert_array_equal(quick(missing_label=7).fit(X, np.where(y < 0, 7, y)).predict(X), expected)
    _, classes = named.sample(4, y="oak")
    assert classes.tolist() == ["oak"] * 4


def test_frames_and_read_only_arrays(blobs, fitted):
    X, _, y = blobs
    expected = fitted.predict_proba(X)
    frame = pd.DataFrame(X, columns=list("abcd"))
    assert_array_equal(quick().fit(frame, pd.Series(y)).predict_proba(frame), expected)
    frozen = X.copy()
    frozen.flags.writeable = False
    assert_array_equal(quick().fit(frozen, y).predict_proba(frozen), expected)
    assert_array_equal(quick().fit(X[:, ::-1][:, ::-1], y).predict_proba(X), expected)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_few_and_many_labels(blobs, objective):
    X, truth, _ = blobs
    one_each = np.full(150, -1)
    first = [np.flatnonzero(truth == c)[0] for c in range(3)]
    one_each[first] = truth[first]
    no_unlabelled_of_class_0 = np.where((truth == 0) | (np.arange(150) < 30), truth, -1)
    for y in (one_each, no_unlabelled_of_class_0, truth):
        model = quick(objective=objective).fit(X, y)
        assert np.isfinite(model.predict_proba(X)).all()
    assert quick(objective=objective).fit(X[:2], [0, 1]).predict(X[:2]).shape == (2,)


def test_priors(blobs, fitted):
    X, _, y = blobs
    shares = np.bincount(y[y >= 0]) / (y >= 0).sum()
    assert_allclose(fitted.priors_, shares)
    model = quick(priors=[0.7, 0.2, 0.1]).fit(X, y)
    drawn = model.sample(5000, random_state=0)[1]
    assert_allclose(np.bincount(drawn) / 5000, [0.7, 0.2, 0.1], atol=0.03)
    for priors in ([0.5, 0.5], [0.5, 0.5, 0.0], [0.5, 0.5, 0.5], [0.5, np.nan, 0.5]):
        with pytest.raises(ValueError, match="priors must be 3 positive numbers"):
            quick(priors=priors).fit(X, y)


def test_sample_of_a_class_never_seen_is_an_error(fitted):
    with pytest.raises(ValueError, match=r"samples of \[5\], but the labels of fit"):
        fitted.sample(3, y=5)
    with pytest.raises(ValueError, match="shape"):
        fitted.sample(3, y=[0, 1])
    X_first, y_first = fitted.sample(6, y=[0, 1, 2, 0, 1, 2], random_state=1)
    assert y_first.tolist() == [0, 1, 2, 0, 1, 2]
    assert_array_equal(X_first, fitted.sample(6, y=y_first, random_state=1)[0])


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"n_components": 0}, "n_components"),
        ({"objective": "free energy"}, "objective must be one of"),
        ({"objective": "elbo", "latent": "bernoulli"}, "reparametrised"),
        ({"likelihood": "bernoulli"}, "within"),
        ({"label_weight": 0}, "label_weight"),
        ({"warmup": 2}, "warmup"),
        ({"encoder": "conv"}, "needs images"),
    ],
)
def test_wrong_parameters_are_named(blobs, changes, message):
    X, _, y = blobs
    with pytest.raises(ValueError, match=message):
        quick(**changes).fit(X, y)


def test_wrong_labels_are_named(blobs):
    X, _, y = blobs
    with pytest.raises(ValueError, match="no known label"):
        quick().fit(X, np.full(150, -1))
    with pytest.raises(ValueError, match="one class only, 1"):
        quick(missing_label=-1).fit(X, np.where(y == 1, 1, -1))
    with pytest.raises(ValueError, match="inconsistent"):
        quick().fit(X, y[:-1])


def test_scale_of_the_data_does_not_matter(blobs, fitted):
    X, _, y = blobs
    for scale in (1e-20, 1e20):
        model = quick().fit(scale * X, y)
        assert_allclose(model.predict_proba(scale * X), fitted.predict_proba(X), atol=1e-3)
        bounds = model.score_samples(scale * X) + 4 * np.log(scale)
        assert_allclose(bounds, fitted.score_samples(X), atol=0.05)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_warm_start_goes_on_with_more_labels(blobs, objective):
    X, truth, y = blobs
    model = quick(objective=objective, warm_start=True).fit(X, y)
    priors = model.priors_
    more = np.where(np.arange(150) < 60, truth, -1)
    model.fit(X, more)
    assert [row["epoch"] for row in model.history_] == list(range(1, 7))
    assert_array_equal(model.transduction_[:60], truth[:60])
    assert model.priors_ is priors
    other = {"n_components": 3, "label_weight": 3.0, "likelihood": "bernoulli", "latent": "bernoulli"}
    for name in other if objective == "symmetric" else ["n_components"]:
        with pytest.raises(ValueError, match=rf"'{name}': .*are now.*'{name}': .*Set them back"):
            copy = pickle.loads(pickle.dumps(model)).set_params(**{name: other[name]})
            copy.fit((X - X.min()) / np.ptp(X), more)


class Rows(Callback):
    """Keeps the rows of each batch that a net trains on or validates with."""

    def __init__(self):
        self.trained, self.validated = [], []

    def on_batch_begin(self, net, batch, training, **kwargs):
        if training:
            self.trained += [batch[0], batch[2]]
        else:
            self.validated += [batch[0]]


def test_early_stopping_sets_labelled_rows_aside(blobs):
    X, _, y = blobs
    model = quick(early_stopping=True, validation_fraction=0.3, max_epochs=2, callbacks=[Rows()]).fit(X, y)
    assert all("valid_loss" in row for row in model.history_)
    rows = next(callback for _, callback in model.net_.callbacks_ if isinstance(callback, Rows))
    trained, validated = (torch.cat(part).unique(dim=0) for part in (rows.trained, rows.validated))
    assert (len(trained), len(validated)) == (150 - 9, 9)
    assert len(torch.cat([trained, validated]).unique(dim=0)) == 150
    Z = ((X[:30] - model.location_) / model.scale_).astype(np.float32)
    assert max(np.abs(Z - row).max(axis=1).min() for row in validated.numpy()) < 1e-5


def test_pickle_keeps_everything(blobs, fitted):
    X, _, _ = blobs
    copy = pickle.loads(pickle.dumps(fitted))
    assert_array_equal(copy.predict_proba(X), fitted.predict_proba(X))
    assert_array_equal(copy.score_samples(X), fitted.score_samples(X))
    assert_array_equal(copy.sample(3, random_state=0)[0], fitted.sample(3, random_state=0)[0])
