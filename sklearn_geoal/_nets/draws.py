"""Random draws like a tensor, from a generator that is handed down."""

import torch


def normal_like(x, generator):
    """Standard normal draws of the shape, type and device of x, and in its memory format."""
    return torch.empty_like(x).normal_(generator=generator)


def uniform_like(x, generator):
    """The same from [0, 1)."""
    return torch.empty_like(x).uniform_(generator=generator)
