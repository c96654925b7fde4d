"""Data and labels in any form, for tests of what holds of all of them."""

import os
import pickle
import tempfile
import warnings

import numpy as np
import pandas as pd
import polars as pl
import scipy.sparse as sp
import torch
from hypothesis import note
from hypothesis import strategies as st
from numpy.dtypes import StringDType

# X in any form

SHAPES = [
    (6, 32),
    (0, 3),
    (1, 3),
    (2, 3),
    (3, 3),
    (12, 1),
    (12, 0),
    (40, 2),
    (2, 60),
    (3,),
    (0,),
    (),
    (4, 3, 2),
    (12, 1, 1),
]
IMAGES = [
    (6, 2, 4, 4),
    (6, 1, 2, 2),
    (1, 2, 4, 4),
    (6, 8, 8, 1),
    (6, 3, 1, 1),
    (0, 2, 4, 4),
    (6, 0, 4, 4),
    (6, 2, 0, 4),
]
DTYPES = "f2 f4 g >f8 i1 u1 i4 u8 >i2 ? O U S c16 T M8[s]".split()


def put(value, where=slice(0, 1)):
    def change(X):
        X.reshape(-1)[where] = value
        return X

    return change


VALUES = {
    "nan": put(np.nan),
    "all nan": put(np.nan, slice(None)),
    "inf": put(np.inf),
    "-inf": put(-np.inf, slice(1, 2)),
    "one huge": put(1e300),
    "all huge": lambda X: X * 1e300,
    "beyond float32": lambda X: X * 1e38,
    "largest": put(np.finfo(float).max, slice(0, 9, 3)),
    "huge and -huge": lambda X: np.sign(X) * np.finfo(float).max,
    "tiny": lambda X: X * 1e-300,
    "subnormal": lambda X: X * 1e-310,
    "one subnormal": put(5e-324),
    "constant": put(3.7, slice(None)),
    "zeros": put(0, slice(None)),
    "nearly constant": lambda X: 1e8 + 1e-6 * X,
    "offset": lambda X: X + 1e12,
    "equal rows": lambda X: np.broadcast_to(X[:1], X.shape).copy() if X.ndim and len(X) else X,
    "pairs of equal rows": lambda X: np.concatenate([X[: len(X) // 2]] * 2 + [X[: len(X) % 2]]) if X.ndim else X,
    "no data": put(-9999, slice(0, 4)),
    "mostly no data": put(-9999, slice(2, None)),
    "one pixel differs": lambda X: put(1.0)(np.zeros_like(X)),
    "negative zero": lambda X: -0.0 * X,
}


def with_readonly(X):
    X.flags.writeable = False
    return X


def as_memmap(X):
    path = os.path.join(tempfile.mkdtemp(), "X")
    mapped = np.memmap(path, dtype=X.dtype, mode="w+", shape=X.shape or (1,)) if X.size else X
    mapped[...] = X
    return mapped


def as_frame(X, **options):
    return pd.DataFrame(X.reshape(len(X), -1) if X.ndim else [X], **options)


def named(X):
    frame = as_frame(X)
    return frame.set_axis([f"band {i}" for i in frame.columns], axis=1)


class Lazy:
    """An array of another library."""

    def __init__(self, X):
        self.X = X

    def __array__(self, dtype=None, copy=None):
        return np.array(self.X, dtype=dtype)


CONTAINERS = {
    "list": lambda X: X.tolist(),
    "tuple": lambda X: tuple(X.tolist()) if X.ndim else (),
    "list of arrays": lambda X: list(X) if X.ndim else [X],
    "frame": named,
    "frame of numbers": as_frame,
    "frame of mixed names": lambda X: named(X).rename(columns={"band 0": 0}),
    "frame with a text": lambda X: named(X).assign(text="a"),
    "frame of nullable": lambda X: named(X).convert_dtypes(),
    "frame with NA": lambda X: named(X).astype("Float64").mask(np.eye(*named(X).shape, dtype=bool)),
    "frame of categories": lambda X: named(X).astype("category"),
    "frame twice the same name": lambda X: as_frame(X).set_axis(["x"] * as_frame(X).shape[1], axis=1),
    "frame with an index": lambda X: named(X).set_axis([f"row {i}" for i in range(len(named(X)))]),
    "series": lambda X: pd.Series(X.reshape(-1)),
    "polars": lambda X: pl.from_pandas(named(X)),
    "polars with null": lambda X: pl.from_pandas(named(X)).with_columns(pl.lit(None).alias("empty")),
    "masked": lambda X: np.ma.masked_array(X, mask=np.arange(X.size).reshape(X.shape) == 4),
    "masked nowhere": np.ma.masked_array,
    "all masked": lambda X: np.ma.masked_array(X, mask=True),
    "read only": with_readonly,
    "Fortran": np.asfortranarray,
    "reversed": lambda X: X[::-1] if X.ndim else X,
    "columns reversed": lambda X: X[..., ::-1] if X.ndim else X,
    "strided": lambda X: np.repeat(X, 2, axis=-1)[..., ::2] if X.ndim else X,
    "broadcast": lambda X: np.broadcast_to(X[:1], X.shape) if X.ndim and len(X) else X,
    "csr": lambda X: sp.csr_array(X.reshape(len(X), -1) if X.ndim else X.reshape(1, 1)),
    "coo": lambda X: sp.coo_matrix(X.reshape(len(X), -1) if X.ndim else X.reshape(1, 1)),
    "memmap": as_memmap,
    "matrix": lambda X: np.asmatrix(X.reshape(len(X), -1) if X.ndim else X),
    "tensor": torch.tensor,
    "tensor with gradient": lambda X: torch.tensor(X, requires_grad=True),
    "tensor of a computation": lambda X: torch.tensor(X, requires_grad=True) * 2,
    "tensor on meta": lambda X: torch.tensor(X, device="meta"),
    "tensor of bfloat16": lambda X: torch.tensor(X, dtype=torch.bfloat16),
    "sparse tensor": lambda X: torch.tensor(X).to_sparse(),
    "list of tensors": lambda X: list(torch.tensor(X)) if X.ndim else [],
    "list of tensors with gradient": lambda X: list(torch.tensor(X, requires_grad=True)) if X.ndim else [],
    "object of another library": Lazy,
    "iterator": lambda X: iter(X) if X.ndim else iter([]),
    "structured": lambda X: np.zeros(len(X) if X.ndim else 1, dtype=[("a", float), ("b", int)]),
    "ragged": lambda X: [[1.0, 2.0], [3.0], *X.tolist()] if X.ndim else [[1.0], [2.0, 3.0]],
    "None": lambda X: None,
    "text": lambda X: "a text",
    "number": lambda X: 3.5,
    "dict": lambda X: {"a": [1.0, 2.0]},
    "empty list": lambda X: [],
}


def array_of(shape=(12, 3), dtype="f8", values=(), container="array", seed=0):
    """X of such a shape, with such values in place of normal ones, in such a form."""
    X = np.random.default_rng(seed).normal(size=shape)
    with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
        for value in values:
            X = VALUES[value](np.array(X))
        X = X.astype(StringDType() if dtype == "T" else dtype)
        try:
            return CONTAINERS.get(container, np.asarray)(X)
        except Exception:  # whatever a library says of values that it cannot hold
            return X


@st.composite
def data(draw, ordinary=((12, 3), (6, 2, 4, 4))):
    """X in some form, an ordinary one in all but two respects at most."""
    odd = draw(st.sets(st.sampled_from(["shape", "dtype", "values", "container"]), max_size=2))
    some_values = st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=2)
    form = {
        "shape": draw(st.sampled_from(SHAPES + IMAGES if "shape" in odd else list(ordinary))),
        "dtype": draw(st.sampled_from(DTYPES)) if "dtype" in odd else "f8",
        "values": draw(some_values) if "values" in odd else [],
        "container": draw(st.sampled_from(sorted(CONTAINERS))) if "container" in odd else "array",
        "seed": draw(st.integers(0, 3)),
    }
    note(f"X: {form}")
    return array_of(**form)


# y in any form

NAMES = np.array(["bog", "fen", "lake"])


def labels_of_kind(codes, missing):
    """Labels of each form for the codes of classes from 0, some of them missing where the form has a way to say so."""
    n = len(codes)
    names = NAMES[codes % 3]
    partly = [None if gone else value for gone, value in zip(missing, names.tolist(), strict=True)]
    floats = np.where(missing, np.nan, codes.astype(float))
    objects = np.array([*partly, None], dtype=object)[:-1]
    tuples = np.empty(n, dtype=object)
    tuples[:] = [("a", int(code)) for code in codes]
    return {
        "None": lambda: None,
        "marked by -1": lambda: np.where(missing, -1, codes),
        "int8": lambda: np.where(missing, -1, codes).astype(np.int8),
        "uint8": lambda: codes.astype(np.uint8),
        "uint64": lambda: codes.astype(np.uint64) + np.uint64(2**63),
        "far integers": lambda: np.where(codes == 0, -(2**62), 2**62),
        "integers beyond int64": lambda: [2**70 + int(code) for code in codes],
        "floats": lambda: floats,
        "float16": lambda: floats.astype(np.float16),
        "longdouble": lambda: floats.astype(np.longdouble),
        "continuous": lambda: codes + 0.25 * np.arange(n),
        "infinite": lambda: np.where(codes == 0, np.inf, codes),
        "bool": lambda: codes > 0,
        "signs": lambda: np.where(codes > 0, 1, -1),
        "strings": lambda: names,
        "strings with None": lambda: objects,
        "list with None": lambda: partly,
        "list with NaN": lambda: [np.nan if value is None else value for value in partly],
        "list with NA": lambda: [pd.NA if value is None else value for value in partly],
        "list of numbers with None": lambda: [None if gone else int(c) for gone, c in zip(missing, codes, strict=True)],
        "StringDType": lambda: np.array(names.tolist(), dtype=StringDType()),
        "StringDType with None": lambda: np.array(partly, dtype=StringDType(na_object=None)),
        "series": lambda: pd.Series(objects),
        "nullable series": lambda: pd.Series(floats).astype("Int64"),
        "categorical": lambda: pd.Categorical(partly),
        "series of categories": lambda: pd.Series(pd.Categorical(partly)),
        "polars": lambda: pl.Series(partly, dtype=pl.String),
        "polars categories": lambda: pl.Series(partly, dtype=pl.Categorical),
        "masked": lambda: np.ma.masked_array(codes, missing),
        "all missing": lambda: np.full(n, np.nan),
        "all None": lambda: [None] * n,
        "all -1": lambda: np.full(n, -1),
        "one class": lambda: np.zeros(n, dtype=int),
        "one class, some missing": lambda: np.where(missing, -1, 5),
        "one label": lambda: np.where(np.arange(n) == 0, 1, -1),
        "a class each": lambda: np.arange(n),
        "too short": lambda: codes[:-1],
        "too long": lambda: np.append(codes, 0),
        "empty": lambda: [],
        "column": lambda: codes[:, None],
        "column of strings": lambda: names[:, None],
        "two columns": lambda: np.column_stack([codes, codes]),
        "row": lambda: codes[None],
        "frame": lambda: pd.DataFrame({"class": codes}),
        "tuples": lambda: tuples,
        "list of tuples": lambda: tuples.tolist(),
        "lists": lambda: [[int(code)] for code in codes],
        "ragged": lambda: [[int(code)] * (1 + i % 2) for i, code in enumerate(codes)],
        "sets": lambda: [{int(code)} for code in codes],
        "mixed": lambda: [value if i % 2 else i for i, value in enumerate(names.tolist())],
        "numbers in text and as such": lambda: [str(c) if i % 2 else int(c) for i, c in enumerate(codes)],
        "bools and numbers": lambda: [bool(code) if i % 2 else int(code) for i, code in enumerate(codes)],
        "bytes": lambda: names.astype("S"),
        "complex": lambda: codes + 1j,
        "dates": lambda: np.datetime64("2020-01-01") + codes,
        "NaT": lambda: np.full(n, np.datetime64("NaT")),
        "objects": lambda: [object() for _ in codes],
        "arrays without dimension": lambda: [np.array(code) for code in codes],
        "structured": lambda: np.zeros(n, dtype=[("a", int)]),
        "read only": lambda: with_readonly(np.where(missing, -1, codes)),
        "reversed": lambda: np.where(missing, -1, codes)[::-1],
        "sparse": lambda: sp.csr_array(codes[:, None]),
        "tensor": lambda: torch.tensor(codes),
        "tensor with gradient": lambda: torch.tensor(floats, requires_grad=True),
        "tensor on meta": lambda: torch.tensor(codes, device="meta"),
        "object of another library": lambda: Lazy(codes),
        "iterator": lambda: iter(codes.tolist()),
        "text": lambda: "bog",
        "number": lambda: 3,
        "array without dimension": lambda: np.array(3),
        "dict": lambda: dict(enumerate(codes.tolist())),
    }


KINDS_OF_LABELS = sorted(labels_of_kind(np.arange(3), np.zeros(3, dtype=bool)))


def labels_of(n, kind, seed=0):
    """Labels of such a kind for n samples."""
    rng = np.random.default_rng(seed)
    codes, missing = rng.permutation(np.arange(n) % 3), rng.random(n) < 0.4
    with warnings.catch_warnings(action="ignore"):
        return labels_of_kind(codes, missing)[kind]()


@st.composite
def labels(draw, n, may_be_ordinary=True):
    """y in some form for n samples, as often as not an ordinary one."""
    is_ordinary = may_be_ordinary and draw(st.booleans())
    kind = "marked by -1" if is_ordinary else draw(st.sampled_from(KINDS_OF_LABELS))
    seed = draw(st.integers(0, 3))
    note(f"y: {kind}, seed {seed}")
    return labels_of(n, kind, seed)


def fingerprint(value):
    """What is to stay as it is of an array, a table or a list, to compare it; nothing of what can be read once only."""
    if isinstance(value, torch.Tensor):
        content = None if value.is_meta else fingerprint(value.detach().to_dense().float().numpy())
        return value.dtype, value.requires_grad, value.is_leaf, content
    if hasattr(value, "__next__"):
        return None
    if sp.issparse(value):
        return value.format, fingerprint(value.toarray())
    if hasattr(value, "to_numpy"):  # not pickled, as pandas keeps notes in its frames
        return str(getattr(value, "dtypes", "")), list(getattr(value, "columns", "")), fingerprint(value.to_numpy())
    flags = (value.flags.writeable, value.strides) if isinstance(value, np.ndarray) else None
    return flags, pickle.dumps(value)
