"""Augmentations of images: warps with a known inverse, and changes of light."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ._batches import check_batch, check_range, uniform

# what an image shows beyond its border: it repeats no line of pixels and, unlike zeros, adds no edge
FILL = "reflection"
_QUARTERS = ([1, 0, -1, 0], [0, 1, 0, -1])  # cosines and sines of 0, 90, 180 and 270 degrees


@dataclass(frozen=True)
class Photometric:
    """Change brightness, contrast and the balance of the channels of each image.

    Strengths are in units of standardised images, of mean 0 and standard deviation 1.

    Parameters
    ----------
    brightness : float, default=0.2
        What is added to an image is uniform in [-brightness, brightness].
    contrast : float, default=0.2
        Deviations from the mean of the image are multiplied by a factor uniform in [1 - contrast, 1 + contrast].
    channel : float, default=0.1
        What is added to each channel on its own is uniform in [-channel, channel].

    Raises
    ------
    ValueError
        If a parameter lies outside its range.

    Examples
    --------
    >>> import torch
    >>> from sklearn_geoal.augment import Photometric
    >>> Photometric(brightness=0.4)(torch.zeros(2, 3, 8, 8)).shape
    torch.Size([2, 3, 8, 8])
    """

    brightness: float = 0.2
    contrast: float = 0.2
    channel: float = 0.1

    def __post_init__(self):
        check_range(self, brightness=math.inf, contrast=1, channel=math.inf)

    def __call__(self, x, generator=None):
        check_batch(self, x, image=True)
        factor = uniform(x, 1 - self.contrast, 1 + self.contrast, generator)
        added = uniform(x, -self.brightness, self.brightness, generator)
        added = added + uniform(x, -self.channel, self.channel, generator, x.shape[1])
        return factor * x + (added + (1 - factor) * x.mean(dim=(2, 3), keepdim=True))


@dataclass(frozen=True)
class Flip:
    """Mirror each image with probability one half.

    Parameters
    ----------
    horizontal : bool, default=True
        Whether left and right may change places.
    vertical : bool, default=False
        Whether top and bottom may change places.

    Raises
    ------
    ValueError
        If a parameter is not a bool.

    Examples
    --------
    >>> import torch
    >>> from sklearn_geoal.augment import Flip
    >>> x = torch.rand(5, 3, 8, 8)
    >>> warp = Flip().draw(x)
    >>> torch.equal(warp.inverse(warp(x)), x)
    True
    """

    horizontal: bool = True
    vertical: bool = False

    def __post_init__(self):
        for name in ("horizontal", "vertical"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} of Flip must be True or False; got {getattr(self, name)!r}.")

    def __call__(self, x, generator=None):
        return self.draw(x, generator)(x, padding=FILL)

    def draw(self, x, generator=None):
        """Warp with draws for each image of the batch ``x``."""
        check_batch(self, x, image=True)
        is_flipped = torch.rand(len(x), 2, dtype=x.dtype, device=x.device, generator=generator) < 0.5
        is_allowed = torch.tensor([self.horizontal, self.vertical], device=x.device)
        signs = torch.where(is_flipped & is_allowed, -1, 1).to(x.dtype)
        return Warp(torch.diag_embed(signs), torch.zeros_like(signs), interpolation="nearest")


@dataclass(frozen=True)
class Rotate90:
    """Rotate each image by a random multiple of 90 degrees, of 180 degrees if it is not square.

    Examples
    --------
    >>> import torch
    >>> from sklearn_geoal.augment import Rotate90
    >>> x = torch.rand(5, 3, 8, 8)
    >>> warp = Rotate90().draw(x)
    >>> torch.equal(warp.inverse(warp(x)), x)
    True
    """

    def __call__(self, x, generator=None):
        return self.draw(x, generator)(x, padding=FILL)

    def draw(self, x, generator=None):
        """Warp with draws for each image of the batch ``x``."""
        check_batch(self, x, image=True)
        height, width = x.shape[2:]
        step = 1 if height == width else 2
        quarters = step * torch.randint(4 // step, (len(x),), device=x.device, generator=generator)
        cos, sin = (torch.tensor(table, dtype=x.dtype, device=x.device)[quarters] for table in _QUARTERS)
        return Warp(_matrix(cos, -sin, sin, cos), x.new_zeros(len(x), 2), interpolation="nearest")


@dataclass(frozen=True)
class Shift:
    """Shift each image by whole pixels.

    What comes from beyond the border is the image reflected in it.

    Parameters
    ----------
    fraction : float, default=0.1
        Part of its height and width by which an image is shifted at most, rounded to whole pixels.

    Raises
    ------
    ValueError
        If a parameter lies outside its range.

    Examples
    --------
    >>> import torch
    >>> from sklearn_geoal.augment import Shift
    >>> x = torch.rand(5, 3, 10, 20)
    >>> warp = Shift(fraction=0.1).draw(x)
    >>> back = warp.inverse(warp(x))
    >>> torch.equal(back[..., 1:-1, 2:-2], x[..., 1:-1, 2:-2])
    True
    """

    fraction: float = 0.1

    def __post_init__(self):
        check_range(self, fraction=1)

    def __call__(self, x, generator=None):
        return self.draw(x, generator)(x, padding=FILL)

    def draw(self, x, generator=None):
        """Warp with draws for each image of the batch ``x``."""
        check_batch(self, x, image=True)
        most = [round(self.fraction * side) for side in (x.shape[3], x.shape[2])]
        shift = [torch.randint(-m, m + 1, (len(x),), device=x.device, generator=generator) for m in most]
        identity = torch.eye(2, dtype=x.dtype, device=x.device).expand(len(x), 2, 2)
        return Warp(identity, torch.stack(shift, 1).to(x.dtype), interpolation="nearest")


@dataclass(frozen=True)
class Affine:
    """Rotate, scale, shear and shift each image a little, around its centre, by bilinear interpolation.

    What comes from beyond the border is the image reflected in it.

    Parameters
    ----------
    rotation : float, default=0.2
        Largest angle of the rotation, to either side, in radians.
    scale : float, default=0.12
        Height and width are each multiplied by a factor uniform in [1 - scale, 1 + scale].
    shear : float, default=0.12
        Largest shift of a row per row of distance from the centre, to either side.
    shift : float, default=0.1
        Largest shift as a part of height and width, to either side.

    Raises
    ------
    ValueError
        If a parameter lies outside its range.

    Examples
    --------
    >>> import torch
    >>> from sklearn_geoal.augment import Affine
    >>> x = torch.rand(5, 3, 8, 8)
    >>> warp = Affine(rotation=0.1).draw(x)
    >>> warp(torch.ones(5, 1, 8, 8)).shape  # 0 where a pixel comes from beyond the border
    torch.Size([5, 1, 8, 8])
    """

    rotation: float = 0.2
    scale: float = 0.12
    shear: float = 0.12
    shift: float = 0.1

    def __post_init__(self):
        check_range(self, rotation=math.inf, scale=1, shear=math.inf, shift=1)

    def __call__(self, x, generator=None):
        return self.draw(x, generator)(x, padding=FILL)

    def draw(self, x, generator=None):
        """Warp with draws for each image of the batch ``x``."""
        check_batch(self, x, image=True)
        limits = x.new_tensor([self.rotation, self.scale, self.scale, self.shear, self.shift, self.shift])
        draws = limits * (2 * torch.rand(len(x), 6, dtype=x.dtype, device=x.device, generator=generator) - 1)
        angle, wider, higher, shear = draws[:, :4].unbind(1)
        cos, sin = angle.cos(), angle.sin()
        stretch = _matrix(1 + wider, shear, torch.zeros_like(shear), 1 + higher)
        shift = draws[:, 4:] * x.new_tensor([x.shape[3], x.shape[2]])
        return Warp(_matrix(cos, -sin, sin, cos) @ stretch, shift, interpolation="bilinear")


class Warp:
    """Affine motion of the pixels of each image of a batch, and its inverse.

    ``warp(maps)`` moves what is at p, in pixels from the centre of the image, to ``matrix @ p + shift``, and
    ``warp.inverse(maps)`` moves it back, for maps of shape (n, any number of channels, height, width). Pixels that come
    from beyond the border are 0 in both, so that ``warp(torch.ones(...))`` marks the valid ones; with
    ``padding="reflection"`` or ``"border"`` they are those of the reflected image or of its border.

    Parameters
    ----------
    matrix : tensor of shape (n, 2, 2)
        Acts on (column, row), rows counted downwards.
    shift : tensor of shape (n, 2)
        In pixels, to the right and downwards.
    interpolation : {"bilinear", "nearest"}, default="bilinear"
        "nearest" moves whole pixels and leaves their values as they are.

    Examples
    --------
    >>> import torch
    >>> from sklearn_geoal.augment import Warp
    >>> to_the_right = Warp(torch.eye(2)[None], torch.tensor([[1.0, 0.0]]))
    >>> to_the_right(torch.tensor([[[[1.0, 2.0, 3.0]]]]))
    tensor([[[[0., 1., 2.]]]])
    >>> to_the_right.inverse(torch.tensor([[[[0.0, 1.0, 2.0]]]]))
    tensor([[[[1., 2., 0.]]]])
    """

    def __init__(self, matrix, shift, interpolation="bilinear"):
        self.matrix = matrix
        self.shift = shift
        self.interpolation = interpolation

    def __call__(self, maps, padding="zeros"):
        a, b, c, d = self.matrix.flatten(1).unbind(1)
        inverse = _matrix(d, -b, -c, a) / (a * d - b * c)[:, None, None]
        return self._sample(maps, inverse, -(inverse @ self.shift[:, :, None])[:, :, 0], padding)

    def inverse(self, maps, padding="zeros"):
        """Move the pixels back."""
        return self._sample(maps, self.matrix, self.shift, padding)

    def _sample(self, maps, matrix, shift, padding):
        """What ``maps`` shows at ``matrix @ p + shift``, for each pixel p."""
        if maps.dtype not in (torch.float32, torch.float64):
            raise TypeError(f"maps must be float32 or float64, labels one-hot coded for instance; got {maps.dtype}.")
        if maps.ndim != 4 or len(maps) != len(matrix):
            raise ValueError(
                f"maps must have the shape ({len(matrix)}, channels, height, width), one for each image that the warp "
                f"was drawn for; got {tuple(maps.shape)}."
            )
        height, width = maps.shape[2:]
        columns = torch.arange(width, dtype=matrix.dtype, device=matrix.device) - (width - 1) / 2
        rows = torch.arange(height, dtype=matrix.dtype, device=matrix.device) - (height - 1) / 2
        unit = 2 / matrix.new_tensor([width, height])  # grid_sample counts from -1 to 1, edge to edge
        matrix, shift = unit[:, None] * matrix, unit * shift
        along_rows = columns[:, None] * matrix[:, None, None, :, 0]  # (n, 1, width, 2)
        along_columns = rows[:, None, None] * matrix[:, None, None, :, 1]  # (n, height, 1, 2)
        grid = along_rows + (along_columns + shift[:, None, None])  # (n, height, width, 2)
        return F.grid_sample(maps, grid.to(maps.dtype), self.interpolation, padding, align_corners=False)


def _matrix(a, b, c, d):
    """Matrices ((a, b), (c, d)) of shape (n, 2, 2)."""
    return torch.stack([a, b, c, d], 1).unflatten(1, (2, 2))
