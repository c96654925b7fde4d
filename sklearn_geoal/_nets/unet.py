"""U-Net: an output for each pixel of images of any height and width."""

import inspect
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from .._validation import check_choice
from .bodies import with_units
from .conv import PixelConv, fitting_units

UNITS = (16, 32, 64, 128)


class UNet(nn.Module):
    """Pairs of 3 x 3 convolutions on an image that is halved level by level and doubled again, levels bridged.

    ``hidden_units`` are the channels of the levels. On the way down max-pooling halves the image from level to level;
    on the way up what comes from below is doubled and joined to what the level had on the way down. A batch
    normalisation and a ReLU follow each convolution. An odd side is rounded up when it is halved, so that images may
    have any height and width, also others than ``input_shape`` says. Along a side of one pixel there is nothing to
    convolve: with an ``input_shape`` of 1 x 1 pixels the same dense network is applied to each pixel.

    (n, bands, height, width) -> (n, n_outputs, height, width)

    Attributes
    ----------
    alignment : int
        Tiles of an image have to start at multiples of it, for the levels to halve them as they halve the image.
    receptive_margin : int
        An output pixel of such a tile depends on no input pixel further away than this.
    """

    def __init__(self, input_shape, n_outputs, hidden_units="auto"):
        super().__init__()
        units = fitting_units(hidden_units, input_shape, auto=UNITS)
        kernel = tuple(3 if side > 1 else 1 for side in input_shape[1:])
        self.down = nn.ModuleList(_two_convolutions(*ends, kernel) for ends in pairwise((input_shape[0], *units)))
        # as wide as the level above before the image is doubled, where it costs a quarter
        self.narrow = nn.ModuleList(PixelConv(below, above) for above, below in pairwise(units))
        self.up = nn.ModuleList(_two_convolutions(2 * above, above, kernel) for above in units[:-1])
        self.head = PixelConv((*units, input_shape[0])[0], n_outputs)
        self.alignment = 2 ** len(self.up)
        # two pixels on the way down and up each, and below twice the margin there and one, as a pixel there covers two:
        # m = 5 + 2 m_below, from m = 2 on the lowest level
        self.receptive_margin = 7 * 2 ** len(self.up) - 5 if units and max(kernel) > 1 else 0
        self.to(memory_format=torch.channels_last)  # a third less time on the CPU

    def forward(self, x):
        x = x.contiguous(memory_format=torch.channels_last)
        levels = []
        for convolutions in self.down:
            x = convolutions(F.max_pool2d(x, 2, ceil_mode=True) if levels else x)
            levels.append(x)  # (n, hidden_units[i], height / 2^i, width / 2^i)
        for i in reversed(range(len(self.up))):
            height, width = levels[i].shape[2:]
            x = F.interpolate(self.narrow[i](x), scale_factor=2.0)[:, :, :height, :width]
            x = self.up[i](torch.cat([levels[i], x], dim=1))
        return self.head(x)


def resolve_unet(backbone, hidden_units):
    """The network of a segmenter: the user's own class, or the U-Net with these hidden units.

    Raises
    ------
    ValueError
        If ``backbone`` or ``hidden_units`` is invalid.
    """
    unet = with_units(UNet, hidden_units)
    if inspect.isclass(backbone) and issubclass(backbone, nn.Module):
        return backbone
    check_choice("backbone", backbone, ("unet",))
    return unet


def _two_convolutions(n_in, n_out, kernel):
    layers = []
    for n_channels in (n_in, n_out):
        padding = tuple(side // 2 for side in kernel)
        layers += [
            PixelConv(n_channels, n_out, bias=False)
            if max(kernel) == 1
            else nn.Conv2d(n_channels, n_out, kernel, padding=padding, bias=False),
            nn.BatchNorm2d(n_out),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers)
