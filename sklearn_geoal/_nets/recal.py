"""RECAL: clusters as the outputs of a network that learns from the entropies of what it predicts."""

import torch
import torch.nn.functional as F
from torch import nn

from . import checked
from .norms import batch_statistics


class RECAL(nn.Module):
    """A network that takes a row to an embedding, and heads that each take this to the probabilities of clusters.

    Parameters
    ----------
    input_shape : tuple of int
        Shape in which the backbone takes a row: (n_features,) or (channels, height, width).
    n_clusters, n_components, n_heads : int
        Numbers of clusters, of dimensions of the embedding and of heads.
    backbone : callable
        ``backbone(input_shape, n_components)`` returns the module that gives the embedding.
    augment : Compose
        Augmentation of a batch.
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
        n_heads,
        backbone,
        augment,
        entropy_weight,
        class_entropy_weight,
        consistency_weight,
        accumulate_batches,
        accumulation,
    ):
        super().__init__()
        self.input_shape, self.n_clusters = tuple(input_shape), n_clusters
        self.augment = augment
        self.entropy_weight, self.class_entropy_weight = entropy_weight, class_entropy_weight
        self.consistency_weight = consistency_weight
        self.accumulate_batches, self.accumulation = accumulate_batches, accumulation
        self.backbone = checked(backbone(self.input_shape, n_components), self.input_shape, (n_components,))
        self.norm = nn.BatchNorm1d(n_components)
        self.heads = nn.Linear(n_components, n_heads * n_clusters)
        self.heads_norm = nn.BatchNorm1d(n_heads * n_clusters)

    def forward(self, x):  # (n, ...) -> (), what a validation measures
        return self.loss(*self.terms(self.views(x))).mean()

    def embed(self, x):
        """z: (n, ...) -> (n, n_components)."""
        return F.relu(self.norm(self.backbone(x.view(-1, *self.input_shape))))

    def logits(self, x):
        """log p(y|x) up to a constant of each row and head: (n, ...) -> (n, n_heads, n_clusters)."""
        return self.heads_norm(self.heads(self.embed(x))).unflatten(1, (-1, self.n_clusters))

    def probabilities(self, x):
        """p(y|x) of the first head: (n, ...) -> (n, n_clusters)."""
        return torch.softmax(self.logits(x)[:, 0], dim=1)

    def keep_head(self, index):
        """Drop all heads but one."""
        rows = slice(index * self.n_clusters, (index + 1) * self.n_clusters)
        n_outputs = self.heads.out_features
        for layer in (self.heads, self.heads_norm):
            for values in (*layer.parameters(), *layer.buffers()):
                if values.ndim and len(values) == n_outputs:
                    values.data = values.data[rows].clone()
        self.heads.out_features = self.heads_norm.num_features = self.n_clusters

    @torch.no_grad()
    def views(self, x):
        """What the network sees of rows: two augmented copies of each, or the rows themselves without augmentation.

        (n, ...) -> (n_views, n, ...)
        """
        x = x.view(-1, *self.input_shape)
        if not self.augment.augmentations:
            return x[None]
        return torch.stack([self.augment(x), self.augment(x)])

    def terms(self, views):
        """H(y|x), the mean prediction and the disagreement of the views, for each head.

        (n_views, n, ...) -> (n_heads,), (n_heads, n_clusters), (n_heads,)
        """
        log_p = torch.log_softmax(self.logits(views.flatten(0, 1)), dim=2)
        log_p = log_p.unflatten(0, views.shape[:2])  # (n_views, n, n_heads, n_clusters)
        p = log_p.exp()
        conditional_entropy = -(p * log_p).sum(dim=3).mean(dim=(0, 1))
        # -log of the probability that the two views, each put into a cluster at random by its p, meet in one
        disagreement = -torch.logsumexp(log_p.sum(dim=0), dim=2).mean(dim=0) * (len(views) > 1)
        return conditional_entropy, p.mean(dim=(0, 1)), disagreement

    def loss(self, conditional_entropy, mean_p, disagreement):
        """lambda H(y|x) - w H(y) + c disagreement: (n_heads,)."""
        class_entropy = entropy(mean_p)
        return (
            self.entropy_weight * conditional_entropy
            - self.class_entropy_weight * class_entropy
            + self.consistency_weight * disagreement
        )

    def backward(self, x, batch_size):
        """Gradients of the loss of all rows, computed on mini-batches of ``batch_size``, and the terms of the loss.

        A first pass without gradients collects the mean prediction q of all rows. With it each mini-batch has a part of
        the gradient of its own: that of -H(q) is sum_k log(q_k) dq_k, the mean of sum_k log(q_k) dp_k over mini-batches
        with the mean predictions p. In "running" accumulation the last mini-batch alone stands for all of them.
        """
        parts = [self.views(part) for part in x.tensor_split(-(-len(x) // batch_size))]
        if len(parts) == 1:
            terms = self.terms(parts[0])
            self.loss(*terms).mean().backward()
            return tuple(term.detach() for term in terms)
        shares = [part.shape[1] / len(x) for part in parts]
        with torch.no_grad(), batch_statistics(self):
            passed = zip(*(self.terms(part) for part in parts), strict=True)
            terms = [sum(s * term for s, term in zip(shares, of_parts, strict=True)) for of_parts in passed]
        log_q = terms[1].clamp_min(torch.finfo(x.dtype).tiny).log()
        is_exact = self.accumulation == "exact"
        for part, share in zip(parts, shares, strict=True) if is_exact else [(parts[-1], 1.0)]:
            conditional_entropy, p, disagreement = self.terms(part)
            loss = self.entropy_weight * conditional_entropy + self.consistency_weight * disagreement
            loss = loss + self.class_entropy_weight * (log_q * p).sum(dim=1)
            (share * loss.mean()).backward()
        return tuple(terms)


def entropy(p):
    """-sum_k p_k log p_k in nats, along the last axis."""
    return -(p * p.clamp_min(torch.finfo(p.dtype).tiny).log()).sum(dim=-1)
