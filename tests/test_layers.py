"""Imports inside the package point strictly downwards, and heavy libraries stay in their one place."""

import ast
from pathlib import Path

import pytest

import sklearn_geoal

PACKAGE = Path(sklearn_geoal.__file__).parent

FLOORS = (
    {"_arrays", "_warnings"},
    {"__init__", "_colors", "_files", "_labels", "_scaling", "_validation"},  # the checks lie under everything else
    {"_storage"},
    {"_torch", "_manifolds"},
    {"_nets", "augment", "metrics", "datasets"},
    {"preprocessing", "_segmentation"},
    # estimators, the default learner of the active ones below them
    {"_autoencoders", "_mixmatch", "_net_classifier", "_recal", "_symmetric_vae"},
    {"_active"},
    {"model_selection", "persistence"},
    {"scenes"},
    {"labeling"},
    {"__main__", "interop", "plot"},
)
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names}

ESTIMATORS = {"_autoencoders", "_mixmatch", "_net_classifier", "_recal", "_symmetric_vae", "_active"}
# estimators never import each other, but for the default learner
ALLOWED_PAIRS = {("_active", "_net_classifier")}

DEEP = ESTIMATORS - {"_active"} | {"_segmentation"}
ONLY_IN = {
    "skorch": {"_torch"},
    "matplotlib": {"plot"},
    "pynndescent": {"_active"},
    "rasterio": {"datasets", "scenes"},
    "xarray": {"scenes"},
    "dask": {"scenes"},
    "starlette": {"labeling"},
    "uvicorn": {"labeling"},
    "geopandas": {"scenes"},
    "torch": {"_torch", "_nets", "_manifolds", "augment", *DEEP},
}
NEVER_IN = {"numpy": {"_nets", "_manifolds"}, "sklearn": {"_nets", "_manifolds"}}
# polar coordinates serve metrics and pictures, which need no torch
EXEMPT = {"_manifolds/polar.py"}


def imported_modules(source, path):
    """Yield each imported module as a tuple of names, relative ones resolved from `path`, function bodies included."""
    here = ("sklearn_geoal", *path.parts)[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) + 1 - node.level] if node.level else ()
            base += tuple(node.module.split(".")) if node.module else ()
            # `from package import name`: the name may be a module itself
            yield from ((*base, alias.name) for alias in node.names)


def violations(source, path):
    """List what in `source`, the module at `path` below the package folder, breaks a rule."""
    module = Path(path.parts[0]).stem
    if module not in FLOOR:
        return [f"{module} has no floor: give it one in FLOORS"]
    found = []
    for library, *names in imported_modules(source, path):
        if library != "sklearn_geoal":
            if module not in ONLY_IN.get(library, FLOOR) or (
                module in NEVER_IN.get(library, ()) and str(path) not in EXEMPT
            ):
                found.append(f"{path} imports {library}")
            continue
        target = names[0] if names and names[0] in FLOOR else "__init__"
        if target == module:
            continue
        if FLOOR[target] >= FLOOR[module]:
            found.append(f"{path} imports {target}: floor {FLOOR[module]} from floor {FLOOR[target]}")
        elif {module, target} <= ESTIMATORS and (module, target) not in ALLOWED_PAIRS:
            found.append(f"{path} imports {target}: one estimator another")
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_module_keeps_to_its_layer(path):
    assert violations(path.read_text(encoding="utf-8"), path.relative_to(PACKAGE)) == []


def test_warnings_point_at_the_line_of_the_user():
    sources = {path.name: path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
    assert [name for name, source in sources.items() if "warnings.warn" in source] == ["_warnings.py"]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_file_is_short_or_says_why_not(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 400 or any(line.startswith("# over 400 lines: ") for line in lines[:3])


@pytest.mark.parametrize(
    "path, source",
    [
        ("_active/graph.py", "from .. import plot"),
        ("_active/land.py", "from .._recal import RECALClusterer"),
        ("_active/land.py", "import torch"),
        ("_nets/vae.py", "import sklearn_geoal._autoencoders.vae"),
        ("_nets/vae.py", "import numpy as np"),
        ("_validation.py", "def f():\n    from sklearn_geoal._torch import training"),
        ("_autoencoders/vae.py", "from .._net_classifier import NetClassifier"),
        ("_autoencoders/vae.py", "import skorch.callbacks"),
        ("_manifolds/lorentz.py", "from .._nets import dense"),
        ("datasets/files.py", "def f():\n    import matplotlib.pyplot as plt"),
        ("unheard_of.py", ""),
    ],
)
def test_violation_is_caught(path, source):
    assert len(violations(source, Path(path))) == 1


@pytest.mark.parametrize(
    "path, source",
    [
        (
            "_active/ddal.py",
            "from .. import __version__\nfrom . import graph\nfrom .._net_classifier import NetClassifier",
        ),
        (
            "_nets/vae.py",
            "from .dense import mlp\nfrom . import conv\nfrom .._manifolds.lorentz import exp0\nimport torch",
        ),
        ("_torch/training.py", "import skorch, torch, numpy\nfrom .._validation import check_choice"),
        ("plot/_maps.py", "from matplotlib import pyplot as plt\nfrom sklearn_geoal.model_selection import x"),
    ],
)
def test_what_the_rules_allow_passes(path, source):
    assert violations(source, Path(path)) == []
