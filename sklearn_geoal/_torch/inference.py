"""Apply trained networks to arrays, batch by batch."""

import copy
import math

import numpy as np
import torch
from skorch import NeuralNet

from .device import undisturbed
from .training import TensorNet

# of a batch in inference, which has no say in the result: as many rows as keep the processor busy, and what a network
# makes of them in its caches or at least in memory
_MAX_ROWS, _MAX_VALUES = 1024, 2**20
# matrix products of fewer rows than these round otherwise than those of many
_MULTIPLE = 16


def as_tensor(array, dtype=np.float32):
    """Tensor of an array, copied only where torch could not take its memory (dtype, strides, read-only)."""
    return torch.from_numpy(np.require(array, dtype, ("C", "W")))


def infer(net, function, *arrays):
    """Apply a function of the net's module to arrays, batch by batch, in evaluation mode and without gradients.

    Parameters
    ----------
    net : TensorNet
        Trained net.
    function : callable
        Takes a batch of each array, on the net's device, and returns a tensor or a tuple of tensors of as many rows.
    *arrays : ndarray
        Arrays of equal length.

    Returns
    -------
    result : ndarray or tuple of ndarray
        The results of all batches, in the order of the rows.
    """
    net._set_training(False)
    n_values = max(math.prod(array.shape[1:]) for array in arrays)
    n_rows_of_batch = max(min(_MAX_ROWS, _MAX_VALUES // n_values) // _MULTIPLE, 1) * _MULTIPLE
    results = []
    with undisturbed(), torch.inference_mode():
        for start in range(0, len(arrays[0]), n_rows_of_batch):
            n_rows = min(n_rows_of_batch, len(arrays[0]) - start)
            batch = (_padded(array[start : start + n_rows]).to(net.device) for array in arrays)
            result = function(*batch)
            results.append([part[:n_rows].cpu() for part in (result if isinstance(result, tuple) else (result,))])
    joined = tuple(torch.cat(parts).numpy() for parts in zip(*results, strict=True))
    return joined if len(joined) > 1 else joined[0]


def _padded(rows):
    """Tensor of the rows and some zeros, so that their number does not show in the results."""
    if math.prod(rows.shape[2:]) > 1:  # images, of which a few are many pixels
        return as_tensor(rows)
    padded = np.zeros((len(rows) + -len(rows) % _MULTIPLE, *rows.shape[1:]), dtype=np.float32)
    padded[: len(rows)] = rows
    return torch.from_numpy(padded)


def is_skorch(estimator):
    """Whether an estimator is a skorch net, such as skorch.NeuralNetClassifier."""
    return isinstance(estimator, NeuralNet)


def penultimate(net, X, layer=None):
    """Hidden representation of rows: what the last linear layer of a trained net is given, or the layer so named.

    Parameters
    ----------
    net : skorch.NeuralNet
        Trained net. Its module is called as the net itself calls it to predict.
    X : ndarray of shape (n_samples, ...)
        Rows as the net takes them.
    layer : str, default=None
        Name of a layer of the module, as ``named_modules`` lists it. None: the linear layer that is called last.

    Returns
    -------
    Z : ndarray of shape (n_samples, n_hidden)

    Raises
    ------
    ValueError
        If there is no such layer, or it is never called.
    """
    layers = dict(net.module_.named_modules())
    linear = [name for name, module in layers.items() if isinstance(module, torch.nn.Linear)]
    if layer is not None and layer not in layers:
        raise ValueError(
            f"layer={layer!r} is not in {type(net.module_).__name__}, whose layers are "
            f"{', '.join(repr(name) for name in layers if name)}."
        )
    if layer is None and not linear:
        raise ValueError(
            f"{type(net.module_).__name__} has no linear layer whose input could serve as its representation: name "
            f"another layer; there are {', '.join(repr(name) for name in layers if name)}."
        )
    net, given = _with_copied_module(net), []
    layers = dict(net.module_.named_modules())
    for name in linear if layer is None else [layer]:
        layers[name].register_forward_pre_hook(lambda module, args: given.append(args[0].detach()))

    def last_given():
        if not given:
            raise ValueError(
                f"{type(net.module_).__name__} predicts without a call of {layer or ' or '.join(linear)}: name another "
                "layer; there are "
                f"{', '.join(repr(name) for name in layers if name)}."
            )
        last = given[-1].flatten(1)
        given.clear()
        return last

    if isinstance(net, TensorNet):
        return infer(net, lambda x: (net.module_.logits(x), last_given())[1], X)
    with undisturbed():
        return torch.cat([last_given().cpu() for _ in net.forward_iter(X)]).numpy()


def _with_copied_module(net):
    """The net with a module of its own: hooks on the shared one would collect the rows of other threads."""
    twin = object.__new__(type(net))
    vars(twin).update(vars(net))
    vars(twin)["module_"] = copy.deepcopy(net.module_)
    return twin
