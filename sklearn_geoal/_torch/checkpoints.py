"""Files that a killed training goes on from: arrays and plain values, no pickle, the last good one never touched."""

import hashlib
import inspect
import json
import os
import re
import zipfile
from pathlib import Path

import numpy as np
import torch
from sklearn.utils import check_scalar

from .._files import replaced
from .._warnings import warn

FORMAT = 1
# parameters that change nothing about what a training arrives at
_WITHOUT_EFFECT = ("checkpoint", "verbose")


class Checkpoint:
    """A folder with the state of one ``fit``: for each training in it two files that take turns, so that one is whole.

    Parameters
    ----------
    folder : path-like
        Made if it is not there.
    described : dict of str
        What decides how the ``fit`` ends, by name: parameters, data and where it starts from.
    seed : int
        Seed of a new ``fit``. Where one goes on, ``seed`` becomes that of its beginning.
    weights : module, default=None
        The trained module to go on with, if that is what ``fit`` does. Where the folder holds the training that has
        arrived at it, a new one takes its place.

    Raises
    ------
    ValueError
        If the folder holds another training; the error names what differs.
    """

    def __init__(self, folder, described, seed, weights=None):
        self.folder, self.described, self.seed = Path(folder), described, seed
        self.folder.mkdir(parents=True, exist_ok=True)
        found = [_read_if_whole(path) for path in sorted(self.folder.glob("*-[01].npz"))]
        last = max(filter(None, found), key=lambda content: content["n_written"], default={"n_written": 0})
        # files are told by a key from those of a training before, and by a count from older ones
        self.key, self.n_written = os.urandom(8).hex(), last["n_written"]
        if last["n_written"] and last["described"] == described:
            self.seed, self.key = last["seed"], last["key"]
        elif last["n_written"] and not (weights is not None and _arrived_at(last["state"], weights)):
            raise ValueError(_differences(self.folder, last["described"], described))

    def stage(self, name):
        """One of the trainings of the ``fit``."""
        return Stage(self, name)


class Stage:
    """One of the trainings of a ``fit``, by the beginning of the names of its files."""

    def __init__(self, checkpoint, name):
        self.checkpoint = checkpoint
        self.paths = [checkpoint.folder / f"{name}-{turn}.npz" for turn in range(2)]

    def load(self):
        """The last state that was written as a whole, None if there is none.

        Warns
        -----
        UserWarning
            If a file is damaged: the one before it is taken.
        """
        found = [content for content in map(_read_if_whole, self.paths) if content]
        found = [content for content in found if content["key"] == self.checkpoint.key]
        return max(found, key=lambda content: content["n_written"], default={"state": None})["state"]

    def save(self, state):
        """Write a state in place of the one before the last."""
        checkpoint = self.checkpoint
        checkpoint.n_written += 1
        content = {"format": FORMAT, "state": state}
        content |= {name: getattr(checkpoint, name) for name in ("described", "seed", "key", "n_written")}
        write_tree(self.paths[checkpoint.n_written % 2], content)


def open_checkpoint(estimator, seed, weights=None, **arrays):
    """The :class:`Checkpoint` of a ``fit`` of the estimator on these arrays, None if it is to have none."""
    if estimator.checkpoint is None:
        return None
    params = {name: v for name, v in estimator.get_params(deep=False).items() if name not in _WITHOUT_EFFECT}
    if not isinstance(params["random_state"], int | np.integer | None):
        params["random_state"] = f"a generator that draws {seed}"
    described = {name: _described(value) for name, value in params.items()}
    described |= {name: f"an array with the hash {digest(array)}" for name, array in arrays.items()}
    described["start"] = "initial weights" if weights is None else f"weights with the hash {digest_of(weights)}"
    return Checkpoint(estimator.checkpoint, described, seed, weights)


def digest_of(weights):
    """Hash of the parameters of a module."""
    return digest(*(tensor.detach().cpu().numpy() for tensor in weights.parameters()))


def digest(*arrays):
    """Hash of the values, shapes and types of arrays."""
    hashed = hashlib.blake2b(digest_size=12)
    for array in arrays:
        array = np.asarray(array)
        hashed.update(f"{array.dtype.str}{array.shape}".encode())
        for part in array if array.ndim > 2 else (array,):  # image by image: they may lie on disk
            part = np.ascontiguousarray(part)
            hashed.update(repr(part.tolist()).encode() if part.dtype.hasobject else part.reshape(-1).view(np.uint8))
    return hashed.hexdigest()


def write_tree(path, tree):
    """Write nested dicts and lists of tensors, arrays and plain values; a file that exists is replaced by a whole one.

    Raises
    ------
    TypeError
        If there is something else in it.
    OSError
        If it cannot be written. A file that was there before is as it was.
    """
    arrays = {}
    plain = json.dumps(_packed(tree, arrays)).encode()
    try:
        with replaced(path, path.with_suffix(".tmp")) as file:
            np.savez(file, tree=np.frombuffer(plain, dtype=np.uint8), **arrays)
    except OSError as error:
        raise OSError(
            error.errno,
            f"The checkpoint {path} could not be written ({error.strerror}); the one before it is still there, and "
            "another fit with the same parameters and data goes on from it",
        ) from error


def read_tree(path):
    """What :func:`write_tree` has written; tensors are on the CPU.

    Raises
    ------
    ValueError, KeyError, OSError, EOFError, RuntimeError, zipfile.BadZipFile
        If the file is damaged or another one.
    """
    with np.load(path, allow_pickle=False) as file:
        tree = json.loads(file["tree"].tobytes())
        content = _unpacked(tree, file)
    if content.get("format") != FORMAT:
        raise ValueError(f"it is of format {content.get('format')!r}, expected {FORMAT}")
    return content


# Containers and tensors are lists that begin with their kind; keys of dicts may be numbers, as those of optimisers are.


def _packed(value, arrays):
    if isinstance(value, torch.Tensor):
        name = f"a{len(arrays)}"
        value = value.detach().cpu().contiguous()
        # as bytes, since numpy lacks some types
        arrays[name] = value.reshape(-1).view(torch.uint8).numpy()
        return ["tensor", name, str(value.dtype).removeprefix("torch."), list(value.shape)]
    if isinstance(value, np.ndarray | np.generic):
        return _packed(value.item(), arrays) if value.ndim == 0 else _packed(torch.as_tensor(value), arrays)
    if isinstance(value, dict):
        return ["dict", *([_packed(key, arrays), _packed(item, arrays)] for key, item in value.items())]
    if isinstance(value, list | tuple):
        return [type(value).__name__ if type(value) in (list, tuple) else "tuple"] + [
            _packed(item, arrays) for item in value
        ]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(
        f"A checkpoint holds tensors, arrays and plain values; got an object of type {type(value).__name__}. It may "
        "come from a callback that records it in the history, or from the optimiser."
    )


def _unpacked(value, file):
    if not isinstance(value, list):
        return value
    kind, *items = value
    if kind == "tensor":
        name, dtype, shape = items
        values = torch.empty(shape, dtype=getattr(torch, dtype))
        values.view(-1).view(torch.uint8).copy_(torch.from_numpy(file[name]))
        return values
    if kind == "dict":
        return {_unpacked(key, file): _unpacked(item, file) for key, item in items}
    items = [_unpacked(item, file) for item in items]
    return tuple(items) if kind == "tuple" else items


def is_storable(value):
    """Whether a value can be written."""
    try:
        _packed(value, {})
    except TypeError:
        return False
    return True


def _read_if_whole(path):
    """What a file holds, None if there is none, with a warning if it is damaged."""
    if not path.is_file():
        return None
    try:
        return read_tree(path)
    except (ValueError, KeyError, OSError, EOFError, RuntimeError, zipfile.BadZipFile) as error:
        warn(f"The checkpoint {path} cannot be read ({error}): going on from the state before it, if there is one.")
        return None


def _arrived_at(state, weights):
    """Whether a training has ended, or was interrupted, at these weights."""
    reached = state["best"] or state["module"]
    return all(
        name in reached and torch.equal(reached[name], tensor.detach().cpu())
        for name, tensor in weights.named_parameters()
    )


def _differences(folder, found, described):
    """The error that says what differs from what a checkpoint is of."""
    names = [name for name in found | described if found.get(name) != described.get(name)]
    listed = "; ".join(f"{name} was {found.get(name)}, is {described.get(name)}" for name in names)
    return (
        f"The checkpoint in {folder} is of another training ({listed}): fit with the same parameters and data to go on "
        "with it, or give checkpoint another folder, or remove this one."
    )


def _described(value):
    """The value of a parameter as text that is the same in another process."""
    if isinstance(value, np.ndarray):
        return f"an array with the hash {digest(value)}"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_described(item)}' for key, item in sorted(value.items(), key=str))}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_described, value))}]"
    if inspect.isclass(value) or inspect.isroutine(value):
        return f"{value.__module__}.{value.__qualname__}"
    if hasattr(value, "get_params"):
        return f"{type(value).__qualname__}({_described(value.get_params(deep=False))})"
    if type(value).__repr__ is object.__repr__:
        return f"{type(value).__qualname__}({_described(vars(value))})"
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))  # where functions lie in memory


def check_checkpoint(checkpoint):
    """Check the parameter ``checkpoint``: None or a path.

    Raises
    ------
    TypeError, ValueError
        If it is neither, or the path is that of a file.
    """
    if checkpoint is None:
        return
    check_scalar(checkpoint, "checkpoint", (str, os.PathLike))
    if Path(checkpoint).exists() and not Path(checkpoint).is_dir():
        raise ValueError(f"checkpoint must be a folder; got {str(checkpoint)!r}, which is a file.")
