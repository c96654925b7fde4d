"""Encoders and decoders of strided convolutions, for images of any height and width."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn


class PixelConv(nn.Conv2d):
    """A 1 x 1 convolution. Of single pixels it is a product of matrices, in a quarter of the time."""

    def __init__(self, n_in, n_out, bias=True):
        super().__init__(n_in, n_out, kernel_size=1, bias=bias)

    def forward(self, x):
        if x.shape[2:] != (1, 1):
            return super().forward(x)
        return F.linear(x.flatten(1), self.weight.flatten(1), self.bias)[:, :, None, None]


class ConvEncoder(nn.Module):
    """3 x 3 convolutions of stride 2, each halving the image, then a linear layer.

    After each convolution comes a ReLU, or with ``normalize`` a batch normalisation and a leaky ReLU.

    (n, channels, height, width) -> (n, n_outputs)
    """

    def __init__(self, input_shape, n_outputs, hidden_units=(32, 64, 128), normalize=False):
        super().__init__()
        channels = (input_shape[0], *hidden_units)
        layers = []
        for n_in, n_out in pairwise(channels):
            layers += [nn.Conv2d(n_in, n_out, kernel_size=3, stride=2, padding=1), *activation(n_out, normalize)]
        height, width = halved_sizes(*input_shape[1:], len(hidden_units))[-1]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(channels[-1] * height * width, n_outputs)
        self.to(memory_format=torch.channels_last)  # a third less time on the CPU

    def forward(self, x):
        x = self.layers(x.contiguous(memory_format=torch.channels_last))  # (n, hidden_units[-1], h, w)
        return self.head(x.flatten(1))


class ConvDecoder(nn.Module):
    """The mirror image of ConvEncoder, through transposed convolutions.

    (n, n_inputs) -> (n, channels, height, width)
    """

    def __init__(self, n_inputs, output_shape, hidden_units=(32, 64, 128), normalize=False):
        super().__init__()
        channels = (output_shape[0], *hidden_units)
        sizes = halved_sizes(*output_shape[1:], len(hidden_units))
        self.smallest = (channels[-1], *sizes[-1])
        layers = []
        for i in reversed(range(len(hidden_units))):
            # 3 x 3 of stride 2 takes s to 2 s - 1: an even side lacks one more
            missing = tuple(1 - side % 2 for side in sizes[i])
            layers += [
                *activation(channels[i + 1], normalize),
                nn.ConvTranspose2d(channels[i + 1], channels[i], 3, stride=2, padding=1, output_padding=missing),
            ]
        self.head = nn.Linear(n_inputs, channels[-1] * sizes[-1][0] * sizes[-1][1])
        self.layers = nn.Sequential(*layers)
        self.to(memory_format=torch.channels_last)

    def forward(self, z):
        x = self.head(z).unflatten(1, self.smallest)  # (n, hidden_units[-1], h, w)
        return self.layers(x.contiguous(memory_format=torch.channels_last)).contiguous()


class NormalizedConvEncoder(ConvEncoder):
    """ConvEncoder with batch normalisation, of as many convolutions up to five as halve the image."""

    def __init__(self, input_shape, n_outputs, hidden_units="auto"):
        super().__init__(input_shape, n_outputs, fitting_units(hidden_units, input_shape), normalize=True)


class NormalizedConvDecoder(ConvDecoder):
    """The mirror image of NormalizedConvEncoder."""

    def __init__(self, n_inputs, output_shape, hidden_units="auto"):
        super().__init__(n_inputs, output_shape, fitting_units(hidden_units, output_shape), normalize=True)


def activation(n_channels, normalize):
    return [nn.BatchNorm2d(n_channels), nn.LeakyReLU()] if normalize else [nn.ReLU()]


def fitting_units(hidden_units, image_shape, auto=(32, 64, 128, 256, 256)):
    """Channels of convolutions that fit the image: those given, or with "auto" the first of ``auto``, at least one.

    Raises
    ------
    ValueError
        If the image is too small for the convolutions given.
    """
    # the convolutions that halve the shorter side to one pixel: a further one would see its own padding
    n_fitting = max((min(image_shape[1:]) - 1).bit_length(), 1)
    if isinstance(hidden_units, str):
        return auto[:n_fitting]
    if len(hidden_units) > n_fitting:
        raise ValueError(
            f"The image shape {tuple(image_shape)} is too small for {len(hidden_units)} convolutions, each of which "
            f"halves height and width: give hidden_units of at most {n_fitting} or larger images."
        )
    return hidden_units


def halved_sizes(height, width, n_times):
    """Heights and widths after 0, 1, ..., n_times convolutions of stride 2, which round odd sides up."""
    sizes = [(height, width)]
    for _ in range(n_times):
        height, width = -(-height // 2), -(-width // 2)
        sizes.append((height, width))
    return sizes
