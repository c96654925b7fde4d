"""A supervised classifier: its loss, and what its outputs mean."""

import torch
import torch.nn.functional as F
from torch import nn

from .bodies import checked


class Classifier(nn.Module):
    """Network with one output for each class, trained on the cross-entropy -log p(y|x).

    Parameters
    ----------
    input_shape : tuple of int
        Shape in which the backbone takes a row: (n_features,) or (channels, height, width).
    n_classes : int
        Number of classes.
    backbone : callable
        ``backbone(input_shape, n_classes)`` returns the module that gives the logits.
    class_weight : tuple of float
        Weights of the classes in the cross-entropy.
    """

    def __init__(self, input_shape, n_classes, backbone, class_weight):
        super().__init__()
        self.class_weight = class_weight
        self.input_shape = tuple(input_shape)
        self.backbone = checked(backbone(self.input_shape, n_classes), self.input_shape, (n_classes,))

    def forward(self, x, y, generator=None):  # (n, n_features), (n,) codes of the classes -> ()
        return class_cross_entropy(self.logits(x), y, self.class_weight)

    def losses(self, x, y, generator=None):
        """What is minimised. Nothing is drawn."""
        return {"train_loss": self(x, y)}

    def logits(self, x):
        """log p(y|x) up to a constant of each row: (n, n_features) -> (n, n_classes)."""
        return self.backbone(x.view(-1, *self.input_shape))

    def probabilities(self, x):
        """p(y|x): (n, n_features) -> (n, n_classes)."""
        return torch.softmax(self.logits(x), dim=1)


def class_cross_entropy(logits, y, class_weight):
    """Cross-entropy, a mean in which each row counts as much as its class weighs: (n, n_classes), (n,) -> ()."""
    if len(set(class_weight)) == 1:
        return F.cross_entropy(logits, y)
    weights = logits.new_tensor(class_weight)[y]
    # a batch may hold classes of weight 0 alone
    return (weights * F.cross_entropy(logits, y, reduction="none")).sum() / weights.sum().clamp_min(1e-6)
