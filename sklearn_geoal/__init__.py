"""Learning from many measurements and few labels, as scikit-learn estimators."""

from importlib import import_module

__version__ = "0.1.0"

# name -> module: torch, skorch, pynndescent and matplotlib are imported when an estimator is first asked for
_ESTIMATORS = {
    "DDALQueryStrategy": "._active.ddal",
    "HyperbolicVAETransformer": "._autoencoders.hyperbolic",
    "LANDClassifier": "._active.land",
    "MixMatchClassifier": "._mixmatch.classifier",
    "MixMatchSegmenter": "._mixmatch.segmenter",
    "NetClassifier": "._net_classifier",
    "RECALClusterer": "._recal.clusterer",
    "SymmetricVAEClassifier": "._symmetric_vae.classifier",
    "SymmetricVAESegmenter": "._symmetric_vae.segmenter",
    "VAETransformer": "._autoencoders.vae",
}
_FUNCTIONS = {"load": ".persistence", "save": ".persistence"}
_MODULES = (
    "augment",
    "datasets",
    "interop",
    "labeling",
    "metrics",
    "model_selection",
    "plot",
    "preprocessing",
    "scenes",
)

__all__ = ["__version__", *_ESTIMATORS, *_FUNCTIONS, *_MODULES]


def __getattr__(name):
    home = _ESTIMATORS.get(name) or _FUNCTIONS.get(name)
    if home is not None:
        value = getattr(import_module(home, __name__), name)
        globals()[name] = value
        return value
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return __all__
