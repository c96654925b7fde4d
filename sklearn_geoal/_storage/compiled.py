"""Compiled objects of scikit-learn: trees of neighbours and losses are made anew, decision trees checked."""

import inspect

import numpy as np
from sklearn._loss import _loss
from sklearn.linear_model import _sgd_fast
from sklearn.metrics import DistanceMetric
from sklearn.neighbors import BallTree, KDTree
from sklearn.tree._tree import Tree

# metrics without parameters, by the class that computes them
_METRICS = {
    type(DistanceMetric.get_metric(name)).__name__: name
    for name in ("euclidean", "manhattan", "chebyshev", "haversine", "braycurtis", "canberra", "hamming", "jaccard")
}
LOSSES = {
    name: found
    for module in (_loss, _sgd_fast)
    for name, found in vars(module).items()
    if inspect.isclass(found) and found.__module__ == module.__name__
}


def pack_neighbors_tree(tree, writer):
    """What a tree of neighbours is built of."""
    state = tree.__getstate__()
    metric, sample_weight = state[-2], state[-1]
    name, params = _METRICS.get(type(metric).__name__), {}
    if type(metric).__name__ == "MinkowskiDistance64":
        p, weights, _ = metric.__getstate__()
        if not len(weights):
            name, params = "minkowski", {"p": float(p)}
    if name is None:
        raise TypeError(
            f"a {type(tree).__name__} with the metric {type(metric).__name__}, expected {', '.join(_METRICS.values())} "
            'or minkowski without weights: fit with one of these or with algorithm="brute"'
        )
    parts = (np.asarray(tree.data), sample_weight, params)
    return [type(tree).__name__, name, state[4], *(writer.pack(part) for part in parts)]


def unpack_neighbors_tree(reader, name, metric, leaf_size, *parts):
    """The tree, built anew."""
    data, sample_weight, params = map(reader.value, parts)
    if metric not in (*_METRICS.values(), "minkowski"):  # a function would be called
        raise ValueError(f"a tree of neighbours has the unknown metric {metric!r}")
    made = {"BallTree": BallTree, "KDTree": KDTree}[name]
    return made(data, leaf_size=leaf_size, metric=metric, sample_weight=sample_weight, **params)


def pack_decision_tree(tree, writer):
    """The nodes of a decision tree."""
    state = tree.__getstate__()
    kept = {name: state[name] for name in ("max_depth", "nodes", "values")}
    parts = {"n_features": tree.n_features, "n_classes": tree.n_classes, "n_outputs": tree.n_outputs, **kept}
    return [writer.pack(parts)]


def unpack_decision_tree(reader, parts):
    """The decision tree, if it is one: what follows its nodes, compiled, checks nothing."""
    parts = reader.value(parts)
    nodes, n_classes = parts["nodes"], np.ascontiguousarray(parts["n_classes"], dtype=np.intp)
    if _depth(nodes["left_child"], nodes["right_child"]) > parts["max_depth"]:
        raise ValueError(f"a decision tree is deeper than {parts['max_depth']}")
    is_leaf, feature = nodes["left_child"] == -1, nodes["feature"]
    if not (is_leaf | ((feature >= 0) & (feature < parts["n_features"]))).all():
        raise ValueError("a node of a decision tree asks for a feature that there is not")
    if n_classes.shape != (parts["n_outputs"],) or n_classes.min(initial=1) < 1:
        raise ValueError(
            f"a decision tree has {parts['n_outputs']} outputs, but their numbers of classes are {n_classes}"
        )
    tree = Tree(parts["n_features"], n_classes, parts["n_outputs"])
    tree.__setstate__({name: parts[name] for name in ("max_depth", "nodes", "values")} | {"node_count": len(nodes)})
    return tree


def _depth(left, right):
    """Depth of a tree of the children of its nodes, -1 in both where it ends; the first node is the root.

    Raises
    ------
    ValueError
        If they are no tree.
    """
    inner = np.flatnonzero(left != -1)
    children = np.concatenate([left[inner], right[inner]])
    is_tree = len(left) and np.array_equal(np.sort(children), np.arange(1, len(left)))  # each but the root is one child
    if not is_tree or (children <= np.concatenate([inner, inner])).any():  # and comes after its parent
        raise ValueError("a node of a decision tree has a child that there is not, or is no child of one")
    depth, level = -1, np.zeros(1, dtype=np.intp)
    while len(level):
        depth += 1
        inner = level[left[level] != -1]
        level = np.concatenate([left[inner], right[inner]])
    return depth


def pack_loss(loss, writer):
    """What a loss is made with: numbers, if anything."""
    make, args = loss.__reduce__()[:2]
    return [type(loss).__name__, writer.pack(list(args) if make is type(loss) else [])]


def unpack_loss(reader, name, args):
    """The loss, made anew."""
    return LOSSES[name](*map(float, reader.value(args)))
