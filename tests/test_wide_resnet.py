"""The wide residual network: its size, its shapes, and how its signal passes."""

import numpy as np
import pytest
import torch

from sklearn_geoal import MixMatchClassifier, NetClassifier
from sklearn_geoal._nets.wide_resnet import Block, WideResNet


def test_number_of_parameters_is_that_of_wrn_28_2():
    net = WideResNet((3, 32, 32), 10)
    assert sum(weights.numel() for weights in net.parameters()) == 1_467_610
    assert sum(isinstance(module, torch.nn.Conv2d) for module in net.modules()) == 28


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 2, 1), (2, 5, 7), (4, 16, 16)])
def test_any_image_size_and_number_of_channels(shape):
    net = WideResNet(shape, 5, hidden_units=(4, 8, 8), n_blocks=1)
    x = torch.randn(3, *shape)
    assert net(x).shape == (3, 5)
    assert net.eval()(x[:1]).shape == (1, 5)
    wider = torch.randn(2, shape[0], shape[1] + 3, shape[2] + 1)
    assert net(wider).shape == (2, 5)


def test_groups_halve_the_image_and_change_the_channels():
    net = WideResNet((3, 9, 8), 2, hidden_units=(4, 6, 10), n_blocks=2)
    x, shapes = net.stem(torch.randn(2, 3, 9, 8)), []
    for block in net.blocks:
        x = block(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(4, 9, 8), (4, 9, 8), (6, 5, 4), (6, 5, 4), (10, 3, 2), (10, 3, 2)]


def test_block_without_its_residual_is_the_identity_or_the_skip():
    x = torch.randn(2, 4, 5, 5)
    for block in (Block(4, 4, 1, normalize_skip=False), Block(4, 6, 2, normalize_skip=False)):
        torch.nn.init.zeros_(block.conv2.weight)
        torch.testing.assert_close(block(x), block.skip(x[..., :: block.stride, :: block.stride]))
    assert torch.equal(Block(4, 4, 1, normalize_skip=False).skip(x), x)


def test_signal_and_gradient_neither_vanish_nor_explode():
    torch.manual_seed(0)
    net = WideResNet((3, 16, 16), 10)
    logits = net(torch.randn(16, 3, 16, 16))
    logits.square().sum().backward()
    norms = torch.stack([block.conv1.weight.grad.norm() for block in net.blocks])
    assert 0.05 < logits.std() < 5
    assert norms.max() < 30 * norms.min()


def test_rows_of_features_and_wrong_hidden_units_are_errors():
    y = np.arange(6) % 2
    for estimator in (MixMatchClassifier, NetClassifier):
        with pytest.raises(ValueError, match='backbone="wide_resnet" needs images'):
            estimator("wide_resnet").fit(np.eye(6), y)
        with pytest.raises(ValueError, match="hidden_units must be"):
            estimator("wide_resnet", hidden_units=3).fit(np.ones((6, 1, 4, 4)), y)


@pytest.mark.parametrize("estimator", [MixMatchClassifier, NetClassifier])
def test_as_the_backbone_of_a_classifier(estimator):
    y = np.arange(24) % 2
    X = np.random.default_rng(0).normal(size=(24, 2, 5, 7)) + 2 * y[:, None, None, None]
    model = estimator("wide_resnet", hidden_units=(4, 8), max_epochs=10, lr=0.01, random_state=0).fit(X, y)
    assert any(isinstance(module, WideResNet) for module in model.net_.module_.modules())
    assert model.score(X, y) == 1
