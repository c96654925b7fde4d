"""The package itself: what it exports, and what importing it costs."""

import subprocess
import sys

import pytest

import sklearn_geoal


def modules_loaded_by(statement):
    """Top-level names in sys.modules after `statement` ran in a fresh interpreter."""
    code = f"import sys\n{statement}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_import_leaves_heavy_libraries_alone():
    heavy = {"torch", "skorch", "pynndescent", "numba", "matplotlib", "pandas"}
    loaded = modules_loaded_by("import sklearn_geoal")
    assert "sklearn_geoal" in loaded
    assert not heavy & loaded


@pytest.mark.parametrize("name", sklearn_geoal.__all__)
def test_public_name_resolves(name):
    assert getattr(sklearn_geoal, name) is not None


def test_dir_lists_the_public_names():
    assert dir(sklearn_geoal) == sorted(sklearn_geoal.__all__)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'sklearn_geoal' has no attribute 'NoSuchEstimator'"):
        _ = sklearn_geoal.NoSuchEstimator
