"""Wide residual network, for images of any height and width."""

import torch
import torch.nn.functional as F
from torch import nn

SLOPE = 0.1  # of the leaky ReLU for negative values


class WideResNet(nn.Module):
    """Groups of residual blocks, each group half as large and twice as wide as the one before, then a global mean.

    The defaults make the WRN-28-2: with three groups its depth is 6 n_blocks + 4, its width hidden_units[0] / 16.
    Batch normalisations keep PyTorch's running statistics over some ten steps, not thousands: those of a short training
    would still be on their way from where they started.

    (n, channels, height, width) -> (n, n_outputs)

    Parameters
    ----------
    input_shape : tuple of int
        (channels, height, width).
    n_outputs : int
        Number of outputs.
    hidden_units : tuple of int, default=(32, 64, 128)
        Channels of the groups. Each group but the first halves the image, rounding up.
    n_blocks : int, default=4
        Number of blocks of a group.
    """

    def __init__(self, input_shape, n_outputs, hidden_units=(32, 64, 128), n_blocks=4):
        super().__init__()
        n_channels = 16
        self.stem = _convolution(input_shape[0], n_channels)
        blocks = []
        for group, units in enumerate(hidden_units):
            for i in range(n_blocks):
                stride = 2 if group > 0 and i == 0 else 1
                blocks.append(Block(n_channels, units, stride, normalize_skip=not blocks))
                n_channels = units
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.BatchNorm2d(n_channels)
        self.head = nn.Linear(n_channels, n_outputs)
        nn.init.xavier_normal_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.to(memory_format=torch.channels_last)

    def forward(self, x):
        x = self.stem(x.contiguous(memory_format=torch.channels_last))  # (n, 16, height, width)
        x = self.blocks(x)  # (n, hidden_units[-1], height / 4, width / 4)
        x = _activation(self.norm(x)).mean(dim=(2, 3))  # (n, hidden_units[-1])
        return self.head(x)


class Block(nn.Module):
    """x + f(x), f two 3 x 3 convolutions, each of what a batch normalisation and a leaky ReLU leave.

    Where channels or size change, x is taken there by a 1 x 1 convolution, with ``normalize_skip`` after the first
    normalisation and activation too.

    (n, n_in, height, width) -> (n, n_out, height / stride, width / stride)
    """

    def __init__(self, n_in, n_out, stride, normalize_skip):
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(n_in), _convolution(n_in, n_out, stride=stride)
        self.norm2, self.conv2 = nn.BatchNorm2d(n_out), _convolution(n_out, n_out)
        is_same = n_in == n_out and stride == 1
        self.skip = nn.Identity() if is_same else _convolution(n_in, n_out, kernel_size=1)
        self.stride, self.normalize_skip = stride, normalize_skip

    def forward(self, x):
        activated = _activation(self.norm1(x))
        residual = self.conv2(_activation(self.norm2(self.conv1(activated))))
        skipped = activated if self.normalize_skip else x
        # not a stride of the convolution of 1 x 1: of few channels its gradient is written beyond the end of its memory
        return self.skip(skipped[..., :: self.stride, :: self.stride]) + residual


def _convolution(n_in, n_out, kernel_size=3, stride=1):
    convolution = nn.Conv2d(n_in, n_out, kernel_size, stride, padding=kernel_size // 2, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out")
    return convolution


def _activation(x):
    return F.leaky_relu(x, SLOPE)
