"""MixMatch: its mathematics against plain computations, and the classifier that trains by it."""

import pickle
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import ks_2samp
from sklearn.datasets import load_digits, make_blobs
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback
from torch import nn

from sklearn_geoal import MixMatchClassifier, NetClassifier
from sklearn_geoal._labels import MISSING, VOID
from sklearn_geoal._mixmatch.training import MAX_BATCHES, plan_epoch
from sklearn_geoal._nets import mixmatch
from sklearn_geoal._nets.mixmatch import MixMatch
from sklearn_geoal._nets.norms import batch_statistics
from sklearn_geoal._torch.batches import Rows, n_steps_of_epoch
from sklearn_geoal.augment import Flip, GaussianNoise, Rotate90, Shift, resolve_augment
from sklearn_geoal.model_selection import LabeledStratifiedKFold


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


class Linear(nn.Linear):
    def __init__(self, input_shape, n_outputs):
        super().__init__(input_shape[0], n_outputs)


class Pixelwise(nn.Conv2d):
    """The same linear map for each pixel."""

    def __init__(self, input_shape, n_outputs):
        super().__init__(input_shape[0], n_outputs, kernel_size=1)


class Normalized(nn.Sequential):
    """Batch normalisation of the input, of a hidden layer, and dropout."""

    def __init__(self, input_shape, n_outputs):
        n = input_shape[0]
        hidden = [nn.BatchNorm1d(n), nn.Linear(n, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.1)]
        super().__init__(*hidden, nn.Linear(8, n_outputs))


class PixelwiseNormalized(nn.Sequential):
    def __init__(self, input_shape, n_outputs):
        super().__init__(nn.BatchNorm2d(input_shape[0]), Pixelwise(input_shape, n_outputs))


def module(backbone=Linear, input_shape=(4,), n_classes=3, augment=None, **changes):
    """A MixMatch module in training."""
    params = {"n_augmentations": 2, "temperature": 0.5, "alpha": 0.75, "lambda_u": 75.0, "rampup_steps": 0}
    params |= {"weight_decay": 0.02, "ema_decay": 0.999, "dense": len(input_shape) == 3}
    params |= {"class_weight": (1.0,) * n_classes, "mixing": "mixup", "unlabeled_share": 0.5, "confidence": 0.0}
    params |= changes
    return MixMatch(input_shape, n_classes, backbone, resolve_augment(augment, input_shape), **params).train()


def batches(n=6, n_features=4, n_classes=3):
    """A labelled and an unlabelled batch of rows."""
    x, u = torch.randn(2, n, n_features)
    return x, torch.arange(n) % n_classes, u, torch.full((n,), MISSING)


# guessed labels


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 3, 2)])
def test_sharpened_labels_sum_to_one_and_are_the_surer_the_lower_the_temperature(shape):
    p = torch.softmax(2 * torch.randn(shape), dim=1)
    entropies = []
    for temperature in (1.0, 0.5, 0.2, 0.001):
        q = mixmatch.sharpen(p, temperature)
        torch.testing.assert_close(q.sum(dim=1), torch.ones_like(q[:, 0]))
        assert torch.equal(q.argmax(dim=1), p.argmax(dim=1))
        entropies.append(torch.special.entr(q).sum(dim=1))
    torch.testing.assert_close(mixmatch.sharpen(p, 1.0), p)
    torch.testing.assert_close(mixmatch.sharpen(p, 0.5), p**2 / (p**2).sum(dim=1, keepdim=True))
    assert all((after <= before + 1e-6).all() for before, after in pairwise(entropies))
    assert entropies[-1].mean() < 0.1 * entropies[0].mean()


def test_sharpening_keeps_certainty_and_doubt():
    certain, undecided = torch.tensor([[1.0, 0.0, 0.0]]), torch.full((1, 3), 1 / 3)
    for temperature in (1.0, 0.5, 1e-4):
        torch.testing.assert_close(mixmatch.sharpen(certain, temperature), certain)
        torch.testing.assert_close(mixmatch.sharpen(undecided, temperature), undecided)


@pytest.mark.parametrize("n_augmentations", [1, 3])
def test_guesses_are_the_sharpened_mean_over_the_augmented_copies(n_augmentations):
    net = module(augment=GaussianNoise(0.5), n_augmentations=n_augmentations, temperature=0.7)
    _, _, u, y_u = batches()
    guessed = net.guess(u, y_u)
    assert len(guessed) == n_augmentations
    p = np.mean([torch.softmax(net.backbone(inputs), dim=1).detach().numpy() for inputs, _, _ in guessed], axis=0)
    q = p ** (1 / 0.7)
    for inputs, targets, w in guessed:
        assert not torch.equal(inputs, u)
        assert not targets.requires_grad
        assert_allclose(targets, q / q.sum(axis=1, keepdims=True), rtol=1e-5)
        assert_array_equal(w, np.ones((len(u), 1)))


def test_guesses_are_those_of_the_network_in_training_and_leave_no_trace_in_it():
    net = module(Normalized)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    _, _, u, y_u = batches(32)
    u = 10 * u + 5
    net.backbone[4].p = 0.0
    with batch_statistics(net.backbone):
        expected = mixmatch.sharpen(torch.softmax(net.backbone(u), dim=1), 0.5)
    torch.testing.assert_close(net.guess(u, y_u)[0][1], expected)
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert all(layer.track_running_stats for layer in net.modules() if isinstance(layer, nn.BatchNorm1d))


@pytest.mark.parametrize("augmentation", [Flip(vertical=True), Rotate90(), Shift(0.4), [Shift(0.3), Flip()]])
def test_guesses_of_pixels_come_back_to_their_place(augmentation):
    net = module(Pixelwise, (2, 6, 6), augment=augmentation, n_augmentations=3)
    u = torch.randn(5, 2, 6, 6)
    y_u = torch.full((5, 6, 6), MISSING)
    y_u[0, :, :2] = VOID
    with torch.no_grad():
        for inputs, p, w in net.guess(u, y_u):
            # a net that sees one pixel at a time guesses the same for it wherever it was moved
            torch.testing.assert_close(p, w * mixmatch.sharpen(torch.softmax(net.backbone(inputs), dim=1), 0.5))
            assert set(w.unique().tolist()) == {0.0, 1.0}
            assert w[0].sum() <= 24
    moves_out = isinstance(augmentation, Shift) or isinstance(augmentation, list)
    assert (w[1:] == 1).all() != moves_out


# MixUp


@pytest.mark.parametrize("alpha", [0.05, 0.75, 20.0])
def test_larger_shares_are_distributed_as_they_should(alpha):
    shares = mixmatch.larger_shares(100_000, alpha).double().numpy()
    drawn = np.random.default_rng(0).beta(alpha, alpha, size=100_000)
    assert shares.min() >= 0.5
    assert shares.max() <= 1
    assert ks_2samp(shares.round(4), np.maximum(drawn, 1 - drawn).round(4)).statistic < 0.01


def test_without_alpha_nothing_is_mixed():
    assert (mixmatch.larger_shares(100, 1e-9) == 1).all()
    parts = torch.randn(5, 4, 6, 7), torch.rand(5, 3, 6, 7), torch.rand(5, 1, 6, 7)
    for mixed in (mixmatch.mixup(*parts, 1e-9), mixmatch.cutmix(*parts, 1e-9)):
        for got, part in zip(mixed, parts, strict=True):
            torch.testing.assert_close(got, part)


@pytest.mark.parametrize("shape", [(), (2, 3)])
def test_each_sample_is_mixed_with_one_other_which_has_the_smaller_share(shape):
    n = 40
    unit = torch.eye(n).reshape(n, n, *[1] * len(shape)).expand(n, n, *shape)
    x, p, w = mixmatch.mixup(unit, 2 * unit, torch.arange(1.0, n + 1).reshape(n, 1, *[1] * len(shape)), alpha=0.75)
    shares = x.flatten(2)[:, :, 0] if shape else x  # (n, n): of which samples each is made
    own = shares.diagonal()
    assert own.min() >= 0.5
    assert len(own.unique()) > n / 2  # a share for each
    assert ((shares > 0).sum(dim=1) <= 2).all()
    assert ((shares > 0).sum(dim=0) <= 2).all()  # each once the other
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(n))
    torch.testing.assert_close(p, 2 * x)
    torch.testing.assert_close(w.flatten(), shares @ torch.arange(1.0, n + 1))


# CutMix


@pytest.mark.parametrize("height, width", [(40, 60), (64, 16)])
def test_boxes_have_the_area_that_is_asked_for(height, width):
    areas = torch.rand(2000)
    boxes = mixmatch.boxes(areas, height, width)
    assert boxes.shape == (2000, 1, height, width)
    got = boxes.float().mean(dim=(1, 2, 3))
    assert (got - areas).abs().max() < 0.1  # pixels are whole
    assert (got - areas).mean().abs() < 6e-3  # the outer half of the outermost pixels has no centre: a little too large
    # a box: which rows and which columns, together
    rows, columns = boxes.any(dim=3, keepdim=True), boxes.any(dim=2, keepdim=True)
    assert torch.equal(boxes, rows & columns)


def test_boxes_of_no_area_and_of_all():
    assert not mixmatch.boxes(torch.zeros(500), 9, 8).any()
    assert mixmatch.boxes(torch.ones(500), 9, 8).all()


def test_a_box_shows_one_image_with_its_targets():
    n = 40
    names = torch.arange(float(n)).reshape(n, 1, 1, 1).expand(n, 1, 12, 15)
    p = torch.cat([2 * names, 3 * names], dim=1)
    x, p, w = mixmatch.cutmix(names, p, names + 1, alpha=1.0)
    torch.testing.assert_close(p, torch.cat([2 * x, 3 * x], dim=1))
    torch.testing.assert_close(w, x + 1)
    shown = [set(image.unique().tolist()) - {float(name)} for name, image in enumerate(x)]
    assert max(map(len, shown)) == 1
    assert len(set.union(*shown)) == sum(map(len, shown)) > n / 2  # each at most once
    own = (x == names).flatten(1).float().mean(dim=1)
    assert own.min() > 0.4  # half, but for whole pixels
    assert own.mean() < 0.9


@pytest.mark.parametrize("n_unlabeled", [0, 1, 300])
@pytest.mark.parametrize("unlabeled_share", [0.0, 0.3, 1.0])
def test_the_fewer_masks_there_are_the_more_of_their_images_have_a_box(unlabeled_share, n_unlabeled):
    n_labeled = 300
    net = module(Pixelwise, (2, 12, 15), mixing="cutmix", alpha=5.0, unlabeled_share=unlabeled_share)
    names = torch.arange(float(n_labeled + n_unlabeled)).view(-1, 1, 1, 1).expand(-1, 1, 12, 15)
    mixed = net.mix(names, 2 * names, 3 * names, n_labeled=n_labeled)
    x = mixed[0]
    for factor, part in zip((1, 2, 3), mixed, strict=True):
        torch.testing.assert_close(part, factor * x)
    has_box = (x != names).flatten(1).any(dim=1).float()
    assert has_box[:n_labeled].mean().item() == pytest.approx(unlabeled_share, abs=0.1)
    if n_unlabeled > 1:
        assert has_box[n_labeled:].mean() > 0.95
    assert (x[:n_labeled] < n_labeled).all()  # each kind by itself
    assert (x[n_labeled:] >= n_labeled).all()


def test_boxes_bring_nothing_unlabeled_into_the_labeled_loss():
    shape = (2, 12, 15)
    net = module(Pixelwise, shape, mixing="cutmix", alpha=1.0, unlabeled_share=1.0)
    x, u = torch.randn(2, 8, *shape, requires_grad=True)
    missing = torch.full((8, 12, 15), MISSING)
    y = missing.clone()
    y[:, 3, 4] = torch.arange(8) % 3  # a single labelled pixel
    _, loss_x, loss_u = net.losses(x, y, u, missing).values()
    (of_x,) = torch.autograd.grad(loss_x, x, retain_graph=True)
    assert (of_x[:, :, 3, 4] != 0).any()
    assert (torch.autograd.grad(loss_x, u, retain_graph=True)[0] == 0).all()
    assert (torch.autograd.grad(loss_u, u)[0] != 0).any()


# the losses


class Recorded:
    """Noise that remembers the batches it has made."""

    def __init__(self):
        self.batches = []

    def __call__(self, x):
        self.batches.append(x + 0.3 * torch.randn_like(x))
        return self.batches[-1]


def plain_losses(logits_x, y, logits_u, n_augmentations, temperature):
    """L_X and L_U row by row, without MixUp."""
    logits_x, logits_u = logits_x.detach().double().numpy(), logits_u.detach().double().numpy()
    loss_x = loss_u = 0
    for row, code in zip(logits_x, y, strict=True):
        loss_x -= np.log(np.exp(row[code]) / np.exp(row).sum()) / len(y)
    p = np.exp(logits_u) / np.exp(logits_u).sum(axis=1, keepdims=True)
    p = p.reshape(n_augmentations, len(y), -1)
    for i in range(len(y)):
        q = p[:, i].mean(axis=0) ** (1 / temperature)
        for copy in p[:, i]:
            loss_u += np.sum((q / q.sum() - copy) ** 2) / p.size
    return loss_x, loss_u


@pytest.mark.parametrize("alpha", [0, 1e-9])
@pytest.mark.parametrize("n_augmentations, temperature", [(1, 1.0), (1, 0.5), (2, 1.0), (3, 0.3)])
def test_without_mixup_the_losses_are_those_of_a_plain_computation(alpha, n_augmentations, temperature):
    noise = Recorded()
    net = module(augment=noise, alpha=alpha, n_augmentations=n_augmentations, temperature=temperature)
    x, y, u, y_u = batches()
    loss, loss_x, loss_u = net.losses(x, y, u, y_u).values()
    of_x, *of_u = (net.backbone(batch) for batch in noise.batches)
    expected_x, expected_u = plain_losses(of_x, y, torch.cat(of_u), n_augmentations, temperature)
    assert loss_x.item() == pytest.approx(expected_x, rel=1e-5)
    assert loss_u.item() == pytest.approx(expected_u, rel=1e-4, abs=1e-9)
    assert loss.item() == pytest.approx(expected_x + 75 * 3 / 10 * expected_u, rel=1e-5)
    if (n_augmentations, temperature) == (1, 1.0):
        assert loss_u.item() < 1e-12  # its own guess
    else:
        assert loss_u.item() > 1e-5


def test_guesses_are_constants_to_the_gradient():
    net = module(alpha=0, n_augmentations=1)
    x, y, u, y_u = batches()
    net.losses(x, y, u, y_u)["train_loss"].backward()
    p = torch.softmax(net.backbone(u), dim=1)
    q = mixmatch.sharpen(p.detach(), 0.5)
    expected = F.cross_entropy(net.backbone(x), y) + 22.5 * F.mse_loss(p, q)
    torch.testing.assert_close(net.backbone.weight.grad, torch.autograd.grad(expected, net.backbone.weight)[0])


def test_without_unlabeled_rows_the_loss_is_the_cross_entropy_of_mixtures():
    x, y, _, _ = batches(60)
    none, no_codes = torch.empty(0, 4), torch.empty(0, dtype=torch.int64)
    net = module(alpha=0)
    loss, loss_x, loss_u = net.losses(x, y, none, no_codes).values()
    torch.testing.assert_close(loss, F.cross_entropy(net.backbone(x), y))
    assert loss == loss_x
    assert loss_u == 0
    mixed = module(alpha=0.75)
    torch.manual_seed(1)
    loss = mixed.losses(x, y, none, no_codes)["train_loss"]
    torch.manual_seed(1)
    inputs, p, _ = mixmatch.mixup(x, F.one_hot(y, 3).float(), torch.ones(60, 1), 0.75)
    torch.testing.assert_close(loss, F.cross_entropy(mixed.backbone(inputs), p))


def test_weights_of_classes_count_in_the_labeled_loss_alone():
    x, y, u, y_u = batches()
    weights = (0.5, 2.0, 1.5)
    plain, weighted = (module(alpha=0, class_weight=each) for each in ((1.0, 1.0, 1.0), weights))
    weighted.load_state_dict(plain.state_dict())
    _, loss_x, loss_u = weighted.losses(x, y, u, y_u).values()
    torch.testing.assert_close(loss_x, F.cross_entropy(weighted.backbone(x), y, weight=torch.tensor(weights)))
    torch.testing.assert_close(loss_u, plain.losses(x, y, u, y_u)["unlabeled_loss"])


@pytest.mark.parametrize("confidence", [0.0, 0.6, 0.9, 1.0])
@pytest.mark.parametrize("backbone", [Linear, Pixelwise])
def test_what_is_unsure_is_not_learned_from(backbone, confidence):
    shape = (4,) if backbone is Linear else (4, 5, 6)
    net = module(backbone, shape, temperature=0.5, confidence=confidence)
    u = 2 * torch.randn(20, *shape)
    y_u = torch.full((20, *shape[1:]), MISSING)
    for _, p, w in net.guess(u, y_u):
        q = mixmatch.sharpen(torch.softmax(net.backbone(u), dim=1), 0.5)
        sure = q.amax(dim=1, keepdim=True) >= confidence
        torch.testing.assert_close(w, sure.float())
        torch.testing.assert_close(p * sure, q * sure)
        assert confidence in (0, 1) or 0 < sure.float().mean() < 1


def test_void_and_missing_pixels_have_no_influence_on_losses_and_gradients():
    y = torch.randint(3, (2, 4, 5))
    y[0, :2], y[1, :, 0] = VOID, MISSING
    known = (y >= 0).unsqueeze(1).expand(2, 3, 4, 5)
    p, w = mixmatch.encode(y, 3)
    logits = torch.randn(2, 3, 4, 5, requires_grad=True)
    plain_logits = logits.movedim(1, -1)[y >= 0]  # (n_known, 3)
    expected = (
        F.cross_entropy(plain_logits, y[y >= 0]),
        F.mse_loss(plain_logits.softmax(1), F.one_hot(y[y >= 0], 3) * 1.0),
    )
    for loss, plain in zip((mixmatch.cross_entropy, mixmatch.squared_difference), expected, strict=True):
        value = loss(logits, p, w)
        torch.testing.assert_close(value, plain)
        (gradient,) = torch.autograd.grad(value, logits)
        assert (gradient[~known] == 0).all()
        assert (gradient[known] != 0).all()
        nowhere = loss(logits, torch.zeros_like(p), torch.zeros_like(w))
        assert nowhere == 0
        assert (torch.autograd.grad(nowhere, logits)[0] == 0).all()


def test_void_pixels_of_unlabeled_images_are_not_learned_from():
    net = module(Pixelwise, (2, 4, 4), alpha=0, n_augmentations=1)
    x, u = torch.randn(2, 3, 2, 4, 4)
    y, y_u = torch.randint(3, (3, 4, 4)), torch.full((3, 4, 4), MISSING)
    y[:, 0], y_u[:, :, 0] = VOID, VOID
    other_x, other_u = x.clone(), u.clone()
    other_x[:, :, 0], other_u[:, :, :, 0] = 1e3, -1e3
    torch.testing.assert_close(net.losses(other_x, y, other_u, y_u), net.losses(x, y, u, y_u))


def test_mixed_targets_are_weighted_means():
    """A pixel mixed of one that is known and one that is not is learned with the share of the known one."""
    p, w = torch.tensor([[0.6, 0.0]]), torch.tensor([[0.6]])  # 0.6 of the first class, 0.4 of nothing
    logits = torch.tensor([[1.0, -1.0]])
    certain, one = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0]])
    for loss in (mixmatch.cross_entropy, mixmatch.squared_difference):
        torch.testing.assert_close(loss(logits, p, w), loss(logits, certain, one))


@pytest.mark.parametrize("n_classes", [2, 10, 40])
def test_weight_of_the_unlabeled_grows_linearly_and_with_the_classes_up_to_ten(n_classes):
    net = module(n_classes=n_classes, rampup_steps=4)
    weights = []
    for _ in range(6):
        weights.append(net.unlabeled_weight())
        net.finish_step(lr=0.0)
    full = 75 * min(n_classes, 10) / 10
    assert_allclose(weights, full * np.array([0, 0.25, 0.5, 0.75, 1, 1]))
    assert module(n_classes=n_classes).unlabeled_weight() == pytest.approx(full)


# interleaved batches


@pytest.mark.parametrize("n, n_batches", [(12, 3), (4, 4), (5, 1), (6, 2), (6, 3)])
def test_interleaved_is_the_plain_forward_without_batch_normalisation(n, n_batches):
    net = nn.Linear(3, 2)
    x = torch.randn(n * n_batches, 3)
    torch.testing.assert_close(mixmatch.interleaved(net, x, n_batches), net(x))


def test_each_batch_holds_a_part_of_every_block():
    seen = []

    class Spy(nn.Module):
        def forward(self, x):
            seen.append(x.flatten())
            return x

    blocks = torch.arange(3).repeat_interleave(10)
    out = mixmatch.interleaved(Spy(), blocks[:, None] * 1.0, 3)
    assert_array_equal(out.flatten(), blocks)
    assert [sorted(set(batch.tolist())) for batch in seen] == [[0, 1, 2]] * 3
    assert [len(batch) for batch in seen] == [10] * 3


def test_running_statistics_after_a_step_are_those_of_the_first_interleaved_batch():
    net = module(Normalized, alpha=0)
    x, y, u, y_u = batches(9)
    u = 3 * u + 7
    net.losses(x, y, u, y_u)
    first = torch.cat([x, u, u])[[0, 9, 18, 1, 10, 19, 2, 11, 20]]
    norm = net.backbone[0]
    torch.testing.assert_close(norm.running_mean, 0.1 * first.mean(dim=0))
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * first.var(dim=0))
    assert norm.num_batches_tracked == net.backbone[2].num_batches_tracked == 1


# after a step


def test_weight_decay_takes_from_kernels_only():
    net = module(Normalized, weight_decay=0.5)
    for weights in net.backbone.parameters():
        nn.init.constant_(weights, 2.0)
    net.backbone[5].requires_grad_(False)
    net.finish_step(lr=0.1)
    for name, weights in net.backbone.named_parameters():
        assert_allclose(weights.detach(), 1.9 if name == "1.weight" else 2.0, err_msg=name)


def test_average_of_the_weights_is_that_of_a_plain_computation():
    net = module(Normalized, weight_decay=0.0, ema_decay=0.4)
    names = [name for name, _ in net.backbone.named_parameters()]
    expected = {name: net.backbone.state_dict()[name].clone() for name in names}
    for step in range(1, 9):
        for tensor in net.backbone.state_dict().values():
            tensor.add_(torch.randn_like(tensor) if tensor.is_floating_point() else 1)
        net.finish_step(lr=0.1)
        decay = min(0.4, (1 + step) / (10 + step))
        for name in names:
            expected[name] = decay * expected[name] + (1 - decay) * net.backbone.state_dict()[name]
    for name in names:
        torch.testing.assert_close(net.average.state_dict()[name], expected[name])
    assert net.average[0].num_batches_tracked == 8
    torch.testing.assert_close(net.average[0].running_mean, net.backbone[0].running_mean)
    assert net.n_steps == 8


def test_steps_go_back_with_the_weights():
    net = module()
    net.finish_step(lr=0.1)
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    net.finish_step(lr=0.1)
    net.load_state_dict(state)
    assert net.n_steps == 1


def test_training_resumes_from_the_average():
    net = module(Normalized)
    nn.init.zeros_(net.average[1].weight)
    net.finish()
    net.resume()
    assert (net.backbone[1].weight == 0).all()
    assert net.backbone[1].weight is not net.average[1].weight
    net.losses(*batches())["train_loss"].backward()
    assert all(weights.grad is not None for weights in net.backbone.parameters())


# an epoch


@pytest.mark.parametrize("n_labeled, n_unlabeled", [(3, 20), (2, 1), (60, 400), (400, 60), (400, 0), (160, 160)])
@pytest.mark.parametrize("batch_size", [2, 8, 100])
def test_epoch_is_a_pass_over_the_more_numerous_or_goes_on(n_labeled, n_unlabeled, batch_size):
    n_steps, n = plan_epoch(n_labeled, n_unlabeled, batch_size)
    n_rows = max(n_labeled, n_unlabeled)
    assert n == min(batch_size, n_rows)
    assert n_steps * n >= n_rows
    assert n_steps == n_steps_of_epoch(n_rows, n)


class Record(Callback):
    """Keeps the batches that a net trains on."""

    def __init__(self):
        self.batches = []

    def on_batch_begin(self, net, batch, training, **kwargs):
        if training:
            self.batches.append(batch)


class Interrupt(Callback):
    """Raises KeyboardInterrupt in the middle of an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_batch_end(self, net, **kwargs):
        if len(net.history) == self.epoch:
            raise KeyboardInterrupt


def recorded(model, kind):
    """The callback of this kind that was called in the last training of a model."""
    return next(callback for _, callback in model.net_.callbacks_ if isinstance(callback, kind))


def classifier(**changes):
    """A small network, trained for a few steps."""
    params = {"hidden_units": (16,), "batch_size": 32, "lr": 0.01, "max_epochs": 3, "random_state": 0}
    return MixMatchClassifier(**(params | changes))


@pytest.fixture(scope="module")
def data():
    """Samples, labels of a tenth of them, all labels."""
    X, truth = make_blobs(120, n_features=4, centers=3, cluster_std=2.0, random_state=0)
    return X, np.where(np.arange(120) < 12, truth, -1), truth


@pytest.fixture(scope="module")
def fitted(data):
    X, y, _ = data
    return classifier().fit(X, y)


@pytest.fixture(scope="module")
def n_steps():
    """Steps of an epoch on these data, in batches of 32."""
    return plan_epoch(12, 108, 32)[0]


@pytest.mark.parametrize("batch_size", [32, 4])
def test_batches_hold_as_many_labeled_as_unlabeled_rows(data, batch_size):
    X, y, _ = data
    n_steps, _ = plan_epoch(12, 108, batch_size)
    model = classifier(callbacks=[Record()], batch_size=batch_size, max_epochs=2).fit(X, y)
    record = recorded(model, Record)
    Z = ((X - model.location_) / model.scale_).astype(np.float32)
    assert len(record.batches) == 2 * n_steps
    for rows, codes, others, no_codes in record.batches:
        assert len(rows) == len(others) == batch_size
        assert_allclose(rows, Z[[np.abs(Z - row).sum(axis=1).argmin() for row in rows.numpy()]], rtol=1e-4)
        assert codes.min() >= 0
        assert (no_codes == MISSING).all()
    labeled, unlabeled = (np.concatenate(kind) for kind in list(zip(*record.batches[:n_steps], strict=True))[::2])
    for rows, n_rows in ((labeled, 12), (unlabeled, 108)):
        counts = np.unique(rows, axis=0, return_counts=True)[1]
        assert len(counts) == n_rows
        assert counts.max() - counts.min() <= 1


class Weights(Callback):
    """Keeps the weight of the unlabelled in each step."""

    def __init__(self):
        self.weights = []

    def on_batch_begin(self, net, **kwargs):
        self.weights.append(net.module_.unlabeled_weight())


@pytest.mark.parametrize("warmup", [0.0, 0.5, 1.0])
def test_weight_of_the_unlabeled_grows_over_its_part_of_the_fit(data, n_steps, warmup):
    X, y, _ = data
    model = classifier(warmup=warmup, max_epochs=2, callbacks=[Weights()], warm_start=True).fit(X, y)
    steps = np.arange(2 * n_steps)
    expected = np.minimum(1, steps / np.ceil(warmup * 2 * n_steps)) if warmup else np.ones(2 * n_steps)
    assert_allclose(recorded(model, Weights).weights, 22.5 * expected)
    model.fit(X, y)  # the ramp is over
    assert_allclose(recorded(model, Weights).weights, np.full(2 * n_steps, 22.5))


# running statistics of the network that predicts


class NormalizedInput(nn.Sequential):
    """Batch normalisation of the input, after dropout."""

    def __init__(self, input_shape, n_outputs):
        super().__init__(nn.Dropout(0.5), nn.BatchNorm1d(input_shape[0]), Linear(input_shape, n_outputs))


@pytest.mark.parametrize("labels", ["some", "all", "set aside"])
@pytest.mark.parametrize("batch_size", [200, 10])
def test_running_statistics_are_those_of_the_training_rows_as_they_are(data, labels, batch_size):
    X, y, truth = data
    params = {"augment": GaussianNoise(3.0), "alpha": 0.75, "batch_size": batch_size, "callbacks": [Record()]}
    params |= {"early_stopping": labels == "set aside", "validation_fraction": 0.5}
    model = classifier(backbone=NormalizedInput, **params).fit(X, truth if labels == "all" else y)
    given = recorded(model, Record).batches
    rows = np.unique(np.concatenate([part for x, _, u, _ in given for part in (x, u)]), axis=0)
    assert len(rows) == (114 if labels == "set aside" else 120)
    norm = model.net_.module_.average[1]
    if batch_size == 200:
        assert_allclose(norm.running_mean, rows.mean(axis=0), atol=1e-6)
        assert_allclose(norm.running_var, rows.var(axis=0, ddof=1), rtol=1e-5)
    else:  # a mean over batches whose sizes may differ by one, and the variances within them
        assert_allclose(norm.running_mean, rows.mean(axis=0), atol=0.02)
        assert_allclose(norm.running_var, rows.var(axis=0, ddof=1), rtol=0.2)


def refresh(net, n_rows, n):
    """Let a net refresh its statistics for rows of 1, 2, 3, ...: the batches that this takes.

    All of them have a target, and every other one something to guess too.
    """
    given = []
    hook = net.module_.average.register_forward_pre_hook(lambda module, args: given.append(args[0][:, 0].tolist()))
    x = torch.arange(1.0, n_rows + 1)[:, None].repeat(1, 4)
    net.batch_size = n
    net._set_training(True)
    net.after_epoch(Rows((x,), torch.arange(n_rows), torch.arange(0, n_rows, 2)), torch.Generator().manual_seed(0))
    hook.remove()
    return given


@pytest.fixture(scope="module")
def normalized(data):
    X, y, _ = data
    return classifier(backbone=NormalizedInput, max_epochs=1).fit(X, y).net_


@pytest.mark.parametrize("n_rows, n", [(2, 2), (5, 2), (9, 4), (64, 2), (65, 2), (500, 3), (500, 100)])
def test_running_statistics_take_a_bounded_number_of_batches_none_of_a_single_row(normalized, n_rows, n):
    batches = refresh(normalized, n_rows, n)
    assert len(batches) == min(MAX_BATCHES, n_rows // n)
    assert min(map(len, batches)) >= n
    rows = [row for batch in batches for row in batch]
    assert len(set(rows)) == len(rows) == min(n_rows, MAX_BATCHES * n)
    means = np.mean([np.mean(batch) for batch in batches])
    assert_allclose(normalized.module_.average[1].running_mean, np.full(4, means), rtol=1e-5)


def test_without_running_statistics_there_is_nothing_to_refresh(data):
    class BatchStatistics(nn.Sequential):
        def __init__(self, input_shape, n_outputs):
            norm = nn.BatchNorm1d(input_shape[0], track_running_stats=False)
            super().__init__(norm, Linear(input_shape, n_outputs))

    X, y, _ = data
    for backbone in (Linear, BatchStatistics):
        model = classifier(backbone=backbone, max_epochs=1).fit(X, y)
        assert refresh(model.net_, 20, 4) == []
        assert np.isfinite(model.predict_proba(X)).all()


class Fixed(nn.BatchNorm1d):
    """Normalisation by statistics that stay, as of a network trained before."""

    def train(self, mode=True):
        return super().train(False)


class Normalizations(nn.Sequential):
    """Batch normalisations with all sorts of running statistics."""

    def __init__(self, input_shape, n_outputs):
        (n,) = input_shape
        norms = [nn.BatchNorm1d(n, momentum=None), nn.BatchNorm1d(n, momentum=0.3), Fixed(n)]
        super().__init__(*norms, nn.BatchNorm1d(n, track_running_stats=False), Linear(input_shape, n_outputs))
        nn.init.constant_(self[2].running_mean, 0.7)


def test_refreshed_statistics_leave_the_normalisations_as_they_were_made(data):
    X, y, _ = data
    model = classifier(backbone=Normalizations, batch_size=200, max_epochs=2).fit(X, y)
    net = model.net_.module_.average
    Z = ((X - model.location_) / model.scale_).astype(np.float32)
    assert_allclose(net[0].running_mean, Z.mean(axis=0), atol=1e-6)
    assert [net[i].momentum for i in range(4)] == [None, 0.3, 0.1, 0.1]
    assert_allclose(net[2].running_mean, np.full(4, 0.7))
    assert_allclose(net[2].running_var, np.ones(4))
    assert net[3].running_mean is None


def test_an_interrupt_among_the_refreshed_statistics_leaves_those_of_the_epoch_before(data):
    class Interrupted(NormalizedInput):
        n_left = 2

        def forward(self, x):
            if not self.training and len(x) == 120:
                Interrupted.n_left -= 1
                if not Interrupted.n_left:
                    raise KeyboardInterrupt
            return super().forward(x)

    X, y, _ = data
    params = {"batch_size": 120, "warm_start": True, "warmup": 0.0}
    model = classifier(backbone=Interrupted, **params)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    expected = classifier(backbone=NormalizedInput, **params, max_epochs=1).fit(X, y)
    assert_array_equal(model.predict_proba(X), expected.predict_proba(X))
    assert model.net_.module_.average[1].momentum == 0.1


# what the classifier learns


def test_unlabeled_samples_help():
    X, truth = load_digits(return_X_y=True)
    labeled = np.arange(len(X)) < 100
    mixmatch = MixMatchClassifier(max_epochs=10, random_state=0).fit(X, np.where(labeled, truth, -1))
    alone = NetClassifier(random_state=0).fit(X[labeled], truth[labeled])
    assert mixmatch.score(X[~labeled], truth[~labeled]) > alone.score(X[~labeled], truth[~labeled]) + 0.05


@pytest.mark.parametrize("backbone", ["auto", Normalized])
def test_two_labels_of_each_class_and_clear_clusters(backbone):
    X, truth = make_blobs(300, n_features=4, centers=4, cluster_std=0.7, random_state=1)
    first = [row for c in range(4) for row in np.flatnonzero(truth == c)[:2]]
    y = np.full(300, np.nan)
    y[first] = truth[first]
    model = MixMatchClassifier(backbone, max_epochs=5, lr=0.01, warmup=0.5, random_state=0).fit(X, y)
    assert model.score(X, truth) > 0.98


def test_fully_labeled_is_mixup_training(data):
    X, _, truth = data
    model = classifier(max_epochs=12).fit(X, truth)
    assert model.score(X, truth) > 0.8
    assert_array_equal(model.transduction_, truth)
    assert all(epoch["unlabeled_loss"] == 0 for epoch in model.history_)
    assert all(epoch["train_loss"] == epoch["labeled_loss"] for epoch in model.history_)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_probabilities(fitted, data, dtype):
    X = data[0].astype(dtype)
    P = fitted.predict_proba(X)
    assert P.dtype == dtype
    assert P.shape == (len(X), 3)
    assert P.min() >= 0
    assert_allclose(P.sum(axis=1), 1, rtol=4 * np.finfo(dtype).eps)
    assert_array_equal(fitted.predict(X), fitted.classes_[P.argmax(axis=1)])


def test_transduction_keeps_known_labels_and_predicts_the_others(data):
    X, _, truth = data
    y = np.where(np.arange(120) < 12, 2 - truth, -1)
    y[0] = (y[0] + 1) % 3  # a label that the network will not agree with
    model = classifier().fit(X, y)
    assert_array_equal(model.transduction_[:12], y[:12])
    assert_array_equal(model.transduction_[12:], model.predict(X)[12:])


def test_history_has_the_losses_of_each_epoch(data, fitted):
    X, y, _ = data
    assert [set(epoch) for epoch in fitted.history_] == [{"epoch", "train_loss", "labeled_loss", "unlabeled_loss"}] * 3
    for epoch in classifier(warmup=0.0, max_epochs=2).fit(X, y).history_:
        assert epoch["unlabeled_loss"] > 0
        assert epoch["train_loss"] == pytest.approx(epoch["labeled_loss"] + 22.5 * epoch["unlabeled_loss"], rel=1e-4)


# the same data in another form


@pytest.mark.parametrize(
    "names, missing, marker",
    [
        (["b", "c", "d"], None, "auto"),
        (["b", "c", "d"], "?", "?"),
        ([-3.0, 0.5 * 4, 7.0], np.nan, "auto"),
        ([-3.0, 2.0, 7.0], np.nan, np.nan),
        ([0, 5, 9], -1, "auto"),
        ([0, 5, 9], 77, 77),
    ],
)
def test_names_of_the_classes_and_the_marker_do_not_matter(data, fitted, names, missing, marker):
    X, y, _ = data
    dtype = object if missing is None else None
    named = np.array([missing if code < 0 else names[code] for code in y], dtype=dtype)
    model = classifier(missing_label=marker).fit(X, named)
    assert_array_equal(model.classes_, names)
    assert_array_equal(model.predict_proba(X), fitted.predict_proba(X))
    assert_array_equal(model.transduction_, np.array(names)[fitted.transduction_])


@pytest.mark.parametrize("factor", [2.0**-20, 2.0**14, 2.0**500, 2.0**-500])
def test_scale_of_the_data_does_not_matter(data, fitted, factor):
    X, y, _ = data
    assert_array_equal(classifier().fit(factor * X, y).predict_proba(factor * X), fitted.predict_proba(X))


def test_frames_read_only_and_strided_input_give_the_same(data, fitted):
    X, y, _ = data
    strided = np.repeat(X, 2, axis=1)[:, ::2][::-1]
    strided.flags.writeable = False
    assert_array_equal(classifier().fit(strided[::-1], y).predict_proba(X), fitted.predict_proba(X))
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = classifier().fit(frame, pd.Series(y))
    assert_array_equal(model.predict_proba(frame), fitted.predict_proba(X))
    assert_array_equal(model.feature_names_in_, list("abcd"))


@pytest.fixture(scope="module")
def images():
    y = np.arange(24) % 3
    X = np.random.default_rng(0).normal(size=(24, 2, 5, 7)).astype(np.float32) + y[:, None, None, None]
    return X, np.where(np.arange(24) < 9, y, -1)


@pytest.mark.parametrize("backbone", ["auto", "conv", "dense", "wide_resnet"])
def test_images_as_images_and_as_rows_are_the_same(images, backbone):
    X, y = images
    rows = X.reshape(len(X), -1)
    params = {"backbone": backbone, "hidden_units": (4, 8), "max_epochs": 1}
    model = classifier(**params).fit(X, y)
    flat = classifier(**params, image_shape=(2, 5, 7)).fit(rows, y)
    assert model.image_shape_ == flat.image_shape_ == (2, 5, 7)
    assert any(isinstance(layer, nn.Conv2d) for layer in model.net_.module_.modules()) == (backbone != "dense")
    for P in (model.predict_proba(rows), flat.predict_proba(rows), flat.predict_proba(X)):
        assert_array_equal(P, model.predict_proba(X))
    assert_array_equal(model.transduction_, flat.transduction_)


@pytest.mark.parametrize("n_labeled, n_unlabeled", [(2, 1), (2, 0), (3, 50), (50, 1)])
@pytest.mark.parametrize("backbone", ["dense", Normalized])
def test_few_rows(n_labeled, n_unlabeled, backbone):
    n = n_labeled + n_unlabeled
    X = np.random.default_rng(0).normal(size=(n, 3))
    y = np.where(np.arange(n) < n_labeled, np.arange(n) % 2, -1)
    model = classifier(backbone=backbone, batch_size=1000).fit(X, y)
    assert set(model.transduction_) <= {0, 1}
    assert np.isfinite(model.predict_proba(X)).all()


def test_constant_and_duplicated_rows(data):
    # without guesses, which would take a side
    model = classifier(lambda_u=0.0).fit(np.ones((40, 3)), [0, 1] * 5 + [-1] * 30)
    assert_allclose(model.predict_proba(np.ones((2, 3))), 0.5, atol=0.1)
    X, y, truth = data
    doubled = classifier(max_epochs=7).fit(np.vstack([X, X]), np.concatenate([y, y]))
    assert doubled.score(X, truth) > 0.5


@pytest.mark.parametrize("value", [1e9, 1e300])
def test_outliers_beyond_all_measure_stay_finite(data, fitted, value):
    X, y, _ = data
    outlier = np.full((1, 4), value)
    assert_allclose(fitted.predict_proba(outlier).sum(), 1)
    assert np.isfinite(classifier().fit(np.vstack([X, outlier]), [*y, -1]).predict_proba(X)).all()


# pickles, tools of scikit-learn


def test_copies_go_on_with_network_and_average_alike(data):
    X, y, _ = data
    model = classifier(backbone=Normalized, warm_start=True).fit(X, y)
    copy = pickle.loads(pickle.dumps(model))
    assert_array_equal(copy.predict_proba(X), model.predict_proba(X))
    assert_array_equal(copy.fit(X, y).predict_proba(X), model.fit(X, y).predict_proba(X))


def test_pickle_holds_the_average_alone(data):
    X, y, _ = data
    wide = {"hidden_units": (500, 100), "max_epochs": 1}
    model = classifier(**wide).fit(X, y)
    n_weights = sum(weights.numel() for weights in model.net_.module_.average.parameters())
    assert len(pickle.dumps(model)) < 4 * n_weights + 20_000
    assert len(pickle.dumps(classifier(**wide, warm_start=True).fit(X, y))) > 3 * 4 * n_weights


def test_grid_search_on_a_partly_labeled_y(data):
    X, _, truth = data
    y = np.where(np.arange(120) < 30, truth, -1)
    search = GridSearchCV(classifier(), {"alpha": [0.0, 0.75], "max_epochs": [3]}, cv=LabeledStratifiedKFold(3))
    search.fit(X, y)
    assert search.best_score_ > 0.5
    assert len(search.best_estimator_.transduction_) == 120


# training in several calls, interrupts, validation


def test_warm_start_goes_on_with_network_average_and_steps(data, n_steps):
    X, y, _ = data
    model = classifier(warm_start=True).fit(X, y)
    net, first = model.net_, model.history_
    model.fit(X, y)
    assert len(model.history_) == 6
    assert model.net_.module_.n_steps == 2 * 3 * n_steps
    assert net.module_.n_steps == 3 * n_steps  # of the first net, of which a copy was trained
    assert model.history_[3]["labeled_loss"] < first[0]["labeled_loss"]
    model.set_params(lambda_u=0.0, augment=None).fit(X, y)
    last = model.history_[-1]
    assert last["train_loss"] == pytest.approx(last["labeled_loss"])
    assert model.net_.module_.augment.augmentations == ()


def test_warm_start_after_a_fit_without_it_goes_on_from_the_average(data):
    X, y, _ = data
    model = classifier(max_epochs=8).fit(X, y)
    before = model.history_
    model.set_params(warm_start=True, max_epochs=1).fit(X, y)
    assert model.history_[:-1] == before
    assert model.history_[-1]["labeled_loss"] < before[0]["labeled_loss"]


def test_warm_start_on_fewer_classes_keeps_the_columns(data):
    X, y, truth = data
    names = np.array(["a", "b", "c", ""])
    model = classifier(warm_start=True, missing_label="", max_epochs=4).fit(X, names[y])
    model.fit(X[truth > 0], names[y[truth > 0]])
    assert_array_equal(model.classes_, ["a", "b", "c"])
    assert model.score(X[truth > 0], names[truth[truth > 0]]) > 0.6
    assert len(model.transduction_) == (truth > 0).sum()


def test_interrupted_warm_start_goes_back_with_average_steps_and_transduction(data, n_steps):
    X, y, _ = data
    params = {"warmup": 0.0, "warm_start": True}  # that ramps end with max_epochs
    model = classifier(**params, callbacks=[Interrupt(epoch=3)])
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    expected = classifier(**params, max_epochs=2).fit(X, y)
    assert model.history_ == expected.history_
    assert model.net_.module_.n_steps == expected.net_.module_.n_steps == 2 * n_steps
    assert_array_equal(model.predict_proba(X), expected.predict_proba(X))
    assert_array_equal(model.transduction_, expected.transduction_)
    assert len(model.set_params(callbacks=None).fit(X, y).history_) == 5
    with pytest.raises(KeyboardInterrupt):
        model.set_params(callbacks=[Interrupt(epoch=7)]).fit(X[:60], y[:60])
    assert len(model.history_) == 6
    assert model.net_.module_.n_steps == 5 * n_steps + plan_epoch(12, 48, 32)[0]
    assert_array_equal(model.transduction_, np.where(y[:60] < 0, model.predict(X[:60]), y[:60]))


def test_early_stopping_keeps_the_best_epoch_of_the_average(data):
    X, _, truth = data
    y = np.where(np.arange(120) < 40, truth, -1)
    early = {"early_stopping": True, "patience": 3, "validation_fraction": 0.3, "max_epochs": 300}
    model = classifier(**early, callbacks=[Record()]).fit(X, y)
    losses = [epoch["valid_loss"] for epoch in model.history_]
    best = np.argmin(losses)
    assert len(losses) == best + 1 + 3 < 300
    assert model.net_.module_.n_steps == plan_epoch(28, 80, 32)[0] * (best + 1)
    trained_on = np.unique(np.concatenate([rows for rows, *_ in recorded(model, Record).batches]), axis=0)
    Z = ((X[:40] - model.location_) / model.scale_).astype(np.float32)
    is_valid = np.array([np.abs(trained_on - row).sum(axis=1).min() > 1e-4 for row in Z])
    assert is_valid.sum() == 12
    P = model.predict_proba(X[:40])[is_valid]
    assert losses[best] == pytest.approx(-np.log(P[np.arange(12), truth[:40][is_valid]]).mean(), rel=1e-4)


# bad input


@pytest.mark.parametrize(
    "y, message",
    [
        (None, "requires y to be passed, but the target y is None"),
        ([0, 1, -1], "inconsistent numbers of samples"),
        (np.full(120, -1), "y holds no known label"),
        (np.full(120, np.nan), "y holds no known label"),
        (np.full(120, "only"), "labels of one class only, 'only'"),
        (np.repeat([4, -1], 60), "labels of one class only, 4"),
        (np.linspace(0, 1, 120), "Unknown label type"),
        (np.array([1, "a", None] * 40, dtype=object), "y mixes strings and numbers"),
        (np.zeros((120, 2)), "1d array"),
    ],
)
def test_invalid_labels(data, y, message):
    with pytest.raises(ValueError, match=message):
        classifier().fit(data[0], y)


@pytest.mark.parametrize(
    "params, message",
    [
        ({"n_augmentations": 0}, "n_augmentations == 0, must be >= 1"),
        ({"temperature": 0.0}, "temperature == 0.0, must be > 0"),
        ({"alpha": -0.1}, "alpha == -0.1, must be >= 0"),
        ({"lambda_u": -1}, "lambda_u == -1, must be >= 0"),
        ({"warmup": 1.5}, "warmup == 1.5, must be <= 1"),
        ({"ema_decay": 1.0}, "ema_decay == 1.0, must be < 1"),
        ({"weight_decay": -1}, "weight_decay == -1, must be >= 0"),
        ({"max_epochs": 0}, "max_epochs == 0, must be >= 1"),
        ({"backbone": "deep"}, 'backbone must be "auto", "dense", "conv", "wide_resnet" or .*; got \'deep\''),
        ({"hidden_units": 32}, "hidden_units must be"),
        ({"augment": "blur"}, "augment must be one of"),
        ({"augment": Flip()}, "needs images"),
        ({"device": "gpu"}, "device must be"),
        ({"early_stopping": True, "validation_fraction": 0.95}, "leaves 0 of 12 samples to train on"),
    ],
)
def test_invalid_parameters(data, params, message):
    X, y, _ = data
    with pytest.raises(ValueError, match=message):
        classifier(**params).fit(X, y)


def test_one_sample_is_an_error():
    with pytest.raises(ValueError, match="1 sample"):
        classifier().fit(np.zeros((1, 3)), [0])


@pytest.mark.gpu
def test_cuda_learns_the_same_and_its_pickle_holds(data):
    X, y, truth = data
    model = classifier(device="cuda", max_epochs=6).fit(X, y)
    assert model.score(X, truth) > classifier(max_epochs=6).fit(X, y).score(X, truth) - 0.1
    assert_allclose(pickle.loads(pickle.dumps(model)).predict_proba(X), model.predict_proba(X), atol=1e-4)
