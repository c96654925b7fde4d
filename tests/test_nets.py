"""Networks and losses: shapes, and formulas against slow references."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence

from sklearn_geoal._manifolds import lorentz
from sklearn_geoal._nets.bodies import resolve_body
from sklearn_geoal._nets.classifier import Classifier
from sklearn_geoal._nets.conv import ConvDecoder, ConvEncoder, NormalizedConvDecoder, NormalizedConvEncoder
from sklearn_geoal._nets.dense import DenseDecoder, DenseEncoder
from sklearn_geoal._nets.hyperbolic_vae import MAX_RADIUS, DrawAndKL, HyperbolicVAE, as_posterior
from sklearn_geoal._nets.unet import UNet
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
        vae.warmth = weight
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
    classifier, y = Classifier(shape, 3, backbone, (1.0,) * 3).double(), torch.tensor([0, 2, 1, 1])
    x = torch.randn(4, math.prod(shape), dtype=torch.float64)
    logits, p = classifier.logits(x), classifier.probabilities(x)
    torch.testing.assert_close(logits, classifier.backbone(x.reshape(4, *shape)))
    torch.testing.assert_close(p.sum(1), torch.ones(4, dtype=torch.float64))
    torch.testing.assert_close(p.log() - p.log()[:, :1], logits - logits[:, :1])
    torch.testing.assert_close(classifier(x, y), -sum(p[i, y[i]].log() for i in range(4)) / 4)


def test_classifier_of_one_class_is_sure_and_has_no_gradient():
    classifier, x = Classifier((6,), 1, DenseEncoder, (1.0,)), torch.randn(5, 6)
    loss = classifier(x, torch.zeros(5, dtype=torch.long))
    loss.backward()
    assert loss == 0
    assert all((parameter.grad == 0).all() for parameter in classifier.parameters())
    assert (classifier.probabilities(x) == 1).all()


def test_backbone_of_wrong_shape_is_an_error():
    with pytest.raises(ValueError, match=r"Linear takes shape \(2, 6\) to \(2, 4\), expected \(2, 3\)"):
        Classifier((6,), 3, lambda input_shape, n_outputs: nn.Linear(6, 4), (1.0,) * 3)


# convolutions with batch normalisation


@pytest.mark.parametrize(
    "shape, n_auto, n_fitting",
    [((3, 64, 64), 5, 6), ((1, 28, 28), 5, 5), ((2, 5, 7), 3, 3), ((2, 2, 9), 1, 1), ((4, 1, 1), 1, 1)],
)
def test_normalized_convolutions_halve_the_image_as_often_as_it_has_room_for(shape, n_auto, n_fitting):
    encoder, decoder = NormalizedConvEncoder(shape, 3), NormalizedConvDecoder(2, shape)
    assert encoder(torch.randn(4, *shape)).shape == (4, 3)
    assert decoder(torch.randn(4, 2)).shape == (4, *shape)
    for body, layer in ((encoder, nn.Conv2d), (decoder, nn.ConvTranspose2d)):
        for kind in (layer, nn.BatchNorm2d, nn.LeakyReLU):
            assert sum(isinstance(module, kind) for module in body.modules()) == n_auto
    with pytest.raises(ValueError, match=rf"too small for {n_fitting + 1} convolutions.*at most {n_fitting}"):
        NormalizedConvEncoder(shape, 3, (4,) * (n_fitting + 1))


def test_scale_of_latents_does_not_matter_to_the_normalized_decoder():
    decoder, z = NormalizedConvDecoder(2, (1, 8, 8), (4, 4)), torch.randn(9, 2)
    torch.testing.assert_close(decoder(1e8 * z), decoder(1e6 * z), rtol=1e-3, atol=1e-4)


# the hyperbolic autoencoder


def small_hyperbolic_vae(**changes):
    params = {"input_shape": (6,), "n_components": 3, "encoder": DenseEncoder, "decoder": DenseDecoder}
    return HyperbolicVAE(**{**params, **changes}).double()


@pytest.mark.parametrize("radius", [0.5, math.inf])
@pytest.mark.parametrize("scale", [1.0, 0.02, 0.0])
def test_draw_and_kl_with_its_own_derivative_against_the_manifold(scale, radius):
    raw = scale * torch.randn(7, 10, dtype=torch.float64)
    raw[:, 5:] = torch.randn(7, 5)
    noise, c = torch.randn(7, 5, dtype=torch.float64), torch.tensor(0.7, dtype=torch.float64)
    raw, c = raw.requires_grad_(), c.requires_grad_()
    z, kl = DrawAndKL.apply(raw, noise, c, radius)
    mean, log_var, _ = as_posterior(raw, radius)
    std = torch.exp(log_var / 2)
    z_slow, u = lorentz.wrapped_draw(mean, std, noise, c)
    kl_slow = lorentz.kl_to_prior(z_slow, u, mean, std, c).mean()
    torch.testing.assert_close(z, z_slow)
    torch.testing.assert_close(kl, kl_slow, atol=1e-6, rtol=1e-7)
    weight = torch.randn(7, 5, dtype=torch.float64)
    fast = torch.autograd.grad((weight * z).sum() + 3 * kl, (raw, c))
    slow = torch.autograd.grad((weight * z_slow).sum() + 3 * kl_slow, (raw, c))
    torch.testing.assert_close(fast, slow, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("n_components", [1, 2, 128])
@pytest.mark.parametrize("size", [0.0, 1e-20, 1.0, 1e6, 1e15])
def test_training_loss_and_gradient_are_finite_in_single_precision(n_components, size):
    for params in ({"model": "poincare"}, {"clip_radius": None}, {"clip_radius": None, "curvature": 100.0}):
        vae = small_hyperbolic_vae(n_components=n_components, **params).float()
        nn.init.constant_(vae.encoder[-1].bias, size)
        loss = vae(torch.randn(8, 6))
        loss.backward()
        assert torch.isfinite(loss)
        assert all(torch.isfinite(parameter.grad).all() for parameter in vae.parameters())


def test_flat_limit_of_the_divergence_is_the_one_of_the_flat_model():
    raw, noise = torch.randn(50, 6), torch.randn(50, 3)  # in single precision: nothing may cancel
    mean, log_var, _ = as_posterior(raw, math.inf)
    for curvature in (1e-5, 1e-12):
        z, kl = DrawAndKL.apply(raw, noise, curvature, math.inf)
        torch.testing.assert_close(kl, kl_to_standard_normal(mean, log_var).mean(), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(z, draw_latents(mean, log_var, noise), rtol=1e-4, atol=1e-4)


def test_no_posterior_is_wider_than_the_prior_or_farther_than_the_radius():
    mean, log_var, shrink = as_posterior(1e6 * torch.randn(50, 6), 2.0)
    assert (log_var <= 0).all() and torch.isfinite(log_var).all() and (shrink < 1).all()
    torch.testing.assert_close(mean.norm(dim=1), torch.full((50,), 2.0))
    mean, _ = small_hyperbolic_vae(clip_radius=None, curvature=4.0).encode(torch.full((1, 6), 1e9, dtype=torch.float64))
    torch.testing.assert_close(mean.norm(), torch.tensor(MAX_RADIUS / 2, dtype=torch.float64))


@pytest.mark.parametrize("model", ["lorentz", "poincare"])
@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_hyperbolic_bounds_against_a_slow_reference_and_each_other(model, likelihood):
    vae = small_hyperbolic_vae(model=model, likelihood=likelihood, curvature=0.8, clip_radius=2.0)
    x, noise = torch.rand(4, 6, dtype=torch.float64), torch.randn(400, 3, dtype=torch.float64)
    with torch.no_grad():
        elbo, bound = vae.elbo(x, noise), vae.importance_weighted_bound(x, noise)
        mean, log_var = vae.encode(x)
        for i in range(len(x)):
            std = torch.exp(log_var[i] / 2)
            z, _ = lorentz.wrapped_draw(mean[i], std, noise, 0.8)
            log_ratio = lorentz.log_prior(z, 0.8) - lorentz.log_density(z, mean[i], std, 0.8)
            log_weights = vae.log_likelihood(x[i].expand(400, 6), z) + log_ratio
            torch.testing.assert_close(bound[i], torch.logsumexp(log_weights, 0) - math.log(400), rtol=1e-6, atol=1e-6)
            torch.testing.assert_close(elbo[i], log_weights.mean(), rtol=0, atol=0.2)
    assert (elbo < bound + 0.05).all()


def test_bounded_output_ends_with_a_tanh():
    vae = small_hyperbolic_vae(bounded=True)
    z = torch.randn(5, 3, dtype=torch.float64)
    torch.testing.assert_close(vae.decode(z), torch.tanh(vae.decoder(z)))


@pytest.mark.parametrize("units", ["auto", (), (4,)])
@pytest.mark.parametrize("input_shape", [(3, 90, 120), (5, 1, 1), (2, 1, 9), (1, 4, 4)])
def test_unet_gives_an_output_for_each_pixel_of_any_image(input_shape, units):
    net = UNet(input_shape, 5, units)
    for height, width in (input_shape[1:], (1, 1), (1, 13), (33, 2), (17, 90)):
        out = net(torch.randn(2, input_shape[0], height, width))
        assert out.shape == (2, 5, height, width) and torch.isfinite(out).all()


@pytest.mark.parametrize("shape, n_levels", [((3, 90, 120), 4), ((3, 8, 8), 3), ((3, 3, 200), 2), ((200, 1, 1), 1)])
def test_unet_is_as_deep_as_the_image_allows(shape, n_levels):
    net = UNet(shape, 2)
    assert len(net.down) == n_levels and net.alignment == 2 ** (n_levels - 1)
    with pytest.raises(ValueError, match=f"too small for {n_levels + 4} convolutions"):
        UNet(shape[:1] + (2 ** (n_levels - 1) + 1,) * 2, 2, (4,) * (n_levels + 4))


def test_unet_of_single_pixels_is_the_same_function_of_every_pixel():
    net = UNet((6, 1, 1), 3).eval()
    scene = torch.randn(1, 6, 5, 7)
    pixels = scene.permute(0, 2, 3, 1).reshape(35, 6, 1, 1)
    torch.testing.assert_close(net(scene)[0].flatten(1).T, net(pixels).flatten(1))
    assert net.receptive_margin == 0


def test_unet_without_hidden_units_is_affine():
    net, a, b = UNet((3, 8, 8), 4, ()), torch.randn(2, 3, 8, 8), torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(net(0.3 * a + 0.7 * b), 0.3 * net(a) + 0.7 * net(b))
    assert (net.receptive_margin, net.alignment) == (0, 1)


@pytest.mark.parametrize("n_levels", [1, 2, 3])
def test_unet_sees_as_far_as_its_receptive_margin_and_no_further(n_levels):
    net = UNet((1, 64, 64), 1, (2,) * n_levels).eval()
    for name, parameter in net.named_parameters():  # nothing cancels, and nothing comes of nothing
        nn.init.constant_(parameter, 0.0 if name.endswith("bias") else 0.3)
    reach = 0
    for column in range(32, 32 + net.alignment):
        x = torch.zeros(1, 1, 65, 65)
        x[0, 0, 32, column] = 1
        seen = net(x)[0, 0].any(dim=0).nonzero()
        reach = max(reach, int((seen - column).abs().max()))
    assert reach == net.receptive_margin


def test_unet_finds_what_only_the_neighbours_tell():
    # one class for each image, by its brighter half: the other half alone does not tell
    x = torch.randn(8, 1, 12, 12)
    left_is_bright = torch.arange(8) % 2 == 0
    x[left_is_bright, :, :, :6] += 4
    x[~left_is_bright, :, :, 6:] += 4
    y = torch.where(left_is_bright, 0, 1)[:, None, None].expand(8, 12, 12)
    net = UNet((1, 12, 12), 2, (8, 8, 8))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(30):
        loss = nn.functional.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (net(x).argmax(dim=1) == y).float().mean() > 0.95
