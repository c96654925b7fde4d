"""Segmented images, row by row."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch

from .._labels import keeping_masks
from .._validation import masked_as_nan
from ..metrics._segmentation import is_label
from ._common import accuracy_of_codes, add_legend, class_colors, class_handles, encode_jointly, legend_shape, names_of
from ._maps import _false_color

_VOID_COLOR = "#000000"


class SegmentationDisplay:
    r"""Images beside their true masks and the masks that one or several segmenters predict, one image a row.

    It is recommended to use :meth:`from_estimator` or :meth:`from_predictions`. All parameters are stored as
    attributes.

    Parameters
    ----------
    predictions : dict of str to ndarray of int of shape (n_images, height, width)
        Index of the predicted class of each pixel, -1 where there is none, by the name of the prediction.
    class_names : list of str
        Names of the classes. The colour of a class follows from its place in this list.
    truth : ndarray of int of shape (n_images, height, width), default=None
        Index of the true class of each pixel, -1 where it is unknown, -2 where it is void.
    pictures : ndarray of shape (n_images, height, width, 3), default=None
        RGB pictures in [0, 1].

    Attributes
    ----------
    ax_ : ndarray of shape (n_images, n_columns) of matplotlib Axes
        The panels: picture and truth where they are given, then the predictions.
    figure_ : matplotlib Figure
        Figure containing the panels.

    See Also
    --------
    ClassificationMapDisplay : One scene, given as rows of pixels.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_geoal.plot import SegmentationDisplay
    >>> y_true = np.arange(2 * 4 * 6).reshape(2, 4, 6) // 12
    >>> y_pred = {"first": y_true, "second": np.roll(y_true, 3)}
    >>> display = SegmentationDisplay.from_predictions(y_pred, y_true=y_true)
    >>> [ax.get_title() for ax in display.ax_[0]]
    ['Truth', 'first\naccuracy 1.000', 'second\naccuracy 0.750']
    """

    def __init__(self, predictions, class_names, *, truth=None, pictures=None):
        self.predictions = predictions
        self.class_names = class_names
        self.truth = truth
        self.pictures = pictures

    def plot(self, ax=None):
        """Draw the panels, one image a row.

        Parameters
        ----------
        ax : array-like of matplotlib Axes of shape (n_images, n_columns), default=None
            By default a new figure is made.

        Returns
        -------
        display : SegmentationDisplay
            The display itself.

        Raises
        ------
        ValueError
            If `ax` does not hold one Axes for each panel.
        """
        colors = class_colors(len(self.class_names))
        colors = np.vstack([colors[:-1], to_rgb(_VOID_COLOR), colors[-1]])  # indices -2 and -1 find the last two
        columns = {"Image": self.pictures} if self.pictures is not None else {}
        if self.truth is not None:
            columns["Truth"] = colors[self.truth]
        for name, prediction in self.predictions.items():
            columns[name + self._accuracy(prediction)] = colors[prediction]
        n_images, height, width = next(iter(self.predictions.values())).shape
        shown = np.stack([*self.predictions.values(), *([] if self.truth is None else [self.truth])])
        handles = class_handles(self.class_names, shown)
        if (shown == -2).any():
            handles.append(Patch(facecolor=_VOID_COLOR, label="void"))

        if ax is None:
            _, ax = _make_axes(n_images, len(columns), width / height, legend_shape(len(handles)))
        axes = np.asarray(ax)
        if axes.size != n_images * len(columns):
            raise ValueError(
                f"ax holds {axes.size} Axes, expected {n_images * len(columns)}: {len(columns)} for each image."
            )
        axes = axes.reshape(n_images, len(columns))

        for panels, (title, images) in zip(axes.T, columns.items(), strict=True):
            panels[0].set_title(title)
            for panel, image in zip(panels, images, strict=True):
                panel.imshow(image, interpolation="nearest")
                panel.set(xticks=[], yticks=[])
        add_legend(axes[0, -1], handles)
        self.ax_ = axes
        self.figure_ = axes[0, 0].figure
        return self

    def _accuracy(self, prediction):
        accuracy = accuracy_of_codes(self.truth, prediction)
        return "" if accuracy is None else f"\naccuracy {accuracy:.3f}"

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y=None,
        *,
        bands=None,
        labels=None,
        display_labels=None,
        missing_label="auto",
        ignore_label=None,
        ax=None,
    ):
        """Predict the masks of images and draw them.

        Parameters
        ----------
        estimator : fitted segmenter
            Its `predict` is called on `X`.
        X : ndarray of shape (n_images, bands, height, width)
            Images, which are also drawn in false colour.
        y : array-like of shape (n_images, height, width), default=None
            True masks.
        bands, labels, display_labels, missing_label, ignore_label, ax
            As for :meth:`from_predictions`.

        Returns
        -------
        display : SegmentationDisplay
            The display, drawn.
        """
        return cls.from_predictions(
            estimator.predict(X),
            y_true=y,
            images=X,
            bands=bands,
            labels=labels,
            display_labels=display_labels,
            missing_label=missing_label,
            ignore_label=ignore_label,
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls,
        y_pred,
        *,
        y_true=None,
        images=None,
        bands=None,
        labels=None,
        display_labels=None,
        missing_label="auto",
        ignore_label=None,
        ax=None,
    ):
        """Draw predicted masks.

        Parameters
        ----------
        y_pred : array-like of shape (n_images, height, width) or dict of str to such
            Predicted masks, or several by the names to write above them, missing where a pixel is not classified. The
            accuracy is that of the pixels with a prediction whose truth is known.
        y_true : array-like of shape (n_images, height, width), default=None
            True masks, missing where they are unknown.
        images : array-like of shape (n_images, bands, height, width), default=None
            The images, drawn in false colour: three bands as they are, more by their three leading principal
            components, fewer in grey, each stretched between its 2nd and 98th percentile over all images.
        bands : sequence of three int, default=None
            Indices of the bands to draw in red, green and blue instead.
        labels : array-like of shape (n_classes,), default=None
            All classes, in the order of colours and legend. By default those that occur, sorted.
        display_labels : array-like of str of shape (n_classes,), default=None
            Names of the classes, in the same order.
        missing_label : "auto", None, scalar or str, default="auto"
            The marker of a pixel whose class is unknown.
        ignore_label : scalar or str, default=None
            The marker of void pixels in `y_true`, drawn black and left out of the accuracy.
        ax : array-like of matplotlib Axes of shape (n_images, n_columns), default=None
            By default a new figure is made.

        Returns
        -------
        display : SegmentationDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If masks or images differ in shape, a label is not among `labels`, `display_labels` has another length, or
            `ax` does not hold one Axes for each panel.
        """
        named = y_pred if isinstance(y_pred, dict) else {"Prediction": y_pred}
        masks = {name: keeping_masks(mask) for name, mask in named.items()}
        if y_true is not None:
            masks["y_true"] = keeping_masks(y_true)
        shape = next(iter(masks.values())).shape
        for name, mask in masks.items():
            if mask.ndim != 3 or mask.shape != shape:
                raise ValueError(
                    f"{name} has the shape {mask.shape}, expected (n_images, height, width), the same for all masks"
                    f"{f', {shape}' if len(shape) == 3 else ''}."
                )
        void = np.zeros(shape, dtype=bool)
        if y_true is not None:
            given = masks["y_true"]
            void = is_label(np.ma.getdata(given), ignore_label) & ~np.ma.getmaskarray(given)
        targets = [mask[~void] if name == "y_true" else mask.ravel() for name, mask in masks.items()]
        classes, codes = encode_jointly(targets, labels, missing_label)
        truth = None
        if y_true is not None:
            truth = np.full(shape, -2)
            truth[~void] = codes.pop()
        predictions = {name: code.reshape(shape) for name, code in zip(named, codes, strict=True)}
        pictures = None if images is None else _pictures(np.asarray(masked_as_nan(images)), shape, bands)
        return cls(predictions, names_of(classes, display_labels), truth=truth, pictures=pictures).plot(ax=ax)


def _make_axes(n_images, n_columns, aspect, legend, gap=0.08, title=0.5):
    """Figure with axes for images of width / height ``aspect`` and room for a legend of (rows, columns)."""
    # all in inches
    height = min(3, 4 / aspect)
    width = max(height * aspect, 2)
    n_rows, n_legend_columns = legend
    right = n_columns * (width + gap) + gap
    bottom = max(0.25 * n_rows - n_images * height, 0) + gap
    total = right + 2 * n_legend_columns, bottom + n_images * (height + gap) + title
    grid = {"left": gap / total[0], "right": right / total[0], "bottom": bottom / total[1], "top": 1 - title / total[1]}
    grid |= {"wspace": gap / width, "hspace": gap / height}
    return plt.subplots(n_images, n_columns, figsize=total, squeeze=False, subplot_kw={"anchor": "N"}, gridspec_kw=grid)


def _pictures(images, shape, bands):
    """RGB pictures (n_images, height, width, 3) in [0, 1], all stretched alike."""
    if images.ndim != 4 or (len(images), *images.shape[2:]) != shape:
        raise ValueError(
            f"images have the shape {images.shape}, expected (n_images, bands, height, width), of masks {shape}."
        )
    n_images, height, width = shape
    rows = np.moveaxis(images, 1, -1).reshape(-1, images.shape[1])
    return _false_color(rows, (n_images * height, width), bands).reshape(*shape, 3)
