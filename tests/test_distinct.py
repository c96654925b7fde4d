"""Equal rows: one point of the graph, one label, one query; and weights, which stand for equal rows."""

import pickle
from copy import deepcopy

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_geoal import DDALQueryStrategy, LANDClassifier, load, save
from sklearn_geoal._active.coverage import owned_mass
from sklearn_geoal._active.distinct import Points, distinct_rows
from sklearn_geoal._active.forest import density_forest, kernel_density
from sklearn_geoal._active.graph import nearest_neighbors

LEARNERS = {
    "LAND": lambda: LANDClassifier(random_state=0),
    "LAND-forest": lambda: LANDClassifier(propagation="forest", random_state=0),
    "LAND-global": lambda: LANDClassifier(kernel_scale="global", query_score="density", random_state=0),
    "DDAL": lambda: DDALQueryStrategy(make_pipeline(StandardScaler(), LogisticRegression()), random_state=0),
    "DDAL-smallest": lambda: DDALQueryStrategy(
        make_pipeline(StandardScaler(), LogisticRegression()), batch_mode="smallest", n_steps="auto"
    ),
}
each = pytest.mark.parametrize("make", LEARNERS.values(), ids=LEARNERS)


@pytest.fixture(scope="module")
def blobs():
    """Three overlapping clusters: X, y."""
    return make_blobs(200, n_features=3, centers=3, cluster_std=2.0, random_state=1)


@pytest.fixture(scope="module")
def repeated(blobs):
    """The same, each row up to four times and in disorder: X, y, and the row that each sample was."""
    X, y = blobs
    rng = np.random.default_rng(0)
    row = rng.permutation(np.repeat(np.arange(200), rng.integers(1, 5, size=200)))
    return X[row], y[row], row


@pytest.mark.parametrize("n_features", [1, 2, 50])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_distinct_rows_are_those_of_unique(n_features, dtype):
    X = np.random.default_rng(0).integers(3, size=(300, n_features)).astype(dtype)
    X[::7] = X[0]
    X = np.asfortranarray(X * np.where(X == 0, -1, 1))  # with -0.0
    X[::2] = np.abs(X[::2])
    points = distinct_rows(X)
    rows, counts = np.unique(X, axis=0, return_counts=True)
    assert sorted(X[points.first].tolist()) == rows.tolist()
    assert_array_equal(X[points.first][points.point], X)
    assert sorted(points.counts.tolist()) == sorted(counts.tolist())
    assert (np.diff(points.first) > 0).all()
    assert_array_equal(points.point[points.first], np.arange(len(points.first)))
    assert all((points.point[:sample] != points.point[sample]).all() for sample in points.first)


@pytest.mark.parametrize("X", [np.random.default_rng(0).normal(size=(50, 3)), np.zeros((50, 3)), np.eye(1)])
def test_every_sample_is_a_point_where_all_or_none_are_distinct(X):
    points = distinct_rows(X)
    assert points.counts is None
    assert_array_equal(points.first, np.arange(len(X)))
    assert points.of_samples(X) is X and points.of_points(X) is X


def test_the_most_frequent_label_counts_and_then_the_first():
    points = Points(np.array([0, 1, 6]), np.array([0, 1, 0, 1, 0, 1, 2, 1]), np.array([3, 4, 1]))
    labeled = np.array([0, 1, 2, 3, 4, 5, 7])
    assert_array_equal(points.classes(labeled, np.array([2, 1, 0, 0, 0, 0, 1])), [0, 1, -1])
    assert_array_equal(points.classes(labeled, np.array([2, 0, 1, 1, 0, 1, 0])), [2, 0, -1])
    assert_array_equal(points.classes(labeled[:0], np.empty(0, dtype=int)), [-1, -1, -1])


def test_density_and_masses_count_samples(blobs):
    X, _ = blobs
    distances, indices = nearest_neighbors(X, 199, np.random.RandomState(0))
    counts = np.random.default_rng(0).integers(1, 5, size=200)
    scale = distances[:, -1].mean()
    to_all = np.exp(-(np.linalg.norm(X[:, None] - X, axis=2) ** 2) / scale**2)
    density = kernel_density(distances, indices, counts)
    assert_allclose(density, to_all @ counts - 1)
    forest = density_forest(X, density)
    mass = forest.mass(counts)
    for point in range(200):
        assert mass[point] == counts[point] + mass[(forest.parent == point) & (np.arange(200) != point)].sum()
    owned = owned_mass(forest, forest.order[:10], counts)
    assert owned.sum() == mass.max() == counts.sum()
    once = np.ones(200, dtype=int)
    assert_array_equal(kernel_density(distances, indices, once), kernel_density(distances))
    assert_array_equal(forest.mass(once), forest.mass())
    assert_array_equal(owned_mass(forest, forest.order[:10], once), owned_mass(forest, forest.order[:10]))


@each
def test_equal_rows_are_told_the_same_and_asked_once(make, repeated):
    X, y, row = repeated
    first = np.unique(row, return_index=True)[1]
    model, asked = make().fit(X), []
    for n_queries in (1, 10, 100):
        queries = model.query(n_queries)
        asked.extend(row[queries].tolist())
        model.teach(queries, y[queries])
        for name in ("transduction_", "label_distribution_", "query_scores_", "density_", "diffusion_map_"):
            values = getattr(model, name, X)
            assert len(values) == len(X)
            assert_array_equal(values, values[first][row], err_msg=name)
        assert_array_equal(model.query_scores_[np.isin(row, asked)], 0)
        assert_array_equal(model.transduction_[np.isin(row, asked)], y[np.isin(row, asked)])
    assert len(set(asked)) == len(asked) == 111
    with pytest.raises(ValueError, match="n_queries=90, but only 89 distinct candidates .* 111 are labelled"):
        model.query(90)
    model.teach(model.query(89), y[model.query(89)])
    assert_array_equal(model.transduction_, y)


@each
@pytest.mark.parametrize("k", [2, 4])
def test_copies_of_all_rows_change_nothing(make, blobs, k):
    X, y = blobs
    start = [np.flatnonzero(y == c)[0] for c in range(3)]
    known, alone = np.where(np.isin(np.arange(200), start), y, -1), make()
    copies = np.repeat(np.arange(200), k)
    labels = np.full(200 * k, -1)
    labels[::k] = known
    other = make().fit(X[copies], labels)
    alone.fit(X, known)
    assert_array_equal(other.transduction_, alone.transduction_[copies])
    assert_allclose(other.label_distribution_, alone.label_distribution_[copies], atol=1e-5)
    assert_array_equal(copies[other.query(10)], alone.query(10))
    assert_array_equal(copies[make().fit(X[copies]).query(5)], make().fit(X).query(5))


@each
def test_the_order_of_the_samples_does_not_matter(make, repeated):
    X, y, row = repeated
    order = np.random.default_rng(1).permutation(len(X))
    model, permuted = make().fit(X), make().fit(X[order])
    queries = model.query(10)
    assert_array_equal(row[order][permuted.query(10)], row[queries])
    model.teach(queries, y[queries])
    permuted.teach(np.argsort(order)[queries], y[queries])
    assert_array_equal(permuted.transduction_, model.transduction_[order])
    assert_allclose(permuted.query_scores_, model.query_scores_[order], atol=1e-5)


@each
def test_a_border_of_zeros_costs_one_query(make, blobs):
    X, y = blobs
    X = X + 40
    alone = make().fit(X)
    framed = make().fit(np.concatenate([np.zeros((700, 3)), X, np.zeros((300, 3))]))
    truth = np.concatenate([np.full(700, 3), y, np.full(300, 3)])
    asked = []
    for _ in range(4):
        queries = framed.query(10)
        asked.extend(queries.tolist())
        framed.teach(queries, truth[queries])
        queries = alone.query(10)
        alone.teach(queries, y[queries])
    assert sum(truth[asked] == 3) <= 1
    of_points = truth < 3
    right = np.mean(framed.transduction_[of_points] == y)
    assert right > np.mean(alone.transduction_ == y) - 0.05


@each
def test_the_first_candidate_of_equal_rows_is_asked(make, repeated):
    X, y, row = repeated
    model = make().fit(X)
    last = np.unique(row[::-1], return_index=True)[1]
    allowed = len(X) - 1 - last  # the last sample of each row
    queries = model.query(200, candidates=allowed)
    assert_array_equal(np.sort(queries), np.sort(allowed))
    assert_array_equal(row[queries[:50]], row[model.query(50)])
    assert_array_equal(model.query(50), np.unique(row, return_index=True)[1][row[model.query(50)]])
    model.teach(queries[:9], y[queries[:9]])
    assert not np.isin(row[model.query(100)], row[queries[:9]]).any()


@each
def test_a_row_that_nobody_can_tell_is_not_asked_for_by_another_sample(make, repeated):
    X, y, row = repeated
    model = make().fit(X)
    queries = model.query(6)
    model.teach(queries, [*y[queries[:4]].tolist(), None, None])
    assert_array_equal(model.skipped_indices_, np.sort(queries[4:]))
    assert not np.isin(row[model.query(194)], row[queries]).any()
    with pytest.raises(ValueError, match="only 194 distinct candidates"):
        model.query(195)


@each
def test_different_labels_of_equal_rows(make, repeated):
    X, y, row = repeated
    several = [np.flatnonzero(row == r) for r in np.flatnonzero(np.bincount(row) >= 3)[:2]]
    partly = np.where(np.arange(len(X)) % 9 == 0, y, -1)
    partly[several[0][:3]] = 0, 1, 1  # most are 1
    partly[several[1][:2]] = 2, 0  # the first is 2
    partly[several[1][2:]] = -1
    partly[several[0][3:]] = -1
    model = make().fit(X, partly)
    assert_array_equal(model.transduction_[several[0]], 1)
    assert_array_equal(model.transduction_[several[1]], 2)
    known = np.flatnonzero(partly >= 0)
    taught = make().fit(X).teach(known, partly[known])
    assert_array_equal(taught.transduction_, model.transduction_)
    assert_array_equal(taught.query(10), model.query(10))


@pytest.mark.parametrize("make", [LEARNERS["LAND"], LEARNERS["LAND-forest"]], ids=["diffusion", "forest"])
def test_repeated_samples_of_fit_get_their_transduction(make, repeated):
    X, y, _ = repeated
    model = make().fit(X, np.where(np.arange(len(X)) % 20 == 0, y, -1))
    assert_array_equal(model.predict(X), model.transduction_)
    assert_allclose(model.predict_proba(X + 1e-3).sum(axis=1), 1)


def test_few_distinct_rows():
    X = np.repeat([[0.0, 1.0], [2.0, 1.0]], 30, axis=0)
    for make in LEARNERS.values():
        model = make().fit(X)
        assert model.n_neighbors_ == 1
        assert set(model.query(2)) == {0, 30}
        assert_array_equal(model.teach([3, 40], ["a", "b"]).transduction_, np.repeat(["a", "b"], 30))


# weights

LANDS = {name: make for name, make in LEARNERS.items() if name.startswith("LAND")}
each_land = pytest.mark.parametrize("make", LANDS.values(), ids=LANDS)


@pytest.fixture(scope="module")
def weighted(blobs):
    """Rows with whole weights, and what shuffles them into copies: X, y partly known, w, the row of each copy."""
    X, y = blobs
    rng = np.random.default_rng(2)
    weights = rng.integers(1, 6, size=200)
    known = np.where(rng.permutation(200) < 8, y, -1)
    return X, known, weights, np.repeat(np.arange(200), weights)


@each_land
def test_whole_weights_are_copies(make, weighted, blobs):
    X, y, weights, row = weighted
    model, copied = make().fit(X, y, sample_weight=weights), make().fit(X[row], y[row])
    for _ in range(3):
        for name in ("transduction_", "label_distribution_", "query_scores_", "density_", "diffusion_map_"):
            assert_array_equal(getattr(model, name)[row], getattr(copied, name), err_msg=name)
        assert_array_equal(model.predict_proba(X + 0.3), copied.predict_proba(X + 0.3))
        queries = model.query(8)
        of_copies = copied.query(8)
        assert_array_equal(row[of_copies], queries)
        model.teach(queries, blobs[1][queries])
        copied.teach(of_copies, blobs[1][queries])
    once = make().fit(X, y, np.ones(200))
    assert_array_equal(once.query(20), make().fit(X, y).query(20))


@each_land
def test_weights_have_no_scale(make, weighted):
    X, y, weights, _ = weighted
    model = make().fit(X, y, weights)
    for factor in (0.01, 8, 1e6):
        scaled = make().fit(X, y, (factor * weights).tolist())
        assert_array_equal(scaled.transduction_, model.transduction_)
        assert_array_equal(scaled.query(20), model.query(20))
        assert_allclose(scaled.density_, factor * model.density_)
    assert (make().fit(X, y).query(20) != model.query(20)).any()


@each_land
def test_a_weight_of_zero_is_no_row(make, blobs):
    X, y = blobs
    rng = np.random.default_rng(3)
    weights = rng.uniform(0.5, 3, size=200) * (np.arange(200) % 4 > 0)
    kept = np.flatnonzero(weights)
    partly = np.where(np.arange(200) % 25 < 2, y, -1)  # some of them of weight 0
    model = make().fit(X, partly, weights)
    without = make().fit(X[kept], partly[kept], weights[kept])
    aside = np.flatnonzero(weights == 0)
    nearest = np.linalg.norm(X[aside, None] - X[kept], axis=2).argmin(axis=1)
    for _ in range(3):
        assert_array_equal(model.transduction_[kept], without.transduction_)
        assert_array_equal(model.transduction_[aside], without.transduction_[nearest])
        assert_array_equal(model.predict_proba(X), without.predict_proba(X))
        assert_array_equal(model.query_scores_[aside], 0)
        queries = model.query(10)
        assert_array_equal(queries, kept[without.query(10)])
        with pytest.raises(ValueError, match="only 0 "):
            model.query(candidates=aside)
        # what is told of rows that do not count is not heard
        model.teach(np.append(queries, aside[:4]), [*y[queries].tolist(), 2, 2, 2, None])
        without.teach(np.searchsorted(kept, queries), y[queries])
        assert_array_equal(model.labeled_indices_, kept[without.labeled_indices_])
        assert len(model.skipped_indices_) == 0


def test_equal_rows_of_different_weight_and_label():
    X = np.array([[0.0], [0.0], [0.0], [1.0], [2.0], [2.0]])
    y = ["a", "b", "b", "c", "d", "e"]
    model = LANDClassifier(random_state=0).fit(X, y, [3, 1, 1, 1, 2, 2])
    assert_array_equal(model.transduction_, ["a", "a", "a", "c", "d", "d"])
    model = LANDClassifier(random_state=0).fit(X, y, [1.5, 1, 1, 1, 0, 2])
    assert_array_equal(model.transduction_, ["b", "b", "b", "c", "e", "e"])


def test_weights_of_distances(weighted):
    X, y, weights, _ = weighted
    graph = KNeighborsTransformer(n_neighbors=60).fit_transform(X)
    model = LANDClassifier(metric="precomputed", random_state=0).fit(graph, y, weights)
    expected = LANDClassifier(random_state=0).fit(X, y, weights)
    assert_array_equal(model.query(10), expected.query(10))
    assert_array_equal(model.transduction_, expected.transduction_)
    with pytest.raises(ValueError, match="positive weights only"):
        model.fit(graph, y, np.arange(200))


@pytest.mark.parametrize(
    "weights, message",
    [
        (np.ones(199), r"must have the shape \(200,\)"),
        (np.ones((200, 1)), r"must have the shape \(200,\)"),
        (-np.ones(200), "must not be negative; got -1"),
        (np.full(200, np.nan), "sample_weight contains NaN"),
        (np.full(200, np.inf), "sample_weight contains infinity"),
        (np.arange(200) == 3, "zero for all but 1 rows: at least 2 must be positive"),
        (np.where(np.arange(200) < 100, 0, 1), "All samples with a known label have the weight 0"),
    ],
)
def test_bad_weights(blobs, weights, message):
    X, y = blobs
    with pytest.raises(ValueError, match=message):
        LANDClassifier().fit(X, np.where(np.arange(200) < 100, y, -1), weights)


def test_weights_are_kept_in_files(weighted, tmp_path):
    X, y, weights, _ = weighted
    model = LANDClassifier(random_state=0).fit(X, y, weights * (np.arange(200) % 3 > 0))
    save(model, tmp_path / "model.geoal")
    for copy in (load(tmp_path / "model.geoal"), pickle.loads(pickle.dumps(model))):
        queries = model.query(5)
        assert_array_equal(copy.query(5), queries)
        expected = deepcopy(model).teach(queries, [0] * 5)
        assert_array_equal(copy.teach(queries, [0] * 5).query(5), expected.query(5))
