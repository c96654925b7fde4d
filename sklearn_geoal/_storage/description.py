"""An object as a description, which is JSON, and the arrays that it names by their numbers."""

import math
import sys

import numpy as np

from .kinds import KINDS, PLAIN, kind_of
from .names import find, findable


class Writer:
    """Describes values.

    Parameters
    ----------
    deep : callable
        As for :func:`~sklearn_geoal._storage.names.find`.

    Attributes
    ----------
    arrays : list of ndarray
    objects : list
        Descriptions of values that may be found in several places, each made of those before it.
    """

    def __init__(self, deep):
        self.arrays, self.objects, self._deep = [], [], deep
        # where torch is not loaded nothing is of its kinds
        self._kinds = deep().KINDS | KINDS if "torch" in sys.modules else KINDS
        self._array_numbers, self._object_numbers, self._where = {}, {}, []
        self._kept = []  # what is no longer there could give its place in memory to something else

    def pack(self, value, where=""):
        """Description of a value; ``where`` is how to come to it from the value that holds it.

        Raises
        ------
        TypeError
            If it, or something in it, is of a kind that cannot be written; the error names where that is.
        """
        if type(value) in PLAIN:
            return value
        self._where.append(where)
        name = kind_of(value, self._kinds)
        try:
            packed = self._shared(name, value) if self._kinds[name].shared else self._packed(name, value)
        except _NotWritable:
            raise
        except TypeError as error:
            raise _NotWritable(f"{''.join(self._where)} holds {error}.") from None
        except RecursionError:
            raise _NotWritable(f"{''.join(self._where[:3])} holds containers that hold themselves.") from None
        self._where.pop()
        return packed

    def attributes(self, value):
        """Descriptions of the attributes of an object by their names."""
        return {name: self.pack(item, f".{name}") for name, item in vars(value).items()}

    def name_of(self, thing):
        """Name of a class or function by which it is found again."""
        return findable(thing, self._deep)

    def number_of_array(self, array):
        """Number of an array, the same for all that are the same memory."""
        if Form(*describe_array(array)).dtype != array.dtype:
            raise TypeError(f"an array of the type {array.dtype}")
        key = array.__array_interface__["data"][0], array.shape, array.strides, str(array.dtype)
        if key not in self._array_numbers or not array.size:
            self._array_numbers[key] = len(self.arrays)
            self.arrays.append(array)
        return self._array_numbers[key]

    def _packed(self, name, value):
        return [name, *self._kinds[name].pack(value, self)]

    def _shared(self, name, value):
        if id(value) not in self._object_numbers:
            self._object_numbers[id(value)] = None
            self._kept.append(value)
            self.objects.append(self._packed(name, value))
            self._object_numbers[id(value)] = len(self.objects) - 1
        if self._object_numbers[id(value)] is None:
            raise TypeError(f"a {type(value).__name__} that holds itself")
        return ["shared", self._object_numbers[id(value)]]


class _NotWritable(TypeError):
    """Says where the value is that cannot be written."""


class Reader:
    """Makes values of descriptions.

    Parameters
    ----------
    arrays : list of ndarray
    objects : list
        As a :class:`Writer` has them.
    trusted, deep
        As for :func:`~sklearn_geoal._storage.names.find`.
    """

    def __init__(self, arrays, objects, trusted, deep):
        self.arrays, self._trusted, self._deep, self._objects = arrays, trusted, deep, []
        for described in objects:
            self._objects.append(self.value(described))

    def value(self, described):
        """The value with a description."""
        if not isinstance(described, list):
            return described
        name, *written = described
        if name == "shared":
            return self._objects[_index(*written)]
        kind = KINDS.get(name) or self._deep().KINDS.get(name)
        if kind is None:
            raise ValueError(f"it holds a value of the unknown kind {name!r}")
        return kind.unpack(self, *written)

    def attributes(self, described):
        """The attributes of an object by their names."""
        return {name: self.value(item) for name, item in described.items()}

    def array(self, number):
        """The array with a number."""
        return self.arrays[_index(number)]

    def find(self, name):
        """The class or function with a name."""
        return find(name, self._trusted, self._deep)


def _index(number):
    if type(number) is not int or number < 0:
        raise ValueError(f"{number!r} is no number of an array or object")
    return number


# --- arrays without objects -------------------------------------------------------------------------------------------


def describe_array(array):
    """Type, shape and order of the values of an array."""
    is_transposed = array.flags.f_contiguous and not array.flags.c_contiguous
    return [np.lib.format.dtype_to_descr(array.dtype), list(array.shape), "F" if is_transposed else "C"]


def values_of(array):
    """The values of an array as bytes, in its order."""
    array = array.T if describe_array(array)[2] == "F" else np.ascontiguousarray(array)
    return array.reshape(-1).view(np.uint8)


class Form:
    """What an array is to be like, and how many bytes it takes, before there is one.

    Raises
    ------
    ValueError
        If there is no such array.
    """

    def __init__(self, dtype, shape, order):
        self.dtype, self.shape, self.order = np.lib.format.descr_to_dtype(_as_tuples(dtype)), shape, order
        are_sizes = isinstance(shape, list) and all(type(size) is int and size >= 0 for size in shape)
        if self.dtype.hasobject or not self.dtype.itemsize or not are_sizes or order not in ("C", "F"):
            raise ValueError(f"there is no array of {dtype!r} with the shape {shape!r} and the order {order!r}")
        self.n_bytes = math.prod(shape) * self.dtype.itemsize

    def empty(self):
        """A new array, and its bytes, to be filled."""
        values = np.empty(math.prod(self.shape), dtype=self.dtype)
        return values.reshape(self.shape, order=self.order), values.view(np.uint8)


def _as_tuples(dtype):
    """The description of a type whose tuples became lists in JSON."""
    if not isinstance(dtype, list):
        return dtype
    return [(name, form, *map(tuple, shape)) for name, form, *shape in dtype]
