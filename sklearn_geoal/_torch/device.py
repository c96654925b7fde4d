"""Devices, and random draws from generators of our own: torch's are shared by all threads."""

from contextlib import ExitStack, contextmanager
from functools import cache

import torch
from torch.utils._python_dispatch import TorchDispatchMode


def resolve_device(device):
    """Name of the device to compute on: ``device`` itself if it is there, the fastest one for "auto".

    Raises
    ------
    ValueError
        If ``device`` is no device name or not present on this machine.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        wanted = torch.device(device)
    except (RuntimeError, TypeError):
        wanted = None
    if wanted is None or wanted.type not in ("cpu", "cuda", "mps"):
        raise ValueError(f'device must be "auto", "cpu", "cuda", "cuda:<index>" or "mps"; got {device!r}.')
    n_present = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if (wanted.index or 0) >= n_present[wanted.type]:
        raise ValueError(
            f"device={device!r} was asked for, but PyTorch finds {n_present[wanted.type]} such devices here: "
            'use device="cpu", or device="auto" to take what is there.'
        )
    return str(wanted)


@contextmanager
def undisturbed():
    """Keep from a network what the caller has set for torch: modes without gradients, autocast, default type, device.

    The default type is one of the process, and other threads rely on it, so it is not set back but filled in where an
    operation asks for it. That costs some microseconds an operation, where the default is not that of torch alone.
    """
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        if torch.get_default_dtype() != torch.float32:
            stack.enter_context(_single_precision())
        yield


class _single_precision(TorchDispatchMode):
    """Fill in float32 where an operation that makes a tensor is not told its type and would take the default."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if kwargs.get("dtype") is None and _takes_default_dtype(func) and not _are_integers(func, args):
            kwargs["dtype"] = torch.float32
        return func(*args, **kwargs)


@cache
def _takes_default_dtype(func):
    return func.overloadpacket._qualified_op_name.removeprefix("aten::") in _MAKERS


def _are_integers(func, args):
    """Whether ``arange`` and ``full`` are told integers, of which they make integers."""
    name = func.overloadpacket._qualified_op_name.removeprefix("aten::")
    given = {"arange": args, "full": args[1:2], "scalar_tensor": args[:1]}.get(name, (0.0,))
    return all(isinstance(value, int) for value in given)


_MAKERS = {"arange", "empty", "empty_strided", "eye", "full", "linspace", "normal", "ones", "rand", "randn"}
_MAKERS |= {"scalar_tensor", "zeros"}


def generator_on(device, seed):
    """Generator of random numbers on a device."""
    return torch.Generator(device).manual_seed(seed)


class drawing_from(TorchDispatchMode):
    """Let code that knows no generators draw from ``generator``: initial weights, dropout, functions of the user.

    In the block, what draws from torch's own generator of the process draws from this one, in this thread alone; other
    threads and the caller's generator notice nothing. The numbers are those that ``torch.manual_seed`` with the seed
    of ``generator`` would have given. Each operation takes some microseconds longer: not for whole trainings, where
    generators are handed down.
    """

    def __init__(self, generator):
        super().__init__()
        self.generators = {generator.device.type: generator}
        self.first = generator

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        draw = _draw_of(func)
        if draw is None:
            return func(*args, **kwargs)
        device = args[0].device if args and torch.is_tensor(args[0]) else torch.device(kwargs.get("device") or "cpu")
        return draw(self._generator(device), args, kwargs)

    def _generator(self, device):
        if device.type not in self.generators:
            seed = torch.randint(2**62, (), device=self.first.device, generator=self.first).item()
            self.generators[device.type] = generator_on(device, seed)
        return self.generators[device.type]


@cache
def _draw_of(func):
    """How an operation is carried out with a generator, as ``draw(generator, args, kwargs)``; None if it draws not."""
    if "generator" in (argument.name for argument in func._schema.arguments):

        def draw(generator, args, kwargs):
            given = [argument.name for argument in func._schema.arguments[: len(args)]]
            if "generator" in given or kwargs.get("generator") is not None:
                return func(*args, **kwargs)
            return func(*args, **{**kwargs, "generator": generator})

        return draw
    packet = func.overloadpacket
    name = packet._qualified_op_name.removeprefix("aten::")
    if name in _FILLS:
        return lambda generator, args, kwargs: _FILLS[name](torch.empty_like(args[0], **kwargs), generator, *args[1:])
    if name in ("rand", "randn", "randint", "randperm"):
        overload = getattr(packet, {"default": "generator", "low": "low_generator"}[func._overloadname])
        return lambda generator, args, kwargs: overload(*args, **kwargs, generator=generator)
    return _dropout if name == "native_dropout" else None


_FILLS = {
    "rand_like": lambda out, generator: out.uniform_(generator=generator),
    "randn_like": lambda out, generator: out.normal_(generator=generator),
    "randint_like": lambda out, generator, *limits: out.random_(*((0, *limits)[-2:]), generator=generator),
}


def _dropout(generator, args, kwargs):  # what dropout is on CUDA
    x, p, is_training = args
    if not is_training:
        return x.clone(), torch.ones_like(x, dtype=torch.bool)
    kept = torch.empty_like(x).bernoulli_(1 - p, generator=generator)
    return x * kept / max(1 - p, torch.finfo(x.dtype).tiny), kept.bool()
