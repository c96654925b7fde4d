"""Encoders and decoders of dense layers, for tables and for images taken as rows."""

import math
from itertools import pairwise

from torch import nn


class DenseEncoder(nn.Sequential):
    """Dense layers with ReLU between them: (n, *input_shape) -> (n, n_outputs). Linear without hidden units."""

    def __init__(self, input_shape, n_outputs, hidden_units=(128,)):
        super().__init__(nn.Flatten(), *_dense_layers(math.prod(input_shape), *hidden_units, n_outputs))


class DenseDecoder(nn.Sequential):
    """The mirror image of DenseEncoder: (n, n_inputs) -> (n, *output_shape)."""

    def __init__(self, n_inputs, output_shape, hidden_units=(128,)):
        layers = _dense_layers(n_inputs, *hidden_units[::-1], math.prod(output_shape))
        super().__init__(*layers, nn.Unflatten(1, tuple(output_shape)))


def _dense_layers(*sizes):
    layers = [layer for n_in, n_out in pairwise(sizes) for layer in (nn.Linear(n_in, n_out), nn.ReLU())]
    return layers[:-1]
