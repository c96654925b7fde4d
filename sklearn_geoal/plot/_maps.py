"""Maps of classified scenes."""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.utils import check_array

from .._labels import map_as_rows
from .._validation import check_fills, check_indices, check_map_shape, check_scene_shape, masked_as_nan
from ._common import (
    accuracy_of_codes,
    add_class_legend,
    class_colors,
    colors_in_order,
    encode_jointly,
    legend_shape,
    names_of,
    principal_components,
)


def _false_color(scene, scene_shape, bands):
    """RGB picture (height, width, 3) in [0, 1] of a scene, white where a pixel has no finite values."""
    pixels = np.asarray(masked_as_nan(scene))
    n_pixels = scene_shape[0] * scene_shape[1]
    if pixels.ndim == 3 and pixels.shape[:2] == scene_shape:
        pixels = pixels.reshape(n_pixels, -1)
    pixels = check_array(pixels, dtype=[np.float64, np.float32], ensure_all_finite=False, input_name="scene")
    check_fills("scene", len(pixels), scene_shape)
    if bands is not None:
        if len(bands) != 3 or not all(-pixels.shape[1] <= band < pixels.shape[1] for band in bands):
            raise ValueError(f"bands must be three of the {pixels.shape[1]} bands for red, green, blue; got {bands!r}.")
        pixels = pixels[:, list(bands)]
    finite = np.isfinite(pixels).all(axis=1)
    picture = np.ones((n_pixels, 3))
    if finite.any():
        shown = pixels[finite]
        if shown.shape[1] > 3 and len(shown) >= 3:
            shown, _ = principal_components(shown, 3)
        elif shown.shape[1] != 3:
            shown = shown[:, [0, 0, 0]]
        # a few glinting or dead pixels would otherwise use up the whole range
        low, high = np.percentile(shown, [2, 98], axis=0)
        picture[finite] = np.clip((shown - low) / np.where(high > low, high - low, 1), 0, 1)
    return picture.reshape(*scene_shape, 3)


class ClassificationMapDisplay:
    """Map of a classified scene beside its picture and its true classes.

    It is recommended to use :meth:`from_estimator` or :meth:`from_predictions`. All parameters are stored as
    attributes.

    Parameters
    ----------
    prediction : ndarray of int of shape (height, width)
        Index of the predicted class of each pixel, -1 where there is none.
    class_names : list of str
        Names of the classes. The colour of a class follows from its place in this list.
    truth : ndarray of int of shape (height, width), default=None
        Index of the true class of each pixel, -1 where it is unknown.
    picture : ndarray of shape (height, width, 3), default=None
        RGB picture of the scene in [0, 1].
    queries : ndarray of int of shape (n_queries,), default=None
        Pixels to ring in the first panel, numbered line by line.
    colors : list of colours of length n_classes, default=None
        Colours of the classes, as matplotlib reads them. None: well-distinguished ones.

    Attributes
    ----------
    ax_ : ndarray of shape (n_panels,) of matplotlib Axes
        The panels: picture and truth where they are given, then the prediction.
    figure_ : matplotlib Figure
        Figure containing the panels.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_geoal.plot import ClassificationMapDisplay
    >>> y_true = np.repeat([0, 1, 1, 2], 6)
    >>> y_pred = np.roll(y_true, 1)
    >>> display = ClassificationMapDisplay.from_predictions(
    ...     y_pred, scene_shape=(4, 6), y_true=y_true, display_labels=["water", "soil", "tree"]
    ... )
    >>> [ax.get_title() for ax in display.ax_]
    ['Truth', 'Prediction, accuracy 0.875']
    """

    def __init__(self, prediction, class_names, *, truth=None, picture=None, queries=None, colors=None):
        self.prediction = prediction
        self.class_names = class_names
        self.truth = truth
        self.picture = picture
        self.queries = queries
        self.colors = colors

    def plot(self, ax=None):
        """Draw the panels side by side.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of them, default=None
            One for each panel. By default a new figure is made.

        Returns
        -------
        display : ClassificationMapDisplay
            The display itself.

        Raises
        ------
        ValueError
            If `ax` does not hold one Axes for each panel.
        """
        accuracy = accuracy_of_codes(self.truth, self.prediction)
        title = "Prediction" if accuracy is None else f"Prediction, accuracy {accuracy:.3f}"
        colors = class_colors(len(self.class_names), self.colors)
        panels = [("Scene", self.picture)] if self.picture is not None else []
        panels += [("Truth", colors[self.truth])] if self.truth is not None else []
        panels += [(title, colors[self.prediction])]

        if ax is None:
            height, width = self.prediction.shape
            n_rows, n_columns = legend_shape(len(self.class_names) + 1)
            # narrow panels still leave room for their titles, low ones for the legend
            side = np.clip(4 * width / height, 3, 6)
            figsize = (
                side * len(panels) + 2 * n_columns,
                max(np.clip(side * height / width, 2, 8), 0.22 * n_rows) + 0.5,
            )
            # at the top of the figure, where the legend begins
            _, ax = plt.subplots(1, len(panels), figsize=figsize, subplot_kw={"anchor": "N"}, layout="constrained")
        axes = np.ravel(ax)
        if len(axes) != len(panels):
            raise ValueError(f"ax holds {len(axes)} Axes for {len(panels)} panels, {', '.join(t for t, _ in panels)}.")

        for panel, (name, image) in zip(axes, panels, strict=True):
            panel.imshow(image, interpolation="nearest")
            panel.set(title=name, xticks=[], yticks=[])
        if self.queries is not None:
            rows, columns = np.unravel_index(self.queries, self.prediction.shape)
            # a white ring on a wider black one is seen on every colour
            for width, color in ((2.4, "black"), (1.0, "white")):
                axes[0].scatter(columns, rows, s=28, facecolors="none", edgecolors=color, linewidths=width)
        shown = self.prediction if self.truth is None else np.stack([self.truth, self.prediction])
        add_class_legend(axes[-1], self.class_names, shown, self.colors)
        self.ax_ = axes
        self.figure_ = axes[-1].figure
        return self

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y=None,
        *,
        scene_shape,
        bands=None,
        queries=None,
        labels=None,
        display_labels=None,
        colors=None,
        missing_label="auto",
        ax=None,
    ):
        """Predict the class of every pixel of a scene and draw the map.

        Parameters
        ----------
        estimator : fitted classifier
            Its `predict` is called on `X`.
        X : array-like of shape (height * width, n_bands)
            The pixels of the scene, line by line; also drawn in false colour.
        y : array-like of shape (height * width,), default=None
            True labels, missing where they are unknown.
        scene_shape, bands, queries, labels, display_labels, colors, missing_label, ax
            As for :meth:`from_predictions`.

        Returns
        -------
        display : ClassificationMapDisplay
            The display, drawn.
        """
        return cls.from_predictions(
            estimator.predict(X),
            scene_shape=scene_shape,
            y_true=y,
            scene=X,
            bands=bands,
            queries=queries,
            labels=labels,
            display_labels=display_labels,
            colors=colors,
            missing_label=missing_label,
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls,
        y_pred,
        *,
        scene_shape,
        y_true=None,
        scene=None,
        bands=None,
        queries=None,
        labels=None,
        display_labels=None,
        colors=None,
        missing_label="auto",
        ax=None,
    ):
        """Draw the map of predicted labels.

        Parameters
        ----------
        y_pred : array-like of shape (height * width,) or (height, width)
            Predicted labels of the pixels, line by line, missing where a pixel is not classified. The accuracy is that
            of the pixels with a prediction whose truth is known.
        scene_shape : tuple of int (height, width)
            Shape of the scene in pixels.
        y_true : array-like of shape (height * width,) or (height, width), default=None
            True labels, missing where they are unknown.
        scene : array-like of shape (height * width, n_bands) or (height, width, n_bands), default=None
            The measured pixels, drawn in false colour: three bands as they are, more by their three leading principal
            components, fewer in grey, each stretched between its 2nd and 98th percentile. Pixels that are not finite
            are left white.
        bands : sequence of three int, default=None
            Indices of the bands to draw in red, green and blue instead.
        queries : array-like of int, default=None
            Indices of the pixels that were asked for, to be ringed in the first panel.
        labels : array-like of shape (n_classes,), default=None
            All classes, in the order of colours and legend. By default those in `y_true` and `y_pred`, sorted. Give it
            to keep the colours of several maps alike.
        display_labels : array-like of str of shape (n_classes,), default=None
            Names of the classes, in the same order.
        colors : dict or list of length n_classes, default=None
            Colours of the classes as matplotlib reads them, or red, green, blue up to 255: a mapping from class, or
            its name, to colour, such as :func:`~sklearn_geoal.scenes.colors_from` reads from a map, or a list in the
            order of `labels`. By default well-distinguished ones.
        missing_label : "auto", None, scalar or str, default="auto"
            The marker of a missing label.
        ax : matplotlib Axes or array-like of them, default=None
            One for each panel. By default a new figure is made.

        Returns
        -------
        display : ClassificationMapDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If the rows do not fill `scene_shape`, a label is not among `labels`, `display_labels` has another length,
            `queries` are no integers, or `ax` does not hold one Axes for each panel.
        IndexError
            If a query lies outside the scene.
        """
        scene_shape = check_scene_shape(scene_shape)
        n_pixels = scene_shape[0] * scene_shape[1]
        for name, given in ("y_pred", y_pred), ("y_true", y_true):
            check_map_shape(name, given, scene_shape)
        targets = [map_as_rows(y, n_pixels) for y in ([y_pred] if y_true is None else [y_pred, y_true])]
        classes, codes = encode_jointly(targets, labels, missing_label)
        for name, target in zip(("y_pred", "y_true"), codes, strict=False):
            check_fills(name, len(target), scene_shape)
        maps = [target.reshape(scene_shape) for target in codes]
        names = names_of(classes, display_labels)
        display = cls(
            maps[0],
            names,
            truth=None if y_true is None else maps[1],
            picture=None if scene is None else _false_color(scene, scene_shape, bands),
            queries=None if queries is None else check_indices("queries", queries, maps[0].size),
            colors=colors_in_order(colors, classes, names),
        )
        return display.plot(ax=ax)
