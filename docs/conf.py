"""Sphinx configuration: guide, API reference from the docstrings, gallery."""

import re

from docutils import nodes
from latex2mathml.converter import convert

import sklearn_geoal

project = "sklearn_geoal"
author = "The sklearn_geoal developers"
copyright = f"2026, {author}"
version = release = sklearn_geoal.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "auto_examples/README.rst"]
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["math.css"]
html_title = f"{project} {version}"

autosummary_ignore_module_all = False  # a module's page lists its __all__
numpydoc_show_class_members = False  # the class template lists them

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "auto_examples",
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("sklearn_geoal",),
    "show_memory": False,
    "write_computation_times": False,
}


def skip_what_is_not_ours(app, what, name, obj, skip, options):
    """Leave out what scikit-learn defines or generates: its text links into its own manual."""
    is_theirs = (getattr(obj, "__module__", None) or "").startswith("sklearn.")
    return skip or is_theirs or re.fullmatch(r"set_\w+_request", name) is not None


def write_math(translator, node):
    """Formulas as MathML, which browsers show by themselves: the pages load no script from elsewhere."""
    display = "block" if isinstance(node, nodes.math_block) else "inline"
    translator.body.append(convert(node.astext(), display=display))
    raise nodes.SkipNode


def setup(app):
    app.connect("autodoc-skip-member", skip_what_is_not_ours)
    for node in (nodes.math, nodes.math_block):
        app.add_node(node, override=True, html=(write_math, None))
