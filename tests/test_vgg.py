"""VGG16 with batch normalisation: where it is cut, what it computes, and how published weights come in by name."""

import pickle
from collections import OrderedDict

import pytest
import torch
import torch.nn.functional as F

from sklearn_geoal._nets.vgg import VGG16BN, load_features

CONFIGURATION = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M")
PLACES_OF_POOLINGS = (6, 13, 23, 33, 43)


def published_shapes(normalized=True):
    """Names and shapes of the feature layers as they are published, without and with batch normalisation."""
    shapes, n_in, place = {}, 3, 0
    for n_out in CONFIGURATION:
        if n_out == "M":
            place += 1
            continue
        shapes[f"features.{place}.weight"] = (n_out, n_in, 3, 3)
        shapes[f"features.{place}.bias"] = (n_out,)
        if normalized:
            for name in ("weight", "bias", "running_mean", "running_var"):
                shapes[f"features.{place + 1}.{name}"] = (n_out,)
            shapes[f"features.{place + 1}.num_batches_tracked"] = ()
        place += 3 if normalized else 2  # the convolution, its normalisation if any, a ReLU
        n_in = n_out
    return shapes


def state_dict(shapes):
    """Random weights, such that the signal stays of order one."""
    generator = torch.Generator().manual_seed(0)
    tensors = OrderedDict()
    for name, shape in shapes.items():
        if name.endswith("num_batches_tracked"):
            tensors[name] = torch.tensor(7)
        elif len(shape) == 4:
            tensors[name] = torch.randn(shape, generator=generator) * (2 / (9 * shape[1])) ** 0.5
        else:
            tensors[name] = torch.rand(shape, generator=generator) + 0.5
    return tensors


@pytest.fixture(scope="module")
def whole():
    """All that is published; the classifier, which is large and left aside, takes no memory here."""
    tensors = state_dict(published_shapes())
    for place, shape in ((0, (4096, 25088)), (3, (4096, 4096)), (6, (1000, 4096))):
        tensors[f"classifier.{place}.weight"] = torch.zeros(1).expand(shape)
        tensors[f"classifier.{place}.bias"] = torch.zeros(shape[0])
    return tensors


@pytest.fixture(scope="module")
def published(whole, tmp_path_factory):
    """The file of all that is published."""
    path = tmp_path_factory.mktemp("published") / "vgg16_bn.pth"
    torch.save(whole, path)
    return path


@pytest.fixture(scope="module")
def shallow(whole):
    """What three blocks and the first layer of the fourth need: the files of the tests stay small."""
    features = ((name, weights) for name, weights in whole.items() if name.startswith("features."))
    return OrderedDict((name, weights) for name, weights in features if int(name.split(".")[1]) <= 25)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "vgg16_bn.pth"


def copied(module):
    return {name: weights.clone() for name, weights in module.state_dict().items()}


def assert_same(module, before):
    after = module.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)


def reference(x, tensors, head):
    """The evaluated network as a chain of functions, each block halving the image until a side is one pixel."""
    place = 0
    for n_channels in CONFIGURATION:
        if n_channels == "M":
            x, place = F.max_pool2d(x, 2), place + 1
            if min(x.shape[2:]) == 1:
                break
            continue
        convolution, norm = f"features.{place}", f"features.{place + 1}"
        x = F.conv2d(x, tensors[f"{convolution}.weight"], tensors[f"{convolution}.bias"], padding=1)
        mean, variance = tensors[f"{norm}.running_mean"], tensors[f"{norm}.running_var"]
        x = F.relu(F.batch_norm(x, mean, variance, tensors[f"{norm}.weight"], tensors[f"{norm}.bias"], eps=1e-5))
        place += 3
    return F.linear(x.reshape(len(x), -1), head.weight, head.bias)


def test_all_features_are_the_published_ones(whole, published):
    net = VGG16BN((3, 64, 64), 10)
    expected = {name: weights for name, weights in whole.items() if name.startswith("features.")}
    features = {f"features.{name}": weights for name, weights in net.features.state_dict().items()}
    assert [(name, tuple(weights.shape)) for name, weights in features.items()] == list(published_shapes().items())
    assert sum(weights.numel() for weights in net.features.parameters()) == 14_723_136
    head = copied(net.head)
    load_features(net, published)
    for name, weights in net.state_dict().items():
        if name in expected:
            assert torch.equal(weights, expected[name]), name
    assert_same(net.head, head)
    assert net.features[0].weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("shape", [(3, 32, 32), (3, 8, 8), (3, 9, 13), (3, 2, 5)])
def test_outputs_are_those_of_the_plain_functions(shape, whole, published):
    net = VGG16BN(shape, 4).eval()
    load_features(net, published)
    x = torch.randn(2, *shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = reference(x, whole, net.head)
        torch.testing.assert_close(net(x), expected, rtol=1e-4, atol=1e-4)
    assert expected.std() > 1e-3


@pytest.mark.parametrize(
    "height, width, n_blocks, left",
    [
        (8, 8, 3, (1, 1)),
        (16, 16, 4, (1, 1)),
        (32, 32, 5, (1, 1)),
        (64, 64, 5, (2, 2)),
        (28, 28, 4, (1, 1)),
        (15, 40, 3, (1, 5)),
        (100, 33, 5, (3, 1)),
        (3, 2, 1, (1, 1)),
    ],
)
def test_is_cut_where_the_shorter_side_is_one_pixel(height, width, n_blocks, left):
    with torch.device("meta"):  # shapes without arithmetic
        net = VGG16BN((4, height, width), 6)
        places = tuple(i for i, layer in enumerate(net.features) if isinstance(layer, torch.nn.MaxPool2d))
        assert places == PLACES_OF_POOLINGS[:n_blocks]
        assert len(net.features) == places[-1] + 1
        x = torch.zeros(2, 4, height, width)
        assert net.features(x).shape[2:] == left
        assert net(x).shape == (2, 6)


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 1, 7), (2, 3, 2), (12, 4, 9)])
def test_small_images_of_any_number_of_bands_train(shape):
    torch.manual_seed(0)
    net = VGG16BN(shape, 3)
    net(torch.randn(4, *shape)).square().sum().backward()
    assert all(weights.grad.isfinite().all() for weights in net.parameters())
    assert net.features[0].weight.grad.abs().max() > 0
    assert net.eval()(torch.randn(1, *shape)).shape == (1, 3)


def test_weights_are_those_of_xavier():
    net = VGG16BN((7, 8, 8), 50)
    for layer in net.modules():
        if isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear)):
            n_out, n_in, *kernel = layer.weight.shape
            bound = (6 / ((n_in + n_out) * torch.Size(kernel).numel())) ** 0.5
            assert layer.weight.abs().max() <= bound
            torch.testing.assert_close(layer.weight.std().item(), bound / 3**0.5, rtol=0.05, atol=0)
            assert not layer.bias.any()


def test_hidden_units_are_the_channels_of_the_blocks():
    net = VGG16BN((3, 8, 12), 2, hidden_units=(4, 6))
    convolutions = [layer.out_channels for layer in net.features if isinstance(layer, torch.nn.Conv2d)]
    assert convolutions == [4, 4, 6, 6]
    assert net.head.in_features == 6 * 2 * 3
    x, z = torch.randn(2, 5, 3, 2, 2)
    affine = VGG16BN((3, 2, 2), 2, hidden_units=())
    torch.testing.assert_close(affine((x + z) / 2), (affine(x) + affine(z)) / 2)


@pytest.mark.parametrize("side, n_blocks, n_fitting", [(8, 4, 3), (1, 2, 1), (64, 6, 5)])
def test_too_many_hidden_units_are_an_error(side, n_blocks, n_fitting):
    with pytest.raises(ValueError, match=f"{side} x {side} pixels .* for {n_blocks} blocks: give at most {n_fitting}"):
        VGG16BN((3, side, side), 2, hidden_units=(4,) * n_blocks)


@pytest.mark.parametrize(
    "publish",
    [
        pytest.param(lambda tensors, path: torch.save(tensors, path), id="state dict"),
        pytest.param(
            lambda tensors, path: torch.save(tensors, path, _use_new_zipfile_serialization=False), id="older format"
        ),
        pytest.param(
            lambda tensors, path: torch.save({f"module.{name}": tensors[name] for name in tensors}, path), id="module."
        ),
        pytest.param(lambda tensors, path: torch.save({"epoch": 3, "state_dict": tensors}, path), id="checkpoint"),
        pytest.param(
            lambda tensors, path: torch.save({name: tensors[name].double() for name in tensors}, path), id="float64"
        ),
        pytest.param(
            lambda tensors, path: torch.save(
                {name: tensors[name] for name in tensors if "num_batches" not in name}, path
            ),
            id="batches not counted",
        ),
    ],
)
def test_the_ways_in_which_weights_are_published(publish, shallow, path):
    publish(shallow, path)
    net = VGG16BN((3, 8, 8), 2)
    load_features(net, str(path))
    for name, weights in net.features.state_dict().items():
        assert weights.dtype == (torch.int64 if "num_batches" in name else torch.float32)
        if "num_batches" not in name:
            assert torch.equal(weights, shallow[f"features.{name}"])
    net(torch.randn(2, 3, 8, 8)).sum().backward()
    assert all(weights.grad is not None for weights in net.parameters())


def renamed(tensors):
    return {f"backbone.{name}": weights for name, weights in tensors.items()}


def without(tensors, *names):
    return {name: weights for name, weights in tensors.items() if name not in names}


def with_nan(tensors):
    return {**tensors, "features.8.running_mean": torch.full((128,), torch.nan)}


def unnormalized(tensors):
    return state_dict(published_shapes(normalized=False))


@pytest.mark.parametrize(
    "change, message",
    [
        (renamed, r"lacks features\.0\.weight, .* and 37 more; it has backbone\.features\.0\.weight, .* more: give"),
        (unnormalized, r"lacks features\.1\.weight, .* and \d+ more; it has features\.0\.weight, .*vgg16_bn"),
        (lambda tensors: without(tensors, "features.7.bias"), r"lacks features\.7\.bias; it has"),
        (lambda tensors: {}, r"lacks features\.0\.weight.* it has no weights at all"),
        (lambda tensors: {"state_dict": 3}, "object of type int, expected a state dict"),
        (lambda tensors: list(tensors.values()), "object of type list, expected a state dict"),
        (lambda tensors: {**tensors, "features.7.bias": [0.0] * 128}, r"lacks features\.7\.bias; it has"),
        (
            lambda tensors: {
                **tensors,
                "features.7.weight": torch.zeros(128, 64, 5, 5),
                "features.8.bias": torch.ones(2),
            },
            r"features\.7\.weight: got \(128, 64, 5, 5\), expected \(128, 64, 3, 3\), "
            r"features\.8\.bias: got \(2,\), expected \(128,\)",
        ),
        (
            lambda tensors: {**tensors, "features.0.weight": torch.tensor(1.0)},
            r"features\.0\.weight: got \(\), expected \(64, 3, 3, 3\)",
        ),
        (with_nan, r"NaN or infinity in features\.8\.running_mean, expected finite"),
    ],
)
def test_wrong_weights_are_an_error_and_change_nothing(change, message, shallow, path):
    torch.save(change(shallow), path)
    net = VGG16BN((3, 8, 8), 2)
    before = copied(net)
    with pytest.raises(ValueError, match=message):
        load_features(net, path)
    assert_same(net, before)


def truncated(tensors, path):
    torch.save(tensors, path)
    path.write_bytes(path.read_bytes()[:-1000])


def damaged(tensors, path):
    torch.save(tensors, path)
    content = path.read_bytes()
    path.write_bytes(content[:100] + bytes(1000) + content[1100:])


def truncated_of_old(tensors, path):
    torch.save(tensors, path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes()[:-1000])


@pytest.mark.parametrize(
    "write",
    [
        truncated,
        damaged,
        truncated_of_old,
        lambda tensors, path: path.write_bytes(b""),
        lambda tensors, path: path.write_text("features.0.weight"),
        lambda tensors, path: path.write_bytes(pickle.dumps({"features.0.weight": pytest.raises}, protocol=2)),
        lambda tensors, path: torch.save(VGG16BN((3, 2, 2), 1, hidden_units=(2,)), path),
    ],
    ids=["truncated", "damaged", "truncated of old", "empty", "text", "pickle", "module"],
)
def test_unreadable_files_are_an_error_and_change_nothing(write, shallow, path):
    write(shallow, path)
    net = VGG16BN((3, 8, 8), 2)
    before = copied(net)
    with pytest.raises(ValueError, match=r"vgg16_bn\.pth cannot be read as a state dict.* give .* or weights=None"):
        load_features(net, path)
    assert_same(net, before)


@pytest.mark.parametrize("n_bands", [1, 4])
def test_other_bands_than_the_three_are_an_error_and_change_nothing(n_bands, shallow, path):
    torch.save(shallow, path)
    net = VGG16BN((n_bands, 8, 8), 2)
    before = copied(net)
    with pytest.raises(
        ValueError, match=f"for images of 3 bands; got images of {n_bands} .* 3 bands, or .*weights=None"
    ):
        load_features(net, path)
    assert_same(net, before)


def test_what_is_no_file_is_an_error(tmp_path):
    net = VGG16BN((3, 8, 8), 2, hidden_units=(2,))
    before = copied(net)
    for path in (tmp_path / "none.pth", tmp_path):
        with pytest.raises(FileNotFoundError, match=r"no file .*: give .* or weights=None"):
            load_features(net, path)
    with pytest.raises(TypeError, match="must be None or the path .*; got True"):
        load_features(net, True)
    assert_same(net, before)
