"""Imports inside the package point strictly downwards, and heavy libraries stay in their one place."""

import ast
from pathlib import Path

import pytest

import sklearn_geoal

PACKAGE = Path(sklearn_geoal.__file__).parent

LEVELS = (
    {"__init__", "_validation", "_labels"},  # the checks lie under everything, the two other ground-floor modules included
    {"_torch", "_queries", "_manifolds", "datasets"},
    {"_graph", "_nets", "augment", "metrics"},
    # networks alone: what active and semi-supervised learners start from, what autoencoders and what segmenters share
    {"_net_classifier", "_autoencoder", "_segmentation", "preprocessing"},
    {"_vae", "_hyperbolic_vae", "_recal", "_land", "_ddal", "_mixmatch", "_symmetric_vae", "model_selection"},
    {"interop", "plot"},
)
LEVEL = {name: level for level, names in enumerate(LEVELS) for name in names}

NETS = {"_nets", "_manifolds", "augment"}
DEEP = {
    "_net_classifier",
    "_autoencoder",
    "_segmentation",
    "_vae",
    "_hyperbolic_vae",
    "_recal",
    "_mixmatch",
    "_symmetric_vae",
}
ONLY_IN = {
    "skorch": {"_torch"},
    "matplotlib": {"plot"},
    "pynndescent": {"_graph"},
    "torch": {"_torch", *NETS, *DEEP},
}
NEVER_IN = {"numpy": {"_nets", "_manifolds"}, "sklearn": {"_nets", "_manifolds"}}


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
    if module not in LEVEL:
        return [f"{module} has no level: give it one in LEVELS"]
    found = []
    for library, *names in imported_modules(source, path):
        if library != "sklearn_geoal":
            if module not in ONLY_IN.get(library, LEVEL) or module in NEVER_IN.get(library, ()):
                found.append(f"{path} imports {library}")
            continue
        target = names[0] if names and names[0] in LEVEL else "__init__"
        if not (LEVEL[target] < LEVEL[module] or target == module):
            found.append(f"{path} imports {target}: level {LEVEL[module]} from level {LEVEL[target]}")
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_module_keeps_to_its_layer(path):
    assert violations(path.read_text(encoding="utf-8"), path.relative_to(PACKAGE)) == []


@pytest.mark.parametrize(
    "path, source",
    [
        ("_graph.py", "from ._land import LANDClassifier"),
        ("_graph.py", "from . import plot"),
        ("_graph.py", "import sklearn_geoal._nets.vae"),
        ("_validation.py", "def f():\n    from sklearn_geoal._torch import train"),
        ("_land.py", "from ._vae import VAETransformer"),
        ("_land.py", "import torch"),
        ("_vae.py", "import skorch.callbacks"),
        ("_nets/vae.py", "from .._vae import VAETransformer"),
        ("_nets/vae.py", "import numpy as np"),
        ("_manifolds/lorentz.py", "from .._nets import dense"),
        ("datasets.py", "def f():\n    import matplotlib.pyplot as plt"),
        ("unheard_of.py", ""),
    ],
)
def test_violation_is_caught(path, source):
    assert len(violations(source, Path(path))) == 1


@pytest.mark.parametrize(
    "path, source",
    [
        ("_land.py", "from . import _graph, __version__\nfrom ._graph import knn_graph"),
        (
            "_nets/vae.py",
            "from .dense import mlp\nfrom . import conv\nfrom .._manifolds.lorentz import exp0\nimport torch",
        ),
        ("_torch.py", "import skorch, torch, numpy\nfrom ._validation import check_choice"),
        ("plot.py", "from matplotlib import pyplot as plt\nfrom sklearn_geoal.model_selection import x"),
    ],
)
def test_what_the_rules_allow_passes(path, source):
    assert violations(source, Path(path)) == []
