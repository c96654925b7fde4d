"""Model files: fitted estimators as arrays and plain values, with a checksum, and nothing that runs when it is read.

A file is a magic line, the length of a description and the description, which is JSON, the arrays that it names one
after the other, and a BLAKE2b hash of all this. It is no archive: nothing in it unpacks to more than is there, and
there are no paths. skops.io, which scikit-learn's users know, is not used: it needs a list of a dozen trusted types for
a single network, among them functools.partial, takes no tensors but as pickled bytes, has no checksum beyond zip's
CRC-32, and its files are several times as large.
"""

import hashlib
import json
import os
import platform
import threading
from importlib.metadata import version
from pathlib import Path

import joblib
import numpy as np
from sklearn.base import BaseEstimator

from . import __version__
from ._files import replaced
from ._storage.description import Form, Reader, Writer, describe_array, values_of
from ._storage.names import name_of
from ._warnings import warn

_MAGIC, _FORMAT = b"sklearn_geoal model\n", 1
_N_LENGTH, _N_DIGEST = 8, 32
_PARTS = {"format", "versions", "estimator", "objects", "arrays"}


def save(estimator, path):
    """Write an estimator, fitted or not, to a file that :func:`load` reads without running anything in it.

    Parameters
    ----------
    estimator : estimator
        One of this package or of scikit-learn, such as a Pipeline of both.
    path : str or path-like
        The file. One that exists is replaced, once the new one is complete.

    Raises
    ------
    TypeError
        If ``estimator`` is no estimator, or holds what no such file can: a lambda, a compiled object, a skorch net of
        your own. The error names where.
    OSError
        If the file cannot be written. One that was there before is as it was.

    See Also
    --------
    load : Reads the file.

    Notes
    -----
    Classes and functions of your own, such as a backbone, are written by name. :func:`load` has to be given them.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import sklearn_geoal
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_geoal import NetClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> net = NetClassifier(max_epochs=5, random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sklearn_geoal.save(net, Path(folder) / "iris.geoal")
    ...     again = sklearn_geoal.load(Path(folder) / "iris.geoal")
    >>> again.predict(X).tolist() == net.predict(X).tolist()
    True
    """
    if not isinstance(estimator, BaseEstimator):
        raise TypeError(f"estimator must be an estimator of scikit-learn's kind; got {estimator!r}.")
    path = Path(path)
    writer = Writer(_deep)
    described = {
        "format": _FORMAT,
        "versions": _versions(),
        "estimator": writer.pack(estimator, type(estimator).__name__),
        "objects": writer.objects,
        "arrays": [describe_array(array) for array in writer.arrays],
    }
    content = json.dumps(described, separators=(",", ":")).encode()
    # of a name that is nobody else's, should two write the same file
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    hashed = hashlib.blake2b(digest_size=_N_DIGEST)
    with replaced(path, temporary) as file:
        for part in (_MAGIC, len(content).to_bytes(_N_LENGTH, "little"), content, *map(values_of, writer.arrays)):
            file.write(part)
            hashed.update(part)
        file.write(hashed.digest())


def fingerprint(estimator):
    """Text that differs where fitted estimators differ, the same for one that was saved and loaded or fitted again."""
    writer = Writer(_deep)
    try:
        described = writer.pack(estimator, type(estimator).__name__)
    except TypeError:  # it holds what no file can
        return joblib.hash(estimator)
    forms = [describe_array(array) for array in writer.arrays]
    hashed = hashlib.blake2b(json.dumps([described, writer.objects, forms]).encode(), digest_size=_N_DIGEST)
    for array in writer.arrays:
        hashed.update(values_of(array))
    return hashed.hexdigest()


def load(path, *, trusted=()):
    """Read an estimator that :func:`save` has written.

    Nothing in the file is run, whatever it holds: classes of scikit-learn, torch's layers and optimisers and of this
    package are found by their names, and their objects are rebuilt from arrays and plain values. What was fitted on
    CUDA comes to the CPU where there is no such device, with a warning.

    Parameters
    ----------
    path : str or path-like
        The file.
    trusted : list of classes and functions, default=()
        Your own that the estimator is made with, such as a backbone. The file refers to them by name; their code is
        that which you give here.

    Returns
    -------
    estimator : estimator
        As it was saved.

    Raises
    ------
    ValueError
        If the file is damaged or none that :func:`save` has written, or it names what is neither known nor trusted.
    OSError
        If it cannot be read.

    Warns
    -----
    UserWarning
        If it was written by another version of scikit-learn or of this package.

    See Also
    --------
    save : Writes the file.

    Notes
    -----
    A checksum tells damage, not who wrote the file: a file from a stranger runs nothing, but it may hold a model that
    predicts what the stranger likes. Parameters such as ``checkpoint`` and ``callbacks`` act when you call ``fit``.
    """
    path, trusted = Path(path), _checked(trusted)
    with path.open("rb") as file:
        try:
            described, arrays = _read(file, os.fstat(file.fileno()).st_size)
        except ValueError as error:
            raise ValueError(f"{path} cannot be loaded: {error}.") from None
    _warn_of_versions(path, described["versions"])
    try:
        reader = Reader(arrays, described["objects"], trusted, _deep)
        estimator = reader.value(described["estimator"])
    except Exception as error:  # whatever a made-up description leads to
        raise ValueError(f"{path} cannot be loaded: {error}.") from error
    if not isinstance(estimator, BaseEstimator):
        raise ValueError(f"{path} cannot be loaded: it holds a {type(estimator).__name__} and no estimator.")
    return estimator


def _read(file, n_bytes):
    """Description and arrays of a file of so many bytes; nothing larger than the file is made.

    Raises
    ------
    ValueError
        If it is none that ``save`` has written, or is damaged.
    """
    hashed, left = hashlib.blake2b(digest_size=_N_DIGEST), n_bytes - _N_DIGEST

    def take(n):
        nonlocal left
        left -= n
        if left < 0:
            raise ValueError(f"the file ends too early, at {n_bytes} bytes")
        values = np.empty(n, dtype=np.uint8)
        fill(values)
        return values.tobytes()

    def fill(values):
        if file.readinto(values) != len(values):
            raise ValueError("the file changes as it is read")
        hashed.update(values)

    if take(len(_MAGIC)) != _MAGIC:
        raise ValueError("it is no file that sklearn_geoal.save has written")
    content = take(int.from_bytes(take(_N_LENGTH), "little"))
    try:
        described = json.loads(content)
        forms = [Form(*form) for form in described["arrays"]]
        is_whole = _PARTS <= set(described) and sum(form.n_bytes for form in forms) == left
    except (ValueError, TypeError, KeyError, RecursionError):
        is_whole = False
    if not is_whole:
        raise ValueError("the file is damaged or cut off: its description and its length do not agree")
    arrays = []
    for form in forms:
        array, values = form.empty()
        fill(values)
        arrays.append(array)
    if file.read() != hashed.digest():
        raise ValueError("the file is damaged: its content has another checksum than when it was written")
    if described["format"] != _FORMAT:
        raise ValueError(
            f"its format is {described['format']!r}, expected {_FORMAT}: it was written with {described['versions']}"
        )
    return described, arrays


def _deep():
    """What knows networks; it loads torch."""
    from ._torch import storage

    return storage


def _versions():
    """Versions of all that has a say in a saved estimator."""
    libraries = {name: version(name) for name in ("scikit-learn", "numpy", "scipy", "torch", "skorch")}
    return {"sklearn_geoal": __version__, **libraries, "python": platform.python_version()}


def _warn_of_versions(path, written):
    present = _versions()
    written = written if isinstance(written, dict) else {}
    other = [name for name in ("sklearn_geoal", "scikit-learn") if written.get(name) != present[name]]
    if other:
        listed = ", ".join(f"{name} {written.get(name)} (here {present[name]})" for name in other)
        warn(
            f"{path} was written by {listed}: the estimator may fail, or predict something else. Install those "
            "versions to use it as it was, or fit again and save."
        )


def _checked(trusted):
    """The classes and functions that may be named.

    Raises
    ------
    TypeError
        If there is something else among them.
    """
    if callable(trusted) or isinstance(trusted, str):
        raise TypeError(f"trusted must be a list of classes and functions; got {trusted!r}: put it into a list.")
    for thing in trusted:
        if not callable(thing) or not hasattr(thing, "__qualname__"):
            raise TypeError(f"trusted takes classes and functions themselves; got {thing!r}.")
        try:
            name_of(thing)
        except TypeError as error:
            raise TypeError(f"trusted holds {error}.") from None
    return tuple(trusted)
