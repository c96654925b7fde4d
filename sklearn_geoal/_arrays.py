"""Tensors of torch, and strings of numpy's own type, as arrays that scikit-learn takes."""

import numpy as np


def tensor_as_array(values):
    """A tensor, or a list of some, as an array or a list of them; anything else as it is.

    Raises
    ------
    TypeError
        If numpy cannot read a tensor: with a gradient, on another device, sparse or of a type that numpy has not.
    """
    if isinstance(values, (list, tuple)) and any(map(_is_tensor, values)):
        return [tensor_as_array(value) for value in values]
    if not _is_tensor(values):
        return values
    try:
        return np.asarray(values)
    except (RuntimeError, TypeError) as error:
        raise TypeError(
            f"Got a tensor of type {values.dtype} on the device {values.device} that numpy cannot read ({error}) Give "
            "an array, tensor.detach().cpu().numpy() for instance."
        ) from None


def _is_tensor(value):
    # by its name, as torch is not imported here
    return type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "detach")


def as_sequence(y):
    """Targets as something with a length and entries: a list, an array, a series, as they are where they are one.

    Raises
    ------
    TypeError
        If y is a tensor that numpy cannot read.
    ValueError
        If y is a single value.
    """
    y = tensor_as_array(y)
    if not isinstance(y, (list, tuple)) and not hasattr(y, "shape"):
        y = np.asarray(y)
        if not y.ndim:
            raise ValueError(f"y must be an array or a list with an entry for each sample; got {y.item()!r}.")
    return y


def strings_as_objects(array):
    """An array of numpy's StringDType, which few functions take, as one of objects; any other array as it is."""
    return array.astype(object) if array.dtype.kind == "T" else array
