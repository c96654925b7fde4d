"""Rows to learn from, and which of them a step takes."""

import math
from typing import NamedTuple

import torch

# An epoch that draws its rows anew for each step goes on for so many steps where there are few rows, so that the same
# number of epochs suits tables and large image sets. But it takes no more than one step for so many rows, or pixels of
# masks, and passes over the rows no more than so many times: small data gain nothing by more.
MIN_STEPS, VALUES_A_STEP, MAX_PASSES = 20, 10, 8
# a step of images with masks has at least so many pixels: single pixels are learned like the rows of a table
MIN_PIXELS = 256


class Rows(NamedTuple):
    """What a network learns from: tensors of equal length, and the indices of the rows with and without a target.

    tensors : tuple of tensors, X and, if there are targets, their codes
    labeled : tensor of int64; all rows where nothing has a target
    unlabeled : tensor of int64
    """

    tensors: tuple
    labeled: torch.Tensor
    unlabeled: torch.Tensor

    @property
    def known(self):
        """X of the rows with a target, as an array."""
        return self.tensors[0][self.labeled].numpy()

    @property
    def n_pixels(self):
        """Number of classes that a row has, None where it has one and no mask."""
        masks = len(self.tensors) == 2 and self.tensors[1].ndim == 3
        return math.prod(self.tensors[1].shape[1:]) if masks else None

    def on(self, device):
        """The same on the device, unless it takes half of its free memory: then batches move one by one."""
        if torch.device(device).type == "cuda":
            free, _ = torch.cuda.mem_get_info(device)
            if sum(tensor.nbytes for tensor in self.tensors) > free / 2:
                return self
        tensors = tuple(tensor.to(device) for tensor in self.tensors)
        return Rows(tensors, self.labeled.to(device), self.unlabeled.to(device))


def passes(rows, batch_size, order=None):
    """Batches of the rows with a target, in an order drawn from ``order`` if there is one.

    A last batch of a single row joins the one before: batch normalisation cannot train on one row.
    """
    indices = rows.labeled
    if order is not None:
        indices = indices[torch.randperm(len(indices), generator=order).to(indices.device)]
    starts = list(range(0, len(indices), batch_size))
    if len(starts) > 1 and len(indices) - starts[-1] == 1:
        starts.pop()
    for start, stop in zip(starts, [*starts[1:], len(indices)], strict=True):
        yield tuple(tensor[indices[start:stop]] for tensor in rows.tensors)


def cycled_batches(tensors, kinds, sizes, n_steps, order):
    """Batches of so many steps, each with so many rows of every kind, each kind in one random order after the other.

    Parameters
    ----------
    tensors : tuple of tensors of equal length
    kinds : sequence of tensors of int64
        Indices of the rows of each kind; one may be empty.
    sizes : sequence of int
    n_steps : int
    order : torch.Generator

    Yields
    ------
    batch : tuple of tensors
        The rows of each tensor for the first kind, then for the second.
    """
    drawn = [
        indices[cycled(len(indices), n_steps * n, order).to(indices.device)]
        for indices, n in zip(kinds, sizes, strict=True)
    ]
    for step in range(n_steps):
        chosen = [indices[step * n : (step + 1) * n] for indices, n in zip(drawn, sizes, strict=True)]
        yield tuple(tensor[indices] for indices in chosen for tensor in tensors)


def cycled(n_rows, length, generator):
    """Indices of rows, one random order after the other, cut to a length; none if there are no rows."""
    if not n_rows:
        return torch.empty(0, dtype=torch.int64)
    orders = [torch.randperm(n_rows, generator=generator) for _ in range(math.ceil(length / n_rows))]
    return torch.cat(orders)[:length]


def n_rows_of_step(batch_size, n_pixels=None):
    """Rows of a step: the batch size, or as many images as have MIN_PIXELS together."""
    return batch_size if n_pixels is None else max(batch_size, math.ceil(MIN_PIXELS / n_pixels))


def n_steps_of_epoch(n_rows, n_of_step, n_pixels=None):
    """Steps of a pass over the rows, or of several over few."""
    values_of_step = max(VALUES_A_STEP, n_of_step / MAX_PASSES)
    least = min(MIN_STEPS, math.ceil(n_rows * (n_pixels or 1) / values_of_step))
    return max(math.ceil(n_rows / n_of_step), least)
