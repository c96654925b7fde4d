"""Batch normalisations and the running statistics they keep."""

from contextlib import contextmanager

from torch.nn.modules.batchnorm import _BatchNorm


def tracking_norms(net):
    """The batch normalisations of a network that keep running statistics."""
    return [layer for layer in net.modules() if isinstance(layer, _BatchNorm) and layer.track_running_stats]


@contextmanager
def batch_statistics(net):
    """Let batch normalisation in training mode use the batch's statistics and leave the running ones as they are."""
    layers = tracking_norms(net)
    for layer in layers:
        layer.track_running_stats = False
    try:
        yield
    finally:
        for layer in layers:
            layer.track_running_stats = True
