"""The classes and functions that a model file may name."""

import inspect
import re
import sys
from importlib import import_module

import numpy as np
from sklearn.base import BaseEstimator

_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
# modules that do more than define things when they are imported
_RUN = {"__main__", "conftest", "tests"}

_PACKAGES = ("sklearn", "sklearn_geoal")
# what is of these and not known is never a user's own
_LIBRARIES = (*_PACKAGES, "builtins", "numpy", "scipy", "torch", "skorch", "pandas", "joblib", "pynndescent")
# what scikit-learn's estimators hold besides estimators; objects of these classes are no more than their attributes
_PARTS = {
    "sklearn._loss.link": ("BaseLink", "Interval"),
    "sklearn._loss.loss": ("BaseLoss",),
    "sklearn.calibration": ("_CalibratedClassifier",),
    "sklearn.gaussian_process.kernels": ("Kernel",),
    "sklearn.metrics._scorer": ("_BaseScorer", "_PassthroughScorer"),
    "sklearn.model_selection._split": ("BaseCrossValidator", "BaseShuffleSplit", "_RepeatedSplits"),
    "sklearn.neural_network._stochastic_optimizers": ("BaseOptimizer",),
}
# modules whose public functions only compute
_FUNCTIONS = (
    "sklearn.feature_selection",
    "sklearn.metrics",
    "sklearn.metrics.pairwise",
    "sklearn.preprocessing",
    "sklearn_geoal.metrics",
)
_OF_NUMPY = ("max", "mean", "median", "min", "nan_to_num", "std", "sum", "var")
_BUILTINS = {f"builtins:{known.__name__}": known for known in (bool, complex, float, int, object, print, str)}


def name_of(thing):
    """Name of a class or function, "module:name", for a library with the most public of the modules that have it.

    Raises
    ------
    TypeError
        If it has no name by which it could be told from others.
    """
    if isinstance(thing, np.ufunc):
        return f"{'numpy' if hasattr(np, thing.__name__) else 'scipy.special'}:{thing.__name__}"
    module, name = thing.__module__, thing.__qualname__
    if "<lambda>" in name or (inspect.isfunction(thing) and "<locals>" in name):
        kind = "lambda" if "<lambda>" in name else "function that was made inside another one"
        raise TypeError(
            f"a {kind} ({module}.{name}), and no file of data can hold its code: give it a name of its own in a module"
        )
    parts = (module or "").split(".")
    for n_parts in range(1, len(parts) if parts[0] in _LIBRARIES else 1):
        package = ".".join(parts[:n_parts])
        if package in sys.modules and getattr(sys.modules[package], name, None) is thing:
            return f"{package}:{name}"
    return f"{module}:{name}"


def findable(thing, deep):
    """The name of a class or function by which it is found again, as a known one or as one that is trusted.

    Raises
    ------
    TypeError
        If it has no such name.
    """
    name = name_of(thing)
    if name.partition(":")[0].partition(".")[0] in _LIBRARIES:
        try:
            find(name, (), deep)
        except ValueError:
            raise TypeError(f"{name.replace(':', '.')}, which is none of what model files may name") from None
    return name


def find(name, trusted, deep):
    """The class or function with a name, if it is a known one or among the trusted.

    Nothing is imported but modules of scikit-learn and of this package, which only define things.

    Parameters
    ----------
    name : str
    trusted : iterable of classes and functions
    deep : callable
        Returns the module that knows networks, ``_torch.storage``. It is called only where a network is named, since
        it loads torch.

    Raises
    ------
    ValueError
        If it is neither.
    """
    for thing in trusted:
        if _is_name_of(name, thing):
            return thing
    module, _, attribute = name.partition(":")
    package, found = module.partition(".")[0], None
    if not _NAME.fullmatch(name) or _RUN & set(module.split(".")):
        found = None
    elif package in _PACKAGES:
        found = _in_our_packages(module, attribute, deep)
    elif package in ("torch", "skorch"):
        found = deep().find_in_torch(module, attribute)
    elif module in ("numpy", "scipy.special"):
        found = _in_numpy(module, attribute)
    else:
        found = _BUILTINS.get(name)
    if found is None:
        raise ValueError(
            f"it names {name.replace(':', '.')}, which is no part of scikit-learn or sklearn_geoal that models consist "
            "of. If it is your own, and you trust its code, import it and give it to load(path, "
            f"trusted=[{attribute.rpartition('.')[2]}])"
        )
    return found


def _is_name_of(name, thing):
    """Whether a trusted thing has this name; what was a script's own may have become a module's."""
    module, _, attribute = name.partition(":")
    return name == name_of(thing) or (
        "__main__" in (module, thing.__module__) and attribute == name_of(thing).partition(":")[2]
    )


def _in_our_packages(module, attribute, deep):
    try:
        home = import_module(module)
        found = getattr(home, attribute)
    except (ImportError, AttributeError):
        return None
    if inspect.isclass(found):
        is_own = found.__module__.partition(".")[0] in _PACKAGES
        return found if is_own and _is_part(found, deep) else None
    is_function = inspect.isfunction(found) and module in _FUNCTIONS and attribute in home.__all__
    return found if is_function else None


def _is_part(found, deep):
    """Whether a class of scikit-learn or this package is one that models consist of."""
    if issubclass(found, BaseEstimator):
        return True
    if found.__module__.startswith("sklearn."):
        parts = [(module, name) for module, names in _PARTS.items() for name in names]
        return any((base.__module__, base.__name__) in parts for base in found.__mro__)
    if found.__module__.startswith("sklearn_geoal.augment.") or is_named_tuple(found):
        return True
    return deep().is_network(found)


def is_named_tuple(found):
    """Whether a class is one of named tuples."""
    return issubclass(found, tuple) and hasattr(found, "_fields")


def _in_numpy(module, attribute):
    found = getattr(import_module(module), attribute, None)
    is_number = inspect.isclass(found) and issubclass(found, np.generic)
    is_function = isinstance(found, np.ufunc) or (module == "numpy" and attribute in _OF_NUMPY)
    return found if is_number or is_function else None
