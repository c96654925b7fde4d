"""The kinds of values in a model file, for each what is written and how the value is made of it again.

A plain value stands for itself, every other is a list: the name of its kind, then what the kind has written.
"""

import functools
import inspect
from pathlib import Path, PurePath
from types import BuiltinFunctionType, FunctionType
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.spatial import cKDTree
from sklearn.base import BaseEstimator
from sklearn.utils import Bunch

from .compiled import (
    LOSSES,
    BallTree,
    KDTree,
    Tree,
    pack_decision_tree,
    pack_loss,
    pack_neighbors_tree,
    unpack_decision_tree,
    unpack_loss,
    unpack_neighbors_tree,
)
from .names import is_named_tuple

PLAIN = (type(None), bool, int, float, str)
_FUNCTIONS = (FunctionType, BuiltinFunctionType, np.ufunc, type(np.mean))
_HEAP_TYPE = 1 << 9  # the flag of classes that are made by a class statement


class Kind(NamedTuple):
    """A kind of values.

    types : tuple of types
    pack : callable(value, writer) that returns the list of what is written
    unpack : callable(reader, *written) that returns the value
    shared : bool, whether a value that is found in several places is written once
    exact : bool, whether objects of subclasses are of another kind
    """

    types: tuple
    pack: callable
    unpack: callable
    shared: bool = False
    exact: bool = True


def kind_of(value, kinds):
    """Name of the kind of a value."""
    for name, kind in kinds.items():
        if type(value) in kind.types or (not kind.exact and isinstance(value, kind.types)):
            return name
    return "named_tuple" if is_named_tuple(type(value)) else "object"


# --- containers -------------------------------------------------------------------------------------------------------


def _pack_items(value, writer):
    return [writer.pack(item, f"[{i}]") for i, item in enumerate(value)]


def _pack_pairs(value, writer):
    return [[writer.pack(key), writer.pack(item, f"[{key!r}]")] for key, item in value.items()]


def _unpack_pairs(reader, *pairs):
    return {reader.value(key): reader.value(item) for key, item in pairs}


def _of_items(make):
    return lambda reader, *items: make(map(reader.value, items))


def _pack_slice(value, writer):
    return [writer.pack(end) for end in (value.start, value.stop, value.step)]


def _pack_named_tuple(value, writer):
    return [writer.name_of(type(value)), *_pack_items(value, writer)]


def _unpack_named_tuple(reader, name, *items):
    found = reader.find(name)
    if not (inspect.isclass(found) and is_named_tuple(found) and len(found._fields) == len(items)):
        raise ValueError(f"{name} is no named tuple of {len(items)} values")
    return tuple.__new__(found, map(reader.value, items))


# --- arrays -----------------------------------------------------------------------------------------------------------


def _pack_array(value, writer):
    if value.dtype.hasobject:
        if value.dtype != object:
            raise TypeError(f"an array of {value.dtype}: objects may be elements of an array, but not parts of these")
        return [list(value.shape), *_pack_items(value.ravel().tolist(), writer)]
    return [writer.number_of_array(value)]


def _unpack_array(reader, *written):
    if not isinstance(written[0], list):
        return reader.array(written[0])
    shape, *items = written
    array = np.empty(len(items), dtype=object)
    for i, item in enumerate(items):
        array[i] = reader.value(item)
    return array.reshape(shape)


def _pack_masked(value, writer):
    return [writer.pack(part) for part in (value.data, np.ma.getmask(value), value.fill_value)]


def _unpack_masked(reader, data, mask, fill_value):
    data, mask = reader.value(data), reader.value(mask)
    return np.ma.MaskedArray(data, mask=mask, fill_value=reader.value(fill_value))


def _pack_scalar(value, writer):
    return [writer.number_of_array(np.asarray(value))]


def _pack_dtype(value, writer):
    if np.dtype(value.str) != value:
        raise TypeError(f"the dtype {value}")
    return [value.str]


def _pack_sparse(value, writer):
    name = type(value).__name__
    if value.format not in ("csr", "csc") or getattr(sp, name, None) is not type(value):
        raise TypeError(f"a {name}: of sparse matrices only csr and csc can be saved, convert it with tocsr()")
    return [name, *[writer.pack(part) for part in (value.data, value.indices, value.indptr, tuple(value.shape))]]


def _unpack_sparse(reader, name, *parts):
    if name not in ("csr_array", "csc_array", "csr_matrix", "csc_matrix"):
        raise ValueError(f"{name} is no sparse matrix")
    data, indices, indptr, shape = map(reader.value, parts)
    matrix = getattr(sp, name)((data, indices, indptr), shape=shape)
    matrix.check_format(full_check=True)  # indices that lie outside would read any memory
    return matrix


def _pack_points_tree(value, writer):
    return [writer.pack(part) for part in (value.data, value.boxsize, value.leafsize)]


def _unpack_points_tree(reader, *parts):
    data, boxsize, leafsize = map(reader.value, parts)
    return cKDTree(data, leafsize, boxsize=boxsize)


def _pack_random_state(value, writer):
    state = value.get_state(legacy=False)
    if state["bit_generator"] != "MT19937":
        raise TypeError(
            f"a RandomState of {state['bit_generator']}: give one of MT19937, as RandomState(seed) makes it"
        )
    return [writer.pack(state)]


def _unpack_random_state(reader, state):
    random_state = np.random.RandomState()
    random_state.set_state(reader.value(state))
    return random_state


_BIT_GENERATORS = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")


def _pack_generator(value, writer):
    state = value.bit_generator.state
    if state["bit_generator"] not in _BIT_GENERATORS:
        raise TypeError(f"a generator of {state['bit_generator']}: give one of {', '.join(_BIT_GENERATORS)}")
    return [writer.pack(state)]


def _unpack_generator(reader, state):
    state = reader.value(state)
    if state["bit_generator"] not in _BIT_GENERATORS:
        raise ValueError(f"{state['bit_generator']!r} is no known bit generator")
    bit_generator = getattr(np.random, state["bit_generator"])()
    bit_generator.state = state
    return np.random.Generator(bit_generator)


# --- names and objects ------------------------------------------------------------------------------------------------


def _pack_name(value, writer):
    return [writer.name_of(value)]


def _pack_partial(value, writer):
    return [writer.pack(part) for part in (value.func, list(value.args), dict(value.keywords))]


def _unpack_partial(reader, function, args, keywords):
    return functools.partial(reader.value(function), *reader.value(args), **reader.value(keywords))


def _pack_object(value, writer):
    cls = type(value)
    if not (isinstance(value, BaseEstimator) or _is_its_attributes(cls)):
        raise TypeError(
            f"an object of {cls.__module__}.{cls.__qualname__}, which is more than its attributes; expected estimators "
            "of scikit-learn and sklearn_geoal, arrays, tensors, plain values, and objects of your own classes that "
            "consist of these"
        )
    return [writer.name_of(cls), writer.attributes(value)]


def _is_its_attributes(cls):
    """Whether objects of a class are no more than their attributes."""
    as_any = all(getattr(cls, name) is getattr(object, name) for name in ("__reduce__", "__reduce_ex__"))
    in_python = all(base.__flags__ & _HEAP_TYPE for base in cls.__mro__[:-1])
    return as_any and in_python and cls.__dictoffset__ != 0 and not hasattr(cls, "__setstate__")


def _unpack_object(reader, name, attributes):
    found = reader.find(name)
    if not inspect.isclass(found) or found.__module__ == "builtins" or is_named_tuple(found):
        raise ValueError(f"{name} is no class whose objects are rebuilt from attributes")
    value = object.__new__(found)  # neither its __init__ nor its __setstate__ is called
    vars(value).update(reader.attributes(attributes))
    return value


KINDS = {
    "list": Kind((list,), _pack_items, _of_items(list)),
    "dict": Kind((dict,), _pack_pairs, _unpack_pairs),
    "tuple": Kind((tuple,), _pack_items, _of_items(tuple)),
    "set": Kind((set,), _pack_items, _of_items(set)),
    "frozenset": Kind((frozenset,), _pack_items, _of_items(frozenset)),
    "bunch": Kind((Bunch,), _pack_pairs, lambda reader, *pairs: Bunch(**_unpack_pairs(reader, *pairs))),
    "slice": Kind((slice,), _pack_slice, lambda reader, *ends: slice(*map(reader.value, ends))),
    "path": Kind((PurePath,), lambda value, writer: [str(value)], lambda reader, text: Path(text), exact=False),
    "array": Kind((np.ndarray, np.memmap), _pack_array, _unpack_array),
    "masked": Kind((np.ma.MaskedArray,), _pack_masked, _unpack_masked),
    "scalar": Kind((np.generic,), _pack_scalar, lambda reader, number: reader.array(number)[()], exact=False),
    "dtype": Kind((np.dtype,), _pack_dtype, lambda reader, text: np.dtype(text), exact=False),
    "sparse": Kind((sp.sparray, sp.spmatrix), _pack_sparse, _unpack_sparse, shared=True, exact=False),
    "random_state": Kind((np.random.RandomState,), _pack_random_state, _unpack_random_state, shared=True),
    "generator": Kind((np.random.Generator,), _pack_generator, _unpack_generator, shared=True),
    "kd_tree": Kind((KDTree, BallTree), pack_neighbors_tree, unpack_neighbors_tree, shared=True),
    "points_tree": Kind((cKDTree,), _pack_points_tree, _unpack_points_tree, shared=True),
    "decision_tree": Kind((Tree,), pack_decision_tree, unpack_decision_tree, shared=True),
    "loss": Kind(tuple(LOSSES.values()), pack_loss, unpack_loss),
    "partial": Kind((functools.partial,), _pack_partial, _unpack_partial),
    "name": Kind((type, *_FUNCTIONS), _pack_name, lambda reader, name: reader.find(name), exact=False),
    # what is of no other kind
    "named_tuple": Kind((), _pack_named_tuple, _unpack_named_tuple, shared=True),
    "object": Kind((), _pack_object, _unpack_object, shared=True),
}
