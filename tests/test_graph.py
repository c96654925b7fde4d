"""Graph core: the kernel, its spectrum, the density forest and the diffused labels, each against a slow reference."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.linalg import subspace_angles
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import eigsh
from scipy.spatial.distance import cdist
from sklearn.datasets import make_blobs, make_moons, make_swiss_roll
from sklearn.neighbors import KNeighborsTransformer

from sklearn_geoal._active import graph as graph_module
from sklearn_geoal._active.diffusion import diffuse_labels, diffused_mass, margins, select_spread
from sklearn_geoal._active.forest import density_forest, kernel_density
from sklearn_geoal._active.graph import (
    MIN_WEIGHT,
    intrinsic_dimension,
    inverse_square_weights,
    kernel_weights,
    nearest_neighbors,
    neighbors_of_graph,
    random_walk,
    shortest_reach,
)
from sklearn_geoal._active.spectrum import diffusion_coordinates, leading_eigenpairs


def points(n_samples=200, n_features=3, seed=0):
    return np.random.default_rng(seed).normal(size=(n_samples, n_features))


def graph(X, n_neighbors=10, scale="local"):
    return kernel_weights(*nearest_neighbors(X, n_neighbors, None), scale)


def rng():
    return np.random.RandomState(0)


# neighbours


def all_neighbors(X, n_neighbors):
    distances = cdist(X, X)
    np.fill_diagonal(distances, np.inf)
    indices = np.argsort(distances, axis=1)[:, :n_neighbors]
    return np.take_along_axis(distances, indices, axis=1), indices


@pytest.mark.parametrize("n_neighbors", [1, 7, 49])
def test_exact_neighbors(n_neighbors):
    X = points(50)
    distances, indices = nearest_neighbors(X, n_neighbors, None)
    slow_distances, slow_indices = all_neighbors(X, n_neighbors)
    assert_allclose(distances, slow_distances)
    assert_array_equal(indices, slow_indices)


def test_neighbors_of_duplicates_are_others():
    X = np.repeat(points(5), 8, axis=0)
    distances, indices = nearest_neighbors(X, 7, None)
    assert (indices != np.arange(40)[:, None]).all()
    assert_array_equal(distances, 0)


def test_approximate_neighbors(monkeypatch):
    # the only test of this path: the search compiles for half a minute where numba has nothing in its cache
    X = points(600, 4)
    X = np.concatenate([X, np.repeat(X[:3], 30, axis=0), np.zeros((200, 4))])
    monkeypatch.setattr(graph_module, "EXACT_SEARCH_LIMIT", 100)
    monkeypatch.setattr(graph_module, "TREE_FEATURES", 3)
    n_threads = torch.get_num_threads()
    distances, indices = nearest_neighbors(X, 10, rng(), n_jobs=2)
    assert torch.get_num_threads() == n_threads  # which numba would set
    exact, _ = all_neighbors(X, 10)
    assert distances.shape == indices.shape == (890, 10)
    assert (indices != np.arange(890)[:, None]).all()
    assert all(len(set(row)) == 10 for row in indices.tolist())
    assert (np.diff(distances, axis=1) >= 0).all()
    assert_allclose(distances, np.linalg.norm(X[:, None] - X[indices], axis=2), atol=1e-5)
    # recall, by distance, since duplicates stand for each other
    assert np.mean(distances <= exact[:, -1:] + 1e-5) >= 0.95
    again = nearest_neighbors(X, 10, rng(), n_jobs=2)
    assert_array_equal(again[1], indices)


def test_neighbors_of_a_graph_are_those_of_the_points():
    X = points()
    distances, indices = nearest_neighbors(X, 12, None)
    knn = sp.csr_array(KNeighborsTransformer(n_neighbors=12, mode="distance").fit_transform(X))
    for n_needed, n_wanted, n_given in [(5, 5, 5), (5, 8, 8), (5, 100, 12), (12, 3, 12)]:
        of_graph = neighbors_of_graph(knn, n_needed, n_wanted)
        assert_allclose(of_graph[0], distances[:, :n_given])
        assert_array_equal(of_graph[1], indices[:, :n_given])


def test_a_graph_need_not_be_sorted_nor_hold_the_diagonal():
    X = points(30)
    dense = cdist(X, X)
    rows, columns = np.nonzero(dense)
    shuffled = rng().permutation(len(rows))
    starts = np.arange(0, 30 * 29 + 1, 29)
    by_row = shuffled[np.argsort(rows[shuffled], kind="stable")]
    knn = sp.csr_array((dense[rows, columns][by_row], columns[by_row], starts), shape=(30, 30))
    distances, indices = neighbors_of_graph(knn, 4, 4)
    slow_distances, slow_indices = all_neighbors(X, 4)
    assert_allclose(distances, slow_distances)
    assert_array_equal(indices, slow_indices)


def test_graphs_that_hold_too_little_or_negative_distances_are_refused():
    knn = sp.csr_array(KNeighborsTransformer(n_neighbors=3, mode="distance").fit_transform(points(20)))
    with pytest.raises(ValueError, match=r"n_neighbors=4, but row \d+ of the graph holds 3 neighbours"):
        neighbors_of_graph(knn, 4, 10)
    with pytest.raises(ValueError, match=r"Distances must not be negative; got -1\.0"):
        knn.data[1] = -1
        neighbors_of_graph(knn, 3, 3)


# kernel and Markov operator


@pytest.mark.parametrize("scale", ["local", "global", 0.3])
def test_weights_follow_the_formula(scale):
    distances, indices = nearest_neighbors(points(60), 8, None)
    reach = distances[:, -1]
    dense = np.zeros((60, 60))
    for i in range(60):
        for d, j in zip(distances[i], indices[i], strict=True):
            squared = {"local": reach[i] * reach[j], "global": reach.mean() ** 2}.get(scale, 0.3**2)
            dense[i, j] = max(np.exp(-(d**2) / squared), MIN_WEIGHT)
    assert_allclose(kernel_weights(distances, indices, scale).toarray(), (dense + dense.T) / 2, rtol=1e-12)


@pytest.mark.parametrize("scale", ["local", "global", 0.3])
def test_weights_are_symmetric_and_from_0_to_1(scale):
    X = np.concatenate([points(100), 100 * points(5, seed=1)])  # outliers, whose weights would underflow
    W = graph(X, scale=scale)
    assert abs(W - W.T).max() == 0
    assert W.data.min() >= MIN_WEIGHT / 2 and W.data.max() <= 1
    assert W.sum(axis=1).min() >= 10 * MIN_WEIGHT / 2
    assert 105 * 10 <= W.nnz <= 2 * 105 * 10


@pytest.mark.parametrize("scale", ["local", "global"])
def test_weights_do_not_depend_on_the_unit(scale):
    X = points()
    assert_array_equal(graph(2.0**40 * X, scale=scale).toarray(), graph(X, scale=scale).toarray())
    assert_allclose(graph(1e-7 * X, scale=scale).toarray(), graph(X, scale=scale).toarray(), rtol=1e-6)


@pytest.mark.parametrize("scale", ["local", "global", 0.3])
def test_weights_follow_a_permutation_of_the_points(scale):
    X = points()
    order = rng().permutation(len(X))
    # the mean of the reaches is summed in another order
    assert_allclose(graph(X[order], scale=scale).toarray(), graph(X, scale=scale)[order][:, order].toarray(), rtol=1e-9)


@pytest.mark.parametrize("scale", ["local", "global", 0.3])
def test_weights_of_duplicates(scale):
    assert set(graph(np.ones((30, 2)), 5, scale).data) <= {0.5, 1.0}  # halved where the other way is no edge
    W = graph(np.concatenate([np.zeros((30, 3)), points(100)]), scale=scale)
    assert np.isfinite(W.data).all() and W.data.min() >= MIN_WEIGHT / 2


def transitions(walk):
    """The probabilities of a walk, dense, with the points in their own order."""
    return walk.P.toarray()[walk.place][:, walk.place].astype(np.float64)


def test_random_walk_is_a_markov_operator():
    W = graph(points())
    walk = random_walk(W)
    assert walk.P.dtype == np.float32 and walk.P.data.min() > 0
    assert_array_equal(walk.order[walk.place], np.arange(200))
    assert_allclose(walk.P.sum(axis=1), 1, atol=1e-6)
    assert_allclose(transitions(walk), W.toarray() / W.sum(axis=1)[:, None], rtol=1e-6)


# spectrum


def slow_eigenpairs(W, n_eigenpairs):
    """Eigenvalues of P, all or by shift and invert, and the eigenvectors of S = D^1/2 P D^-1/2."""
    roots = np.sqrt(W.sum(axis=1))
    S = sp.diags_array(1 / roots) @ W @ sp.diags_array(1 / roots)
    if len(roots) < 1000:
        eigenvalues, V = np.linalg.eigh(S.toarray())
    else:
        start = np.random.default_rng(0).normal(size=len(roots))
        eigenvalues, V = eigsh(S.tocsc(), n_eigenpairs, sigma=1.0001, v0=start)
    falling = np.argsort(-eigenvalues)[:n_eigenpairs]
    return eigenvalues[falling], V[:, falling]


def check_eigenpairs(W, n_eigenpairs, atol, angle):
    """Eigenvalues, the subspace before the widest gap, and the normalisation."""
    eigenvalues, psi = leading_eigenpairs(W, n_eigenpairs, rng())
    slow_eigenvalues, V = slow_eigenpairs(W, n_eigenpairs + 1)
    assert_allclose(eigenvalues, slow_eigenvalues[:-1], atol=atol)
    assert_allclose(eigenvalues[0], 1, atol=1e-12)
    assert (np.diff(eigenvalues) <= 0).all()
    pi = W.sum(axis=1) / W.sum()
    assert_allclose(psi.T @ (pi[:, None] * psi), np.eye(n_eigenpairs), atol=1e-10)
    assert (psi.max(axis=0) >= -psi.min(axis=0)).all()
    gap = 1 + np.argmin(np.diff(slow_eigenvalues))
    assert subspace_angles(np.sqrt(pi)[:, None] * psi[:, :gap], V[:, :gap]).max() < angle
    return eigenvalues, psi


@pytest.mark.parametrize("n_samples", [2, 12, 300])
def test_eigenpairs_of_a_small_graph(n_samples):
    W = graph(points(n_samples), min(10, n_samples - 1))
    n_eigenpairs = min(6, n_samples - 1)
    _, psi = check_eigenpairs(W, n_eigenpairs, atol=1e-12, angle=1e-6)
    assert_allclose(psi[:, 0], 1, rtol=1e-10)


@pytest.mark.parametrize("scale", ["local", "global"])
@pytest.mark.parametrize("manifold", ["moons", "swiss roll"])
def test_eigenpairs_of_a_manifold(manifold, scale):
    if manifold == "moons":
        X, _ = make_moons(4000, noise=0.08, random_state=0)
    else:
        X, _ = make_swiss_roll(6000, random_state=0)
    _, psi = check_eigenpairs(graph(X, 15, scale), 10, atol=1e-5, angle=0.02)
    assert_allclose(psi[:, 0], 1, rtol=1e-6)


def test_eigenpairs_of_a_disconnected_graph():
    X, _ = make_blobs(5000, centers=6, cluster_std=0.3, random_state=1)
    W = graph(X, 15)
    n_components, component = connected_components(W)
    assert n_components > 1
    eigenvalues, psi = check_eigenpairs(W, 10, atol=1e-5, angle=0.02)
    assert_allclose(eigenvalues[:n_components], 1, atol=1e-8)
    # a random walk never leaves its component: these eigenvectors are constant on each
    for c in range(n_components):
        assert np.ptp(psi[component == c, :n_components], axis=0).max() < 1e-2


@pytest.mark.parametrize("n_neighbors, n_eigenpairs", [(200, 10), (20, 150)])
def test_more_eigenpairs_than_aggregates(n_neighbors, n_eigenpairs):
    # a walk that mixes fast: the coarse graph has fewer points than eigenpairs are asked for
    check_eigenpairs(graph(points(1600, 5), n_neighbors), n_eigenpairs, atol=1e-5, angle=0.02)


def test_eigenpairs_of_very_many_components():
    X = np.repeat(points(1600), 3, axis=0)  # more components than a dense matrix would hold points
    eigenvalues, psi = leading_eigenpairs(graph(X, 2), 10, rng())
    assert_allclose(eigenvalues, 1)
    assert_allclose(psi[::3], psi[1::3], atol=1e-6)
    assert_allclose(psi.T @ psi / len(X), np.eye(10), atol=1e-10)


def test_eigenpairs_with_outliers_under_a_global_scale():
    X, _ = make_blobs(4000, centers=6, cluster_std=0.3, random_state=1)
    W = graph(np.concatenate([X, 100 * points(40, 2)]), 15, "global")
    check_eigenpairs(W, 10, atol=1e-5, angle=0.02)


def test_eigenvalues_of_a_ring():
    # circulant, so that the eigenvalues are known, in pairs, from cosines; their gaps are of the order of 1e-6
    n, steps = 4000, np.array([-2, -1, 1, 2])
    indices = (np.arange(n)[:, None] + steps) % n
    W = kernel_weights(np.tile(np.abs(steps) / 2.0, (n, 1)), indices, 1.0)
    weights = np.exp(-((steps / 2) ** 2))
    frequencies = np.array([0, 1, 1, 2, 2, 3, 3, 4, 4])
    exact = weights @ np.cos(2 * np.pi * np.outer(steps, frequencies) / n) / weights.sum()
    eigenvalues, psi = leading_eigenpairs(W, 9, rng())
    assert_allclose(eigenvalues, exact, atol=1e-4)
    assert_allclose(psi[:, 0], 1, rtol=1e-6)


def test_diffusion_distance_is_that_of_the_random_walks():
    W = graph(points(60), 6)
    P = (W.toarray().T / W.sum(axis=1)).T
    pi = W.sum(axis=1) / W.sum()
    eigenvalues, psi = leading_eigenpairs(W, 60, rng())
    for time in (1, 2, 5):
        walks = np.linalg.matrix_power(P, time)
        coordinates = diffusion_coordinates(eigenvalues, psi, time)
        assert_allclose(cdist(coordinates, coordinates), cdist(walks / np.sqrt(pi), walks / np.sqrt(pi)), atol=1e-7)


# density and its forest


def slow_forest(Y, density):
    """Order, and which points are denser than which, and all distances."""
    order = sorted(range(len(Y)), key=lambda i: (-density[i], i))
    place = np.argsort(order)
    return np.array(order), place[:, None] > place, cdist(Y, Y)


def forest_inputs():
    random = np.random.default_rng(0)
    blobs, _ = make_blobs(700, n_features=4, centers=5, cluster_std=0.2, random_state=0)
    yield "one", np.zeros((1, 2)), np.ones(1)
    yield "two", points(2), np.array([1.0, 2.0])
    yield "line, rising", np.arange(40.0)[:, None], np.arange(40.0)
    yield "line, falling", np.arange(40.0)[:, None], -np.arange(40.0)
    yield "one density", points(300), np.ones(300)
    yield "tied densities", points(500, 2), random.integers(0, 4, 500).astype(float)
    yield "one place", np.zeros((100, 2)), random.random(100)
    yield "duplicates", np.repeat(points(60, 2), 6, axis=0), random.random(360)
    yield "clusters", blobs, kernel_density(nearest_neighbors(blobs, 20, None)[0])
    yield "random", points(3000, 5), random.random(3000)
    # the densest point of each heap has none of higher density among its first neighbours
    heaps = np.repeat(points(100), 30, axis=0) + 1e-3 * points(3000, seed=1)
    yield "heaps", heaps, np.repeat(random.random(100), 30) + 1e-3 * random.random(3000)
    yield "many scales", np.exp(5 * points(1000, 2)), random.random(1000)


@pytest.mark.parametrize("Y, density", [pytest.param(*case[1:], id=case[0]) for case in forest_inputs()])
def test_forest(Y, density):
    forest = density_forest(Y, density)
    order, denser, distances = slow_forest(Y, density)
    assert_array_equal(forest.order, order)
    root, others = order[0], order[1:]
    assert forest.parent[root] == root
    assert_allclose(forest.rho[root], distances[root].max(), rtol=1e-12)
    # of equally near points either may be the parent
    assert_allclose(forest.rho[others], np.where(denser, distances, np.inf)[others].min(axis=1), rtol=1e-9)
    assert denser[others, forest.parent[others]].all()
    assert_allclose(forest.rho[others], distances[others, forest.parent[others]], rtol=1e-9)


def test_mass_counts_subtrees():
    Y = points(300)
    forest = density_forest(Y, np.random.default_rng(0).random(300))
    count = np.zeros(300)
    for point in range(300):
        while forest.parent[point] != point:
            count[point] += 1
            point = forest.parent[point]
        count[point] += 1
    assert_array_equal(forest.mass(), count)
    assert forest.mass()[forest.order[0]] == 300


def test_values_are_inherited_from_the_nearest_ancestor_that_has_one():
    forest = density_forest(points(300), np.random.default_rng(0).random(300))
    values = np.random.default_rng(1).choice([-1, 0, 1, 2], size=300, p=[0.9, 0.04, 0.03, 0.03])
    values[forest.order[0]] = -1
    expected = values.copy()
    for i in range(300):
        point = i
        while values[point] < 0 and forest.parent[point] != point:
            point = forest.parent[point]
        expected[i] = values[point]
    assert_array_equal(forest.inherit(values), expected)
    assert (expected < 0).any()
    values[forest.order[0]] = 5
    assert forest.inherit(values).min() >= 0


def test_kernel_density():
    distances, _ = nearest_neighbors(points(), 10, None)
    slow = [sum(np.exp(-((d / distances[:, -1].mean()) ** 2)) for d in row) for row in distances]
    assert_allclose(kernel_density(distances), slow)
    assert_array_equal(kernel_density(4 * distances), kernel_density(distances))
    assert_array_equal(kernel_density(np.zeros((6, 3))), 3)


# labels


@pytest.fixture(scope="module")
def walk():
    """On a connected graph."""
    walk = random_walk(graph(points(300)))
    assert connected_components(walk.P)[0] == 1
    return walk


@pytest.fixture(scope="module")
def codes():
    """A few labels of three classes."""
    codes = np.full(300, -1)
    codes[[3, 50, 120, 200, 299]] = [0, 1, 2, 0, 1]
    return codes


def absorbing(walk, codes):
    """The walk that stays where it meets a label, and the labels, dense."""
    A = transitions(walk)
    A[codes >= 0] = np.eye(len(codes))[codes >= 0]
    start = np.zeros((len(codes), codes.max() + 1))
    start[codes >= 0] = np.eye(codes.max() + 1)[codes[codes >= 0]]
    return A, start


@pytest.mark.parametrize("n_steps", [1, 2, 40])
def test_diffused_labels_are_where_walks_meet_them(walk, codes, n_steps):
    A, start = absorbing(walk, codes)
    u = diffuse_labels(walk, codes, 3, n_steps)
    assert u.dtype == np.float32
    assert_allclose(u, np.linalg.matrix_power(A, n_steps) @ start, atol=1e-5)
    assert_array_equal(u[codes >= 0], start[codes >= 0])


def test_diffused_labels_are_a_distribution_that_fills_with_the_steps(walk, codes):
    reached = np.array([diffuse_labels(walk, codes, 3, n_steps).sum(axis=1) for n_steps in (0, 1, 5, 30, 200)])
    assert reached.min() >= 0 and reached.max() <= 1 + 1e-5
    assert_array_equal(reached[0], codes >= 0)
    assert (np.diff(reached, axis=0) >= -1e-6).all()
    assert (np.diff(reached.sum(axis=1)) > 0).all()


def test_diffused_labels_become_harmonic(walk, codes):
    A, start = absorbing(walk, codes)
    free = codes < 0
    harmonic = np.linalg.solve(np.eye(free.sum()) - A[free][:, free], A[free] @ start)
    u = diffuse_labels(walk, codes, 3, 5000)
    assert_allclose(u[free], harmonic, atol=1e-3)
    assert_allclose(u.sum(axis=1), 1, atol=1e-3)


def test_labels_of_other_components_are_never_met():
    X = np.concatenate([points(50), 1e3 + points(50)])
    codes = np.full(100, -1)
    codes[0] = 0
    u = diffuse_labels(random_walk(graph(X)), codes, 1, 500)
    assert (u[:50] > 0).all()
    assert_array_equal(u[50:], 0)


def test_weights_by_inverse_squares():
    assert_allclose(inverse_square_weights(np.array([[1.0, 2.0, 2.0]])), [[4 / 6, 1 / 6, 1 / 6]])
    assert_array_equal(inverse_square_weights(np.array([[0.0, 0.0, 1e-300]])), [[0.5, 0.5, 0]])
    tiny = np.array([[3.0, 5.0, 9.0]])
    assert_array_equal(inverse_square_weights(2.0**-900 * tiny), inverse_square_weights(tiny))


@pytest.mark.parametrize("n_samples, n_neighbors, steps", [(2000, 10, 3), (50, 60, 1), (100, 1, 7), (3, 2, 2)])
def test_steps_that_reach_all_samples(n_samples, n_neighbors, steps):
    assert shortest_reach(n_samples, n_neighbors) == steps


def test_margins():
    u = np.random.default_rng(0).random((50, 4)).astype(np.float32)
    ranked = np.sort(u, axis=1)
    assert_array_equal(margins(u), ranked[:, -1] - ranked[:, -2])
    assert_array_equal(margins(u[:, :1]), u[:, 0])
    assert_array_equal(margins(np.ones((3, 2))), 0)
    single = u[:, :1]
    margins(single)[:] = 9
    assert single.max() < 9


def mass_of_one(walk, point, n_steps):
    codes = np.full(len(walk.order), -1)
    codes[point] = 0
    return diffuse_labels(walk, codes, 1, n_steps)[:, 0]


def test_diffused_mass_is_that_of_one_label(walk):
    for n_steps in (1, 3, 50):
        local = np.zeros(300)
        reached, mass = diffused_mass(walk, 7, n_steps)
        assert len(np.unique(reached)) == len(reached) and reached[0] == 7 and mass[0] == 1
        local[reached] = mass
        assert_allclose(local, mass_of_one(walk, 7, n_steps), atol=1e-6)


def test_diffused_mass_loses_little_far_away():
    walk = random_walk(graph(points(6000, 2), 20))
    local = np.zeros(6000)
    reached, mass = diffused_mass(walk, 11, 40)
    assert len(reached) < 4000
    local[reached] = mass
    full = mass_of_one(walk, 11, 40)
    assert (local <= full + 1e-5).all()
    assert_allclose(local, full, atol=0.02)
    assert local.sum() > 0.9 * full.sum()


def test_spread_selection_follows_the_full_graph(walk):
    scores = np.random.default_rng(0).random(300)
    given = scores.copy()
    candidates = np.arange(0, 300, 2)
    slow, left = [], scores.copy()
    for _ in range(20):
        slow.append(min(set(candidates.tolist()) - set(slow), key=left.__getitem__))
        left += mass_of_one(walk, slow[-1], 15)
    assert_array_equal(select_spread(walk, scores, candidates, 20, 15), slow)
    assert_array_equal(scores, given)


@pytest.mark.parametrize("levels", [1, 4, 1000])
def test_spread_selection_breaks_ties_by_the_order_of_the_candidates(walk, levels):
    rng = np.random.default_rng(0)
    scores = rng.integers(0, levels, 300) / levels
    candidates = rng.permutation(300)[:200]
    left, slow = scores[candidates], []
    for _ in range(200):
        first = np.argmin(left)
        slow.append(candidates[first])
        points, mass = diffused_mass(walk, candidates[first], 8)
        for point, added in zip(points, mass, strict=True):
            left[candidates == point] += added
        left[first] = np.inf
    assert_array_equal(select_spread(walk, scores, candidates, 200, 8), slow)


def test_spread_selection_takes_all_candidates_once_and_no_others(walk):
    candidates = np.array([5, 17, 200])
    scores = np.zeros(300)
    scores[candidates] = 1e9  # far worse than the others
    assert_array_equal(np.sort(select_spread(walk, scores, candidates, 3, 10)), candidates)


def test_spread_selection_leaves_the_surroundings_of_a_pick():
    X = np.concatenate([points(100), 1e3 + points(100)])
    scores = np.repeat([0.0, 1e-3], 100)  # the second heap is a little worse, but not next to a pick
    first, second = select_spread(random_walk(graph(X)), scores, np.arange(200), 2, 300)
    assert first < 100 <= second


def test_intrinsic_dimension_is_that_of_the_surface_the_points_lie_on():
    rng = np.random.default_rng(0)
    for dimension in (1, 2, 5):
        flat = rng.uniform(size=(5000, dimension)) @ rng.normal(size=(dimension, 9))
        found = intrinsic_dimension(flat, np.random.RandomState(0))
        assert found == pytest.approx(dimension, rel=0.2)
        assert intrinsic_dimension(1e6 * flat + 3, np.random.RandomState(0)) == pytest.approx(found)
    assert intrinsic_dimension(np.zeros((50, 3)), np.random.RandomState(0)) == 0


def test_tree_is_searched_above_the_limit_where_the_data_are_flat(monkeypatch):
    rng = np.random.default_rng(0)
    X = rng.uniform(size=(500, 2)) @ rng.normal(size=(2, 9))
    expected = nearest_neighbors(X, 7, np.random.RandomState(0))
    monkeypatch.setattr(graph_module, "EXACT_SEARCH_LIMIT", 100)
    for found, exact in zip(nearest_neighbors(X, 7, np.random.RandomState(0)), expected, strict=True):
        assert_array_equal(found, exact)
