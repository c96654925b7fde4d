"""RECALClusterer: its loss and gradients against slow references, and what a clusterer must satisfy."""

import itertools
import pickle
import warnings
from collections import Counter
from copy import deepcopy
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits, make_blobs
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.pipeline import make_pipeline
from skorch.callbacks import Callback
from torch import nn

from sklearn_geoal import RECALClusterer
from sklearn_geoal._nets.dense import DenseEncoder
from sklearn_geoal._nets.recal import RECAL, agglomerate, entropy, mutual_information
from sklearn_geoal._nets.vgg import VGG16BN
from sklearn_geoal._recal.training import distance_to_neighbors
from sklearn_geoal._torch import inference
from sklearn_geoal._torch.batches import n_steps_of_epoch
from sklearn_geoal.augment import Compose, Flip, GaussianNoise
from sklearn_geoal.preprocessing import PatchTransformer

pytestmark = pytest.mark.filterwarnings("error")

WEIGHTS = {"entropy_weight": 0.7, "class_entropy_weight": 1.9, "consistency_weight": 1.3}
NO_START = {"overclustering": 1, "n_init": 1}


class Alternating:
    """Scales the rows by 0.8 and by 1.25 in turn: two views that no mini-batch and no seed change."""

    def __init__(self):
        self.factors = itertools.cycle((0.8, 1.25))

    def __call__(self, x):
        return x * next(self.factors)


class Interrupt(Callback):
    """Raises KeyboardInterrupt in the middle of the first epoch, which is that of a start."""

    def on_batch_end(self, net, **kwargs):
        raise KeyboardInterrupt


class Trainings(Callback):
    """Keeps each net that is trained, as it is before and after, and how many parameters its optimiser knows."""

    def __init__(self):
        self.modules, self.states, self.n_known = [], [], []

    def __deepcopy__(self, memo):  # one for all nets
        return self

    def on_train_begin(self, net, **kwargs):
        self.modules.append(net.module_)
        self.n_known.append(len(net.optimizer_.state))
        self.states.append(deepcopy(net.module_.state_dict()))

    def on_train_end(self, net, **kwargs):
        self.states[-1] = (self.states[-1], deepcopy(net.module_.state_dict()))


def network(module=RECAL, input_shape=(4,), n_clusters=3, augmentations=(), **changes):
    """A small network in double precision that has seen data and expects clusters of different sizes."""
    torch.manual_seed(0)
    params = {
        "n_components": 5,
        "backbone": partial(DenseEncoder, hidden_units=(6,)),
        "augment": Compose(list(augmentations)),
        "epsilon": None,
        "accumulate_batches": 1,
        "accumulation": "exact",
        **WEIGHTS,
        **changes,
    }
    net = module(input_shape=input_shape, n_clusters=n_clusters, **params).double()
    with torch.no_grad():
        for layer in (net.norm, net.head_norm):
            layer.weight.uniform_(0.5, 2)
            layer.bias.uniform_(-1, 1)
        net.log_sizes.copy_(torch.linspace(0.5, 1.5, n_clusters).log())
        net.train()
        net.probabilities(rows(40, seed=1) * 3 + 1 if input_shape == (4,) else torch.randn(40, *input_shape).double())
    return net


class Given(RECAL):
    """A network that takes the rows themselves for the logits."""

    def log_probabilities(self, x):
        return torch.log_softmax(x, dim=1)


def rows(n, n_features=4, seed=0):
    return torch.randn(n, n_features, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def gradients(net):
    return {name: values.grad for name, values in net.named_parameters()}


def clusterer(**changes):
    """A small network, trained for a few steps."""
    small = {
        "hidden_units": (16,),
        "n_components": 8,
        "overclustering": 2,
        "n_init": 2,
        "init_epochs": 1,
        "max_epochs": 3,
    }
    return RECALClusterer(**{"n_clusters": 3, **small, "random_state": 0, **changes})


def copy_of(model):
    return pickle.loads(pickle.dumps(model))


@pytest.fixture(scope="module", autouse=True)
def few_encounters():
    """Quick starts: the rows of these tests are few."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sklearn_geoal._recal.training.N_ENCOUNTERS", 2000)
        yield


@pytest.fixture(scope="module")
def data():
    return make_blobs(90, n_features=4, centers=3, random_state=0)


@pytest.fixture(scope="module")
def fitted(data):
    return clusterer().fit(data[0])


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    y = np.arange(30) % 3
    shapes = rng.normal(size=(3, 2, 5, 7)).astype(np.float32)
    return 3 * shapes[y] + rng.normal(size=(30, 2, 5, 7)).astype(np.float32), y


# the loss


def test_entropy_is_that_of_the_formula():
    p = np.random.default_rng(0).dirichlet(np.full(4, 0.5), size=(3, 2))
    assert_allclose(entropy(torch.tensor(p)), -(p * np.log(p)).sum(axis=-1), rtol=1e-12)
    assert_allclose(entropy(torch.full((7,), 1 / 7, dtype=torch.float64)), np.log(7), rtol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_entropy_of_one_cluster_is_zero_with_finite_gradients(dtype):
    p = torch.tensor([0.0, 1.0, 0.0], dtype=dtype, requires_grad=True)
    entropy(p).backward()
    assert entropy(p) == 0
    assert p.grad.isfinite().all()


def slow_terms(p):
    """H(y|x), the mean prediction and the disagreement: (n_views, n, n_clusters) -> (), (n_clusters,), ()."""
    n_views, n, n_clusters = p.shape
    h = disagreement = 0.0
    mean_p = np.zeros(n_clusters)
    for i in range(n):
        for view in range(n_views):
            mean_p += p[view, i] / (n_views * n)
            h -= sum(q * np.log(q) for q in p[view, i]) / (n_views * n)
        if n_views == 2:
            disagreement -= np.log(sum(a * b for a, b in zip(*p[:, i], strict=True))) / n
    return h, mean_p, disagreement


@pytest.mark.parametrize("n_views", [1, 2])
def test_terms_and_loss_are_those_of_a_slow_computation(n_views):
    net = network(Given, (3,))
    logits = rows(n_views * 7, 3).view(n_views, 7, 3)
    terms, expected = net.terms(logits), slow_terms(torch.softmax(logits, dim=2).numpy())
    for term, values in zip(terms, expected, strict=True):
        assert_allclose(term, values, rtol=1e-12)
    h, q, disagreement = expected
    divergence = sum(q * np.log(q / [0.5, 1.0, 1.5]))  # from the expected sizes, which are in units of their mean
    assert_allclose(net.loss(*terms), 0.7 * h + 1.9 * divergence + 1.3 * disagreement, rtol=1e-6)


def test_order_of_rows_views_and_clusters_does_not_matter():
    net = network(Given, (3,))
    net.log_sizes.zero_()
    views = rows(14, 3).view(2, 7, 3)
    loss = net.loss(*net.terms(views))
    order = torch.randperm(7, generator=torch.Generator().manual_seed(0))
    for same in (views[:, order], views.flip(0), views[..., [2, 0, 1]]):
        assert_allclose(net.loss(*net.terms(same)), loss, rtol=1e-12)
    pairs_broken = torch.stack([views[0], views[1].roll(1, dims=0)])
    assert (net.loss(*net.terms(pairs_broken)) - loss).abs() > 1e-3


def test_disagreement_is_zero_for_the_same_certain_cluster_and_large_for_others():
    net = network(Given, (3,))
    certain = 1000 * torch.eye(3, dtype=torch.float64)
    assert_allclose(net.terms(torch.stack([certain, certain]))[2], 0, atol=1e-12)
    assert_allclose(net.terms(torch.stack([certain, certain.roll(1, dims=0)]))[2], 1000 - np.log(2))


def test_disagreement_is_bounded_by_that_of_each_view_with_itself():
    net = network(Given, (3,))
    for seed in range(20):
        a, b = 2 * rows(2, 3, seed=seed)[:, None]  # one row each
        of_both, of_a, of_b = (net.terms(torch.stack(pair))[2] for pair in ((a, b), (a, a), (b, b)))
        assert of_both > (of_a + of_b) / 2  # Cauchy and Schwarz
        assert of_a < net.terms(a[None])[0]  # Renyi's entropy of order 2 and Shannon's


@pytest.mark.parametrize("counts", [(4, 4, 4), (2, 4, 6)])
def test_the_loss_of_certain_clusters_of_the_expected_sizes_is_the_lowest(counts):
    net = network(Given, (3,))
    net.log_sizes.copy_(torch.tensor(counts).div(4).log())
    certain = 1000 * torch.eye(3, dtype=torch.float64)[np.repeat([0, 1, 2], counts)]
    lowest = -1.9 * np.log(3)
    assert_allclose(net.loss(*net.terms(torch.stack([certain, certain]))), lowest, rtol=1e-6)
    of_other_sizes = 1000 * torch.eye(3, dtype=torch.float64)[np.repeat([0, 1, 2], (5, 3, 4))]
    for seed in range(5):
        views = 3 * rows(24, 3, seed=seed).view(2, 12, 3)
        for other in (views, torch.stack([of_other_sizes, of_other_sizes])):
            assert net.loss(*net.terms(other)) > lowest + 0.01


@pytest.mark.parametrize("scale", [1e3, 1e30])
def test_huge_logits_have_finite_gradients(scale):
    net = network(Given, (3,)).float()
    views = (scale * rows(14, 3).view(2, 7, 3)).float().requires_grad_()
    net.loss(*net.terms(views)).backward()
    assert views.grad.isfinite().all()


def test_views_are_two_augmented_copies_or_the_rows_alone():
    x = rows(5)
    assert_array_equal(network().views(x), x[None])
    assert_array_equal(network(augmentations=[Alternating()]).views(x), torch.stack([0.8 * x, 1.25 * x]))
    a, b = network(augmentations=[GaussianNoise(0.1)]).views(x)
    assert len(torch.unique(a - b)) == a.numel()


# adversarial perturbations


def test_perturbed_view_lies_at_the_length_it_should():
    net, x = network(epsilon=0.3), rows(9)
    first, second = net.views(x)
    assert_array_equal(first, x)
    assert_allclose((second - x).norm(dim=1), 0.3, rtol=1e-9)
    images = network(input_shape=(2, 3, 4), epsilon=0.3)
    first, second = images.views(rows(9, 24))
    assert_allclose((second - first).flatten(1).norm(dim=1), 0.3, rtol=1e-9)


def test_adversarial_direction_is_a_step_of_power_iteration_with_the_fisher_information():
    net, x = network(Given, (3,), epsilon=1e-4), rows(9, 3)
    torch.manual_seed(1)
    d = torch.randn_like(x)
    torch.manual_seed(1)
    p = torch.softmax(x, dim=1)
    expected = p * d - p * (p * d).sum(dim=1, keepdim=True)  # (diag(p) - p p') d
    assert_allclose(net.adversarial_direction(x), expected / expected.norm(dim=1, keepdim=True), rtol=1e-2, atol=1e-3)


def test_adversarial_perturbations_change_predictions_more_than_random_ones():
    net, x = network(epsilon=0.3).eval(), rows(200)
    noise = rows(200, seed=2)
    at_random = x + 0.3 * noise / noise.norm(dim=1, keepdim=True)
    p, of_random = (net.probabilities(view).detach() for view in (x, at_random))
    of_adversary = net.probabilities(net.views(x)[1]).detach()
    change, expected = ((p * (p / q).log()).sum(dim=1).mean() for q in (of_adversary, of_random))
    assert change > 1.5 * expected


def test_adversary_leaves_no_trace_in_the_network():
    net = network(epsilon=0.3)
    before = deepcopy(net.state_dict())
    views = net.views(rows(9))
    assert not views.requires_grad
    assert all(torch.equal(values, before[name]) for name, values in net.state_dict().items())
    assert all(values is None for values in gradients(net).values())


def test_predictions_that_nothing_changes_have_no_adversary():
    net = network(epsilon=0.3)
    nn.init.zeros_(net.head.weight)
    first, second = net.eval().views(rows(9))
    assert_array_equal(first, second)


@pytest.mark.parametrize("n", [2, 7, 11, 60])
def test_distance_to_neighbors_is_that_of_a_slow_computation(n):
    X = np.random.default_rng(0).normal(size=(n, 3))
    distances = np.sort(np.linalg.norm(X[:, None] - X, axis=2), axis=1)  # of each to itself first
    assert distance_to_neighbors(X) == pytest.approx(np.median(distances[:, min(10, n - 1)]))


@pytest.mark.parametrize(
    "augment, of_rows, of_images",
    [("auto", True, False), ("adversarial", True, True), ("table", False, False), (None, False, False)],
)
def test_samples_are_perturbed_where_that_is_asked_for(data, images, augment, of_rows, of_images):
    for X, is_perturbed in ((data[0], of_rows), (images[0], of_images), (data[0][:, :, None, None], of_rows)):
        model = clusterer(augment=augment, n_init=1, max_epochs=1).fit(X)
        assert (model.epsilon_ is not None) == is_perturbed
        assert model.net_.module_.epsilon == model.epsilon_
        assert len(model.net_.module_.views(torch.zeros(2, *X.shape[1:]))) == (1 if augment is None else 2)
        if is_perturbed:
            axis = None if X is images[0] else 0  # features are standardised one by one, images all together
            distance = distance_to_neighbors(((X - X.mean(axis=axis)) / X.std(axis=axis)).reshape(len(X), -1))
            assert model.epsilon_ == pytest.approx(distance / 4, rel=1e-5)


# the network


def test_forward_is_the_loss_of_the_views():
    net = network(augmentations=[Alternating()]).eval()
    x = rows(9)
    assert net(x) == net.loss(*net.terms(torch.stack([0.8 * x, 1.25 * x])))


def test_probabilities_sum_to_one_and_the_embedding_is_normalised():
    net, x = network().eval(), rows(9)
    assert_allclose(net.probabilities(x).sum(dim=1).detach(), 1, rtol=1e-12)
    z = (net.backbone(x) - net.norm.running_mean) / (net.norm.running_var + net.norm.eps).sqrt()
    assert_allclose(
        net.embed(x).detach(), (net.norm.weight * z + net.norm.bias).clamp(min=0).detach(), rtol=1e-9, atol=1e-12
    )
    assert not net.training
    assert (net.embed(x) == 0).any()


# gradients of several mini-batches


def parts_of(net, x, n_parts):
    return [net.views(part) for part in x.tensor_split(n_parts)]


def summed_terms(net, parts, with_gradient=None):
    """Terms of all mini-batches, the network applied to one after the other; by default each has its gradient."""
    n = sum(part.shape[1] for part in parts)
    sums = [0.0, 0.0, 0.0]
    for i, part in enumerate(parts):
        with torch.set_grad_enabled(with_gradient in (None, i)):
            sums = [s + part.shape[1] / n * term for s, term in zip(sums, net.terms(part), strict=True)]
    return sums


def assert_same_gradients(net, reference, factor=1.0):
    expected = gradients(reference)
    for name, values in gradients(net).items():
        assert_allclose(values, factor * expected[name], rtol=1e-7, atol=1e-10, err_msg=name)
    assert max(values.abs().max() for values in expected.values()) > 1e-3


# the number of rows, of which a mini-batch and of which there are
splits = pytest.mark.parametrize("n, batch_size, n_parts", [(12, 4, 3), (11, 4, 3), (6, 6, 1), (7, 2, 3), (10, 3, 4)])
VIEWS = {"plain": {}, "augmented": {"augmentations": [GaussianNoise(0.3)]}, "adversarial": {"epsilon": 0.5}}
ways_to_view = pytest.mark.parametrize("views", VIEWS.values(), ids=VIEWS)


@splits
@ways_to_view
def test_exact_gradient_is_that_of_the_mini_batches_together(n, batch_size, n_parts, views):
    net = network(**views)
    reference, x = deepcopy(net), rows(n)
    torch.manual_seed(1)
    terms = net.backward(x, batch_size)
    torch.manual_seed(1)
    expected = summed_terms(reference, parts_of(reference, x, n_parts))
    reference.loss(*expected).backward()
    assert_same_gradients(net, reference)
    for term, value in zip(terms, expected, strict=True):
        assert_allclose(term, value.detach(), rtol=1e-9, atol=1e-12)
        assert not term.requires_grad


@splits
@pytest.mark.parametrize("n_views", [1, 2])
def test_exact_gradient_is_that_of_one_large_batch(n, batch_size, n_parts, n_views):
    net = network(augmentations=[Alternating()] * (n_views - 1)).eval()  # each row normalised as in any batch
    reference, x = deepcopy(net), rows(n)
    net.backward(x, batch_size)
    reference(x).backward()
    assert_same_gradients(net, reference)


@pytest.mark.parametrize("n, n_parts", [(12, 3), (11, 3)])
@ways_to_view
def test_running_gradient_is_that_of_the_last_mini_batch_in_the_loss_of_all(n, n_parts, views):
    net = network(**views, accumulation="running")
    reference, x = deepcopy(net), rows(n)
    torch.manual_seed(1)
    terms = net.backward(x, 4)
    torch.manual_seed(1)
    parts = parts_of(reference, x, n_parts)
    expected = summed_terms(reference, parts, with_gradient=n_parts - 1)
    reference.loss(*expected).backward()
    assert_same_gradients(net, reference, factor=n / parts[-1].shape[1])
    for term, value in zip(terms, expected, strict=True):
        assert_allclose(term, value.detach(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("accumulation, moving", [("exact", [0, 1, 2]), ("running", [2])])
@ways_to_view
def test_running_statistics_move_once_for_each_mini_batch_that_has_a_gradient(accumulation, moving, views):
    net = network(**views, accumulation=accumulation)
    reference, x = deepcopy(net), rows(11)
    before = net.norm.num_batches_tracked.item()
    torch.manual_seed(1)
    net.backward(x, 4)
    torch.manual_seed(1)
    parts = parts_of(reference, x, 3)
    for i in moving:
        reference.terms(parts[i])
    assert net.norm.num_batches_tracked == before + len(moving)
    for (name, values), expected in zip(net.named_buffers(), reference.buffers(), strict=True):
        assert_allclose(values, expected, rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("batch_size", [2, 3, 4])
@pytest.mark.parametrize("n", range(2, 12))
def test_no_mini_batch_is_a_single_row_or_larger_than_need_be(n, batch_size):
    sizes = []
    net = network(augmentations=[lambda x: sizes.append(len(x)) or x])
    net.backward(rows(n), batch_size)
    assert sum(sizes) == 2 * n
    assert min(sizes) >= 2
    assert max(sizes) <= batch_size + (batch_size == 2 and n % 2)


# starts, and the merging of clusters


def block_encounters(sizes, inside=0.4, outside=0.01, seed=0):
    """How often two views meet, between parts of the same cluster more often than between those of others."""
    cluster = np.repeat(np.arange(len(sizes)), sizes)
    P = np.where(cluster[:, None] == cluster, inside, outside) + np.eye(len(cluster))
    mass = np.random.default_rng(seed).uniform(0.5, 2, len(cluster))
    return 1000 * P * np.outer(mass, mass), cluster


def slow_agglomerate(P, n_groups):
    """Merges the groups between which the lift, the mean over pairs of parts weighted by mass, is largest."""
    P = (P + P.T) / (2 * P.sum())
    mass = P.sum(axis=1)
    groups = [[i] for i in range(len(P))]

    def lift(a, b):
        return sum(P[i, j] for i in a for j in b) / (sum(mass[a]) * sum(mass[b]))

    while len(groups) > n_groups:
        a, b = max(itertools.combinations(groups, 2), key=lambda pair: lift(*pair))
        groups = [group for group in groups if group not in (a, b)] + [a + b]
    return sorted(sorted(group) for group in groups)


def as_lists(labels):
    labels = np.asarray(labels)
    return sorted(np.flatnonzero(labels == label).tolist() for label in np.unique(labels))


@pytest.mark.parametrize("n_groups", [1, 2, 4, 8, 12])
@pytest.mark.parametrize("seed", range(3))
def test_agglomerate_agrees_with_a_slow_computation(seed, n_groups):
    P = np.random.default_rng(seed).uniform(size=(12, 12))
    groups = agglomerate(torch.tensor(P), n_groups).tolist()
    assert as_lists(groups) == slow_agglomerate(P, n_groups)
    assert set(groups) == set(range(n_groups))


@pytest.mark.parametrize("sizes", [(3, 3, 3), (1, 5, 2), (4,), (1, 1, 1)])
def test_parts_of_a_cluster_are_merged_whatever_their_sizes_and_order(sizes):
    P, cluster = block_encounters(sizes)
    order = np.random.default_rng(1).permutation(len(P))
    assert as_lists(agglomerate(torch.tensor(P), len(sizes))) == as_lists(cluster)
    shuffled = agglomerate(torch.tensor(P[np.ix_(order, order)]), len(sizes))
    assert as_lists(shuffled) == as_lists(cluster[order])


def test_next_to_empty_parts_do_not_become_clusters():
    P, cluster = block_encounters((2, 2))
    P = np.pad(P, (0, 2))
    P[4, 4] = P[5, 5] = 1e-6  # they meet themselves alone
    P[4, 0] = P[0, 4] = P[5, 3] = P[3, 5] = 1e-7
    assert as_lists(agglomerate(torch.tensor(P), 2)) == [[0, 1, 4], [2, 3, 5]]
    P[4:], P[:, 4:] = 0, 0  # never met at all
    assert as_lists(agglomerate(torch.tensor(P), 2)[:4]) == as_lists(cluster)


def test_mutual_information_is_that_of_the_formula():
    p = torch.tensor(np.random.default_rng(0).dirichlet(np.ones(12)).reshape(3, 4))
    expected = (p * (p / p.sum(dim=0) / p.sum(dim=1, keepdim=True)).log()).sum()
    assert_allclose(mutual_information(70 * p), expected, rtol=1e-9)
    assert_allclose(mutual_information(torch.eye(5, dtype=torch.float64)), np.log(5))
    assert_allclose(mutual_information(torch.ones(5, 4, dtype=torch.float64)), 0, atol=1e-12)


def test_encounters_count_the_clusters_of_two_views():
    net = network(Given, (3,), augmentations=[Alternating()])
    x = rows(5, 3)
    p, q = (torch.softmax(factor * x, dim=1) for factor in (0.8, 1.25))
    assert_allclose(net.encounters(x), sum(torch.outer(a, b) for a, b in zip(p, q, strict=True)))
    assert_allclose(net.encounters(x).sum(), 5)


def test_merged_outputs_are_the_mean_of_their_parts():
    net, x = network(n_clusters=4).eval(), rows(200)
    encounters, cluster = block_encounters((1, 3))
    parts = net.head(net.embed(x)) / (net.head_norm.running_var + net.head_norm.eps).sqrt() * net.head_norm.weight
    mass = encounters.sum(axis=1)
    information = net.merge(torch.tensor(encounters), 2)
    outputs = net.head(net.embed(x)).detach()
    assert_allclose(outputs[:, 0], parts[:, 0].detach())
    assert_allclose(outputs[:, 1], parts[:, 1:].detach().numpy() @ (mass[1:] / mass[1:].sum()))
    merged = np.eye(2)[cluster].T @ encounters @ np.eye(2)[cluster]
    assert_allclose(information, mutual_information(torch.tensor(merged)))
    assert_allclose(net.log_sizes, np.log(merged.sum(axis=1) / merged.sum(axis=1).mean()), rtol=1e-6)
    assert net.probabilities(x).shape == (200, 2)
    net.train().backward(x, 200)
    assert all(values.grad.shape == values.shape for values in net.parameters())


def test_clusters_that_are_never_met_have_finite_weights_after_merging():
    net, encounters = network(n_clusters=6), torch.zeros(6, 6, dtype=torch.float64)
    encounters[0, 0], encounters[3, 3] = 10, 5
    net.merge(encounters, 4)
    assert net.probabilities(rows(9)).isfinite().all()
    assert net(rows(9)).isfinite()


@pytest.mark.parametrize("seed", range(3))
def test_training_goes_on_from_the_start_of_highest_score(data, seed):
    trainings = Trainings()
    model = clusterer(n_init=3, max_epochs=3, callbacks=[trainings], random_state=seed).fit(data[0])
    scores = model.init_scores_
    assert scores.shape == (3,)
    assert len(np.unique(scores)) == 3
    assert len(trainings.modules) == 4
    assert trainings.modules[3] is trainings.modules[scores.argmax()] is model.net_.module_
    before, after = trainings.states[scores.argmax()][1], trainings.states[3][0]
    assert before["head.weight"].shape == (6, 8)
    assert after["head.weight"].shape == (3, 8)
    assert after["log_sizes"].shape == (3,)
    for name in (name for name in before if not name.startswith(("head", "log_sizes"))):
        assert_array_equal(after[name], before[name], err_msg=name)
    assert trainings.n_known == [0] * 4  # the optimiser of the start knows the outputs that were merged
    assert [row["epoch"] for row in model.history_] == [1, 2, 3]


def test_starts_do_not_depend_on_how_many_follow(data):
    few, more = (clusterer(n_init=n, max_epochs=1).fit(data[0]) for n in (2, 3))
    assert_array_equal(more.init_scores_[:2], few.init_scores_)


def test_with_one_start_and_nothing_to_merge_there_is_one_training(data):
    trainings = Trainings()
    model = clusterer(n_init=1, overclustering=1, callbacks=[trainings]).fit(data[0])
    assert len(trainings.modules) == 1
    assert model.init_scores_.shape == (0,)


def test_merging_finds_clusters_of_uneven_sizes():
    X, y = make_blobs([200, 40, 40], n_features=4, cluster_std=0.5, random_state=0)
    model = clusterer(overclustering=4, init_epochs=10, max_epochs=3).fit(X)
    assert adjusted_rand_score(y, model.labels_) == 1


@pytest.mark.parametrize(
    "batch_size, accumulate_batches, n_rows",
    [(200, 1, 90), (40, 1, 40), (20, 2, 40), (4, 1, 4)],
)
def test_steps_of_an_epoch(data, batch_size, accumulate_batches, n_rows):
    seen = []

    class Record(Callback):
        def on_batch_begin(self, net, batch, training, **kwargs):
            assert training
            seen.append([tuple(row) for row in batch[0].tolist()])

    model = clusterer(
        batch_size=batch_size, accumulate_batches=accumulate_batches, n_init=1, overclustering=1, max_epochs=1
    )
    model.set_params(callbacks=[Record()]).fit(data[0])
    assert [len(step) for step in seen] == [n_rows] * n_steps_of_epoch(90, n_rows)
    counts = Counter(itertools.chain(*seen))
    assert len(counts) == 90
    assert max(counts.values()) - min(counts.values()) <= 1


# what it learns


@pytest.mark.parametrize(
    "params", [{}, {"augment": None, **NO_START}, {"accumulation": "running"}, {"n_init": 1}], ids=str
)
@pytest.mark.parametrize("accumulate_batches", [1, 3])
def test_clear_clusters_are_found(data, params, accumulate_batches):
    X, y = data
    batches = {"accumulate_batches": accumulate_batches, "batch_size": 90 // accumulate_batches}
    model = clusterer(max_epochs=15, **batches, **params).fit(X)
    assert adjusted_rand_score(y, model.labels_) == 1
    assert model.predict_proba(X).max(axis=1).mean() > 0.8


def test_digits():
    X, y = load_digits(return_X_y=True)
    params = {"hidden_units": (16, 32), "n_components": 32, "image_shape": (1, 8, 8), "lr": 0.01}
    model = clusterer(n_clusters=10, **params, max_epochs=5, batch_size=300).fit(X)
    assert normalized_mutual_info_score(y, model.labels_) > 0.65  # k-means on the pixels: 0.74


def test_labels_are_those_of_predict_and_of_fit_predict(data, fitted):
    X, _ = data
    assert_array_equal(fitted.predict(X), fitted.labels_)
    assert_array_equal(clusterer().fit_predict(X), fitted.labels_)
    assert fitted.labels_.dtype == np.int64
    assert set(fitted.labels_) == {0, 1, 2}
    assert_array_equal(clusterer().fit(X, y=np.full(90, np.nan)).labels_, fitted.labels_)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_probabilities_and_embedding(fitted, data, dtype):
    X = data[0].astype(dtype)
    P, Z = fitted.predict_proba(X), fitted.transform(X)
    assert P.dtype == Z.dtype == dtype
    assert P.shape == (90, 3)
    assert Z.shape == (90, 8)
    assert P.min() >= 0
    assert Z.min() >= 0
    assert_allclose(P.sum(axis=1), 1, rtol=4 * np.finfo(dtype).eps)
    assert_array_equal(P.argmax(axis=1), fitted.predict(X))
    net = fitted.net_.module_.eval()
    with torch.no_grad():
        expected = torch.softmax(net.head_norm(net.head(torch.tensor(Z, dtype=torch.float32))), dim=1)
    assert_allclose(P, expected, atol=1e-5)


def test_output_of_frames(data, fitted):
    names = [f"recalclusterer{i}" for i in range(8)]
    assert_array_equal(fitted.get_feature_names_out(), names)
    frame = pd.DataFrame(data[0], columns=["blue", "green", "red", "nir"], index=range(10, 100))
    model = clusterer().set_output(transform="pandas")
    Z = model.fit_transform(frame)
    assert list(Z.columns) == names
    assert_array_equal(Z.index, frame.index)
    assert_array_equal(Z, fitted.transform(data[0]))
    assert_array_equal(model.feature_names_in_, frame.columns)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame[["red", "green", "blue", "nir"]])


def test_history_has_the_terms_of_the_loss(data, fitted):
    params = {"entropy_weight": 0.3, "class_entropy_weight": 2.0, "consistency_weight": 1.5}
    model = clusterer(**params, **NO_START, max_epochs=6).fit(data[0])  # equal sizes are expected
    for row in model.history_:
        assert {type(row[name]) for name in row} <= {int, float}
        conditional_entropy, class_entropy, disagreement = (
            row[name] for name in ("conditional_entropy", "class_entropy", "disagreement")
        )
        loss = 0.3 * conditional_entropy - 2 * class_entropy + 1.5 * disagreement
        assert row["train_loss"] == pytest.approx(loss, abs=1e-5)
        assert 0 < conditional_entropy < np.log(3)
        assert 0 < class_entropy < np.log(3)
        assert disagreement > 0
    assert model.history_[-1]["train_loss"] < model.history_[0]["train_loss"]
    without = clusterer(augment=None, max_epochs=1).fit(data[0])
    assert without.history_[0]["disagreement"] == 0


@pytest.mark.parametrize(
    "weight, values, others, term, sign",
    [
        ("entropy_weight", (0.01, 0.5), {"consistency_weight": 0}, "conditional_entropy", -1),
        ("class_entropy_weight", (0.3, 5), {"consistency_weight": 1}, "class_entropy", 1),
        ("consistency_weight", (0, 2), {"entropy_weight": 0.01}, "disagreement", -1),
    ],
)
def test_a_larger_weight_has_its_effect(data, weight, values, others, term, sign):
    X, y = data
    unequal = np.vstack([X, X[y == 0].repeat(3, axis=0)])
    params = {"entropy_weight": 0.5, "class_entropy_weight": 1, "augment": "table", **others}
    params |= {**NO_START, "max_epochs": 5, "random_state": 1}
    small, large = (clusterer(**params | {weight: value}).fit(unequal).history_[-1][term] for value in values)
    assert sign * (large - small) > 0.01


# the same data in another form


@pytest.mark.parametrize("factor", [2.0**-20, 2.0**14, 2.0**500, 2.0**-500])
def test_scale_of_the_data_does_not_matter(data, fitted, factor):
    X, _ = data
    scaled = clusterer().fit(factor * X)
    assert_array_equal(scaled.predict_proba(factor * X), fitted.predict_proba(X))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("factor", [1e30, 1e-30])
def test_clusters_of_huge_and_tiny_values(data, dtype, factor):
    X, y = data
    model = clusterer(init_epochs=4, max_epochs=8).fit((factor * X).astype(dtype))
    assert adjusted_rand_score(y, model.labels_) == 1
    assert np.isfinite(model.transform((factor * X).astype(dtype))).all()


def test_read_only_strided_and_textual_input_gives_the_same(data, fitted):
    X, _ = data
    strided = np.repeat(X, 2, axis=1)[:, ::2][::-1]
    strided.flags.writeable = False
    assert_array_equal(fitted.predict_proba(strided), fitted.predict_proba(X)[::-1])
    numbers_as_text = X.astype(str).astype(object)
    for same in (strided[::-1], X.tolist(), numbers_as_text):
        assert_array_equal(clusterer().fit(same).predict_proba(X), fitted.predict_proba(X))


@pytest.mark.parametrize("verb", ["predict_proba", "transform"])
def test_rows_do_not_depend_on_each_other_nor_on_the_batches(data, fitted, verb, monkeypatch):
    X, _ = data
    whole = getattr(fitted, verb)(X)
    in_parts = np.concatenate([getattr(fitted, verb)(x) for x in np.array_split(X, 7)])
    assert_allclose(in_parts, whole, rtol=1e-5, atol=1e-6)
    monkeypatch.setattr(inference, "_MAX_ROWS", 7)
    assert_allclose(getattr(fitted, verb)(X), whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("backbone", ["auto", "conv", "dense", "vgg16_bn"])
def test_images_as_images_and_as_rows_are_the_same(images, backbone):
    X, y = images
    flat = X.reshape(len(X), -1)
    params = {"backbone": backbone, "hidden_units": (4, 8), "n_init": 1, "init_epochs": 5, "max_epochs": 20}
    model, of_rows = clusterer(**params).fit(X), clusterer(**params, image_shape=(2, 5, 7)).fit(flat)
    assert model.image_shape_ == of_rows.image_shape_ == (2, 5, 7)
    assert model.n_features_in_ == 70
    has_convolutions = any(isinstance(layer, nn.Conv2d) for layer in model.net_.module_.modules())
    assert has_convolutions == (backbone != "dense")
    for verb in ("predict_proba", "transform", "predict"):
        expected = getattr(model, verb)(X)
        for got in (getattr(model, verb)(flat), getattr(of_rows, verb)(flat), getattr(of_rows, verb)(X)):
            assert_array_equal(got, expected)
    assert_array_equal(model.labels_, of_rows.labels_)
    assert adjusted_rand_score(y, model.labels_) > 0.8


def test_image_shape_errors(images):
    X, _ = images
    flat = X.reshape(len(X), -1)
    with pytest.raises(ValueError, match=r"image_shape=\(2, 5, 5\) holds 50 values, but X has 70 features"):
        clusterer(image_shape=(2, 5, 5)).fit(flat)
    for backbone in ("conv", "vgg16_bn"):
        with pytest.raises(ValueError, match=f'backbone="{backbone}" needs images'):
            clusterer(backbone=backbone).fit(flat)
    with pytest.raises(ValueError, match=r"expected \(2, 5, 7\)"):
        clusterer(max_epochs=1, n_init=1).fit(X).predict(X.transpose(0, 1, 3, 2))
    with pytest.raises(ValueError, match="needs images, but X has rows of 70 features"):
        clusterer(augment="aerial").fit(flat)


def test_augmentations_of_images_by_channel_order_in_memory(images):
    X, _ = images
    plain = clusterer(augment=[Flip()], max_epochs=1, n_init=1)
    channels_last = clone(plain).set_params(augment=[Flip(), lambda x: x.contiguous(memory_format=torch.channels_last)])
    assert_allclose(channels_last.fit(X).predict_proba(X), plain.fit(X).predict_proba(X), rtol=1e-4)


class OwnBackbone(nn.Sequential):
    def __init__(self, input_shape, n_outputs):
        hidden = [nn.Linear(input_shape[0], 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Dropout(0.1)]
        super().__init__(*hidden, nn.Linear(16, n_outputs))


def test_own_backbone_class(data):
    X, y = data
    model = clusterer(backbone=OwnBackbone, n_init=1, batch_size=30, accumulate_batches=3, max_epochs=5).fit(X)
    assert isinstance(model.net_.module_.backbone, OwnBackbone)
    assert adjusted_rand_score(y, model.labels_) == 1
    assert_array_equal(copy_of(model).predict_proba(X), model.predict_proba(X))


def test_backbone_of_wrong_shape_is_an_error(data):
    class Wrong(nn.Linear):
        def __init__(self, input_shape, n_outputs):
            super().__init__(input_shape[0], n_outputs + 1)

    with pytest.raises(ValueError, match=r"Wrong takes shape \(2, 4\) to \(2, 9\), expected \(2, 8\)"):
        clusterer(backbone=Wrong).fit(data[0])


# patches of a scene


@pytest.fixture(scope="module")
def scene():
    """Three bands of 16 x 24 pixels, two covers side by side, and a pixel without a value."""
    rng = np.random.default_rng(0)
    reflectances = np.array([[0.1, 0.2, 0.5], [0.4, 0.3, 0.1]])
    cover = np.zeros((16, 24), dtype=int)
    cover[:, 12:] = 1
    scene = np.moveaxis(reflectances[cover], -1, 0) + 0.02 * rng.normal(size=(3, 16, 24))
    scene[1, 2, 5] = np.nan
    return scene, cover


def test_patches_of_a_scene_and_back_to_a_map(scene):
    X, cover = scene
    patches = PatchTransformer(size=4)
    model = make_pipeline(patches, clusterer(n_clusters=2, image_shape=(3, 4, 4), augment="aerial", max_epochs=6))
    labels = model.fit_predict(X)
    assert labels.shape == (4 * 6 - 1,)
    found = patches.label_map(labels)
    assert found.shape == (16, 24)
    hidden = np.zeros((16, 24), dtype=bool)
    hidden[:4, 4:8] = True  # the patch with the pixel without a value
    assert_array_equal(found == -1, hidden)
    assert adjusted_rand_score(cover[~hidden], found[~hidden]) == 1
    assert_array_equal(patches.label_map(model.predict(X)), found)
    assert_allclose(np.nansum(patches.mean_map(model.predict_proba(X)), axis=2), ~hidden, rtol=1e-6)
    masked = np.ma.masked_invalid(X)
    masked.data[masked.mask] = 99
    assert_array_equal(model.fit_predict(masked), labels)


def test_patches_that_do_not_fit(scene):
    X, _ = scene
    model = make_pipeline(PatchTransformer(size=17), clusterer(image_shape=(3, 17, 17)))
    with pytest.raises(ValueError, match="size=17 does not fit into a scene of 16 x 24 pixels"):
        model.fit(X)
    too_few = make_pipeline(PatchTransformer(size=12), clusterer(image_shape=(3, 12, 12)))
    with pytest.raises(ValueError, match="n_samples=2 must be at least n_clusters=3|n_samples=3"):
        too_few.set_params(recalclusterer__n_clusters=5).fit(X)
    with pytest.raises(ValueError, match="NaN"):
        clusterer().fit(X[None])


# weights of another training


VGG = {"backbone": "vgg16_bn", "hidden_units": (4, 6), "n_components": 6}


@pytest.fixture
def weights(tmp_path):
    """File with feature layers as they are published, of few channels."""
    torch.manual_seed(1)
    path = tmp_path / "vgg16_bn.pth"
    features = VGG16BN((2, 5, 7), 1, hidden_units=(4, 6)).features
    torch.save({f"features.{name}": values for name, values in features.state_dict().items()}, path)
    return path


@pytest.fixture(scope="module")
def fitted_vgg(images):
    return clusterer(**VGG, n_init=1, max_epochs=1).fit(images[0])


def parameters_of_features(state, prefix):
    return {
        name.removeprefix(prefix): values
        for name, values in state.items()
        if name.startswith(prefix) and "running" not in name and "num_batches" not in name
    }


@pytest.mark.parametrize("n_init", [1, 3])
def test_each_training_starts_from_the_weights_of_the_file(images, weights, n_init):
    trainings = Trainings()
    params = {**VGG, "weights": weights, "n_init": n_init, "max_epochs": 1}
    model = clusterer(**params, callbacks=[trainings]).fit(images[0])
    expected = parameters_of_features(torch.load(weights), "features.")
    assert len(expected) == 16
    for before, _ in trainings.states[:n_init]:
        got = parameters_of_features(before, "backbone.features.")
        assert got.keys() == expected.keys()
        assert all(torch.equal(got[name], expected[name]) for name in expected)
    trained = parameters_of_features(model.net_.module_.state_dict(), "backbone.features.")
    assert not any(torch.equal(trained[name], expected[name]) for name in expected if name.endswith("weight"))


def test_fitted_clusterer_needs_the_file_no_more(images, weights):
    X, _ = images
    model = clusterer(**VGG, weights=str(weights), warm_start=True, max_epochs=1).fit(X)
    weights.unlink()
    copy = copy_of(model)
    assert_array_equal(copy.predict_proba(X), model.predict_proba(X))
    assert len(copy.fit(X).history_) == 2
    with pytest.raises(FileNotFoundError, match="no file"):
        clone(model).fit(X)


def test_standard_vgg16_bn_loads(tmp_path):
    path = tmp_path / "vgg16_bn.pth"
    torch.manual_seed(2)
    state = {f"features.{name}": values for name, values in VGG16BN((3, 32, 32), 1).features.state_dict().items()}
    state["features.43.weight"] = torch.zeros(())  # deeper than what images of 4 x 4 pixels reach
    torch.save(state, path)
    X = np.random.default_rng(0).normal(size=(12, 3, 4, 4)).astype(np.float32)
    # steps too small to move a weight, and random weights that may see no difference
    params = {"backbone": "vgg16_bn", "hidden_units": "auto", "weights": path, "optimizer": "sgd", "lr": 1e-30}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = clusterer(**params, n_init=1, max_epochs=1).fit(X)
    got = parameters_of_features(model.net_.module_.state_dict(), "backbone.features.")
    assert len(got) == 4 * 4
    for name in got:
        torch.testing.assert_close(got[name], state[f"features.{name}"], rtol=0, atol=1e-20)


def truncated(path):
    path.write_bytes(path.read_bytes()[:-1000])


def without_a_key(path):
    state = torch.load(path)
    del state["features.7.bias"]
    torch.save(state, path)


def of_other_bands(path):
    state = torch.load(path)
    state["features.0.weight"] = torch.zeros(4, 3, 3, 3)
    torch.save(state, path)


@pytest.mark.parametrize(
    "spoil, error, message",
    [
        (truncated, ValueError, "cannot be read as a state dict"),
        (lambda path: path.write_text("no weights"), ValueError, "cannot be read as a state dict"),
        (without_a_key, ValueError, r"lacks features\.7\.bias; it has"),
        (lambda path: torch.save({"weight": torch.zeros(3)}, path), ValueError, r"lacks features\.0\.weight"),
        (of_other_bands, ValueError, "for images of 3 bands; got images of 2"),
        (lambda path: path.unlink(), FileNotFoundError, "no file"),
    ],
    ids=["truncated", "text", "missing key", "other names", "other bands", "no file"],
)
def test_wrong_weights_are_an_error_and_change_nothing(images, fitted_vgg, weights, spoil, error, message):
    X, _ = images
    model = copy_of(fitted_vgg).set_params(weights=weights)
    spoil(weights)
    with pytest.raises(error, match=message):
        model.fit(X)
    assert_array_equal(model.predict_proba(X), fitted_vgg.predict_proba(X))


@pytest.mark.parametrize("backbone", ["auto", "dense", "conv", OwnBackbone])
def test_weights_of_another_backbone_are_an_error(images, weights, backbone):
    with pytest.raises(ValueError, match='weights are those of backbone="vgg16_bn"; got .*vgg16_bn.pth.* and backbone'):
        clusterer(backbone=backbone, weights=weights).fit(images[0])


def test_weights_that_are_no_path_are_an_error(images):
    with pytest.raises(TypeError, match="weights must be None or the path .*; got {}"):
        clusterer(**VGG, weights={}).fit(images[0])


# training in several calls, interrupts, divergence in a start


def test_warm_start_goes_on_with_the_network_and_without_starts(data):
    X, _ = data
    trainings = Trainings()
    model = clusterer(warm_start=True, callbacks=[trainings]).fit(X)
    net, history, scores = model.net_, model.history_, model.init_scores_
    before = deepcopy(net.module_.state_dict())
    model.fit(X[:60])
    assert len(trainings.modules) == 2 + 1 + 1
    assert all(torch.equal(values, before[name]) for name, values in trainings.states[-1][0].items())
    assert trainings.n_known == [0, 0, 0, len(list(net.module_.parameters()))]
    assert model.history_[:3] == history
    assert [row["epoch"] for row in model.history_] == list(range(1, 7))
    assert_array_equal(model.init_scores_, scores)
    assert_array_equal(model.labels_, model.predict(X[:60]))


def test_warm_start_equals_longer_training(data):
    X, _ = data
    # all rows in one batch: their order changes the rounding only
    params = {"n_init": 1, "augment": None, "lr_schedule": "constant", "optimizer": "sgd", "lr": 0.01}
    model = clusterer(**params, max_epochs=1, warm_start=True)
    for _ in range(3):
        model.fit(X)
    once = clusterer(**params, max_epochs=3).fit(X)
    assert_allclose(model.predict_proba(X), once.predict_proba(X), atol=1e-4)
    assert model.history_[2]["train_loss"] == pytest.approx(once.history_[2]["train_loss"], rel=1e-4)


def test_warm_start_takes_the_weights_of_the_loss_as_they_are_now(data):
    X, _ = data
    model = clusterer(warm_start=True, accumulation="running", **NO_START).fit(X)
    params = {"entropy_weight": 0.4, "class_entropy_weight": 0.9, "consistency_weight": 0.2}
    model.set_params(**params, accumulation="exact", accumulate_batches=2).fit(X)
    last = model.history_[-1]
    loss = 0.4 * last["conditional_entropy"] - 0.9 * last["class_entropy"] + 0.2 * last["disagreement"]
    assert last["train_loss"] == pytest.approx(loss, abs=1e-5)
    net = model.net_.module_
    assert (net.accumulation, net.accumulate_batches) == ("exact", 2)


def test_warm_start_errors(data):
    X, _ = data
    model = clusterer(warm_start=True).fit(X)
    before = model.predict_proba(X)
    for name, value in {"n_clusters": 4, "n_components": 9, "hidden_units": (8,), "backbone": OwnBackbone}.items():
        with pytest.raises(ValueError, match=rf"'{name}': .*are now.*'{name}': .*Set them back"):
            copy_of(model).set_params(**{name: value}).fit(X)
    with pytest.raises(ValueError, match="n_samples=2 must be at least n_clusters=3"):
        model.fit(X[:2])
    assert_array_equal(model.predict_proba(X), before)


@pytest.mark.parametrize("warm_start", [False, True])
def test_interrupted_start_is_none_to_go_on_with(data, fitted, warm_start):
    X, _ = data
    model = clusterer(warm_start=warm_start, callbacks=[Interrupt()])
    with pytest.raises(KeyboardInterrupt):
        model.fit(X)
    with pytest.raises(NotFittedError):
        model.predict(X)
    with pytest.raises(NotFittedError):
        model.get_feature_names_out()
    assert not hasattr(model, "init_scores_")
    assert_array_equal(model.set_params(callbacks=None).fit(X).predict_proba(X), fitted.predict_proba(X))


def test_interrupted_start_leaves_the_scores_and_labels_that_were(data, fitted):
    X, _ = data
    model = copy_of(fitted).set_params(callbacks=[Interrupt()], random_state=1)
    with pytest.raises(KeyboardInterrupt):
        model.fit(2 * X[::-1])
    assert_array_equal(model.init_scores_, fitted.init_scores_)
    assert_array_equal(model.labels_, fitted.labels_)
    assert_array_equal(model.predict_proba(X), fitted.predict_proba(X))


def test_diverged_start_is_an_error(data):
    model = clusterer(lr=1e30)
    with pytest.raises(FloatingPointError, match="try a smaller lr"):
        model.fit(data[0])
    assert not hasattr(model, "init_scores_")


def test_rows_set_aside_have_labels_too_and_no_say_in_the_starts(data):
    early = {"early_stopping": True, "validation_fraction": 0.4, "max_epochs": 2}
    model = clusterer(**early).fit(data[0])
    assert_array_equal(model.labels_, model.predict(data[0]))
    assert all("valid_loss" in row for row in model.history_)
    trained, validated = [], []

    class Views(Callback):
        def on_batch_begin(self, net, batch, training, **kwargs):
            (trained if training else validated).append(batch[0])

    clusterer(**early, callbacks=[Views()]).fit(data[0])
    assert len(validated) == 2  # once after each epoch, never in a start
    rows, aside = torch.cat(trained).unique(dim=0), validated[0].unique(dim=0)
    assert (len(rows), len(aside)) == (54, 36)
    assert len(torch.cat([rows, aside]).unique(dim=0)) == 90


def test_optimizer_as_in_the_paper(data):
    X, y = data
    params = {"augment": None, "class_entropy_weight": 1, **NO_START, "lr": 0.01, "lr_schedule": "constant"}
    model = clusterer(**params, optimizer="sgd", net_params={"optimizer__momentum": 0.9}, max_epochs=8).fit(X)
    assert adjusted_rand_score(y, model.labels_) == 1


def test_progress_bars_of_the_starts_and_of_the_training(data, capsys):
    clusterer(verbose=1).fit(data[0])
    bars = capsys.readouterr().err.strip().split("\n")
    assert len(bars) == 3  # two starts and the training
    assert all("epochs: 100%" in bar for bar in bars)


# bad input


@pytest.mark.parametrize(
    "params, message",
    [
        ({"n_clusters": 0}, "n_clusters == 0, must be >= 1"),
        ({"n_clusters": 91}, "n_samples=90 must be at least n_clusters=91: give more samples or ask for fewer"),
        ({"n_components": 0}, "n_components == 0, must be >= 1"),
        ({"n_init": 0}, "n_init == 0, must be >= 1"),
        ({"init_epochs": 0}, "init_epochs == 0, must be >= 1"),
        ({"overclustering": 0}, "overclustering == 0, must be >= 1"),
        ({"accumulate_batches": 0}, "accumulate_batches == 0, must be >= 1"),
        ({"accumulation": "exactly"}, "accumulation must be one of 'exact', 'running'; got 'exactly'"),
        ({"entropy_weight": 0}, "entropy_weight == 0, must be > 0"),
        ({"entropy_weight": -0.5}, "entropy_weight == -0.5, must be > 0"),
        ({"class_entropy_weight": -1}, "class_entropy_weight == -1, must be >= 0"),
        ({"consistency_weight": -1}, "consistency_weight == -1, must be >= 0"),
        ({"max_epochs": 0}, "max_epochs == 0, must be >= 1"),
        ({"batch_size": 1}, "batch_size == 1, must be >= 2"),
        ({"backbone": "vgg"}, "backbone must be .*vgg16_bn.*; got 'vgg'"),
        ({"backbone": nn.Linear(4, 3)}, "backbone must be"),
        ({"hidden_units": 32}, "hidden_units must be"),
        ({"augment": "images"}, "augment must be one of .*; got 'images'"),
        ({"augment": [Flip()]}, "needs images, but X has rows of 4 features"),
        ({"augment": lambda x: x[:1]}, "must return a tensor like the one it is given"),
        ({"lr_schedule": "linear"}, "lr_schedule must be one of"),
        ({"optimizer": "adamm"}, "optimizer must be"),
        ({"device": "gpu"}, "device must be"),
        ({"net_params": {"lr": 1}}, "net_params takes names"),
    ],
)
def test_invalid_parameters(data, params, message):
    trainings = Trainings()
    with pytest.raises(ValueError, match=message):
        clusterer(**params, callbacks=[trainings]).fit(data[0])
    assert not trainings.modules or isinstance(trainings.states[0], dict)  # none was completed before the error


@pytest.mark.parametrize("name", ["n_clusters", "n_components", "n_init", "init_epochs", "overclustering"])
def test_numbers_that_are_no_integers(data, name):
    with pytest.raises(TypeError, match=f"{name} must be an instance of int"):
        clusterer(**{name: 2.5}).fit(data[0])


@pytest.mark.parametrize(
    "X, message",
    [
        (np.zeros((1, 4)), "1 sample"),
        (np.zeros((2, 4)), "n_samples=2 must be at least n_clusters=3"),
        (np.zeros(9), "Expected 2D array, got 1D"),
        (np.zeros((9, 0)), "0 feature"),
        (np.zeros((9, 2, 2)), "dim 3"),
        ([["a", "b"]] * 9, "could not convert string to float"),
        (np.where(np.eye(9), np.nan, 1), "contains NaN"),
        (np.where(np.eye(9), np.inf, 1), "contains infinity"),
        (np.full((9, 1, 2, 2), np.nan), "contains NaN"),
    ],
    ids=["one", "two", "1d", "no features", "3d", "text", "NaN", "infinity", "NaN images"],
)
def test_invalid_data(X, message):
    with pytest.raises(ValueError, match=message):
        clusterer().fit(X)


def test_few_rows(data):
    X, _ = data
    for n in (2, 3, 5):
        for params in ({}, {"augment": None}, {"augment": None, "batch_size": 2, "accumulate_batches": 2}):
            model = clusterer(n_clusters=2, **params, **NO_START, max_epochs=40).fit(X[:n])
            assert model.labels_.shape == (n,)
    with pytest.raises(ValueError, match="leaves 1 of 3 samples"):
        clusterer(early_stopping=True, validation_fraction=0.5).fit(X[:3])


def test_one_cluster_has_all(data):
    model = clusterer(n_clusters=1, max_epochs=1).fit(data[0])
    assert_array_equal(model.labels_, np.zeros(90))
    assert_array_equal(model.predict_proba(data[0]), np.ones((90, 1)))


def test_as_many_clusters_as_samples():
    model = clusterer(n_clusters=6, augment=None, init_epochs=60, max_epochs=300).fit(np.eye(6))
    assert sorted(model.labels_) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("shape", [(20, 4), (20, 2, 4, 4)])
@pytest.mark.parametrize("augment", ["auto", None])
def test_constant_samples_collapse_with_a_warning(shape, augment):
    X = np.full(shape, 7.0)
    model = clusterer(augment=augment, max_epochs=1)
    with pytest.warns(ConvergenceWarning, match="Only 1 of 3 clusters are used: .*collapsed. Try"):
        model.fit(X)
    for values in (model.predict_proba(X), model.transform(X), model.init_scores_):
        assert np.isfinite(values).all()


def test_more_clusters_than_there_are_kinds_of_samples():
    X = np.repeat([[0.0, 0.0], [5.0, 0.0]], 10, axis=0)
    with pytest.warns(ConvergenceWarning, match="Only [12] of 6 clusters are used"):
        clusterer(n_clusters=6).fit(X)
    labels = clusterer(n_clusters=2, max_epochs=30).fit_predict(X)
    assert adjusted_rand_score(np.repeat([0, 1], 10), labels) == 1


def test_step_of_fewer_rows_than_clusters_is_warned_of(data):
    X, _ = data
    model = clusterer(n_clusters=5, batch_size=4, max_epochs=1, **NO_START)
    with pytest.warns(UserWarning, match=r"1 x 4 rows .*fewer than n_clusters=5.*Raise one of them"):
        model.fit(X)
    model.set_params(accumulate_batches=2).fit(X)  # eight rows: no warning


@pytest.mark.parametrize("value", [1e9, 1e300, -1e300])
def test_outliers_beyond_all_measure_stay_finite(data, fitted, value):
    outlier = np.full((1, 4), value)
    assert_allclose(fitted.predict_proba(outlier).sum(), 1)
    with pytest.warns(UserWarning, match=r"in 1 of 91 rows or images \(90\) .*no-data\?"):
        model = clusterer(n_clusters=2).fit(np.vstack([data[0], outlier]))
    assert np.isfinite(model.predict_proba(data[0])).all()


def test_what_was_fitted_on_is_needed_first(data):
    for verb in ("predict", "predict_proba", "transform"):
        with pytest.raises(NotFittedError):
            getattr(clusterer(), verb)(data[0])
    with pytest.raises(NotFittedError):
        clusterer().get_feature_names_out()


def test_names_of_the_embedding_are_those_of_the_fit(data):
    model = clusterer(n_components=3, max_epochs=1).fit(data[0]).set_params(n_components=5)
    assert len(model.get_feature_names_out()) == model.transform(data[0]).shape[1] == 3


@pytest.mark.gpu
def test_cuda_finds_the_same_clusters_and_its_pickle_holds(data):
    X, y = data
    model = clusterer(device="cuda", max_epochs=8, accumulate_batches=3, batch_size=30).fit(X)
    assert adjusted_rand_score(y, model.labels_) == 1
    assert_allclose(copy_of(model).predict_proba(X), model.predict_proba(X), atol=1e-4)
