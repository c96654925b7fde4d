import itertools

import matplotlib
import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.utils import Bunch

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.colors import to_rgb

from sklearn_geoal.metrics import hyperbolic_distances
from sklearn_geoal.plot import (
    ClassificationMapDisplay,
    LabelEfficiencyDisplay,
    LatentDisplay,
    PoincareDiskDisplay,
    SegmentationDisplay,
)
from sklearn_geoal.plot._common import class_colors
from sklearn_geoal.plot._maps import _false_color

SHAPE = (6, 9)
RNG = np.random.default_rng(0)
Y_TRUE = RNG.integers(0, 4, 54)
Y_PRED = np.where(RNG.random(54) < 0.3, RNG.integers(0, 4, 54), Y_TRUE)
SCENE = RNG.normal(size=(54, 7)) + 3 * Y_TRUE[:, None]


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def image(ax):
    return np.asarray(ax.get_images()[0].get_array())


def legend_entries(ax):
    legend = ax.get_legend()
    names = [text.get_text() for text in legend.get_texts()]
    return dict(zip(names, [patch.get_facecolor()[:3] for patch in legend.get_patches()], strict=True))


def assert_nothing_is_clipped(figure):
    """Legends lie within the figure and titles of neighbours do not meet."""
    figure.draw_without_rendering()
    for ax in figure.axes:
        box = ax.get_legend().get_window_extent() if ax.get_legend() else ax.get_window_extent()
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1
    for left, right in itertools.pairwise(figure.axes):
        assert left.title.get_window_extent().x1 < right.title.get_window_extent().x0


def test_colors_differ_from_each_other_and_from_the_unlabeled():
    table = class_colors(20)
    gaps = [np.abs(a - b).max() for a, b in itertools.combinations(np.vstack([table, [0, 0, 0], [1, 1, 1]]), 2)]
    assert min(gaps) > 0.15
    np.testing.assert_array_equal(class_colors(5)[:5], table[:5])
    assert len(np.unique(class_colors(40), axis=0)) == 41


def test_truth_and_prediction_share_the_colors_of_the_legend():
    y_true = np.where(np.arange(54) % 5 == 0, -1, Y_TRUE)
    names = ["water", "soil", "tree", "road"]
    display = ClassificationMapDisplay.from_predictions(
        Y_PRED, scene_shape=SHAPE, y_true=y_true, scene=SCENE, display_labels=names
    )
    legend = legend_entries(display.ax_[-1])
    assert list(legend) == [*names, "unlabelled"]
    for ax, target in zip(display.ax_[1:], (y_true, Y_PRED), strict=True):
        expected = np.array([legend["unlabelled" if i < 0 else names[i]] for i in target])
        np.testing.assert_array_equal(image(ax).reshape(54, 3), expected)
    accuracy = np.mean(Y_PRED[y_true >= 0] == y_true[y_true >= 0])
    assert [ax.get_title() for ax in display.ax_] == ["Scene", "Truth", f"Prediction, accuracy {accuracy:.3f}"]


@pytest.mark.parametrize("kind", ["strings", "None", "nan", "series"])
def test_label_types_give_one_picture(kind):
    names = np.array([f"class {i}" for i in Y_TRUE], dtype=object)
    predicted = np.array([f"class {i}" for i in Y_PRED])
    missing = np.arange(54) % 5 == 0
    y_true, y_pred, missing_label = {
        "strings": (np.where(missing, "?", names).astype(str), predicted, "?"),
        "None": (np.where(missing, None, names), predicted, "auto"),
        "nan": (np.where(missing, np.nan, Y_TRUE), Y_PRED, "auto"),
        "series": (pd.Series(Y_TRUE).astype("Int64").mask(missing), pd.Series(Y_PRED), "auto"),
    }[kind]
    display = ClassificationMapDisplay.from_predictions(
        y_pred, scene_shape=SHAPE, y_true=y_true, missing_label=missing_label
    )
    expected = [str(i) if kind in ("nan", "series") else f"class {i}" for i in range(4)]
    assert list(legend_entries(display.ax_[-1])) == [*expected, "unlabelled"]
    np.testing.assert_array_equal(display.truth.ravel(), np.where(missing, -1, Y_TRUE))
    np.testing.assert_array_equal(display.prediction.ravel(), Y_PRED)


def test_labels_keep_the_color_of_a_class_that_stays_away():
    some = ClassificationMapDisplay.from_predictions(np.full(54, 2), scene_shape=SHAPE, labels=[0, 1, 2, 3])
    every = ClassificationMapDisplay.from_predictions(Y_PRED, scene_shape=SHAPE)
    np.testing.assert_array_equal(image(some.ax_[0])[0, 0], image(every.ax_[0]).reshape(54, 3)[Y_PRED == 2][0])


def test_from_estimator_draws_its_predictions():
    model = GaussianNB().fit(SCENE, Y_TRUE)
    display = ClassificationMapDisplay.from_estimator(model, SCENE, scene_shape=SHAPE, queries=[0, 53])
    np.testing.assert_array_equal(display.prediction.ravel(), model.predict(SCENE))
    assert [ax.get_title() for ax in display.ax_] == ["Scene", "Prediction"]
    rings = display.ax_[0].collections[-1].get_offsets()
    np.testing.assert_array_equal(rings, [[0, 0], [8, 5]])


def test_false_color_is_robust_and_does_not_depend_on_units():
    scene = SCENE.copy()
    picture = _false_color(scene, SHAPE, None)
    assert picture.shape == (*SHAPE, 3) and picture.min() == 0 and picture.max() == 1
    np.testing.assert_allclose(_false_color(1e-6 * scene + 5, SHAPE, None), picture, atol=1e-6)
    np.testing.assert_allclose(_false_color(scene.reshape(*SHAPE, 7), SHAPE, None), picture)
    scene[3, 2], scene[7] = np.inf, np.nan
    masked = _false_color(scene, SHAPE, None).reshape(54, 3)
    assert (masked[[3, 7]] == 1).all() and np.isfinite(masked).all()
    bands = _false_color(SCENE, SHAPE, (6, 0, 2))
    np.testing.assert_array_equal(bands, _false_color(SCENE[:, [6, 0, 2]], SHAPE, None))
    grey = _false_color(SCENE[:, :1], SHAPE, None)
    np.testing.assert_array_equal(grey[..., 0], grey[..., 2])
    assert np.isfinite(_false_color(np.ones((54, 7)), SHAPE, None)).all()
    assert (_false_color(np.full((54, 7), np.nan), SHAPE, None) == 1).all()


@pytest.mark.parametrize(
    "shape, n_classes", [((30, 30), 6), ((10, 60), 20), ((60, 12), 20), ((20, 20), 30), ((1, 1), 1)]
)
def test_map_layout(shape, n_classes):
    n_pixels = shape[0] * shape[1]
    y = np.arange(n_pixels) % n_classes
    display = ClassificationMapDisplay.from_predictions(
        y,
        scene_shape=shape,
        y_true=y,
        scene=RNG.normal(size=(n_pixels, 5)),
        queries=[0],
        display_labels=[f"Broccoli green weeds {i}" for i in range(min(n_classes, n_pixels))],
    )
    assert_nothing_is_clipped(display.figure_)


def test_maps_draw_on_given_axes():
    figure, axes = plt.subplots(1, 2)
    display = ClassificationMapDisplay.from_predictions(Y_PRED, scene_shape=SHAPE, y_true=Y_TRUE, ax=axes)
    assert display.figure_ is figure and display.plot(ax=list(axes)) is display
    assert plt.get_fignums() == [figure.number]
    with pytest.raises(ValueError, match="1 Axes for 2 panels"):
        display.plot(ax=axes[0])


@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"scene_shape": (6, 8)}, ValueError, "y_pred has 54 rows"),
        ({"scene_shape": 54}, ValueError, "two positive integers"),
        ({"scene_shape": (0, 54)}, ValueError, "two positive integers"),
        ({"y_true": Y_TRUE[:5]}, ValueError, "y_true has 5 rows"),
        ({"y_true": np.full(54, "a")}, ValueError, "labels of one type"),
        ({"scene": SCENE[:5]}, ValueError, "scene has 5 rows"),
        ({"scene": SCENE, "bands": (0, 1, 7)}, ValueError, "three of the 7 bands"),
        ({"scene": SCENE, "bands": (0, 1)}, ValueError, "three of the 7 bands"),
        ({"labels": [0, 1]}, ValueError, r"labels lacks \[2, 3\]"),
        ({"display_labels": ["a"]}, ValueError, "1 names for 4 classes"),
        ({"queries": np.ones(54, dtype=bool)}, ValueError, "one-dimensional array of integer"),
        ({"queries": [54]}, IndexError, "0 to 53"),
        ({"queries": [-1]}, IndexError, "0 to 53"),
    ],
)
def test_map_errors(change, error, message):
    with pytest.raises(error, match=message):
        ClassificationMapDisplay.from_predictions(**{"y_pred": Y_PRED, "scene_shape": SHAPE, **change})
    assert not plt.get_fignums()


def test_curves_are_means_with_bands_from_worst_to_best():
    runs = [Bunch(budgets=np.array([10, 100]), scores=np.array(scores)) for scores in ([0.5, 0.9], [0.7, 0.8])]
    display = LabelEfficiencyDisplay.from_curves({"query": runs, "random": runs[0]})
    ax = display.ax_
    np.testing.assert_allclose(display.lines_["query"].get_ydata(), [0.6, 0.85])
    np.testing.assert_allclose(display.lines_["random"].get_ydata(), [0.5, 0.9])
    assert len(ax.collections) == 1
    edges = ax.collections[0].get_paths()[0].vertices
    for corner in ([10, 0.5], [10, 0.7], [100, 0.8], [100, 0.9]):
        assert np.isclose(edges, corner).all(axis=1).any()
    assert ax.get_xscale() == "log" and list(legend.get_text() for legend in ax.get_legend().get_texts()) == [
        "query",
        "random",
    ]
    assert to_rgb(display.lines_["query"].get_color()) != to_rgb(display.lines_["random"].get_color())
    assert_nothing_is_clipped(display.figure_)
    assert display.plot(xscale="linear").ax_.get_xscale() == "linear"


class RandomStateLearner(KNeighborsClassifier):
    """A minimal learner that asks at random with its own seed."""

    def __init__(self, n_neighbors=1, random_state=None):
        super().__init__(n_neighbors=n_neighbors)
        self.random_state = random_state

    def fit(self, X, y=None):
        self.all_, self.known_ = X, {}
        self.rng_ = np.random.default_rng(self.random_state)
        return self

    def query(self, n_queries=1, candidates=None):
        return self.rng_.permutation(np.setdiff1d(candidates, [*self.known_]))[:n_queries]

    def teach(self, indices, labels):
        self.known_.update(zip(indices, labels, strict=True))
        super().fit(self.all_[[*self.known_]], [*self.known_.values()])
        self.transduction_ = self.predict(self.all_)
        return self


def test_runs_have_seeds_of_their_own_and_repeat():
    def curves(seed):
        learner = RandomStateLearner(random_state=0)
        display = LabelEfficiencyDisplay.from_estimator(learner, SCENE, Y_TRUE, [2, 9], n_runs=3, random_state=seed)
        assert learner.random_state == 0
        return display.curves

    first, again, other = curves(0), curves(0), curves(1)
    for name in ("query", "random"):
        np.testing.assert_array_equal(first[name][1], again[name][1])
        assert first[name][1].shape == (3, 2)
        assert not np.array_equal(first[name][1], other[name][1])
        assert len(np.unique(first[name][1][:, 0])) > 1


def test_curve_errors():
    with pytest.raises(ValueError, match=r"shape \(2,\) and scores of shape \(3,\)"):
        LabelEfficiencyDisplay({"a": ([1, 2], [1, 2, 3])}).plot()
    with pytest.raises(ValueError, match="curves is empty"):
        LabelEfficiencyDisplay({}).plot()
    with pytest.raises(ValueError, match="same budgets"):
        LabelEfficiencyDisplay.from_curves({"a": [Bunch(budgets=[b], scores=[1.0]) for b in (1, 2)]})
    with pytest.raises(ValueError, match="one or more"):
        LabelEfficiencyDisplay.from_curves({"a": []})
    with pytest.raises(ValueError, match="xscale must be one of"):
        LabelEfficiencyDisplay({"a": ([1], [1])}).plot(xscale="symlog")
    assert not plt.get_fignums()


def test_two_latent_dimensions_are_drawn_as_they_are():
    display = LatentDisplay.from_latents(SCENE[:, :2], Y_TRUE)
    order = np.lexsort(display.points.T)
    expected = np.lexsort(SCENE[:, :2].T)
    np.testing.assert_array_equal(display.points[order], SCENE[expected, :2])
    np.testing.assert_array_equal(display.codes[order], Y_TRUE[expected])
    assert display.ax_.get_xlabel() == "Latent dimension 1"


def test_more_latent_dimensions_are_drawn_by_principal_components():
    display = LatentDisplay.from_estimator(PCA(5).fit(SCENE), SCENE, Y_TRUE)
    expected = PCA(2).fit_transform(SCENE)
    np.testing.assert_allclose(np.sort(np.abs(display.points), axis=0), np.sort(np.abs(expected), axis=0), rtol=1e-6)
    assert display.ax_.get_xlabel().startswith("Principal component 1 (")


def test_labeled_points_are_kept_when_points_are_left_out():
    y = np.where(np.arange(54) % 9 == 0, Y_TRUE, -1)
    display = LatentDisplay.from_latents(SCENE, y, max_points=20)
    assert len(display.points) == 20 and (display.codes >= 0).sum() == 6
    unlabeled, labeled = display.ax_.collections
    assert len(unlabeled.get_offsets()) == 14 and unlabeled.get_sizes()[0] < labeled.get_sizes()[0]
    assert "unlabelled" in legend_entries(display.ax_)
    assert_nothing_is_clipped(display.figure_)


def test_a_choice_without_a_seed_leaves_the_global_generator_alone():
    before = np.random.get_state()  # noqa: NPY002 - the legacy global generator is what this is about
    LatentDisplay.from_latents(SCENE, Y_TRUE, max_points=20, random_state=None)
    np.testing.assert_equal(np.random.get_state(), before)  # noqa: NPY002


def test_latents_without_labels_have_no_legend():
    display = LatentDisplay.from_latents(pd.DataFrame(SCENE))
    assert display.ax_.get_legend() is None
    assert len(display.ax_.collections[0].get_offsets()) == 54


def test_latent_errors():
    for latents, y, message in (
        (SCENE[:, :1], None, "at least two"),
        (np.full((3, 2), np.nan), None, "contains NaN"),
        (SCENE, Y_TRUE[:5], "inconsistent numbers of samples"),
    ):
        with pytest.raises(ValueError, match=message):
            LatentDisplay.from_latents(latents, y)
    with pytest.raises(ValueError, match="max_points"):
        LatentDisplay.from_latents(SCENE, max_points=0)
    assert not plt.get_fignums()


# --- the Poincare disk -----------------------------------------------------------------------------------------------


def tangent_vectors(n_components, seed=1):
    return 2 * np.random.default_rng(seed).normal(size=(40, n_components))


def disk_distances(points):
    """arcosh(1 + 2 |x - y|^2 / ((1 - |x|^2) (1 - |y|^2))) between all pairs of points of the unit disk."""
    squares = ((points[:, None] - points) ** 2).sum(axis=2)
    inside = 1 - (points**2).sum(axis=1)
    return np.arccosh(1 + 2 * squares / np.outer(inside, inside))


@pytest.mark.filterwarnings("ignore:The number of unique classes")  # a class for each point
@pytest.mark.parametrize("curvature", [0.25, 1.0, 4.0])
def test_disk_keeps_the_distances_of_two_dimensions(curvature):
    U = tangent_vectors(2) / curvature
    # one class: in the random order of drawing, the index in the class tells the rows apart
    display = PoincareDiskDisplay.from_latents(U, np.arange(40), curvature=curvature)
    points = display.points[np.argsort(display.codes)]
    expected = hyperbolic_distances(U, model="tangent", curvature=curvature)
    np.testing.assert_allclose(disk_distances(points) / np.sqrt(curvature), expected, rtol=1e-6, atol=1e-6)
    assert display.share == 1


def test_disk_is_the_same_in_all_coordinates():
    U = tangent_vectors(2)
    r = np.linalg.norm(U, axis=1, keepdims=True)
    expected = PoincareDiskDisplay.from_latents(U).points
    ambient = np.hstack([np.cosh(r), np.sinh(r) / r * U])
    np.testing.assert_allclose(PoincareDiskDisplay.from_latents(ambient, model="lorentz").points, expected, atol=1e-9)
    ball = np.tanh(r / 2) / r * U
    np.testing.assert_allclose(PoincareDiskDisplay.from_latents(ball, model="poincare").points, expected, atol=1e-9)


@pytest.mark.filterwarnings("ignore:The number of unique classes")  # a class for each point
def test_disk_finds_the_plane_that_points_lie_in():
    U = tangent_vectors(2)
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0]
    flat = PoincareDiskDisplay.from_latents(U, np.arange(40))
    turned = PoincareDiskDisplay.from_latents(np.hstack([U, np.zeros((40, 4))]) @ rotation, np.arange(40))
    np.testing.assert_allclose(disk_distances(turned.points), disk_distances(flat.points), atol=1e-5)
    assert turned.share == pytest.approx(1)
    more = PoincareDiskDisplay.from_latents(tangent_vectors(6))
    assert 2 / 6 < more.share < 1
    assert "of the squared distances" in more.ax_.get_title()
    assert (np.linalg.norm(more.points, axis=1) < 1).all()


def test_edges_are_geodesics():
    U = np.vstack([tangent_vectors(2), tangent_vectors(2)[:1] + 1e-12])
    display = PoincareDiskDisplay.from_latents(U, edges=[[0, 1], [2, 3], [0, 40], [5, 5]])
    for line in display.lines[:2]:
        D = disk_distances(line)
        np.testing.assert_allclose(np.diagonal(D, 1).sum(), D[0, -1], rtol=1e-6)  # no way is shorter
        np.testing.assert_allclose(np.diagonal(D, 1), D[0, -1] / 32, rtol=1e-3)
    assert np.ptp(display.lines[2:], axis=1).max() < 1e-9
    line_sets = [artist for artist in display.ax_.collections if type(artist).__name__ == "LineCollection"]
    assert len(line_sets) == 1


def test_disk_of_a_transformer():
    class Transformer:
        output, curvature_ = "poincare", 4.0

        def transform(self, X):
            return X / 8

    U = tangent_vectors(2) / 10
    display = PoincareDiskDisplay.from_estimator(Transformer(), U, np.arange(40) % 3, display_labels=["a", "b", "c"])
    shown = np.sort(np.linalg.norm(display.points, axis=1))
    np.testing.assert_allclose(shown, np.sort(np.linalg.norm(U / 4, axis=1)), rtol=1e-6)
    assert list(legend_entries(display.ax_)) == ["a", "b", "c"]


def test_points_at_the_origin_and_far_out_can_be_drawn():
    for U in (np.zeros((3, 2)), np.zeros((3, 4)), np.array([[60.0, 0], [0, 60], [0, 0]])):
        display = PoincareDiskDisplay.from_latents(U, edges=[[0, 2]])
        assert np.isfinite(display.points).all() and np.isfinite(display.lines).all()
        display.figure_.canvas.draw()


def test_what_is_no_disk():
    with pytest.raises(ValueError, match="disk needs at least two"):
        PoincareDiskDisplay.from_latents([[1.0], [2.0]])
    with pytest.raises(ValueError, match="off the hyperboloid"):
        PoincareDiskDisplay.from_latents([[1.0, 2.0, 3.0]], model="lorentz")
    with pytest.raises(ValueError, match="curvature"):
        PoincareDiskDisplay.from_latents([[1.0, 2.0]], curvature=-1.0)
    with pytest.raises(ValueError, match=r"edges must be pairs of indices, of shape \(n_edges, 2\); got shape \(3,\)"):
        PoincareDiskDisplay.from_latents(np.ones((3, 2)), edges=[0, 1, 2])
    with pytest.raises(IndexError, match="from 0 to 2"):
        PoincareDiskDisplay.from_latents(np.ones((3, 2)), edges=[[0, 3]])


# ---- segmented images


def masks_of(*shape, n_classes):
    n_pixels = np.prod(shape)
    return (np.arange(n_pixels) * n_classes // n_pixels).reshape(shape)


@pytest.mark.parametrize(
    "shape, n_classes", [((3, 90, 120), 11), ((1, 32, 32), 3), ((2, 90, 30), 11), ((1, 30, 90), 20)]
)
def test_segmentation_panels_show_images_and_masks_in_common_colors(shape, n_classes):
    truth = masks_of(*shape, n_classes=n_classes)
    shifted = np.roll(truth, 2, axis=2)
    pictures = RNG.random((shape[0], 3, *shape[1:]))
    display = SegmentationDisplay.from_predictions({"one": truth, "two": shifted}, y_true=truth, images=pictures)
    assert display.ax_.shape == (shape[0], 4)
    colors = class_colors(n_classes)
    for row, mask, other in zip(display.ax_, truth, shifted, strict=True):
        np.testing.assert_allclose(image(row[1]), colors[mask])
        np.testing.assert_allclose(image(row[2]), colors[mask])
        np.testing.assert_allclose(image(row[3]), colors[other])
    accuracy = (truth == shifted).mean()
    assert display.ax_[0, 3].get_title() == f"two\naccuracy {accuracy:.3f}"
    display.figure_.draw_without_rendering()
    legend = display.ax_[0, -1].get_legend().get_window_extent()
    assert 0 <= legend.y0 and legend.x1 <= display.figure_.bbox.x1
    titles = [panel.title.get_window_extent() for panel in display.ax_[0]]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(titles))


def test_void_and_unlabelled_pixels_have_colors_of_their_own_and_do_not_count():
    truth = masks_of(1, 6, 6, n_classes=3)
    wrong = np.where(truth == 1, 2, truth)
    display = SegmentationDisplay.from_predictions(wrong, y_true=truth, ignore_label=1)
    assert display.ax_[0, 1].get_title() == "Prediction\naccuracy 1.000"
    np.testing.assert_array_equal(image(display.ax_[0, 0])[truth[0] == 1], 0)
    marked = np.where(truth == 1, np.nan, truth)
    same = SegmentationDisplay.from_predictions(wrong, y_true=marked, ignore_label=np.nan)
    np.testing.assert_array_equal(same.truth, display.truth)
    truth[0, 0, 0] = -1
    display = SegmentationDisplay.from_predictions(wrong, y_true=truth, ignore_label=1, display_labels=["sea", "wood"])
    entries = legend_entries(display.ax_[0, -1])
    assert list(entries) == ["sea", "wood", "unlabelled", "void"]
    np.testing.assert_allclose(image(display.ax_[0, 0])[0, 0], entries["unlabelled"])


def test_segmentation_from_estimator_predicts_the_images():
    class Threshold:
        def predict(self, X):
            return (X[:, 0] > 0.5).astype(int)

    pictures = RNG.random((2, 1, 5, 7))
    display = SegmentationDisplay.from_estimator(Threshold(), pictures, display_labels=["dark", "bright"])
    np.testing.assert_array_equal(display.predictions["Prediction"], pictures[:, 0] > 0.5)
    assert [panel.get_title() for panel in display.ax_[0]] == ["Image", "Prediction"]
    _, axes = plt.subplots(2, 2)
    assert display.plot(ax=axes).ax_[1, 1] is axes[1, 1]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"y_pred": np.zeros((4, 4), int)}, r"Prediction has the shape \(4, 4\), expected \(n_images"),
        (
            {"y_pred": masks_of(1, 4, 4, n_classes=2), "y_true": masks_of(1, 4, 5, n_classes=2)},
            r"y_true has the shape \(1, 4, 5\)",
        ),
        (
            {"y_pred": masks_of(1, 4, 4, n_classes=2), "images": np.zeros((1, 4, 4))},
            r"images have the shape \(1, 4, 4\)",
        ),
        ({"y_pred": masks_of(1, 4, 4, n_classes=2), "labels": [0]}, "labels lacks"),
    ],
)
def test_segmentation_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        SegmentationDisplay.from_predictions(**arguments)


def test_classes_of_a_map_have_the_colours_that_are_given():
    y = np.repeat(["sea", "land", "ice"], 4)
    named = {"sea": "#0000ff", "land": "green", "ice": (1.0, 1.0, 1.0)}
    by_name = ClassificationMapDisplay.from_predictions(y, scene_shape=(3, 4), colors=named)
    listed = ClassificationMapDisplay.from_predictions(y, scene_shape=(3, 4), colors=["white", "green", "blue"])
    as_bytes = ClassificationMapDisplay.from_predictions(
        y, scene_shape=(3, 4), colors={"sea": (0, 0, 255), "land": np.array([0, 128, 0]), "ice": [255, 255, 255]}
    )
    for display in (by_name, listed, as_bytes):
        picture = display.ax_[-1].images[0].get_array()
        assert picture[0, 0, :3].tolist() == [0, 0, 1] and picture[2, 0, :3].tolist() == [1, 1, 1]
        handles = display.ax_[-1].get_legend().legend_handles
        assert handles[0].get_facecolor()[:3] == (1, 1, 1)
    for colors, message in (
        ({"sea": "blue"}, r"colors lacks the classes \['ice', 'land'\]"),
        (["blue"], "colors has 1 colours for 3 classes"),
        (["blue", "nocolour", "red"], "colors has 'nocolour', expected colours"),
    ):
        with pytest.raises(ValueError, match=message):
            ClassificationMapDisplay.from_predictions(y, scene_shape=(3, 4), colors=colors)
