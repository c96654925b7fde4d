"""VGG16 with batch normalisation, cut to the size of the images, and the loading of its published weights."""

import os
from pathlib import Path

import torch
from torch import nn

N_CONVOLUTIONS = (2, 2, 3, 3, 3)  # of the five blocks
N_CHANNELS = (64, 128, 256, 512, 512)
FIRST = "features.0.weight"  # (channels, bands, 3, 3)
ADVICE = "give the state dict of torchvision's vgg16_bn as saved by torch.save, or weights=None."


class VGG16BN(nn.Module):
    """The feature layers of VGG16 with batch normalisation, then a linear layer.

    Each block of 3 x 3 convolutions ends in a max-pooling that halves the image; an odd side loses its last pixels.
    The blocks end where the shorter side is down to one pixel: after three of them for 8 x 8 pixels, four for 16 x 16,
    all five from 32 x 32 on. What is left along the sides goes to the linear layer as it is. An image whose shorter
    side is one pixel has the first block without its pooling.

    The layers have their places in torchvision's ``vgg16_bn``, so that published weights load by name.

    (n, channels, height, width) -> (n, n_outputs)

    Parameters
    ----------
    input_shape : tuple of int
        (channels, height, width).
    n_outputs : int
        Number of outputs.
    hidden_units : "auto" or tuple of int, default="auto"
        Channels of the blocks, at most as many as fit the image. "auto" has those of VGG16 that fit.

    Raises
    ------
    ValueError
        If there are more ``hidden_units`` than blocks that fit the image.
    """

    def __init__(self, input_shape, n_outputs, hidden_units="auto"):
        super().__init__()
        n_channels, height, width = input_shape
        layers = []
        for i, units in enumerate(_fitting_units(hidden_units, height, width)):
            for _ in range(N_CONVOLUTIONS[i]):
                layers += [nn.Conv2d(n_channels, units, 3, padding=1), nn.BatchNorm2d(units), nn.ReLU(inplace=True)]
                n_channels = units
            if min(height, width) > 1:
                layers.append(nn.MaxPool2d(2))
                height, width = height // 2, width // 2
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(n_channels * height * width, n_outputs)
        for layer in self.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)
        self.to(memory_format=torch.channels_last)

    def forward(self, x):
        x = self.features(x.contiguous(memory_format=torch.channels_last))  # (n, hidden_units[-1], h, w)
        return self.head(x.flatten(1))


def load_features(module, path):
    """Load published weights of VGG16 with batch normalisation into ``module.features``, by name.

    What the file has for deeper layers than these and for the classifier is left aside. Names may start with "module.",
    and the state dict may be the "state_dict" of a checkpoint. After an error the module is as it was.

    Parameters
    ----------
    module : VGG16BN
        The network.
    path : str or path-like
        File that ``torch.save`` made of a state dict.

    Raises
    ------
    TypeError
        If ``path`` is not a path.
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file holds no state dict, or weights of the feature layers are missing, of other shapes or not finite.
    """
    given = _read_state_dict(path)
    expected = {f"features.{name}": weights for name, weights in module.features.state_dict().items()}
    # files of old do not count batches, and batch normalisation does without
    missing = [name for name in expected if name not in given and not name.endswith(".num_batches_tracked")]
    if missing:
        raise ValueError(f"{path} lacks {_listed(missing)}; it has {_listed(given)}: {ADVICE}")
    found = {name: given[name] for name in expected if name in given}
    shapes = {name: (tuple(found[name].shape), tuple(expected[name].shape)) for name in found}
    misshapen = {name: (got, wanted) for name, (got, wanted) in shapes.items() if got != wanted}
    if misshapen:
        got, wanted = shapes[FIRST]
        if list(misshapen) == [FIRST] and (got[:1], got[2:]) == (wanted[:1], wanted[2:]):
            raise ValueError(
                f"{path} has weights for images of {got[1]} bands; got images of {wanted[1]} ({FIRST}: got {got}, "
                f"expected {wanted}): choose or make {got[1]} bands, or give weights=None."
            )
        listed = _listed([f"{name}: got {got}, expected {wanted}" for name, (got, wanted) in misshapen.items()])
        raise ValueError(f"{path} has weights of other shapes ({listed}): {ADVICE}")
    infinite = [name for name, weights in found.items() if not weights.isfinite().all()]
    if infinite:
        raise ValueError(f"{path} has NaN or infinity in {_listed(infinite)}, expected finite weights: {ADVICE}")
    module.features.load_state_dict({name.removeprefix("features."): found[name] for name in found}, strict=False)


def _fitting_units(hidden_units, height, width):
    n_fitting = min(max(min(height, width).bit_length() - 1, 1), len(N_CHANNELS))
    if isinstance(hidden_units, str):
        return N_CHANNELS[:n_fitting]
    if len(hidden_units) > n_fitting:
        raise ValueError(
            f"VGG16 takes images of {height} x {width} pixels through {n_fitting} of its {len(N_CHANNELS)} blocks; got "
            f"hidden_units for {len(hidden_units)} blocks: give at most {n_fitting}."
        )
    return hidden_units


def _read_state_dict(path):
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"weights must be None or the path to a file of VGG16 weights; got {path!r}.")
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}: {ADVICE}")
    with path.open("rb") as file:
        try:
            content = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # the bytes may be anything, and so may be what they raise
            raise ValueError(
                f"{path} cannot be read as a state dict: it is damaged or another file; {ADVICE}"
            ) from error
    if isinstance(content, dict):
        content = content.get("state_dict", content)
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds an object of type {type(content).__name__}, expected a state dict: {ADVICE}")
    return {str(name).removeprefix("module."): weights for name, weights in content.items() if torch.is_tensor(weights)}


def _listed(names):
    """The first five of the names, and how many more there are."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return (", ".join(list(names)[:5]) or "no weights at all") + more
