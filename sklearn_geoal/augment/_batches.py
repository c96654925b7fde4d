"""What all augmentations share: checks of parameters and batches, random draws."""

from numbers import Integral, Real

import torch


def check_range(augmentation, kind=Real, **limits):
    """Check that parameters are numbers from 0 on, below their limits."""
    for name, limit in limits.items():
        value = getattr(augmentation, name)
        if not isinstance(value, kind) or not 0 <= value < limit:
            number = "an integer" if kind is Integral else "a number"
            raise ValueError(
                f"{name} of {type(augmentation).__name__} must be {number} in [0, {limit}); got {value!r}."
            )


def check_batch(augmentation, x, image=False):
    name = type(augmentation).__name__
    if not isinstance(x, torch.Tensor) or x.dtype not in (torch.float32, torch.float64):
        got = x.dtype if isinstance(x, torch.Tensor) else type(x).__name__
        raise TypeError(f"{name} takes a tensor of float32 or float64; got {got}.")
    if x.ndim not in ((4,) if image else (2, 4)):
        rows = "" if image else "(n, bands) or "
        raise ValueError(f"{name} takes a batch of shape {rows}(n, channels, height, width); got {tuple(x.shape)}.")


def uniform(x, low, high, generator, n_values=1):
    """Uniform draws of shape (n, n_values) or (n, n_values, 1, 1), as ``x`` has two dimensions or four."""
    shape = (len(x), n_values, *[1] * (x.ndim - 2))
    return low + (high - low) * torch.rand(shape, dtype=x.dtype, device=x.device, generator=generator)
