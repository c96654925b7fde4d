"""How a fitted estimator is applied to a block of a scene, so that no block shows in the result."""

from copy import copy

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from .._validation import check_choice
from ..preprocessing import PatchTransformer, SpatialWindow, ValidRows
from ..preprocessing._patches import average, majority
from ._blocks import Block, cover, spans
from ._layers import VERBS, layers_of

# rows that an estimator is given at a time; always as many, since products of few rows round otherwise than of many
_CHUNK_ROWS, _CHUNK_VALUES = 2**14, 2**22


class Plan:
    """A fitted estimator taken apart into what sees single pixels and what sees their surroundings.

    Parameters
    ----------
    estimator : estimator
        Fitted.
    outputs : list of str, str or None
        What to compute, keys of ``VERBS``. None: labels and confidence where the estimator has them, else features.
    band_names : list of str
        Names of the bands of the scene.
    named : bool
        Whether these are the scene's own names.
    scene_shape : tuple of two ints
        ``(height, width)``.
    missing : {"any", "all"}
        Pixels are left out if any of their bands is missing, or only if all are.

    Attributes
    ----------
    layers : list of Layer
        What :meth:`apply` gives.
    first_scaled : estimator
        The first step that is not a window.

    Raises
    ------
    NotFittedError
        If a step is not fitted.
    ValueError
        If the scene has other bands than the estimator was fitted to, or the steps cannot be applied to a scene.
    """

    def __init__(self, estimator, outputs, band_names, named, scene_shape, missing="any"):
        self._missing = check_choice("missing", missing, ("any", "all"))
        steps = _steps(estimator)
        for step in steps:
            check_is_fitted(step)
        self._scene_shape, self._last = scene_shape, steps[-1]
        self._is_segmenter = hasattr(self._last, "_tile_spans") and not self._last._takes_rows
        if self._is_segmenter and len(steps) > 1:
            raise ValueError(
                f"{type(self._last).__name__} takes images and stands alone; got it behind {type(steps[0]).__name__}."
            )
        self._columns = _check_bands(steps[0], band_names, named, self._is_segmenter)
        self.layers = layers_of(self._last, outputs)
        if isinstance(self._last, (SpatialWindow, PatchTransformer)):
            self._last = _Identity()
        else:
            steps = steps[:-1]
        self._windows, self._patches, self._chains = _split(steps)
        self._margin = sum(window._margin for window in self._windows)
        rowwise = [step for chain in self._chains for step in chain]
        self.first_scaled = [*rowwise, self._last][0]  # a window leaves the units of the bands as they are

    def blocks(self, block_size):
        """Blocks that cover the scene, about ``block_size`` pixels high and wide, as it suits the estimator."""
        height, width = self._scene_shape
        if self._is_segmenter:
            return cover(*(_joined(self._last._tile_spans(side), block_size) for side in (height, width)))
        return cover(spans(height, block_size), spans(width, block_size))

    def outer(self, block):
        """The block and whatever around it has a say in its result."""
        if self._is_segmenter:
            rows, columns = self._tiles(block)
            return Block(rows[0][1].start, rows[-1][1].stop, columns[0][1].start, columns[-1][1].stop)
        return self._patched(block).grown(self._margin, self._scene_shape)

    def apply(self, values, block):
        """The layers of a block: values (n_bands, h, w) of ``outer(block)`` -> {name: (height, width) or (k, ...)}."""
        missing = np.isnan(values)
        valid = ~(missing.any(axis=0) if self._missing == "any" else missing.all(axis=0))
        if not valid.any():
            return {layer.name: layer.empty(block.shape) for layer in self.layers}
        if self._is_segmenter:
            return self._segmented(values, valid, block)
        outer, inner = self.outer(block), self._patched(block)
        # (n_valid, n_bands); where all are valid without a copy
        rows = (values.reshape(len(values), -1) if valid.all() else values[:, valid]).T
        for place, window in enumerate(self._windows):
            grid = _on_grid(self._chained(place, rows), valid)
            rows = np.asarray(window.transform(np.moveaxis(grid, -1, 0)))[valid.ravel()]
        if inner != outer:
            inside = np.zeros_like(valid)
            inside[inner.within(outer)] = True
            rows, valid = rows[inside[valid]], valid[inner.within(outer)]
        if self._patches is None:
            return self._placed(self._outputs(rows), valid)
        maps = self._of_patches(_on_grid(self._chained(len(self._windows), rows), valid), valid, block, inner)
        return {name: np.ascontiguousarray(part[..., *block.within(inner)]) for name, part in maps.items()}

    def _chained(self, place, rows):
        """Rows after the steps before the window or patches of this place."""
        if not self._chains[place] or not len(rows):
            return rows
        return in_chunks(lambda chunk: [_through(self._chains[place], self._named(place, chunk))], rows)[0]

    def _outputs(self, rows):
        """Rows of each layer, as its dtype, for rows of what comes after the last window."""
        if not len(rows):
            return {layer.name: np.moveaxis(layer.empty((0,)), -1, 0) for layer in self.layers}
        return dict(zip([layer.name for layer in self.layers], in_chunks(self._verbs, rows), strict=True))

    def _verbs(self, chunk):
        rows = _through(self._chains[-1], self._named(len(self._chains) - 1, chunk))
        results = self._results(rows)
        return [_as_layer(layer, results) for layer in self.layers]

    def _placed(self, results, valid):
        """Rows of the layers on the grid of a block."""
        if valid.all():
            return {
                name: np.ascontiguousarray(rows.T).reshape(*rows.shape[1:], *valid.shape)
                for name, rows in results.items()
            }
        maps = {layer.name: layer.empty(valid.shape) for layer in self.layers}
        for name, rows in results.items():
            maps[name][..., valid] = rows.T
        return maps

    def _patched(self, block):
        """The block and the patches that reach into it."""
        if self._patches is None:
            return block
        size, (rows, columns) = self._patches.image_shape_[1], self._patch_starts(block)
        return Block(
            int(min([block.top, *rows])),
            int(max([block.bottom, *(rows + size)])),
            int(min([block.left, *columns])),
            int(max([block.right, *(columns + size)])),
        )

    def _of_patches(self, grid, valid, block, inner):
        """Layers of the block with its patches: majority of the labels, mean of numbers."""
        size = self._patches.image_shape_[1]
        rows, columns = self._patch_starts(block)
        patches, positions = self._patches._cut(grid, valid, rows - inner.top, columns - inner.left)
        results, maps = self._outputs(patches), {}
        for layer in self.layers:
            given, filled = results[layer.name], layer.empty(valid.shape)
            if layer.classes is not None:
                codes = np.searchsorted(layer.values, given)
                winner = majority(codes, len(layer.classes), positions, valid.shape, size)
                filled[winner >= 0] = layer.values[winner[winner >= 0]]
            elif len(given):
                mean = average(given, positions, valid.shape, size)
                filled[...] = mean if layer.names is None else np.moveaxis(mean, -1, 0)
            maps[layer.name] = filled
        return maps

    def _patch_starts(self, block):
        """First rows and columns, in the scene, of the patches that reach into a block."""
        size, sides = self._patches.image_shape_[1], self._scene_shape
        if size > min(sides):
            raise ValueError(f"Patches of size={size} do not fit into a scene of {sides[0]} x {sides[1]} pixels.")
        return [
            self._patches._windows_over(span, side) for span, side in zip((block[:2], block[2:]), sides, strict=True)
        ]

    def _tiles(self, block):
        """The tiles of the segmenter that a block is made of."""
        sides = zip(self._scene_shape, (block[:2], block[2:]), strict=True)
        return [
            [(kept, read) for kept, read in self._last._tile_spans(side) if start <= kept.start < stop]
            for side, (start, stop) in sides
        ]

    def _segmented(self, values, valid, block):
        # what is missing lies at the mean of its band, where it says least to its neighbours
        fill = np.asarray(self._last.location_, dtype=values.dtype)[:, None, None]
        values = np.where(valid, values, fill)
        outer, maps = self.outer(block), {layer.name: layer.empty(block.shape) for layer in self.layers}
        rows, columns = self._tiles(block)
        for kept_rows, read_rows in rows:
            for kept_columns, read_columns in columns:
                tile = Block(kept_rows.start, kept_rows.stop, kept_columns.start, kept_columns.stop)
                read = Block(read_rows.start, read_rows.stop, read_columns.start, read_columns.stop)
                image = values[:, *read.within(outer)][None]
                results = {}
                for verb, result in self._results(image).items():
                    result = result[0][..., *tile.within(read)]  # (height, width) or (k, height, width)
                    results[verb] = np.moveaxis(result, 0, -1) if result.ndim == 3 else result
                inside = valid[tile.within(outer)]
                for layer in self.layers:
                    part = maps[layer.name][..., *tile.within(block)]
                    part[..., inside] = _as_layer(layer, {verb: r[inside] for verb, r in results.items()}).T
        return maps

    def _results(self, X):
        """What the last step gives, {verb: result}, each verb once."""
        verbs = dict.fromkeys(VERBS[layer.name] for layer in self.layers)
        if {"predict", "predict_proba"} <= set(verbs) and getattr(self._last, "_predicts_most_probable", False):
            del verbs["predict"]
        results = {verb: np.asarray(getattr(self._last, verb)(X)) for verb in verbs}
        if "predict" not in verbs and any(VERBS[layer.name] == "predict" for layer in self.layers):
            results["predict"] = self._last.classes_[results["predict_proba"].argmax(axis=1)]
        return results

    def _named(self, place, chunk):
        """Rows as the first step of a chain has seen them in fit: bands as a data frame if they had names."""
        if self._columns is None or place > 0:
            return chunk
        from pandas import DataFrame

        return DataFrame(chunk, columns=self._columns)


def in_chunks(function, rows):
    """Apply a function that gives a list of arrays to rows, always as many at a time.

    The last chunk is filled up by repeats of its last row, so that the rounding of a row's result does not depend on
    how many rows come with it.
    """
    step = min(_CHUNK_ROWS, max(2**8, 2 ** int(np.log2(_CHUNK_VALUES / rows.shape[1]))))
    parts = []
    for start in range(0, len(rows), step):
        chunk = rows[start : start + step]
        n_rows = len(chunk)
        if n_rows < step:
            chunk = np.concatenate([chunk, np.repeat(chunk[-1:], step - n_rows, axis=0)])
        parts.append([np.asarray(part)[:n_rows] for part in function(np.ascontiguousarray(chunk))])
    return [np.concatenate(part) for part in zip(*parts, strict=True)]


def _as_layer(layer, results):
    result = results[VERBS[layer.name]]
    return layer.encode(result.max(axis=1) if layer.name == "confidence" else result)


def _through(chain, rows):
    for step in chain:
        rows = step.transform(rows)
    return rows


def _on_grid(rows, valid):
    grid = np.full((*valid.shape, rows.shape[1]), np.nan, dtype=np.result_type(rows.dtype, np.float32))
    grid[valid] = rows
    return grid


def _joined(tile_spans, block_size):
    """Spans (start, stop) of one or more whole tiles, of about ``block_size``."""
    joined = []
    for kept, _ in tile_spans:
        if joined and kept.stop - joined[-1][0] <= block_size:
            joined[-1] = (joined[-1][0], kept.stop)
        else:
            joined.append((kept.start, kept.stop))
    return joined


def _steps(estimator):
    """An estimator as a list of steps: pipelines, searches and ValidRows opened, as only valid rows come."""
    if isinstance(estimator, Pipeline):
        kept = [step for _, step in estimator.steps if step is not None and step != "passthrough"]
        return [inner for step in kept for inner in _steps(step)]
    if hasattr(estimator, "best_estimator_"):
        return _steps(estimator.best_estimator_)
    if isinstance(estimator, ValidRows) and hasattr(estimator, "estimator_"):
        return _steps(estimator.estimator_)
    return [estimator]


def _split(steps):
    """Windows, the patches or None, and the chains of other steps before, between and after these."""
    windows, patches, chains = [], None, [[]]
    for step in steps:
        if not isinstance(step, (SpatialWindow, PatchTransformer)):
            chains[-1].append(step)
            continue
        if patches is not None:
            raise ValueError(
                f"{type(step).__name__} after a PatchTransformer has no scene to look at: put it before, and have one "
                "PatchTransformer at most."
            )
        step = copy(step)
        vars(step).pop("feature_names_in_", None)  # it is given arrays, in an order that was checked
        chains.append([])
        if isinstance(step, PatchTransformer):
            patches = step
        else:
            windows.append(step)
    return windows, patches, chains


def _check_bands(first, band_names, named, is_segmenter):
    """Names that the first step knows the bands by, or None, after checking that the scene has these bands."""
    n_bands = first.image_shape_[0] if is_segmenter else getattr(first, "n_features_in_", len(band_names))
    if n_bands != len(band_names):
        raise ValueError(
            f"The scene has {len(band_names)} bands, but {type(first).__name__} was fitted with {n_bands}: open it "
            "with open_scene(..., bands=[...]), the same bands in the same order."
        )
    columns = getattr(first, "feature_names_in_", None)
    if columns is not None and named and list(columns) != list(band_names):
        raise ValueError(
            f"The scene has the bands {band_names[:10]}, but {type(first).__name__} was fitted with "
            f"{list(columns)[:10]}: open it with open_scene(..., bands=[...]) in that order, or fit without names."
        )
    return columns


class _Identity:
    """What comes after a pipeline of transformers that ends with a view of surroundings."""

    def transform(self, X):
        return X
