"""Libraries that come with the extras ``geo`` and ``dask``, imported when first needed."""

from importlib import import_module


def _or_say(module, what, extra):
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{what} needs {module}, which is not installed: pip install 'sklearn_geoal[{extra}]'."
        ) from error


def rasterio_or_say(what):
    """rasterio, or an error that says what needs it and how to get it."""
    module = _or_say("rasterio", what, "geo")
    for name in ("enums", "features", "vrt", "warp", "windows"):
        import_module(f"rasterio.{name}")
    return module


def rioxarray_or_say(what):
    """xarray, with the accessor ``rio``, or an error that says what needs it and how to get it."""
    _or_say("rioxarray", what, "geo")
    return _or_say("xarray", what, "geo")


def geopandas_or_say(what):
    """geopandas, or an error that says what needs it and how to get it."""
    return _or_say("geopandas", what, "geo")


def dask_or_say(what):
    """dask, or an error that says what needs it and how to get it."""
    _or_say("dask.array", what, "dask")
    return _or_say("dask", what, "dask")
