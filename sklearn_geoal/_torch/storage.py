"""How tensors, modules and nets are written to model files and read from them again."""

import inspect
import math
import sys

import skorch
import skorch.callbacks
import skorch.utils
import torch
from skorch.exceptions import DeviceWarning
from skorch.history import History
from torch import nn

from .._storage.kinds import Kind
from .._warnings import warn
from .device import resolve_device, undisturbed
from .training import TensorNet, epochs_as_dicts

_BASES = (nn.Module, torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler, skorch.callbacks.Callback)


def is_network(found):
    """Whether a class is one of networks."""
    return issubclass(found, nn.Module | TensorNet)


def find_in_torch(module, attribute):
    """A class or function of torch or skorch that models name, None if it is none of these."""
    if (module, attribute) == ("skorch.utils", "noop"):
        return skorch.utils.noop
    # modules that are there: none is imported because a file says so
    found = vars(sys.modules[module]).get(attribute) if module in sys.modules else None
    is_function = module == "torch.nn.functional" and inspect.isfunction(found) and found.__module__ == module
    return found if is_function or (inspect.isclass(found) and issubclass(found, _BASES)) else None


# --- tensors ----------------------------------------------------------------------------------------------------------


def _pack_tensor(tensor, writer):
    values = tensor.detach().cpu()
    if values.layout != torch.strided or values.is_quantized:
        raise TypeError(f"a tensor with the layout {values.layout} and the type {values.dtype}: make it a dense one")
    if not (values.is_contiguous() or (values.dim() == 4 and values.is_contiguous(memory_format=torch.channels_last))):
        values = torch.empty_like(values).copy_(values)
    # in the order of memory, as bytes, since numpy lacks some types
    flat = values.as_strided((values.numel(),), (1,)).view(torch.uint8).numpy()
    form = [str(values.dtype).removeprefix("torch."), list(values.shape), list(values.stride())]
    return [writer.number_of_array(flat), *form, isinstance(tensor, nn.Parameter), tensor.requires_grad]


@undisturbed()
def _unpack_tensor(reader, number, name, shape, strides, is_parameter, requires_grad):
    values, dtype = reader.array(number), getattr(torch, name)
    is_form = isinstance(dtype, torch.dtype) and all(type(size) is int and size >= 0 for size in shape)
    if not is_form or math.prod(shape) * dtype.itemsize != values.nbytes:
        raise ValueError(f"{values.nbytes} bytes make no tensor of {name} with the shape {shape}")
    tensor = torch.empty(math.prod(shape), dtype=dtype)
    tensor.view(torch.uint8).copy_(torch.from_numpy(values))
    # torch checks that the strides stay inside; products of matrices round otherwise with others
    tensor = tensor.as_strided(shape, strides)
    return nn.Parameter(tensor, requires_grad) if is_parameter else tensor.requires_grad_(requires_grad)


# --- modules ----------------------------------------------------------------------------------------------------------


def _pack_module(module, writer):
    of_all = vars(nn.Module())
    if hooks := [name for name, value in vars(module).items() if name.endswith("_hooks") and value]:
        raise TypeError(f"a {type(module).__name__} with hooks ({', '.join(hooks)}): remove them first")
    parts = [
        {name: writer.pack(part, f".{name}") for name, part in getattr(module, kind).items()}
        for kind in ("_parameters", "_buffers", "_modules")
    ]
    attributes = {name: writer.pack(v, f".{name}") for name, v in vars(module).items() if name not in of_all}
    return [
        writer.name_of(type(module)),
        module.training,
        sorted(module._non_persistent_buffers_set),
        *parts,
        attributes,
    ]


def _unpack_module(reader, name, training, not_kept, parameters, buffers, modules, attributes):
    found = reader.find(name)
    if not inspect.isclass(found) or not issubclass(found, nn.Module):
        raise ValueError(f"{name} is no module of torch")
    module = object.__new__(found)
    nn.Module.__init__(module)  # not that of its own class
    of_all = set(vars(module))
    for key, parameter in reader.attributes(parameters).items():
        module.register_parameter(key, parameter)
    for key, buffer in reader.attributes(buffers).items():
        module.register_buffer(key, buffer, persistent=key not in not_kept)
    for key, part in reader.attributes(modules).items():
        module.add_module(key, part)
    if of_all & set(attributes):
        raise ValueError(f"{', '.join(of_all & set(attributes))} are no attributes of a module's own")
    vars(module).update(reader.attributes(attributes))
    module.training = training
    return module


# --- nets -------------------------------------------------------------------------------------------------------------


def _pack_net(net, writer):
    if not isinstance(net, TensorNet):
        raise TypeError(
            f"a {type(net).__name__}: of skorch's nets only those inside sklearn_geoal's estimators can be saved. Use "
            "NetClassifier, or save net.module_.state_dict() with torch.save"
        )
    params = {name: value for name, value in vars(net).items() if _is_of_training(name)}
    module = getattr(net.module_, "_orig_mod", net.module_)  # of a compiled one
    state = None if net.optimizer_ is None else net.optimizer_.state_dict()
    parts = (params, module, epochs_as_dicts(net), state)
    return [writer.name_of(type(net)), *(writer.pack(part) for part in parts)]


def _is_of_training(name):
    """Whether a parameter of a net is one of those that are kept."""
    return name in ("batch_size", "compile", "device", "lr", "optimizer") or name.startswith(
        ("optimizer__", "compile__")
    )


def _device_here(device):
    """The device if it is there, else the CPU, with a warning."""
    if torch.device(device).type not in ("cpu", "cuda", "mps"):
        raise ValueError(f"{device!r} is no device of a net")
    try:
        return resolve_device(device)
    except ValueError:
        warn(
            f"The estimator was fitted on the device {device!r}, which is not here: it computes on the CPU. Set its "
            'parameter device to "cpu" before you fit it again.',
            DeviceWarning,
        )
        return "cpu"


@undisturbed()
def _unpack_net(reader, name, *parts):
    found, (params, module, epochs, state) = reader.find(name), map(reader.value, parts)
    if not inspect.isclass(found) or not issubclass(found, TensorNet):
        raise ValueError(f"{name} is no net")
    if other := [name for name in params if not _is_of_training(name)]:
        raise ValueError(f"{', '.join(other)} are no parameters of a training")
    if not (inspect.isclass(params["optimizer"]) and issubclass(params["optimizer"], torch.optim.Optimizer)):
        raise ValueError(f"{params['optimizer']!r} is no optimiser")  # it would be called
    params["device"] = _device_here(params["device"])
    # without callbacks: some write files when they are initialised; another fit makes its own from the estimator's
    net = found(module, criterion=None, verbose=0, **params).initialize()
    net.module = type(module)
    net.history = History({**epoch, "batches": [{}]} for epoch in epochs)
    if state is None:
        net.forget_training()
    else:
        net.optimizer_.load_state_dict(state)
    return net


KINDS = {
    "tensor": Kind((torch.Tensor, nn.Parameter), _pack_tensor, _unpack_tensor, shared=True),
    "module": Kind((nn.Module,), _pack_module, _unpack_module, shared=True, exact=False),
    "net": Kind((skorch.NeuralNet,), _pack_net, _unpack_net, shared=True, exact=False),
}
