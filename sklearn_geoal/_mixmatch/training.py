"""What both MixMatch estimators share: parameters, batches of labelled and unlabelled rows, the averaged network."""

import math
import numbers

import torch
from sklearn.utils import check_scalar

from .._nets.mixmatch import MixMatch
from .._nets.norms import tracking_norms
from .._torch.batches import cycled_batches, n_rows_of_step, n_steps_of_epoch
from .._torch.class_weight import weights_of_classes
from .._torch.fitting import DeepEstimator
from .._torch.inference import infer
from .._torch.training import TensorNet

# batches that tell the running statistics: those of a few thousand rows are as good as those of all
MAX_BATCHES = 32

# parameters of an estimator that MixMatch has under the same names
_SHARED = ("n_augmentations", "temperature", "alpha", "lambda_u", "weight_decay", "ema_decay")


class MixMatchNet(TensorNet):
    """A net that takes each step on as many labelled as unlabelled rows, and averages its weights.

    An epoch is a pass over the unlabelled or the labelled rows, whichever are more, or several passes over few.
    """

    def batches(self, rows, order):
        n_steps, n = plan_epoch(len(rows.labeled), len(rows.unlabeled), self.batch_size, rows.n_pixels)
        return cycled_batches(rows.tensors, (rows.labeled, rows.unlabeled), (n, n), n_steps, order)

    def after_step(self):
        self.module_.finish_step(self.optimizer_.param_groups[0]["lr"])

    @torch.no_grad()
    def after_epoch(self, rows, order):
        """Give the averaged network the running statistics of rows as it predicts them: not augmented, not mixed."""
        net, x = self.module_.average, rows.tensors[0]
        # those in training: a backbone may hold some fixed
        momenta = {layer: layer.momentum for layer in tracking_norms(net) if layer.training}
        if not momenta:
            return
        _, n = plan_epoch(len(rows.labeled), len(rows.unlabeled), self.batch_size, rows.n_pixels)
        indices = torch.cat([rows.labeled, rows.unlabeled]).unique()
        indices = indices[torch.randperm(len(indices), generator=order)[: MAX_BATCHES * n].to(indices.device)]
        net.eval()  # without dropout, which would add to the variances
        for layer in momenta:
            layer.reset_running_stats()
            layer.train().momentum = None  # the mean over all batches
        try:
            for part in indices.tensor_split(len(indices) // n):  # of about the same size, none of them a single row
                net(self.module_.as_input(x[part].to(self.device)))
        finally:
            for layer, momentum in momenta.items():
                layer.momentum = momentum

    def forget_training(self):
        super().forget_training()
        self.module_.finish()


def plan_epoch(n_labeled, n_unlabeled, batch_size, n_pixels=None):
    """Number of steps of an epoch and of rows of each kind in a step."""
    n_rows = max(n_labeled, n_unlabeled)
    n = min(n_rows_of_step(batch_size, n_pixels), n_rows)
    return n_steps_of_epoch(n_rows, n, n_pixels), n


class MixMatchEstimator(DeepEstimator):
    """An estimator whose module is a :class:`MixMatch`; the arguments that differ are its ``_method_params(rows)``."""

    _module_class, _net_class = MixMatch, MixMatchNet
    _built_in = ("backbone", "hidden_units", "image_shape")
    _changeable = (*_SHARED, "augment", "class_weight", "confidence", "mixing", "unlabeled_share")

    def _check_params(self):
        check_scalar(self.n_augmentations, "n_augmentations", numbers.Integral, min_val=1)
        check_scalar(self.temperature, "temperature", numbers.Real, min_val=0, include_boundaries="neither")
        check_scalar(self.alpha, "alpha", numbers.Real, min_val=0)
        check_scalar(self.lambda_u, "lambda_u", numbers.Real, min_val=0)
        check_scalar(self.warmup, "warmup", numbers.Real, min_val=0, max_val=1)
        check_scalar(self.ema_decay, "ema_decay", numbers.Real, min_val=0, max_val=1, include_boundaries="left")
        check_scalar(self.weight_decay, "weight_decay", numbers.Real, min_val=0)

    def _module_params(self, rows):
        n_labeled, n_unlabeled = len(rows.labeled), len(rows.unlabeled)
        n_steps = self.max_epochs * plan_epoch(n_labeled, n_unlabeled, self.batch_size, rows.n_pixels)[0]
        return {name: getattr(self, name) for name in _SHARED} | {
            "n_classes": len(self.classes_),
            "class_weight": weights_of_classes(self.class_weight, self.classes_, rows.tensors[1].numpy()),
            "unlabeled_share": n_unlabeled / (n_labeled + n_unlabeled),
            "rampup_steps": math.ceil(self.warmup * n_steps),
            **self._method_params(rows),
        }

    def _measure(self, net, rows, noise):
        return [infer(net, net.module_.logits, rows.known[: self.batch_size])]
