"""Apply a fitted estimator to a scene of any size, block by block, into files or arrays."""

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from numbers import Integral
from pathlib import Path

from joblib import effective_n_jobs
from sklearn.utils import Bunch, check_scalar

from .._validation import check_choice
from ..persistence import fingerprint
from ._dataset import as_dataset
from ._drift import Drift
from ._extras import rasterio_or_say
from ._outputs import Scratch, check_spares_source, path_of, signature_of, write_geotiff
from ._plan import Plan
from ._scene import open_scene


def predict_scene(
    estimator,
    source,
    destination=None,
    *,
    outputs=None,
    block_size=512,
    missing="any",
    colors=None,
    overviews=False,
    n_jobs=None,
    verbose=0,
):
    """Apply a fitted estimator to a scene of any size, and keep its grid and what is missing in it.

    The scene is read, predicted and written block by block. Windows, patches and images reach beyond a block as far as
    they have to, so the result is the same for any ``block_size`` and ``n_jobs``, to the last bit.

    Parameters
    ----------
    estimator : estimator
        Fitted: a classifier, clusterer, regressor, transformer or segmenter of scikit-learn or this package, or a
        Pipeline, a search or a :class:`~sklearn_geoal.preprocessing.ValidRows` of such. Rows are single pixels but for
        :class:`~sklearn_geoal.preprocessing.SpatialWindow`, :class:`~sklearn_geoal.preprocessing.PatchTransformer` and
        segmenters.
    source : path, list of paths, DataArray, Dataset, ndarray or Scene
        As :func:`open_scene` takes it; options as these of bands and clouds go there.
    destination : path or None, default=None
        GeoTIFF of the first output; other outputs lie beside it as ``<stem>_<output>.tif``. A file that exists is
        replaced once the new one is complete. None: the result comes back as a Dataset.
    outputs : list of str, str or None, default=None
        Any of "label" (``predict``), "confidence" (largest of ``predict_proba``), "probabilities" (``predict_proba``),
        "features" (``transform``) and "score_samples", computed in one pass. None: label and confidence, or what of the
        two the estimator has, or else features.
    block_size : int, default=512
        Height and width of a block in pixels. Segmenters round it to their tiles.
    missing : {"any", "all"}, default="any"
        Pixels are left out if any of their bands is missing, or only if all are: the second for a Pipeline that fills
        gaps.
    colors : dict, list or None, default=None
        Colours of the classes in the file: a mapping from class to colour, or a list in the order of ``classes_``, of
        hexadecimal text such as "#1f77b4" or red, green, blue from 0 to 255. None: well-distinguished ones.
    overviews : bool, default=False
        Write cloud-optimised GeoTIFFs, with overviews.
    n_jobs : int or None, default=None
        Blocks predicted at a time, by threads. None: 1, or what :func:`joblib.parallel_config` says; -1: all cores.
    verbose : int, default=0
        Show a progress bar.

    Returns
    -------
    maps : Bunch of paths, or Dataset
        Path of each output; without destination, an :class:`xarray.Dataset` with a variable for each output, which is
        lazy if the scene is a lazy DataArray. Probabilities have the dimensions (class, y, x), features have (feature,
        y, x), all others (y, x).

    Raises
    ------
    NotFittedError
        If a step of the estimator is not fitted.
    ValueError
        If the scene has other bands than the estimator was fitted to, no valid pixel, an output would replace a file
        of the scene, or a parameter is invalid.
    RuntimeError
        If the estimator fails on a block, which the error names.
    OSError
        If the file cannot be written. What was finished is kept for the next call.

    Notes
    -----
    Labels are of the smallest integer type that holds them. Integer classes keep their numbers; others are numbered
    from 1, and their names and colours stand in the file. 0 marks pixels without a value unless it is a class. All
    other outputs are float32, with NaN where there is no value.

    A run that was killed goes on where it ended when it is called again with the same estimator, scene and options: its
    blocks lie in a folder ``<destination>.partial``, which takes the size of the uncompressed result and is removed at
    the end. A file as source is the same if it has the same size and time.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.cluster import KMeans
    >>> from sklearn_geoal.scenes import predict_scene
    >>> scene = np.array([[[0, 1, 9], [9, 8, np.nan]]])
    >>> kmeans = KMeans(2, random_state=0).fit([[0.0], [1.0], [8.0], [9.0]])
    >>> clusters = predict_scene(kmeans, scene).label
    >>> clusters.shape, clusters.dtype, int((clusters == clusters.rio.nodata).sum())
    ((2, 3), dtype('uint8'), 1)
    """
    check_scalar(block_size, "block_size", Integral, min_val=1)
    scene = open_scene(source)
    plan = Plan(estimator, outputs, scene.band_names, scene.is_named, scene.scene_shape, missing)
    if destination is None:
        drift = Drift(plan.first_scaled, scene.band_names)
        maps = as_dataset(
            plan, scene, block_size, lambda blocks: _computed(plan, scene, blocks, drift, n_jobs, verbose)
        )
        if scene.lazy_array is None:
            _check(drift, is_whole=True)
        return maps
    rasterio_or_say("Writing a map")
    colors = {layer.name: layer.colored(colors) for layer in plan.layers}
    destination = _check_destination(destination)
    paths = Bunch(**{layer.name: path_of(destination, layer, plan.layers) for layer in plan.layers})
    check_spares_source(paths.values(), scene)
    signature = signature_of(fingerprint(estimator), scene.fingerprint(), repr(plan.layers), missing, block_size)
    scratch = Scratch(destination.with_name(f"{destination.name}.partial"), plan.layers, scene.scene_shape, signature)
    try:
        blocks = plan.blocks(block_size)
        todo = {block: number for number, block in enumerate(blocks) if number not in scratch.done}
        drift = Drift(plan.first_scaled, scene.band_names)
        for block, maps in _computed(plan, scene, todo, drift, n_jobs, verbose):
            scratch.write(todo[block], block, maps)
        _check(drift, is_whole=len(todo) == len(blocks))
        for layer in plan.layers:
            write_geotiff(
                paths[layer.name], layer, lambda block, layer=layer: scratch.read(layer, block), scene,
                colors=colors[layer.name], overviews=overviews,
            )  # fmt: skip
    except BaseException as error:
        # a full disk, an interrupt, a block that fails: what is finished serves the next call
        scratch.close() if not isinstance(error, ValueError) else scratch.remove()
        raise
    scratch.remove()
    return paths


def _check_destination(destination):
    destination = Path(destination)
    check_choice("the suffix of destination", destination.suffix.lower(), (".tif", ".tiff"))
    if not destination.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {destination.parent} to write {destination.name} to.")
    return destination


def _computed(plan, scene, blocks, drift, n_jobs, verbose):
    """Yield (block, its layers), in order, with as many blocks under way as there are jobs."""
    from tqdm import tqdm

    def compute(block):
        try:
            values = scene.read(plan.outer(block))
            return drift.see(values), plan.apply(values, block)
        except Exception as error:
            raise RuntimeError(f"{type(error).__name__} in the block of {block} of the scene: {error}") from error

    with tqdm(total=len(blocks), unit="block", disable=not verbose) as progress:
        for block, (seen, maps) in _in_order(compute, blocks, effective_n_jobs(n_jobs)):
            drift.add(*seen)
            yield block, maps
            progress.update()


def _check(drift, is_whole):
    """Warn of a scene that lies elsewhere than what was fitted, refuse one without values."""
    if is_whole and not drift.has_values:
        raise ValueError("The scene has no valid pixel: each lacks a band, by its no-data value, its mask or as NaN.")
    drift.warn()


def _in_order(function, items, n_jobs):
    """Pairs of an item and its result, in order; no more results wait than there are threads."""
    if n_jobs == 1:
        yield from ((item, function(item)) for item in items)
        return
    with ThreadPoolExecutor(n_jobs) as pool:
        waiting, rest = deque(), iter(items)
        try:
            while True:
                for item in rest:
                    waiting.append((item, pool.submit(function, item)))
                    if len(waiting) > n_jobs:
                        break
                if not waiting:
                    return
                item, result = waiting.popleft()
                yield item, result.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
