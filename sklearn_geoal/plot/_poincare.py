"""The Poincare disk."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.patches import Circle
from sklearn.utils import check_array, check_consistent_length, check_scalar

from .._manifolds.polar import polar_coordinates
from .._validation import check_indices, masked_as_nan
from ._common import drawing_order, encode_jointly, names_of, scatter_classes


def _project(polar):
    """Polar coordinates (n, 1 + d) of points on the geodesic plane through the origin that they follow most.

    The plane is spanned by the two leading principal directions, through the origin, of the tangent vectors.

    Returns
    -------
    polar : ndarray of shape (n, 3)
    share : float
        Part of the sum of squared radii that is left.
    """
    tangent = polar[:, :1] * polar[:, 1:]
    _, singular_values, directions = np.linalg.svd(tangent, full_matrices=False)
    flat = tangent @ directions[:2].T
    radius = np.linalg.norm(flat, axis=1, keepdims=True)
    total = (singular_values**2).sum()
    share = (singular_values[:2] ** 2).sum() / total if total else 1.0
    return np.hstack([radius, np.divide(flat, radius, out=np.zeros_like(flat), where=radius > 0)]), share


def _disk(polar):
    """Points of the unit disk: tanh(a / 2) times the direction, a the radius: (n, 3) -> (n, 2)."""
    return np.tanh(polar[:, :1] / 2) * polar[:, 1:]


def _geodesics(polar, edges, n_points=33):
    """Geodesics between pairs of points as lines in the unit disk: (n_edges, n_points, 2).

    On the hyperboloid, x(t) = (sinh((1 - t) D) x + sinh(t D) y) / sinh(D) goes from x to y at distance D.
    """
    x, y = (np.hstack([np.cosh(polar[ends, :1]), np.sinh(polar[ends, :1]) * polar[ends, 1:]]) for ends in edges.T)
    D = np.arccosh(np.maximum(x[:, 0] * y[:, 0] - (x[:, 1:] * y[:, 1:]).sum(axis=1), 1))[:, None]
    D = np.maximum(D, 1e-6)  # of points that nearly coincide: then the weights are 1 - t and t
    t = np.linspace(0, 1, n_points)
    from_x, from_y = np.sinh((1 - t) * D) / np.sinh(D), np.sinh(t * D) / np.sinh(D)  # (n_edges, n_points)
    points = from_x[:, :, None] * x[:, None] + from_y[:, :, None] * y[:, None]
    return points[:, :, 1:] / (1 + points[:, :, :1])


class PoincareDiskDisplay:
    """Points of a hyperbolic space in the Poincare disk, coloured by class or by level of a hierarchy.

    The boundary of the disk is infinitely far away, and thin rings are one unit of distance apart: what lies near
    the boundary is much farther apart than it looks. Build it with :meth:`from_estimator` or :meth:`from_latents`.

    Parameters
    ----------
    points : ndarray of shape (n_points, 2)
        Points inside the unit circle.
    codes : ndarray of shape (n_points,)
        Class of each point as index into `class_names`, -1 for unlabelled points.
    class_names : list of str
        Names of the classes.
    curvature : float
        The c > 0 of the curvature -c, for the rings.
    lines : ndarray of shape (n_lines, n_points, 2), default=None
        Lines below the points, such as the edges of a tree.
    share : float, default=1.0
        Part of the squared distances from the origin that points of more dimensions keep in the disk.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the disk.
    figure_ : matplotlib Figure
        Figure containing it.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_geoal.plot import PoincareDiskDisplay
    >>> U = np.array([[0, 0], [1, 0], [0, 2], [-3, 0]])
    >>> display = PoincareDiskDisplay.from_latents(U, [0, 1, 1, 1], edges=[[0, 1], [0, 2], [0, 3]])
    >>> np.linalg.norm(display.points, axis=1).max().round(2)  # distance 3 of the boundary at distance infinity
    np.float64(0.91)
    """

    def __init__(self, points, codes, class_names, *, curvature=1.0, lines=None, share=1.0):
        self.points = points
        self.codes = codes
        self.class_names = class_names
        self.curvature = curvature
        self.lines = lines
        self.share = share

    def plot(self, ax=None):
        """Draw the disk.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. By default a new figure is made.

        Returns
        -------
        display : PoincareDiskDisplay
            The display itself.
        """
        if ax is None:
            _, ax = plt.subplots(figsize=(6.8, 5.4), layout="constrained")
        ax.add_patch(Circle((0, 0), 1, fill=False, color="black", linewidth=1))
        farthest = 2 * np.arctanh(min(np.linalg.norm(self.points, axis=1).max(initial=0), 1 - 1e-9))
        n_rings = int(np.ceil(farthest / np.sqrt(self.curvature)))
        for distance in range(1, min(n_rings, 12) + 1):
            radius = np.tanh(distance * np.sqrt(self.curvature) / 2)
            ax.add_patch(Circle((0, 0), radius, fill=False, color="0.85", linewidth=0.6, zorder=0))
        if self.lines is not None:
            ax.add_collection(LineCollection(self.lines, colors="0.6", linewidths=0.5, zorder=0.5))
        scatter_classes(ax, self.points, self.codes, self.class_names)
        ax.set(xlim=(-1.03, 1.03), ylim=(-1.03, 1.03), aspect="equal")
        ax.set_axis_off()
        if self.share < 1:
            ax.set_title(f"{self.share:.0%} of the squared distances from the origin", fontsize="medium")
        self.ax_ = ax
        self.figure_ = ax.figure
        return self

    @classmethod
    def from_estimator(
        cls,
        transformer,
        X,
        y=None,
        *,
        edges=None,
        labels=None,
        display_labels=None,
        missing_label="auto",
        max_points=10_000,
        random_state=0,
        ax=None,
    ):
        """Transform samples and draw their latent coordinates.

        Parameters
        ----------
        transformer : fitted HyperbolicVAETransformer or Pipeline that ends in one
            Its `transform` is called on `X`.
        X : array-like of shape (n_samples, n_features)
            The samples.
        y, edges, labels, display_labels, missing_label, max_points, random_state, ax
            As for :meth:`from_latents`.

        Returns
        -------
        display : PoincareDiskDisplay
            The display, drawn.
        """
        last = transformer[-1] if hasattr(transformer, "steps") else transformer
        return cls.from_latents(
            transformer.transform(X),
            y,
            model=last.output,
            curvature=last.curvature_,
            edges=edges,
            labels=labels,
            display_labels=display_labels,
            missing_label=missing_label,
            max_points=max_points,
            random_state=random_state,
            ax=ax,
        )

    @classmethod
    def from_latents(
        cls,
        latents,
        y=None,
        *,
        model="tangent",
        curvature=1.0,
        edges=None,
        labels=None,
        display_labels=None,
        missing_label="auto",
        max_points=10_000,
        random_state=0,
        ax=None,
    ):
        """Draw points of a hyperbolic space.

        Parameters
        ----------
        latents : array-like of shape (n_samples, n_coordinates)
            Points of two dimensions are drawn as they are, those of more on the geodesic plane through the origin that
            keeps most of their squared distances from the origin.
        y : array-like of shape (n_samples,), default=None
            Labels for the colours, some of them missing.
        model : {"tangent", "lorentz", "poincare"}, default="tangent"
            The coordinates: tangent vectors at the origin, points of the hyperboloid with the time first, or points
            of the ball of radius 1 / sqrt(curvature).
        curvature : float, default=1.0
            The c > 0 of the curvature -c.
        edges : array-like of int of shape (n_edges, 2), default=None
            Pairs of points to join by geodesics, such as the edges of a tree.
        labels : array-like of shape (n_classes,), default=None
            All classes, in the order of colours and legend. By default those in `y`, sorted.
        display_labels : array-like of str of shape (n_classes,), default=None
            Names of the classes, in the same order.
        missing_label : "auto", None, scalar or str, default="auto"
            The marker of a missing label.
        max_points : int, default=10000
            Largest number of points drawn. Of more a random part is drawn, labelled ones first.
        random_state : int, RandomState instance or None, default=0
            Seed of the choice and of the order of drawing.
        ax : matplotlib Axes, default=None
            Where to draw. By default a new figure is made.

        Returns
        -------
        display : PoincareDiskDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If there are fewer than two dimensions, values that are not finite, or points that do not lie in the
            model.
        IndexError
            If an edge names a point that is not there.
        """
        check_scalar(max_points, "max_points", (int, np.integer), min_val=1)
        latents = check_array(masked_as_nan(latents), dtype=np.float64, input_name="latents")
        polar, share = polar_coordinates(latents, model, curvature), 1.0
        if polar.shape[1] < 3:
            raise ValueError("latents has one dimension, but the disk needs at least two.")
        if polar.shape[1] > 3:
            polar, share = _project(polar)
        y = np.full(len(latents), np.nan) if y is None else y
        check_consistent_length(latents, y)
        classes, (codes,) = encode_jointly([y], labels, missing_label)
        lines = None if edges is None else _geodesics(polar, _check_edges(edges, len(latents)))
        shown = drawing_order(codes, max_points, random_state)
        names = names_of(classes, display_labels)
        display = cls(_disk(polar[shown]), codes[shown], names, curvature=curvature, lines=lines, share=share)
        return display.plot(ax=ax)


def _check_edges(edges, n_points):
    edges = np.asarray(edges)
    if edges.ndim != 2 or edges.shape[1] != 2:
        raise ValueError(f"edges must be pairs of indices, of shape (n_edges, 2); got shape {edges.shape}.")
    return check_indices("edges", edges.ravel(), n_points).reshape(-1, 2)
