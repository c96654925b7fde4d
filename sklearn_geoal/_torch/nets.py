"""Nets made of what an estimator says: its torch parameters, checked and handed to skorch."""

import copy
import inspect
import numbers

import torch
from sklearn.utils import check_scalar
from skorch import callbacks

from .._validation import check_choice
from .checkpoints import check_checkpoint
from .device import drawing_from, resolve_device

# the parts of skorch's net that the functions below leave to the user
_NET_PARAM_PREFIXES = ("optimizer__", "callbacks__")
# callbacks of skorch that need what its own training has and ours has not, and what serves instead
_REFUSED = {
    callbacks.EpochScoring: "early_stopping=True for a loss on held out rows, or score after fit",
    callbacks.BatchScoring: "early_stopping=True for a loss on held out rows, or score after fit",
    callbacks.ProgressBar: "verbose=1 for a progress bar",
    callbacks.InputShapeSetter: "none, networks take their shape from X",
}


def check_torch_params(estimator):
    """Check the torch parameters that all deep estimators share.

    Raises
    ------
    TypeError, ValueError
        If one of them has the wrong type or lies outside its range.
    """
    check_scalar(estimator.max_epochs, "max_epochs", numbers.Integral, min_val=1)
    check_scalar(estimator.batch_size, "batch_size", numbers.Integral, min_val=2)
    check_scalar(estimator.lr, "lr", numbers.Real, min_val=0, include_boundaries="neither")
    check_choice("lr_schedule", estimator.lr_schedule, ("constant", "cosine"))
    for name in ("early_stopping", "warm_start"):
        check_scalar(getattr(estimator, name), name, bool)
    check_scalar(estimator.patience, "patience", numbers.Integral, min_val=1)
    check_scalar(
        estimator.validation_fraction,
        "validation_fraction",
        numbers.Real,
        min_val=0,
        max_val=1,
        include_boundaries="neither",
    )
    check_scalar(estimator.callbacks or [], "callbacks", list)
    _check_callbacks(estimator.callbacks or [], estimator.early_stopping)
    check_checkpoint(estimator.checkpoint)
    check_scalar(estimator.net_params or {}, "net_params", dict)
    unknown = sorted(name for name in estimator.net_params or () if not name.startswith(_NET_PARAM_PREFIXES))
    if unknown:
        raise ValueError(
            f"net_params takes names that begin with {', '.join(map(repr, _NET_PARAM_PREFIXES))}; got "
            f"{', '.join(map(repr, unknown))}. Everything else is set by the estimator and its own parameters."
        )


def _check_callbacks(given, early_stopping):
    """Check that callbacks of skorch find what they need.

    Raises
    ------
    ValueError
        If one cannot work here.
    """
    for callback in given:
        callback = callback[1] if isinstance(callback, tuple) else callback
        kind = callback if inspect.isclass(callback) else type(callback)
        for refused, instead in _REFUSED.items():
            if issubclass(kind, refused):
                raise ValueError(f"callbacks has skorch's {kind.__name__}, which cannot work here. Use {instead}.")
        monitor = getattr(callback, "monitor", None)
        if isinstance(monitor, str) and monitor.startswith("valid_loss") and not early_stopping:
            raise ValueError(
                f"callbacks has skorch's {kind.__name__} with monitor={monitor!r}, but no rows are held out: set "
                f"early_stopping=True, or monitor={monitor.replace('valid', 'train')!r}."
            )


def resolve_optimizer(optimizer):
    """Optimiser class: a class as it is, a name looked up in ``torch.optim`` in any case ("adam", "SGD").

    Raises
    ------
    ValueError
        If ``optimizer`` is neither.
    """
    base = torch.optim.Optimizer
    if inspect.isclass(optimizer) and issubclass(optimizer, base):
        return optimizer
    known = {name.lower(): cls for name, cls in vars(torch.optim).items() if inspect.isclass(cls) and cls is not base}
    if not isinstance(optimizer, str) or optimizer.lower() not in known:
        raise ValueError(
            f"optimizer must be a torch.optim.Optimizer class or one of {', '.join(map(repr, sorted(known)))}; "
            f"got {optimizer!r}."
        )
    return known[optimizer.lower()]


def make_net(estimator, net_class, module, module_params, generator):
    """Initialised net with the estimator's torch parameters.

    Parameters
    ----------
    estimator : estimator
        Has the torch parameters that all deep estimators share.
    net_class : class
        TensorNet or a subclass.
    module : nn.Module class
    module_params : dict
        Its arguments. They are pickled with the net.
    generator : torch.Generator
        On the CPU; the initial weights are drawn from it.
    """
    module_params = {f"module__{name}": value for name, value in module_params.items()}
    with drawing_from(generator):
        return net_class(module, **module_params, **_net_params(estimator)).initialize()


def make_net_to_go_on(estimator, net):
    """Initialised net with a copy of a trained module and history, but the torch parameters that the estimator has now.

    What the optimiser remembers goes on, if it is of the same kind.
    """
    module = copy.deepcopy(net.module_)
    if hasattr(module, "resume"):
        module.resume()
    twin = type(net)(module, **_net_params(estimator)).initialize()
    # a class and its arguments, as in other nets: with an instance a pickle would hold the module twice
    vars(twin).update({name: value for name, value in vars(net).items() if name.startswith("module__")})
    twin.module = net.module
    for row in net.history:
        twin.history.append(dict(row))
    if type(net.optimizer_) is type(twin.optimizer_):
        groups = twin.optimizer_.state_dict()["param_groups"]
        state = copy.deepcopy(net.optimizer_.state_dict()["state"])
        twin.optimizer_.load_state_dict({"state": state, "param_groups": groups})
    return twin


def _net_params(estimator):
    """Arguments of a net besides its module."""
    optimizer = resolve_optimizer(estimator.optimizer)
    net_params = dict(estimator.net_params or {})
    implementations = ("optimizer__fused", "optimizer__foreach", "optimizer__differentiable")
    # one fused kernel a step: the loop over the parameters costs a tenth of the time of a small net
    if "fused" in inspect.signature(optimizer).parameters and not any(name in net_params for name in implementations):
        net_params["optimizer__fused"] = True
    return {
        "criterion": None,
        "optimizer": optimizer,
        "lr": estimator.lr,
        "batch_size": estimator.batch_size,
        "callbacks": copy.deepcopy(estimator.callbacks),  # callbacks change as they are called, parameters do not
        "verbose": 0,
        "device": resolve_device(estimator.device),
        **net_params,
    }
