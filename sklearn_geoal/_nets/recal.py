"""RECAL: clusters as the outputs of a network that learns from the entropies of what it predicts."""

import torch
import torch.nn.functional as F
from torch import nn

from .bodies import checked
from .draws import normal_like
from .norms import batch_statistics

# below this times the mean mass, a cluster is next to empty
SMALL = 0.1


class RECAL(nn.Module):
    """A network that takes a row to an embedding and this to the probabilities of clusters.

    Parameters
    ----------
    input_shape : tuple of int
        Shape in which the backbone takes a row: (n_features,) or (channels, height, width).
    n_clusters, n_components : int
        Numbers of clusters, until some are merged, and of dimensions of the embedding.
    backbone : callable
        ``backbone(input_shape, n_components)`` returns the module that gives the embedding.
    augment : Compose
        Augmentation of a batch.
    epsilon : float or None
        Length of the adversarial perturbations that take the place of the augmentation.
    entropy_weight, class_entropy_weight, consistency_weight : float
        Weights of H(y|x), H(y) and of the disagreement of two views of a row.
    accumulate_batches : int
        Number of mini-batches of a step.
    accumulation : {"exact", "running"}
        Whether all of them have a gradient or the last one alone.
    """

    def __init__(
        self,
        input_shape,
        n_clusters,
        n_components,
        backbone,
        augment,
        epsilon,
        entropy_weight,
        class_entropy_weight,
        consistency_weight,
        accumulate_batches,
        accumulation,
    ):
        super().__init__()
        self.input_shape = tuple(input_shape)
        self.augment, self.epsilon = augment, epsilon
        self.entropy_weight, self.class_entropy_weight = entropy_weight, class_entropy_weight
        self.consistency_weight = consistency_weight
        self.accumulate_batches, self.accumulation = accumulate_batches, accumulation
        self.backbone = checked(backbone(self.input_shape, n_components), self.input_shape, (n_components,))
        self.norm = nn.BatchNorm1d(n_components)
        self.head = nn.Linear(n_components, n_clusters, bias=False)
        self.head_norm = nn.BatchNorm1d(n_clusters)
        self.register_buffer("log_sizes", torch.zeros(n_clusters))  # expected, in units of their mean

    def forward(self, x, generator=None):  # (n, ...) -> (), what a validation measures
        return self.loss(*self.terms(self.views(x, generator)))

    def embed(self, x):
        """z: (n, ...) -> (n, n_components)."""
        return F.relu(self.norm(self.backbone(x.view(-1, *self.input_shape))))

    def log_probabilities(self, x):
        """log p(y|x): (n, ...) -> (n, n_clusters)."""
        return torch.log_softmax(self.head_norm(self.head(self.embed(x))), dim=1)

    def probabilities(self, x):
        """p(y|x): (n, ...) -> (n, n_clusters)."""
        return self.log_probabilities(x).exp()

    @torch.no_grad()
    def views(self, x, generator=None):
        """What the network sees of rows: two augmented copies of each, or the rows themselves without augmentation.

        With adversarial perturbations they are the rows and the perturbed rows.

        (n, ...) -> (n_views, n, ...)
        """
        x = x.view(-1, *self.input_shape)
        if self.epsilon is not None:
            return torch.stack([x, x + self.epsilon * self.adversarial_direction(x, generator)])
        if not self.augment.augmentations:
            return x[None]
        return torch.stack([self.augment(x, generator), self.augment(x, generator)])

    def adversarial_direction(self, x, generator=None):
        """Unit vectors along which the predictions change most, by one step of power iteration."""
        d = unit(normal_like(x, generator)).requires_grad_()
        with batch_statistics(self), torch.enable_grad():
            p = self.probabilities(x).detach()
            log_q = self.log_probabilities(x + self.epsilon * d)
            (gradient,) = torch.autograd.grad(-(p * log_q).sum(), d)  # of the Kullback-Leibler divergence of q from p
        return unit(gradient)

    def terms(self, views):
        """H(y|x), the mean prediction and the disagreement of the views: (n_views, n, ...) -> (), (n_clusters,), ()."""
        log_p = self.log_probabilities(views.flatten(0, 1)).unflatten(0, views.shape[:2])  # (n_views, n, n_clusters)
        p = log_p.exp()
        conditional_entropy = -(p * log_p).sum(dim=2).mean()
        # -log of the probability that the two views, each put into a cluster at random by its p, meet in one
        disagreement = -torch.logsumexp(log_p.sum(dim=0), dim=1).mean() * (len(views) > 1)
        return conditional_entropy, p.mean(dim=(0, 1)), disagreement

    def loss(self, conditional_entropy, mean_p, disagreement):
        """lambda H(y|x) - w (H(y) + sum_k p_k log(K pi_k)) + c disagreement.

        Up to a constant the second term is w times the divergence of the mean prediction p from the expected sizes pi.
        """
        return (
            self.entropy_weight * conditional_entropy
            - self.class_entropy_weight * (entropy(mean_p) + (mean_p * self.log_sizes).sum())
            + self.consistency_weight * disagreement
        )

    def backward(self, x, batch_size, generator=None):
        """Gradients of the loss of all rows, computed on mini-batches of ``batch_size``, and the terms of the loss.

        A first pass without gradients collects the mean prediction q of all rows. With it each mini-batch has a part of
        the gradient of its own: that of -H(q) is sum_k log(q_k) dq_k, the mean of sum_k log(q_k) dp_k over mini-batches
        with the mean predictions p. In "running" accumulation the last mini-batch alone stands for all of them.
        """
        # no part of a single row, on which batch normalisation cannot train
        n_parts = min(-(-len(x) // batch_size), len(x) // 2)
        parts = [self.views(part, generator) for part in x.tensor_split(n_parts)]
        if len(parts) == 1:
            terms = self.terms(parts[0])
            self.loss(*terms).backward()
            return tuple(term.detach() for term in terms)
        shares = [part.shape[1] / len(x) for part in parts]
        with torch.no_grad(), batch_statistics(self):
            passed = zip(*(self.terms(part) for part in parts), strict=True)
            terms = [sum(s * term for s, term in zip(shares, of_parts, strict=True)) for of_parts in passed]
        log_q = terms[1].clamp_min(torch.finfo(x.dtype).tiny).log() - self.log_sizes
        is_exact = self.accumulation == "exact"
        for part, share in zip(parts, shares, strict=True) if is_exact else [(parts[-1], 1.0)]:
            conditional_entropy, p, disagreement = self.terms(part)
            loss = self.entropy_weight * conditional_entropy + self.consistency_weight * disagreement
            (share * (loss + self.class_entropy_weight * (log_q * p).sum())).backward()
        return tuple(terms)

    @torch.no_grad()
    def encounters(self, x, generator=None):
        """Sum over rows of p(y|x') p(y|x'')^T, how often two views of a row meet in two clusters."""
        views = self.views(x, generator)
        first, second = self.probabilities(views[0]), self.probabilities(views[-1])
        return first.T @ second

    @torch.no_grad()
    def merge(self, encounters, n_clusters):
        """Merge clusters until ``n_clusters`` are left, given all ``encounters``, and return I(y', y'') of the merged.

        A merged cluster has the mean weights of its parts, and as expected size the sum of theirs.
        """
        groups = agglomerate(encounters.cpu(), n_clusters).to(encounters.device)
        members = F.one_hot(groups, n_clusters).to(encounters)  # (n_parts, n_clusters)
        mass = members * encounters.sum(dim=1, keepdim=True).clamp_min(torch.finfo(encounters.dtype).tiny)
        scale = self.head_norm.weight / (self.head_norm.running_var + self.head_norm.eps).sqrt()
        weights = (mass / mass.sum(dim=0)).T @ (scale[:, None] * self.head.weight)
        self.head = nn.Linear(weights.shape[1], n_clusters, bias=False).to(weights)
        self.head.weight.copy_(weights)
        self.head_norm = nn.BatchNorm1d(n_clusters).to(weights)
        self.log_sizes = (mass.sum(dim=0) / mass.sum(dim=0).mean()).clamp_min(SMALL).log().to(weights)
        return mutual_information(members.T @ encounters @ members)


def agglomerate(encounters, n_groups):
    """Group of each cluster, after the pair of largest lift was merged again and again.

    The lift P(a, b) / P(a) P(b) is how much more often two views of a row are in a and b than two views of any two
    rows: between parts of what belongs together the views change. The lift of merged clusters is the mean of theirs,
    weighted by mass (average linkage). Clusters that are next to empty are merged first.

    (n_clusters, n_clusters) -> (n_clusters,)
    """
    P = encounters.double()
    P = (P + P.T) / (2 * P.sum())
    groups = torch.arange(len(P))
    while len(P) > n_groups:
        mass = P.sum(dim=1)
        lift = P / torch.outer(mass, mass).clamp_min(torch.finfo(P.dtype).tiny)
        lift.fill_diagonal_(-1.0)
        if mass.min() < SMALL * mass.mean():
            lift[torch.arange(len(P)) != mass.argmin()] = -1.0
        a, b = sorted(divmod(int(lift.argmax()), len(P)))
        P[a] += P[b]
        P[:, a] += P[:, b]
        others = torch.arange(len(P)) != b
        P = P[others][:, others]
        groups[groups == b] = a
        groups[groups > b] -= 1
    return groups


def mutual_information(counts):
    """I in nats of two variables, from how often their values meet: (m, n) -> ()."""
    p = counts / counts.sum()
    return entropy(p.sum(dim=0)) + entropy(p.sum(dim=1)) - entropy(p.flatten())


def unit(x):
    """Rows of unit length: (n, ...) -> (n, ...)."""
    return F.normalize(x.flatten(1)).view_as(x)


def entropy(p):
    """-sum_k p_k log p_k in nats, along the last axis."""
    return -(p * p.clamp_min(torch.finfo(p.dtype).tiny).log()).sum(dim=-1)
