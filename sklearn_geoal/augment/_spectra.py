"""Augmentations of spectra and of any rows of features; of images too, each as one spectrum."""

import math
from dataclasses import dataclass
from numbers import Integral

import torch

from ._batches import check_batch, check_range, uniform


@dataclass(frozen=True)
class GaussianNoise:
    """Add noise of its own to each value.

    Parameters
    ----------
    std : float, default=0.1
        Standard deviation of the noise.

    Raises
    ------
    ValueError
        If a parameter lies outside its range.

    Examples
    --------
    >>> import torch
    >>> from sklearn_geoal.augment import GaussianNoise
    >>> x = torch.zeros(2, 200)
    >>> GaussianNoise(std=0.1)(x).shape
    torch.Size([2, 200])
    """

    std: float = 0.1

    def __post_init__(self):
        check_range(self, std=math.inf)

    def __call__(self, x, generator=None):
        check_batch(self, x)
        return x + self.std * torch.randn(x.shape, dtype=x.dtype, device=x.device, generator=generator)


@dataclass(frozen=True)
class GainOffset:
    """Multiply each sample by one random factor and add one random number: another illumination.

    Parameters
    ----------
    gain : float, default=0.1
        The factor is uniform in [1 - gain, 1 + gain].
    offset : float, default=0.1
        What is added is uniform in [-offset, offset].

    Raises
    ------
    ValueError
        If a parameter lies outside its range.

    Examples
    --------
    >>> import torch
    >>> from sklearn_geoal.augment import GainOffset
    >>> x = torch.tensor([[1.0, 2.0, 3.0]])
    >>> brighter = GainOffset(gain=0.0, offset=0.5)(x)
    >>> (brighter - x).std() < 1e-6  # the same for all bands
    tensor(True)
    """

    gain: float = 0.1
    offset: float = 0.1

    def __post_init__(self):
        check_range(self, gain=1, offset=math.inf)

    def __call__(self, x, generator=None):
        check_batch(self, x)
        factor = uniform(x, 1 - self.gain, 1 + self.gain, generator)
        return factor * x + uniform(x, -self.offset, self.offset, generator)


@dataclass(frozen=True)
class Tilt:
    """Multiply each spectrum by a smooth random curve around one: a sloping or bent illumination.

    The curve is a random polynomial of degree two along the bands.

    Parameters
    ----------
    strength : float, default=0.1
        How far from one the curve may go.

    Raises
    ------
    ValueError
        If a parameter lies outside its range.

    Examples
    --------
    >>> import torch
    >>> from sklearn_geoal.augment import Tilt
    >>> curve = Tilt(strength=0.2)(torch.ones(1, 50))
    >>> (curve - 1).abs().max() <= 0.2
    tensor(True)
    """

    strength: float = 0.1

    def __post_init__(self):
        check_range(self, strength=1)

    def __call__(self, x, generator=None):
        check_batch(self, x)
        t = torch.linspace(-1, 1, x.shape[1], dtype=x.dtype, device=x.device)
        t = t.reshape(-1, *[1] * (x.ndim - 2))
        slope, bend = (uniform(x, -self.strength / 2, self.strength / 2, generator) for _ in range(2))
        # Legendre polynomials: none is above one, and their mean is zero, so that the gain stays as it is
        return x * (1 + slope * t + bend * (1.5 * t**2 - 0.5))


@dataclass(frozen=True)
class BandDropout:
    """Set random bands of each sample to zero, which is their mean if the data are standardised.

    Parameters
    ----------
    rate : float, default=0.1
        Probability that a band is set to zero.

    Raises
    ------
    ValueError
        If a parameter lies outside its range.

    Examples
    --------
    >>> import torch
    >>> from sklearn_geoal.augment import BandDropout
    >>> x = torch.ones(1, 1000)
    >>> x.sum() - BandDropout(rate=0.1)(x).sum() < 200  # about 100 bands
    tensor(True)
    """

    rate: float = 0.1

    def __post_init__(self):
        check_range(self, rate=1)

    def __call__(self, x, generator=None):
        check_batch(self, x)
        return x.masked_fill(uniform(x, 0, 1, generator, x.shape[1]) < self.rate, 0)


@dataclass(frozen=True)
class BandShift:
    """Shift each spectrum along the bands: a sensor whose wavelengths are a little off.

    Bands that come from beyond the first or the last one repeat it.

    Parameters
    ----------
    max_shift : int, default=1
        Bands by which a spectrum is shifted at most, to either side.

    Raises
    ------
    ValueError
        If a parameter lies outside its range.

    Examples
    --------
    >>> import torch
    >>> from sklearn_geoal.augment import BandShift
    >>> BandShift(max_shift=1)(torch.arange(5.0)[None]).shape  # 0 0 1 2 3, 0 1 2 3 4 or 1 2 3 4 4
    torch.Size([1, 5])
    """

    max_shift: int = 1

    def __post_init__(self):
        check_range(self, max_shift=math.inf, kind=Integral)

    def __call__(self, x, generator=None):
        check_batch(self, x)
        n_bands = x.shape[1]
        shift = torch.randint(-self.max_shift, self.max_shift + 1, (len(x), 1), device=x.device, generator=generator)
        source = (torch.arange(n_bands, device=x.device) - shift).clamp(0, n_bands - 1)  # (n, bands)
        return x.gather(1, source.reshape(*source.shape, *[1] * (x.ndim - 2)).expand_as(x))
