"""How RECAL takes its steps, and what it does between the trainings of a fit."""

from contextlib import contextmanager

import numpy as np
import torch
from sklearn.neighbors import NearestNeighbors

from .._nets.recal import entropy
from .._nets.vgg import load_features
from .._torch.batches import cycled, cycled_batches, n_steps_of_epoch
from .._torch.device import drawing_from
from .._torch.training import TensorNet

# rows whose views tell which clusters belong together, and how often at most each of few is viewed
N_ENCOUNTERS, MAX_VIEWS = 20_000, 20


class RECALNet(TensorNet):
    """A net that takes each step on several mini-batches together.

    An epoch is a pass over the rows, or several passes over few.
    """

    def batches(self, rows, order):
        n_rows = len(rows.labeled)
        n = min(self.module_.accumulate_batches * self.batch_size, n_rows)
        return cycled_batches(rows.tensors, (rows.labeled,), (n,), n_steps_of_epoch(n_rows, n), order)

    def gradients(self, batch, generator):
        terms = self.module_.backward(*batch, self.batch_size, generator)
        conditional_entropy, mean_p, disagreement = terms
        return {
            "train_loss": self.module_.loss(*terms),
            "conditional_entropy": conditional_entropy,
            "class_entropy": entropy(mean_p),
            "disagreement": disagreement,
        }


def merge_clusters(net, rows, n_clusters, seed, noise):
    """Merge the clusters of a net until ``n_clusters`` are left, and return the mutual information of two views."""
    module, x, n_rows = net.module_, rows.tensors[0], len(rows.labeled)
    order = cycled(n_rows, min(N_ENCOUNTERS, MAX_VIEWS * n_rows), torch.Generator().manual_seed(seed))
    net._set_training(False)
    parts = rows.labeled[order].split(net.batch_size)
    encounters = sum(module.encounters(x[part].to(net.device), noise) for part in parts)
    with drawing_from(noise):  # the initial weights of the merged outputs, which are then set
        return float(module.merge(encounters, n_clusters))


@contextmanager
def without_validation(net):
    """Leave out the callbacks that monitor a validation loss: a start has none."""
    callbacks = net.callbacks_
    net.callbacks_ = [pair for pair in callbacks if not str(getattr(pair[1], "monitor", "")).startswith("valid_loss")]
    try:
        yield
    finally:
        net.callbacks_ = callbacks


def distance_to_neighbors(X, n_neighbors=10, max_samples=5000):
    """Median distance of samples to their tenth nearest neighbour, or the last there is."""
    X = X[np.random.default_rng(0).permutation(len(X))[:max_samples]]
    neighbors = NearestNeighbors(n_neighbors=min(n_neighbors, len(X) - 1)).fit(X)
    distances, _ = neighbors.kneighbors()  # of each to the others
    return float(np.median(distances[:, -1]))


def pretrained(backbone, input_shape, n_outputs, weights):
    """The backbone with published weights in its feature layers."""
    net = backbone(input_shape, n_outputs)
    load_features(net, weights)
    return net
