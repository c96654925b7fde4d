"""Networks and losses: shapes, and formulas against slow references."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence

from sklearn_geoal._nets import resolve_body
from sklearn_geoal._nets.classifier import Classifier
from sklearn_geoal._nets.conv import ConvDecoder, ConvEncoder
from sklearn_geoal._nets.dense import DenseDecoder, DenseEncoder
from sklearn_geoal._nets.vae import (
    MIN_NOISE_VARIANCE,
    VAE,
    bernoulli_nll,
    draw_latents,
    gaussian_nll,
    kl_to_standard_normal,
    optimal_gaussian_nll,
)

SHAPES = [(7,), (1, 1, 1), (5, 1, 1), (3, 8, 8), (2, 7, 5), (1, 1, 9), (3, 64, 33)]


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def small_vae(**changes):
    params = {"input_shape": (6,), "n_components": 2, "encoder": DenseEncoder, "decoder": DenseDecoder}
    return VAE(**{**params, **changes})


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("units", [(), (4,), (4, 6, 8, 10)])
def test_bodies_give_the_asked_shapes(shape, units):
    x, z = torch.randn(2, *shape), torch.randn(2, 3)
    pairs = [(DenseEncoder, DenseDecoder), (ConvEncoder, ConvDecoder)]
    for encoder, decoder in pairs[: 1 if len(shape) == 1 else 2]:
        assert encoder(shape, 3, units)(x).shape == (2, 3)
        assert decoder(3, shape, units)(z).shape == (2, *shape)


def test_rows_of_a_batch_do_not_mix():
    x = torch.randn(6, 3, 9, 9)
    order = torch.randperm(6)
    for encoder in (ConvEncoder((3, 9, 9), 4), DenseEncoder((3, 9, 9), 4)):
        torch.testing.assert_close(encoder(x)[order], encoder(x[order]))


def test_dense_encoder_with_permuted_features_and_weights_is_the_same_function():
    encoder, x = DenseEncoder((6,), 3), torch.randn(5, 6)
    expected, order = encoder(x), torch.randperm(6)
    first = next(layer for layer in encoder if isinstance(layer, nn.Linear))
    first.weight.data = first.weight.data[:, order]
    torch.testing.assert_close(encoder(x[:, order]), expected)


def test_without_hidden_units_the_bodies_are_affine():
    encoder, decoder = DenseEncoder((6,), 3, ()), DenseDecoder(3, (6,), ())
    for body, a, b in (
        (encoder, torch.randn(2, 6), torch.randn(2, 6)),
        (decoder, torch.randn(2, 3), torch.randn(2, 3)),
    ):
        torch.testing.assert_close(body(0.3 * a + 0.7 * b), 0.3 * body(a) + 0.7 * body(b))


@pytest.mark.parametrize(
    "body, image_shape, expected",
    [("auto", None, 1), ("auto", (1, 4, 4), 2), ("dense", (1, 4, 4), 1), (nn.Linear, None, 0)],
)
def test_resolve_body(body, image_shape, expected):
    classes = (nn.Linear, DenseEncoder, ConvEncoder)
    for units in ("auto", (5,)):
        found = resolve_body("encoder", body, DenseEncoder, ConvEncoder, hidden_units=units, image_shape=image_shape)
        assert getattr(found, "func", found) is classes[expected]


@pytest.mark.parametrize(
    "body, hidden_units, message",
    [
        ("conv", "auto", 'encoder="conv" needs images'),
        ("deep", "auto", "encoder must be .*; got 'deep'"),
        (nn.Linear(2, 2), "auto", "encoder must be"),
        ("dense", 5, "hidden_units must be .*; got 5"),
        ("dense", (5, 0), "hidden_units must be"),
        ("dense", "wide", "hidden_units must be"),
    ],
)
def test_resolve_body_errors(body, hidden_units, message):
    with pytest.raises(ValueError, match=message):
        resolve_body("encoder", body, DenseEncoder, ConvEncoder, hidden_units=hidden_units, image_shape=None)


def test_kl_is_that_of_torch_and_zero_only_at_the_prior():
    mean, log_var = torch.randn(50, 3), torch.randn(50, 3)
    kl = kl_to_standard_normal(mean, log_var)
    posterior = Independent(Normal(mean, torch.exp(log_var / 2)), 1)
    torch.testing.assert_close(kl, kl_divergence(posterior, Independent(Normal(torch.zeros(3), torch.ones(3)), 1)))
    assert (kl > 0).all()
    assert kl_to_standard_normal(torch.zeros(1, 3), torch.zeros(1, 3)) == 0


def test_likelihoods_are_those_of_torch():
    x, mean, variance = torch.randn(5, 4), torch.randn(5, 4), torch.tensor(0.3)
    expected = -Independent(Normal(mean, variance.sqrt()), 1).log_prob(x)
    torch.testing.assert_close(gaussian_nll(x, mean, variance), expected)
    bits = (x > 0).float()
    torch.testing.assert_close(bernoulli_nll(bits, mean), -Independent(Bernoulli(logits=mean), 1).log_prob(bits))


def test_optimal_noise_variance_is_the_best_one():
    x, mean = torch.randn(40, 7, dtype=torch.float64), torch.randn(40, 7, dtype=torch.float64)
    best = optimal_gaussian_nll(x, mean)
    variance = ((x - mean) ** 2).mean()
    torch.testing.assert_close(gaussian_nll(x, mean, variance).mean(), best)
    for factor in (0.9, 1.1):
        assert gaussian_nll(x, mean, factor * variance).mean() > best


def test_perfect_reconstruction_has_a_finite_loss_and_gradient():
    mean = torch.ones(3, 4, requires_grad=True)
    loss = optimal_gaussian_nll(torch.ones(3, 4), mean)
    loss.backward()
    assert loss.item() == pytest.approx(2 * (math.log(2 * math.pi * MIN_NOISE_VARIANCE) + 1), rel=1e-4)
    assert torch.isfinite(mean.grad).all()


def test_latent_draws_have_the_asked_mean_and_variance():
    mean, log_var = torch.tensor([[1.0, -2.0]]), torch.tensor([[0.0, -1.0]])
    z = draw_latents(mean, log_var, torch.randn(20000, 2))
    torch.testing.assert_close(z.mean(0), mean[0], atol=0.03, rtol=0)
    torch.testing.assert_close(z.var(0), log_var.exp()[0], atol=0.03, rtol=0)


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_forward_is_the_negative_bound_term_by_term(likelihood):
    vae, x = small_vae(likelihood=likelihood, beta=0.5).double(), torch.rand(9, 6, dtype=torch.float64)
    torch.manual_seed(1)
    loss = vae(x)
    torch.manual_seed(1)
    mean, log_var = vae.encoder(x)[:, :2], vae.encoder(x)[:, 2:]
    output = vae.decoder(mean + torch.exp(log_var / 2) * torch.randn_like(mean))
    if likelihood == "gaussian":
        scale = ((x - output) ** 2).mean().sqrt()
        nll = -Normal(output, scale).log_prob(x).sum(1)
    else:
        nll = nn.BCEWithLogitsLoss(reduction="none")(output, x).sum(1)
    kl = kl_divergence(Normal(mean, torch.exp(log_var / 2)), Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(loss, (nll + 0.5 * kl).mean(), rtol=1e-6, atol=1e-6)


def test_warm_up_weighs_the_divergence_in_training_only():
    vae, x = small_vae(), torch.randn(9, 6)
    losses = {}
    for weight in (0.0, 1.0):
        vae.kl_weight = weight
        for training in (True, False):
            torch.manual_seed(1)
            losses[weight, training] = vae.train(training)(x)
    kl = kl_to_standard_normal(*vae.encode(x)).mean()
    assert losses[0.0, False] == losses[1.0, False] == losses[1.0, True]
    torch.testing.assert_close(losses[1.0, True] - losses[0.0, True], kl, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_bounds_against_a_slow_reference_and_each_other(likelihood):
    vae = small_vae(likelihood=likelihood).double()
    x, noise = torch.rand(4, 6, dtype=torch.float64), torch.randn(30, 2, dtype=torch.float64)
    prior = Normal(0.0, 1.0)
    with torch.no_grad():
        elbo, bound = vae.elbo(x, noise), vae.importance_weighted_bound(x, noise)
        for i in range(len(x)):
            mean, log_var = (part[0] for part in vae.encode(x[i : i + 1]))
            posterior = Normal(mean, torch.exp(log_var / 2))
            log_likelihoods, weights = [], []
            for draw in noise:
                z = mean + posterior.scale * draw
                output = vae.decode(z[None])[0]
                density = Normal(output, 1.0) if likelihood == "gaussian" else None
                terms = density.log_prob(x[i]) if density else -nn.BCEWithLogitsLoss(reduction="none")(output, x[i])
                log_likelihoods.append(terms.sum())
                log_weight = terms.sum() + prior.log_prob(z).sum() - posterior.log_prob(z).sum()
                weights.append(log_weight.exp())
            kl = kl_divergence(posterior, prior).sum()
            torch.testing.assert_close(elbo[i], torch.stack(log_likelihoods).mean() - kl)
            torch.testing.assert_close(bound[i], torch.stack(weights).mean().log())
    assert (bound > elbo - 0.5).all()
    assert bound.mean() > elbo.mean()


def test_far_outliers_keep_the_posterior_finite():
    _, log_var = small_vae().encode(torch.full((1, 6), 1e6))
    assert torch.isfinite(log_var.exp()).all()


@pytest.mark.parametrize("name", ["encoder", "decoder"])
def test_body_of_wrong_shape_is_an_error(name):
    class Wrong(nn.Linear):
        def __init__(self, n_in, n_out):
            super().__init__(n_in[0] if name == "encoder" else n_in, 1)

    with pytest.raises(ValueError, match=r"Wrong takes shape \(2, \d\) to \(2, 1\), expected \(2, \d\)"):
        small_vae(**{name: Wrong})


@pytest.mark.parametrize("shape, backbone", [((6,), DenseEncoder), ((2, 7, 5), ConvEncoder)])
def test_classifier_against_a_slow_reference(shape, backbone):
    classifier, y = Classifier(shape, 3, backbone).double(), torch.tensor([0, 2, 1, 1])
    x = torch.randn(4, math.prod(shape), dtype=torch.float64)
    logits, p = classifier.logits(x), classifier.probabilities(x)
    torch.testing.assert_close(logits, classifier.backbone(x.reshape(4, *shape)))
    torch.testing.assert_close(p.sum(1), torch.ones(4, dtype=torch.float64))
    torch.testing.assert_close(p.log() - p.log()[:, :1], logits - logits[:, :1])
    torch.testing.assert_close(classifier(x, y), -sum(p[i, y[i]].log() for i in range(4)) / 4)


def test_classifier_of_one_class_is_sure_and_has_no_gradient():
    classifier, x = Classifier((6,), 1, DenseEncoder), torch.randn(5, 6)
    loss = classifier(x, torch.zeros(5, dtype=torch.long))
    loss.backward()
    assert loss == 0
    assert all((parameter.grad == 0).all() for parameter in classifier.parameters())
    assert (classifier.probabilities(x) == 1).all()


def test_backbone_of_wrong_shape_is_an_error():
    with pytest.raises(ValueError, match=r"Linear takes shape \(2, 6\) to \(2, 4\), expected \(2, 3\)"):
        Classifier((6,), 3, lambda input_shape, n_outputs: nn.Linear(6, 4))
