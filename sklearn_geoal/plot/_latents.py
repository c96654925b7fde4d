"""Latent spaces."""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.utils import check_array, check_consistent_length, check_scalar

from .._validation import masked_as_nan
from ._common import drawing_order, encode_jointly, names_of, principal_components, scatter_classes


class LatentDisplay:
    """Scatter plot of a latent space in two dimensions.

    It is recommended to use :meth:`from_estimator` or :meth:`from_latents`. All parameters are stored as attributes.

    Parameters
    ----------
    points : ndarray of shape (n_samples, 2)
        Coordinates of the points.
    codes : ndarray of int of shape (n_samples,)
        Index of the class of each point, -1 where it is unlabelled.
    class_names : list of str
        Names of the classes.
    axis_names : tuple of two str
        Names of the two coordinates.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the points.
    figure_ : matplotlib Figure
        Figure containing it.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> from sklearn_geoal.plot import LatentDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> display = LatentDisplay.from_estimator(PCA(2).fit(X), X, y)
    >>> display.ax_.get_xlabel()
    'Latent dimension 1'
    """

    def __init__(self, points, codes, class_names, axis_names):
        self.points = points
        self.codes = codes
        self.class_names = class_names
        self.axis_names = axis_names

    def plot(self, ax=None):
        """Draw the points, the unlabelled small and grey below the labelled.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. By default a new figure is made.

        Returns
        -------
        display : LatentDisplay
            The display itself.
        """
        if ax is None:
            _, ax = plt.subplots(figsize=(6.8, 5), layout="constrained")
        scatter_classes(ax, self.points, self.codes, self.class_names)
        # distances are what a latent space is about: one unit is as long on both axes
        ax.set_aspect("equal", adjustable="datalim")
        ax.set(xlabel=self.axis_names[0], ylabel=self.axis_names[1])
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
        transformer : fitted transformer
            Its `transform` is called on `X`.
        X : array-like of shape (n_samples, n_features)
            The samples.
        y, labels, display_labels, missing_label, max_points, random_state, ax
            As for :meth:`from_latents`.

        Returns
        -------
        display : LatentDisplay
            The display, drawn.
        """
        return cls.from_latents(
            transformer.transform(X),
            y,
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
        labels=None,
        display_labels=None,
        missing_label="auto",
        max_points=10_000,
        random_state=0,
        ax=None,
    ):
        """Draw latent coordinates.

        Parameters
        ----------
        latents : array-like of shape (n_samples, n_components)
            Latent coordinates: two are drawn as they are, more by their two leading principal components.
        y : array-like of shape (n_samples,), default=None
            Labels for the colours, some of them missing.
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
        display : LatentDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If there are fewer than two latent dimensions, or values that are not finite.
        """
        check_scalar(max_points, "max_points", (int, np.integer), min_val=1)
        latents = check_array(masked_as_nan(latents), dtype=np.float64, input_name="latents")
        n_samples, n_components = latents.shape
        if n_components < 2:
            raise ValueError("latents has one dimension, but the scatter plot needs at least two.")
        y = np.full(n_samples, np.nan) if y is None else y
        check_consistent_length(latents, y)
        classes, (codes,) = encode_jointly([y], labels, missing_label)
        axis_names = ("Latent dimension 1", "Latent dimension 2")
        if n_components > 2 and n_samples > 1:
            latents, shares = principal_components(latents, 2)
            axis_names = tuple(
                f"Principal component {i + 1} ({share:.0%} of variance)" for i, share in enumerate(shares)
            )
        order = drawing_order(codes, max_points, random_state)
        return cls(latents[order, :2], codes[order], names_of(classes, display_labels), axis_names).plot(ax=ax)
