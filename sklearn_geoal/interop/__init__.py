"""Active learners of this package in scikit-activeml and modAL, and their strategies in ours."""

from importlib import import_module

__all__ = ["ModALQueryStrategy", "PoolLearner", "SkactivemlQueryStrategy"]

# modAL's side needs no other library, so scikit-activeml is imported only for what is built on it
_HOMES = {
    "ModALQueryStrategy": "._modal",
    "PoolLearner": "._pool_learner",
    "SkactivemlQueryStrategy": "._skactiveml",
}


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        value = getattr(import_module(_HOMES[name], __name__), name)
    except ModuleNotFoundError as error:
        if error.name.partition(".")[0] != "skactiveml":
            raise
        raise ImportError(
            f"{name} needs scikit-activeml, which is missing here: pip install sklearn_geoal[al]."
        ) from error
    globals()[name] = value
    return value


def __dir__():
    return {*globals(), *__all__}
