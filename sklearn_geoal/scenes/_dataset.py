"""Maps as an xarray.Dataset, in memory or lazy."""

import json

import numpy as np

from ._extras import dask_or_say, rioxarray_or_say

_DIMENSIONS = {"probabilities": "class", "features": "feature"}


def as_dataset(plan, scene, block_size, computed):
    """The layers of a plan on the grid of a scene, lazy if the scene is.

    Parameters
    ----------
    plan : Plan
        What is applied.
    scene : Scene
        To what.
    block_size : int
        Height and width of a block in pixels.
    computed : callable
        Takes blocks and yields each with its layers.
    """
    xarray = rioxarray_or_say("A map as a Dataset")
    blocks = plan.blocks(block_size)
    if scene.lazy_array is not None:
        arrays = _lazy(plan, scene, blocks)
    else:
        arrays = {layer.name: np.empty(layer.shape(scene.scene_shape), dtype=layer.dtype) for layer in plan.layers}
        for block, maps in computed(blocks):
            for name, values in maps.items():
                arrays[name][..., *block.slices] = values
    return xarray.Dataset({layer.name: _placed(xarray, arrays[layer.name], layer, scene) for layer in plan.layers})


def _lazy(plan, scene, blocks):
    """Dask arrays of the layers: each block is one task, which gives all of them."""
    dask = dask_or_say("A lazy map")
    # one task holds what all share, so that it comes to a worker once
    shared = dask.delayed((plan, scene.without_values()), traverse=False)
    values = scene.lazy_array.data
    parts = {layer.name: {} for layer in plan.layers}
    for block in blocks:
        outer = plan.outer(block)
        rows, columns = outer.slices
        maps = dask.delayed(_apply, pure=False)(shared, values[:, rows, columns], outer, block)
        for layer in plan.layers:
            parts[layer.name][block.top, block.left] = dask.array.from_delayed(
                maps[layer.name], layer.shape(block.shape), layer.dtype
            )
    tops, lefts = (sorted({place[axis] for place in parts[plan.layers[0].name]}) for axis in (0, 1))
    return {
        name: dask.array.block([[tiles[top, left] for left in lefts] for top in tops]) for name, tiles in parts.items()
    }


def _apply(shared, raw, outer, block):
    plan, scene = shared
    return plan.apply(scene.cleaned(np.asarray(raw), None, outer), block)


def _placed(xarray, values, layer, scene):
    """A layer with its coordinates, CRS, transform, missing value and names."""
    dims, coordinates = ("y", "x"), {}
    if layer.names is not None:  # a dimension of its own: those of two layers differ
        dims, coordinates = (_DIMENSIONS[layer.name], *dims), {_DIMENSIONS[layer.name]: list(layer.names)}
    array = xarray.DataArray(values, coordinates, dims, name=layer.name)
    if scene.transform is not None and scene.transform.is_rectilinear and scene.transform.b == 0:
        a, _, c, _, e, f = scene.transform[:6]
        height, width = scene.scene_shape
        array = array.assign_coords(y=f + e * (np.arange(height) + 0.5), x=c + a * (np.arange(width) + 0.5))
    if scene.transform is not None:
        array = array.rio.write_transform(scene.transform)
    if scene.crs is not None:
        array = array.rio.write_crs(scene.crs)
    array = array.rio.write_nodata(layer.nodata)
    if layer.classes is not None:
        array.attrs["classes"] = json.dumps({str(value): name for value, name in layer.class_names().items()})
    return array
