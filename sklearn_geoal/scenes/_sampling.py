"""Pixels that stand for a scene which does not fit in memory, found in one pass over it."""

from numbers import Integral
from typing import NamedTuple

import numpy as np
from sklearn.utils import Bunch, check_scalar

from .._validation import check_choice, draw_seed
from ._blocks import Block
from ._plan import Plan
from ._scene import open_scene

_STRIP_VALUES = 2**24  # features in memory at a time, 64 MiB of float32
_LOOKS, _LOOK_SHAPE = 32, (8, 512)  # blocks by which the cells of "coverage" are laid out, and lines, columns of each
_LOOK_ROWS = 2000  # pixels of each block, and the fewest of all by which cells are laid out
_N_DIRECTIONS = 6  # of the cells, and one for what lies off them
_CELLS_A_SCALE = 64  # the finest cells, in parts of the spread of a direction
_CELL_PIXELS = 2**18  # laid out at a time: in float64, and several arrays of them
_N_LEVELS = 42  # of cells, each of twice the side; at the last all pixels lie in one
_SPREAD_CANDIDATES = 8  # random pixels of which "spread" keeps one


def sample_pixels(source, n, *, strategy="random", transformer=None, missing="any", random_state=None, verbose=0):
    """Draw pixels that stand for a scene of any size, in one pass over it.

    Parameters
    ----------
    source : path, list of paths, DataArray, Dataset, ndarray or Scene
        As :func:`open_scene` takes it.
    n : int
        Number of pixels. If fewer are valid, all of them are taken.
    strategy : {"random", "spread", "coverage"}, default="random"
        "random": every valid pixel is equally likely. "spread": the same, evenly over the scene. "coverage": half of
        the pixels are spread over the values that occur, however rare, the others are drawn at random: what covers a
        few pixels of millions is among them.
    transformer : estimator or None, default=None
        Fitted transformer, or Pipeline of such, through which the pixels go, with their surroundings where it looks at
        these. Values are then features. None: the bands.
    missing : {"any", "all"}, default="any"
        Pixels are left out if any of their bands is missing, or only if all are: the second for a transformer that
        fills gaps.
    random_state : int, RandomState instance or None, default=None
        Seed. One seed draws the same pixels of the same scene, from whatever it is read.
    verbose : int, default=0
        Show a progress bar.

    Returns
    -------
    sample : Bunch
        With the attributes

        X : ndarray of shape (n, n_features)
            Values of the pixels: bands, or features.
        rows : ndarray of int of shape (n,)
            Their numbers in the scene, ascending.
        pixels : ndarray of int of shape (n, 2)
            Their rows and columns.
        coordinates : ndarray of shape (n, 2) or None
            Coordinates x, y of their centres, None if the scene has no transform.
        weights : ndarray of shape (n,)
            How many valid pixels of the scene each stands for.

    Raises
    ------
    ValueError
        If the scene has no valid pixel or a parameter is invalid.

    Notes
    -----
    "random" gives each pixel a number by a hash of its place and the seed, and keeps the smallest. "spread" takes eight
    times as many, orders them along a curve that fills the plane, row and column bit by bit, and keeps one of every
    eight, as generalised random tessellation stratified sampling does [1]_. "coverage" counts pixels in cells of the
    leading principal components and of the distance from these, laid out by a look at small blocks all over the scene;
    whenever there are more than n / 2 occupied cells, two along each direction become one. Of each cell the pixel of
    the smallest number is kept, and the rest is filled up at random; a pixel stands for its part of its cell.

    References
    ----------
    .. [1] Stevens, D. L. and Olsen, A. R., "Spatially balanced sampling of natural resources", Journal of the American
       Statistical Association 99(465), 2004.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_geoal.scenes import sample_pixels
    >>> scene = np.zeros((2, 100, 100))
    >>> scene[:, 40, 70] = 5  # one pixel of another material
    >>> sample = sample_pixels(scene, 20, strategy="coverage", random_state=0)
    >>> bool(np.isin(40 * 100 + 70, sample.rows)), float(sample.weights.sum())
    (True, 10000.0)
    """
    check_scalar(n, "n", Integral, min_val=1)
    check_choice("strategy", strategy, ("random", "spread", "coverage"))
    scene, seed = open_scene(source), draw_seed(random_state)
    stream = _Stream(scene, transformer, missing, seed)
    cells = _Cells(max(1, n // 2), _Layout.of(stream.look())) if strategy == "coverage" else None
    kept = _Smallest(n * _SPREAD_CANDIDATES if strategy == "spread" else n)
    for pixels in stream.pixels(verbose):
        kept.add(pixels)
        if cells is not None:
            cells.add(pixels)
    if not kept.n_seen:
        raise ValueError("The scene has no valid pixel: each lacks a band, by its no-data value, its mask or as NaN.")
    if strategy == "spread":
        chosen, weights = _evenly(kept, n, scene.scene_shape[1])
    elif strategy == "coverage":
        chosen, weights = cells.filled_up(kept.pixels, n)
    else:
        chosen, weights = kept.pixels, np.full(len(kept.pixels.rows), kept.n_seen / len(kept.pixels.rows))
    order = np.argsort(chosen.rows)
    rows = chosen.rows[order]
    return Bunch(
        X=chosen.X[order],
        rows=rows,
        pixels=scene.rows_to_pixels(rows),
        coordinates=None if scene.transform is None else scene.rows_to_coordinates(rows),
        weights=weights[order],
    )


class _Pixels(NamedTuple):
    """Pixels: their values (n, n_features), their numbers, and those by which they are drawn, the smallest first."""

    X: np.ndarray
    rows: np.ndarray
    draws: np.ndarray

    def take(self, places):
        return _Pixels(*(part[places] for part in self))

    def joined(self, other):
        return _Pixels(*map(np.concatenate, zip(self, other, strict=True)))


class _Stream:
    """The valid pixels of a scene, strip by strip."""

    def __init__(self, scene, transformer, missing, seed):
        if missing == "all" and transformer is None:
            raise ValueError('missing="all" needs a transformer that fills the gaps; got transformer=None.')
        self._scene, self._seed, self._plan = scene, seed, None
        n_features = scene.n_bands
        if transformer is not None:
            self._plan = Plan(transformer, "features", scene.band_names, scene.is_named, scene.scene_shape, missing)
            n_features = max(n_features, self._plan.layers[0].n_bands)
        self._strips = scene.strips(max(1, _STRIP_VALUES // n_features))

    def pixels(self, verbose=0):
        """The valid pixels of one strip after the other."""
        from tqdm import tqdm

        for strip in tqdm(self._strips, unit="strip", disable=not verbose):
            yield self._read(strip)

    def look(self):
        """Values of some pixels from all over the scene, of whole strips where most of it is missing."""
        found, n_found = [], 0
        for block in [*_looked_at(self._scene.scene_shape), *self._strips]:
            if len(found) >= _LOOKS and n_found >= _LOOK_ROWS:
                break
            pixels = self._read(block)
            found.append(pixels.X[np.argsort(pixels.draws)[:_LOOK_ROWS]])
            n_found += len(found[-1])
        return np.concatenate(found)

    def _read(self, block):
        if self._plan is None:
            values = self._scene.read(block)
        else:
            outer = self._scene.read(self._plan.outer(block))
            values = self._plan.apply(outer, block)["features"]
        valid = ~np.isnan(values).any(axis=0)
        row, column = np.nonzero(valid)
        rows = (row + block.top) * self._scene.scene_shape[1] + column + block.left
        return _Pixels(values[:, valid].T, rows, _hashed(rows, self._seed))


def _looked_at(scene_shape):
    """Small blocks all over the scene: down the lines evenly, in columns that never repeat (golden section)."""
    lines, columns = np.minimum(_LOOK_SHAPE, scene_shape)
    tops = np.linspace(0, scene_shape[0] - lines, _LOOKS).astype(int)
    lefts = (np.arange(_LOOKS) * 0.618034 % 1 * (scene_shape[1] - columns + 1)).astype(int)
    return [Block(*map(int, (t, t + lines, x, x + columns))) for t, x in zip(tops, lefts, strict=True)]


def _hashed(rows, seed):
    """A number of 64 bits for each pixel, as if drawn at random, by its number and the seed (splitmix64)."""
    offset = np.array([seed], dtype=np.uint64) * np.uint64(0xD1342543DE82EF95)  # an array: it may overflow in silence
    z = (rows.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) + offset
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


class _Smallest:
    """The n pixels that are drawn first, of all that were added."""

    def __init__(self, n):
        self._n, self.n_seen, self.pixels = n, 0, None

    def add(self, pixels):
        self.n_seen += len(pixels.rows)
        if self.pixels is None:
            self.pixels = pixels.take(slice(0, 0))
        if len(self.pixels.rows) == self._n:
            pixels = pixels.take(pixels.draws < self.pixels.draws.max())
        joined = self.pixels.joined(pixels)
        if len(joined.rows) > self._n:
            joined = joined.take(np.argpartition(joined.draws, self._n - 1)[: self._n])
        self.pixels = joined


def _evenly(kept, n, width):
    """n of the random pixels, evenly along a curve through the scene, and how many pixels each stands for."""
    pixels = kept.pixels
    row, column = np.divmod(pixels.rows, width)
    order = np.argsort(_interleaved(row, column))
    runs = np.array_split(order, min(n, len(order)))
    chosen = np.array([run[np.argmin(pixels.draws[run])] for run in runs])
    lengths = np.array([len(run) for run in runs])
    return pixels.take(chosen), lengths * (kept.n_seen / len(order))


def _interleaved(row, column):
    """Bits of row and column in turns: the place along a curve that fills the plane (Morton)."""
    code = np.zeros(len(row), dtype=np.uint64)
    for bit in range(int(max(row.max(), column.max())).bit_length()):
        for place, value in enumerate((column, row)):
            code |= ((value.astype(np.uint64) >> np.uint64(bit)) & np.uint64(1)) << np.uint64(2 * bit + place)
    return code


class _Layout(NamedTuple):
    """How cells lie: along the leading principal components of some pixels, and by the distance from these."""

    center: np.ndarray
    scale: np.ndarray
    directions: np.ndarray  # (n_features, k)
    step: np.ndarray  # (k + 1,), side of the finest cells

    @classmethod
    def of(cls, X):
        if not len(X):  # no valid pixel, so that none will be laid out
            return None
        X = X.astype(np.float64)
        center = np.median(X, axis=0)
        scale = _or_one(np.percentile(np.abs(X - center), 90, axis=0))
        Z = _scaled(X, center, scale, 10)  # a marker of missing data would be the first direction
        _, _, directions = np.linalg.svd(Z - Z.mean(axis=0), full_matrices=False)
        directions = directions[:_N_DIRECTIONS].T
        layout = cls(center, scale, directions, np.ones(directions.shape[1] + 1))
        widths = np.percentile(np.abs(layout.coordinates(X)), 90, axis=0)
        return layout._replace(step=_or_one(widths.max()) / _CELLS_A_SCALE * np.ones(len(widths)))

    def coordinates(self, X):
        """Coordinates along the directions, and the distance from what these span: (n, n_features) -> (n, k + 1)."""
        Z = _scaled(X, self.center, self.scale, 1e100)  # squares of a marker as -1.8e308 must not overflow
        along = Z @ self.directions
        off = np.sqrt(np.maximum((Z * Z).sum(axis=1) - (along * along).sum(axis=1), 0))
        return np.column_stack([along, off])

    def cells(self, X):
        """The finest cell that each pixel lies in: (n, n_features) -> (n, k + 1), integers."""
        half = 2 ** (_N_LEVELS - 2)
        cells = np.floor(self.coordinates(X) / self.step).clip(-half, half).astype(np.int64)
        # counted from a third of the largest cell, of bits 0101...: the center lies amid cells of all levels.
        # Counted from 0 it would be an edge at every level, and cells on its sides would never become one.
        return cells + 2**_N_LEVELS // 3


def _scaled(X, center, scale, most):
    with np.errstate(over="ignore"):
        return ((X - center) / scale).clip(-most, most)


def _or_one(scale):
    return np.where(scale > 0, scale, 1.0)


class _Cells:
    """Occupied cells, how many pixels lie in each, and the one that is drawn first; at most so many cells."""

    def __init__(self, n_most, layout):
        self._n_most, self._layout, self._level = n_most, layout, 0
        self._places = self._counts = self._first = None

    def add(self, pixels):
        for start in range(0, len(pixels.rows), _CELL_PIXELS):
            self._add(pixels.take(slice(start, start + _CELL_PIXELS)))

    def _add(self, pixels):
        places, counts, first = self._grouped(self._layout.cells(pixels.X) >> self._level, None, pixels)
        if self._places is not None:
            places, counts = np.concatenate([self._places, places]), np.concatenate([self._counts, counts])
            places, counts, first = self._grouped(places, counts, self._first.joined(first))
        while len(places) > self._n_most:
            self._level += 1
            places, counts, first = self._grouped(places >> 1, counts, first)
        self._places, self._counts, self._first = places, counts, first

    def filled_up(self, others, n):
        """A pixel of each cell, of the others as many as make n, and how many pixels of its cell each stands for."""
        others = others.take(np.argsort(others.draws))
        others = others.take(~np.isin(others.rows, self._first.rows))
        chosen = self._first.joined(others.take(slice(0, n - len(self._first.rows))))
        keys = _keys(self._layout.cells(chosen.X) >> self._level)
        own, cell, n_chosen = np.unique(keys, return_inverse=True, return_counts=True)
        counts = np.zeros(len(own))
        counts[np.searchsorted(own, _keys(self._places))] = self._counts
        return chosen, (counts / n_chosen)[cell]

    @staticmethod
    def _grouped(places, counts, pixels):
        """Cells, each once, with their counts and the pixel of each that is drawn first."""
        order = np.argsort(pixels.draws)
        _, first, cell = np.unique(_keys(places[order]), return_index=True, return_inverse=True)
        counts = np.bincount(cell, weights=None if counts is None else counts[order])
        return places[order][first], counts, pixels.take(order[first])


def _keys(places):
    """A number of 64 bits for each cell, so that cells are compared as fast as numbers."""
    keys = np.zeros(len(places), dtype=np.uint64)
    for part in places.T:
        keys = (keys ^ part.astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        keys ^= keys >> np.uint64(29)
    return keys
