"""Patches of a scene: agreement with slow references, round trips, every pixel covered, masked pixels, errors."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from sklearn_geoal.preprocessing import PatchTransformer

# (height, width), size, stride: side by side, overlapping, with gaps, as high as the scene, single pixels
GRIDS = [
    ((12, 8), 4, None),
    ((7, 9), 3, 2),
    ((7, 9), 3, 1),
    ((11, 10), 4, 3),
    ((11, 10), 2, 5),
    ((5, 8), 5, 1),
    ((1, 9), 1, 1),
    ((6, 13), 5, 8),
]
each_grid = pytest.mark.parametrize("shape, size, stride", GRIDS)


def scene(shape=(7, 9), n_bands=3, masked=0.2, seed=0):
    """A scene (n_bands, height, width), some values on the left of its first band NaN, and the same as rows."""
    rng = np.random.default_rng(seed)
    cube = rng.normal(size=(n_bands, *shape))
    cube[0, :, : shape[1] // 4][rng.random((shape[0], shape[1] // 4)) < masked] = np.nan
    return cube, np.moveaxis(cube, 0, -1).reshape(-1, n_bands)


def slow_positions(cube, size, stride):
    """The definition, window by window."""
    positions = []
    for row, column in np.ndindex(cube.shape[1] - size + 1, cube.shape[2] - size + 1):
        on_grid = [
            start % (stride or size) == 0 or start == side - size
            for start, side in ((row, cube.shape[1]), (column, cube.shape[2]))
        ]
        if all(on_grid) and np.isfinite(cube[:, row : row + size, column : column + size]).all():
            positions.append((row, column))
    return positions


def slow_spread(values, positions, shape, size):
    """Lists of the values of the patches that cover each pixel."""
    covering = {place: [] for place in np.ndindex(*shape)}
    for value, (row, column) in zip(values, positions, strict=True):
        for i, j in np.ndindex(size, size):
            covering[row + i, column + j].append(value)
    return covering


@each_grid
def test_patches_are_the_windows(shape, size, stride):
    cube, rows = scene(shape)
    patches = PatchTransformer(shape, size=size, stride=stride)
    X = patches.fit_transform(rows)
    positions = slow_positions(cube, size, stride)
    np.testing.assert_array_equal(patches.positions_, positions)
    assert patches.image_shape_ == (3, size, size) and patches.scene_shape_ == shape
    expected = [cube[:, row : row + size, column : column + size] for row, column in positions]
    np.testing.assert_array_equal(X.reshape(-1, *patches.image_shape_), expected)


def test_one_window_is_the_scene():
    cube, rows = scene((5, 5), masked=0)
    np.testing.assert_array_equal(PatchTransformer((5, 5), size=5, stride=2).fit_transform(rows), [cube.ravel()])


@each_grid
def test_a_scene_as_an_array_is_the_scene_as_rows(shape, size, stride):
    cube, rows = scene(shape)
    of_array = PatchTransformer(size=size, stride=stride)
    of_rows = PatchTransformer(shape, size=size, stride=stride)
    np.testing.assert_array_equal(of_array.fit_transform(cube), of_rows.fit_transform(rows))
    np.testing.assert_array_equal(of_array.positions_, of_rows.positions_)
    # where the shape is known from the fit, rows need none
    np.testing.assert_array_equal(of_array.transform(rows), of_rows.transform(cube))


@each_grid
def test_every_pixel_is_covered_unless_windows_leave_gaps(shape, size, stride):
    patches = PatchTransformer(size=size, stride=stride).fit(scene(shape, masked=0)[0])
    covered = patches.label_map(np.zeros(len(patches.positions_), dtype=int)) == 0
    assert covered.all() == ((stride or size) <= size)
    assert covered[0].any() and covered[-1].any() and covered[:, 0].any() and covered[:, -1].any()


@each_grid
@pytest.mark.parametrize("n_classes", [2, 7])
def test_votes_against_a_loop(shape, size, stride, n_classes):
    cube, _ = scene(shape)
    patches = PatchTransformer(size=size, stride=stride).fit(cube)
    labels = np.random.default_rng(1).integers(-1, n_classes, len(patches.positions_))
    expected = np.full(shape, -1)
    for place, votes in slow_spread(labels, patches.positions_, shape, size).items():
        counts = np.bincount([vote for vote in votes if vote >= 0], minlength=n_classes)
        if counts.any():
            expected[place] = counts.argmax()
    np.testing.assert_array_equal(patches.label_map(labels), expected)


@each_grid
@pytest.mark.parametrize("n_outputs", [None, 1, 4])
def test_means_against_a_loop(shape, size, stride, n_outputs):
    cube, _ = scene(shape)
    patches = PatchTransformer(size=size, stride=stride).fit(cube)
    outputs = () if n_outputs is None else (n_outputs,)
    values = np.random.default_rng(1).random((len(patches.positions_), *outputs))
    expected = np.full((*shape, *outputs), np.nan)
    for place, covering in slow_spread(values, patches.positions_, shape, size).items():
        if covering:
            expected[place] = np.mean(covering, axis=0)
    np.testing.assert_allclose(patches.mean_map(values), expected, atol=1e-14)


@pytest.mark.parametrize("stride", [None, 2, 1])
def test_a_map_of_blocks_comes_back(stride):
    truth = np.kron(np.random.default_rng(0).integers(5, size=(4, 6)), np.ones((8, 8), dtype=int))
    patches = PatchTransformer(size=4, stride=stride)
    X = patches.fit_transform(truth[None])
    majority = [np.bincount(row.astype(int)).argmax() for row in X]
    label_map = patches.label_map(majority)
    if stride is None:
        np.testing.assert_array_equal(label_map, truth)
    inside = np.zeros((8, 8), dtype=bool)
    inside[2:-2, 2:-2] = True  # where most of the patches hold more of this block than of others
    inside = np.tile(inside, (4, 6))
    np.testing.assert_array_equal(label_map[inside], truth[inside])


@each_grid
def test_the_mean_map_of_the_pixels_of_patches_of_one_is_the_scene(shape, size, stride):
    cube, rows = scene(shape)
    patches = PatchTransformer(shape, size=1)
    X = patches.fit_transform(rows)
    expected = np.where(np.isnan(cube).any(axis=0)[..., None], np.nan, np.moveaxis(cube, 0, -1))
    np.testing.assert_array_equal(patches.mean_map(X), expected)


def test_maps_turn_with_the_scene():
    cube, _ = scene((9, 6))
    patches = PatchTransformer(size=3)  # fits both sides, so that the windows lie alike from both ends
    X = patches.fit_transform(cube)
    values = X[:, :9].mean(axis=1)
    turned = PatchTransformer(size=3)
    turned_X = turned.fit_transform(cube[:, ::-1, ::-1])
    np.testing.assert_array_equal(turned_X.reshape(-1, 3, 3, 3)[::-1, :, ::-1, ::-1].reshape(X.shape), X)
    np.testing.assert_array_equal(turned.mean_map(values[::-1])[::-1, ::-1], patches.mean_map(values))


def test_ties_go_to_the_label_that_sorts_first():
    patches = PatchTransformer((1, 3), size=1).fit(np.zeros((3, 1)))
    assert patches.label_map(["b", "a", "c"]).tolist() == [["b", "a", "c"]]
    patches = PatchTransformer(size=2, stride=1).fit(np.zeros((1, 2, 3)))
    assert patches.label_map([7, 3]).tolist() == [[7, 3, 3], [7, 3, 3]]
    assert patches.label_map(["b", "a"]).tolist() == [["b", "a", "a"], ["b", "a", "a"]]


@pytest.mark.parametrize(
    "labels, missing_label, expected, kind",
    [
        ([1, 2], -1, [1, -1, 2], "i"),
        (np.array([1, 2], dtype=np.uint8), -1, [1, -1, 2], "i"),
        ([1, 2], 0, [1, 0, 2], "i"),
        ([1.0, 2.0], -1, [1, -1, 2], "f"),
        ([1, 2], np.nan, [1, np.nan, 2], "f"),
        ([1, 2], None, [1, None, 2], "O"),
        ([1, 2], "gap", [1, "gap", 2], "O"),
        (["oak", "elm"], -1, ["oak", -1, "elm"], "O"),
        (["oak", "elm"], "", ["oak", "", "elm"], "O"),
        (["oak", None], None, ["oak", None, None], "O"),
        ([-1, -1], -1, [-1, -1, -1], "i"),
    ],
)
def test_marks_pixels_in_no_patch(labels, missing_label, expected, kind):
    patches = PatchTransformer(size=1, stride=2).fit(np.zeros((1, 1, 3)))
    label_map = patches.label_map(labels, missing_label=missing_label)
    assert label_map.dtype.kind == kind
    if kind == "f":
        np.testing.assert_array_equal(label_map[0], expected)
    else:
        assert label_map[0].tolist() == expected


def test_masked_arrays_and_integers():
    cube, rows = scene()
    masked = np.ma.masked_invalid(cube)
    expected = PatchTransformer(size=2).fit_transform(cube)
    np.testing.assert_array_equal(PatchTransformer(size=2).fit_transform(masked), expected)
    np.testing.assert_array_equal(PatchTransformer((7, 9), size=2).fit_transform(np.ma.masked_invalid(rows)), expected)
    numbers = np.arange(12, dtype=np.uint16).reshape(1, 3, 4)
    assert PatchTransformer(size=2).fit_transform(numbers).tolist()[0] == [0, 1, 4, 5]


@pytest.mark.parametrize("scene_shape", [None, (7, 9)])
def test_another_scene(scene_shape):
    patches = PatchTransformer(scene_shape, size=3, stride=2).fit(scene()[0])
    other = scene((10, 8), seed=1)[0]
    alone = PatchTransformer(size=3, stride=2).fit(other)
    X = patches.transform(other)
    np.testing.assert_array_equal(X, alone.transform(other))
    labels = np.arange(len(X)) % 3
    np.testing.assert_array_equal(patches.label_map(labels, other), alone.label_map(labels))
    np.testing.assert_array_equal(patches.mean_map(labels, other), alone.mean_map(labels))


def test_pixels_without_a_grid_are_patches_of_their_own():
    _, rows = scene()
    valid = ~np.isnan(rows).any(axis=1)
    patches = PatchTransformer(size=2)
    images = patches.fit_transform(rows).reshape(-1, *patches.image_shape_)
    np.testing.assert_array_equal(images, np.tile(rows[valid, :, None, None], (2, 2)))
    np.testing.assert_array_equal(patches.positions_[:, 0], np.flatnonzero(valid))
    assert patches.scene_shape_ is None
    with pytest.raises(ValueError, match="single pixels without a grid"):
        patches.label_map(np.zeros(len(images)))


def test_float32_stays_and_a_read_only_scene_is_left_alone():
    cube = scene()[0].astype(np.float32)
    cube.flags.writeable = False
    patches = PatchTransformer(size=3)
    X = patches.fit_transform(cube)
    assert X.dtype == np.float32 and X.flags.c_contiguous and X.flags.writeable
    assert patches.mean_map(X).dtype == np.float32


def test_names():
    patches = PatchTransformer((7, 9), size=2).fit(scene()[1])
    names = patches.get_feature_names_out(["red", "nir", "swir"])
    assert names[:5].tolist() == ["red_0_0", "red_0_1", "red_1_0", "red_1_1", "nir_0_0"] and len(names) == 12


@pytest.mark.parametrize(
    "parameters, error, message",
    [
        ({"size": 0}, ValueError, "size == 0, must be >= 1"),
        ({"size": 2.5}, TypeError, "size must be an instance of"),
        ({"size": 8}, ValueError, "size=8 does not fit into a scene of 7 x 9 pixels: give a size of at most 7"),
        ({"size": 3, "stride": 0}, ValueError, "stride == 0, must be >= 1"),
        ({"size": 3, "stride": "2"}, TypeError, "stride must be an instance of"),
        ({"scene_shape": (9, 7)}, ValueError, r"X is a scene of shape \(3, 7, 9\), but scene_shape=\(9, 7\)"),
        ({"scene_shape": 63}, ValueError, "scene_shape must be two positive integers"),
    ],
)
def test_invalid_parameters(parameters, error, message):
    with pytest.raises(error, match=message):
        PatchTransformer(**parameters).fit(scene()[0])


def test_invalid_input():
    cube, rows = scene()
    with pytest.raises(ValueError, match="holds 64 pixels, but X has 63 rows"):
        PatchTransformer((8, 8)).fit(rows)
    with pytest.raises(ValueError, match="size=2 has a masked pixel, 1 of 4 pixels are masked"):
        PatchTransformer((2, 2), size=2).fit([[1.0], [np.nan], [2.0], [3.0]])
    with pytest.raises(ValueError, match="0 feature"):
        PatchTransformer(size=2).fit(np.empty((0, 5, 5)))
    with pytest.raises(ValueError, match="infinity"):
        PatchTransformer(size=2).fit(np.full((1, 4, 4), np.inf))
    with pytest.raises(ValueError, match="X has 2 features, but PatchTransformer is expecting 3"):
        PatchTransformer(size=2).fit(cube).transform(cube[:2])
    for verb in ("transform", "label_map", "mean_map"):
        with pytest.raises(NotFittedError):
            getattr(PatchTransformer(), verb)(rows[:, 0])
    patches = PatchTransformer(size=3).fit(cube)
    n_patches = len(patches.positions_)
    with pytest.raises(ValueError, match=f"labels has 2 rows, but the scene has {n_patches} patches"):
        patches.label_map([0, 1])
    with pytest.raises(ValueError, match=f"values has 2 rows, but the scene has {n_patches} patches"):
        patches.mean_map([0, 1])
    with pytest.raises(ValueError, match="values contains NaN"):
        patches.mean_map(np.full(n_patches, np.nan))
