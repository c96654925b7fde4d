"""What makes a network: classes of the user, or ours with their hidden units."""

import inspect
import numbers
from functools import partial

import torch
from torch import nn


def resolve_body(name, body, dense, conv, *, hidden_units, image_shape, **further):
    """What makes a network: the user's own class, or ``dense``, ``conv`` or a further one with their hidden units.

    Parameters
    ----------
    name : str
        Name of the parameter, for the error messages.
    body : {"auto", "dense", "conv"}, a further name or nn.Module class
        What the user gave. "auto" is convolutional if there is an image shape.
    dense, conv : nn.Module class
        The classes for "dense" and "conv".
    hidden_units : "auto" or tuple of int
        Sizes of the hidden layers, "auto" for the defaults of the class.
    image_shape : tuple of int or None
        (channels, height, width) if the rows are images.
    **further : nn.Module class
        Classes for images that may be chosen by their names besides.

    Raises
    ------
    ValueError
        If ``body`` or ``hidden_units`` is invalid, or one for images meets rows that are no images.
    """
    if inspect.isclass(body) and issubclass(body, nn.Module):
        return body
    bodies = {"auto": dense if image_shape is None else conv, "dense": dense, "conv": conv, **further}
    if not isinstance(body, str) or body not in bodies:
        names = ", ".join(f'"{known}"' for known in bodies)
        raise ValueError(f"{name} must be {names} or a subclass of nn.Module; got {body!r}.")
    if image_shape is None and body not in ("auto", "dense"):
        raise ValueError(
            f'{name}="{body}" needs images, but X has rows of features: give image_shape, '
            "or X of shape (n_samples, channels, height, width)."
        )
    return with_units(bodies[body], hidden_units)


def with_units(body, hidden_units):
    """The class ``body`` with the hidden units that the user gave, with its own if they are "auto".

    Raises
    ------
    ValueError
        If ``hidden_units`` is invalid.
    """
    if isinstance(hidden_units, str) and hidden_units == "auto":
        return body
    if not isinstance(hidden_units, (tuple, list)) or not all(
        isinstance(units, numbers.Integral) and units > 0 for units in hidden_units
    ):
        raise ValueError(f'hidden_units must be "auto" or a tuple of positive integers; got {hidden_units!r}.')
    return partial(body, hidden_units=tuple(hidden_units))


def checked(body, input_shape, output_shape):
    """The module ``body``, if it takes (n, *input_shape) to (n, *output_shape).

    Raises
    ------
    ValueError
        If it gives another shape.
    """
    with torch.no_grad():
        shape = tuple(body.eval()(torch.zeros(2, *input_shape)).shape)
    if shape != (2, *output_shape):
        raise ValueError(
            f"{type(body).__name__} takes shape {(2, *input_shape)} to {shape}, expected {(2, *output_shape)}: "
            "let it return as many outputs as it is told when it is made."
        )
    return body
