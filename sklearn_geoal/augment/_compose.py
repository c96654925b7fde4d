"""Augmentations one after another, and what the parameter ``augment`` of an estimator stands for."""

import inspect
import math
from contextlib import nullcontext
from dataclasses import dataclass

import torch

from .._torch.device import drawing_from
from .._validation import check_choice
from ._batches import check_batch
from ._images import FILL, Affine, Flip, Photometric, Rotate90
from ._spectra import BandDropout, BandShift, GainOffset, GaussianNoise, Tilt

# after standardisation
PRESETS = {
    "table": (GainOffset(gain=0.1, offset=0.0), BandDropout(rate=0.05), GaussianNoise(std=0.1)),
    "spectra": (GainOffset(), Tilt(), BandShift(), BandDropout(rate=0.05), GaussianNoise(std=0.05)),
    "image": (Affine(), Photometric()),
    "aerial": (Flip(), Rotate90(), Affine(), Photometric()),
}


@dataclass(frozen=True)
class Compose:
    """Apply augmentations one after another.

    Parameters
    ----------
    augmentations : list
        Augmentations of this module and functions of one's own, of which none must change its argument. A function with
        a parameter ``generator`` is called as ``function(x, generator=generator)``, any other as ``function(x)``; what
        that draws from torch's own generator then comes from the given one all the same. What
        has a method ``draw`` as :class:`Affine` has is geometric, everything else leaves the pixels in their places.

    Raises
    ------
    TypeError
        If one of them cannot be called or is a class.

    Examples
    --------
    >>> import torch
    >>> from sklearn_geoal.augment import Compose, Flip, GaussianNoise
    >>> compose = Compose([Flip(), GaussianNoise(0.05), lambda x: x.clamp(min=0)])
    >>> x = torch.rand(2, 3, 8, 8)
    >>> drawn = compose.draw(x, torch.Generator().manual_seed(0))
    >>> torch.equal(drawn.images, compose(x, torch.Generator().manual_seed(0)))
    True
    >>> torch.equal(drawn.unwarp(drawn.warp(x)), x)
    True
    """

    augmentations: tuple = ()

    def __post_init__(self):
        if not isinstance(self.augmentations, (list, tuple)):
            raise TypeError(f"augmentations must be a list; got {self.augmentations!r}.")
        flat = []
        for augmentation in self.augmentations:
            if inspect.isclass(augmentation) or not callable(augmentation):
                raise TypeError(
                    "Each augmentation is called with a batch: give an instance such as Flip(), or a function, and the "
                    f"augmentations behind a name as *PRESETS[name]; got {augmentation!r}."
                )
            flat += augmentation.augmentations if isinstance(augmentation, Compose) else [augmentation]
        object.__setattr__(self, "augmentations", tuple(flat))
        # found out once: reading a signature takes longer than augmenting a small batch
        object.__setattr__(self, "_takes_generator", tuple(map(_takes_generator, flat)))

    def __call__(self, x, generator=None):
        return self.draw(x, generator).images

    def draw(self, x, generator=None):
        """Augment the batch ``x``, and keep the geometric part for maps of the same images.

        Returns
        -------
        drawn : object
            ``drawn.images`` is the augmented ``x``. ``drawn.warp(maps)`` moves maps of shape (n, any number of
            channels, height, width) as the images were moved, ``drawn.unwarp(maps)`` moves them back. Pixels that come
            from beyond the border are 0 in both.

        Raises
        ------
        TypeError, ValueError
            If ``x`` is no batch of floats, or an augmentation returns another shape or type.
        """
        check_batch(self, x)
        warps = []
        for augmentation, takes_generator in zip(self.augmentations, self._takes_generator, strict=True):
            if hasattr(augmentation, "draw"):
                warps.append(augmentation.draw(x, generator))
                augmented = warps[-1](x, padding=FILL)
            elif takes_generator:
                augmented = augmentation(x, generator=generator)
            else:
                with nullcontext() if generator is None else drawing_from(generator):
                    augmented = augmentation(x)
            x = _checked_like(augmentation, augmented, x)
        return _Drawn(x, tuple(warps))


@dataclass(frozen=True)
class _Drawn:
    """An augmented batch and the warps that moved its pixels."""

    images: torch.Tensor
    warps: tuple

    def warp(self, maps):
        for warp in self.warps:
            maps = warp(maps)
        return maps

    def unwarp(self, maps):
        for warp in reversed(self.warps):
            maps = warp.inverse(maps)
        return maps


def resolve_augment(augment, input_shape):
    """What the parameter ``augment`` of an estimator stands for.

    Parameters
    ----------
    augment : {"auto", "table", "spectra", "image", "aerial"}, augmentation, function, list of these or None
        A name stands for the augmentations listed in ``PRESETS``. "auto" is "image" for images of more than one pixel,
        "table" for everything else, since nothing says that columns have an order. None changes nothing.
    input_shape : tuple of int
        Shape of a sample: ``(n_features,)`` or ``(channels, height, width)``.

    Returns
    -------
    compose : Compose

    Raises
    ------
    TypeError
        If ``augment`` or one of the list is no augmentation.
    ValueError
        If a name is unknown, or an augmentation of images meets rows of features.

    Examples
    --------
    >>> from sklearn_geoal.augment import resolve_augment
    >>> resolve_augment("auto", (200,))
    Compose(augmentations=(GainOffset(gain=0.1, offset=0.0), BandDropout(rate=0.05), GaussianNoise(std=0.1)))
    """
    if augment is None:
        augment = ()
    elif isinstance(augment, str):
        check_choice("augment", augment, ("auto", *PRESETS))
        is_image = math.prod(input_shape[1:]) > 1
        augment = PRESETS[("image" if is_image else "table") if augment == "auto" else augment]
    compose = Compose(augment if isinstance(augment, (list, tuple)) else [augment])
    for augmentation in compose.augmentations:
        if len(input_shape) == 1 and (hasattr(augmentation, "draw") or isinstance(augmentation, Photometric)):
            raise ValueError(
                f"{augmentation!r} needs images, but X has rows of {input_shape[0]} features: give image_shape, or X "
                "of shape (n_samples, channels, height, width), or another augment."
            )
    return compose


def _checked_like(augmentation, augmented, x):
    """What an augmentation made of ``x``, if it is a tensor of the same shape and type."""
    got, expected = (
        f"{tuple(value.shape)}, {value.dtype}" if isinstance(value, torch.Tensor) else type(value).__name__
        for value in (augmented, x)
    )
    if got != expected:
        raise ValueError(f"{augmentation!r} must return a tensor like the one it is given, {expected}; got {got}.")
    return augmented


def _takes_generator(function):
    try:
        return "generator" in inspect.signature(function).parameters
    except ValueError:  # built-in functions have no signature
        return False
