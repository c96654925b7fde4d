"""Pictures: classification maps, label-efficiency curves and latent spaces, as scikit-learn displays."""

import numpy as np
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.utils import check_array, check_consistent_length, check_random_state, check_scalar

from ._queries import check_indices
from ._validation import check_choice, check_scene_shape, encode_labels
from .model_selection import label_efficiency_curve

try:
    import matplotlib.pyplot as plt
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Patch
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter
except ImportError as error:
    raise ImportError(
        "sklearn_geoal.plot draws with matplotlib, which is missing here: pip install matplotlib."
    ) from error

__all__ = ["ClassificationMapDisplay", "LabelEfficiencyDisplay", "LatentDisplay"]

# Okabe and Ito's seven, then each colour as far as possible from those before it and from white, black and the grey of
# the unlabelled, as seen with full colour vision, without red cones and without green cones
_COLORS = (
    "#0072B2 #E69F00 #009E73 #D55E00 #CC79A7 #56B4E9 #F0E442 #5A002D #9600FF #000096 "
    "#3C4B00 #00FFA5 #A50F87 #874B4B #003C5A #8778F0 #FF2D69 #5A2DB4 #78F0FF #E100D2"
).split()
_UNLABELED = "#D0D0D0"
_MARKERS = "osD^vPX*"


def _class_colors(n_classes):
    """RGB of each class, and in the last row, which index -1 finds, of the unlabelled: (n_classes + 1, 3)."""
    if n_classes <= len(_COLORS):
        colors = _COLORS[:n_classes]
    else:
        colors = plt.colormaps["turbo"](np.linspace(0, 1, n_classes))[:, :3]
    return np.array([to_rgb(color) for color in [*colors, _UNLABELED]])


def _encode_jointly(targets, labels, missing_label):
    """Classes of all the targets together, and each target as indices into them, -1 where there is no label."""
    encoded = [encode_labels(y, missing_label) for y in targets]
    found = [known for known, _ in encoded if len(known)]
    if len({isinstance(known[0], str) for known in found}) > 1:
        raise ValueError("y_true and y_pred must hold labels of one type; got strings in one and numbers in the other.")
    found = np.unique(np.concatenate(found)) if found else np.empty(0, dtype=np.int64)
    classes = found if labels is None else np.asarray(labels)
    unknown = [label for label in found.tolist() if label not in classes.tolist()]
    if unknown:
        raise ValueError(f"labels lacks {unknown}, which occur in y: name every class in labels, or leave it None.")
    index = {label: i for i, label in enumerate(classes.tolist())}
    return classes, [np.array([*(index[label] for label in known.tolist()), -1])[codes] for known, codes in encoded]


def _class_names(classes, display_labels):
    # integers among missing values come as floats
    names = [
        f"{c:g}" if isinstance(c, float) else str(c) for c in (classes if display_labels is None else display_labels)
    ]
    if len(names) != len(classes):
        raise ValueError(
            f"display_labels holds {len(names)} names for {len(classes)} classes, {list(map(str, classes))}: "
            "give one name for each, in their order."
        )
    return names


def _add_class_legend(ax, class_names, codes):
    """Names of all classes right of the axes, and of the unlabelled if there are any."""
    colors = _class_colors(len(class_names))
    handles = [Patch(facecolor=colors[i], label=name) for i, name in enumerate(class_names)]
    if (codes < 0).any():
        handles.append(Patch(facecolor=colors[-1], label="unlabelled"))
    _, n_columns = _legend_shape(len(handles))
    ax.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0, frameon=False, ncols=n_columns
    )


def _legend_shape(n_entries):
    n_columns = -(-n_entries // 21)
    return -(-n_entries // n_columns), n_columns


def _false_color(scene, scene_shape, bands):
    """RGB picture (height, width, 3) in [0, 1] of a scene, white where a pixel has no finite values."""
    pixels = np.asarray(scene)
    n_pixels = scene_shape[0] * scene_shape[1]
    if pixels.ndim == 3 and pixels.shape[:2] == scene_shape:
        pixels = pixels.reshape(n_pixels, -1)
    pixels = check_array(pixels, dtype=[np.float64, np.float32], ensure_all_finite=False, input_name="scene")
    _check_fills(scene_shape, len(pixels), "scene")
    if bands is not None:
        if len(bands) != 3 or not all(-pixels.shape[1] <= band < pixels.shape[1] for band in bands):
            raise ValueError(f"bands must be three of the {pixels.shape[1]} bands for red, green, blue; got {bands!r}.")
        pixels = pixels[:, list(bands)]
    finite = np.isfinite(pixels).all(axis=1)
    picture = np.ones((n_pixels, 3))
    if finite.any():
        shown = pixels[finite]
        if shown.shape[1] > 3 and len(shown) >= 3:
            shown, _ = _principal_components(shown, 3)
        elif shown.shape[1] != 3:
            shown = shown[:, [0, 0, 0]]
        # a few glinting or dead pixels would otherwise use up the whole range
        low, high = np.percentile(shown, [2, 98], axis=0)
        picture[finite] = np.clip((shown - low) / np.where(high > low, high - low, 1), 0, 1)
    return picture.reshape(*scene_shape, 3)


def _principal_components(X, n_components):
    """Leading components (n_samples, n_components) of X and their shares of its variance, zero where X is constant."""
    pca = PCA(n_components, random_state=0)
    with np.errstate(invalid="ignore"):
        components = pca.fit_transform(X)
    return components, np.nan_to_num(pca.explained_variance_ratio_)


def _check_fills(scene_shape, n_rows, name):
    if n_rows != scene_shape[0] * scene_shape[1]:
        raise ValueError(
            f"{name} has {n_rows} rows, but scene_shape={scene_shape} holds {scene_shape[0] * scene_shape[1]} pixels: "
            "give one row for every pixel, line by line."
        )


def _check_curve(name, budgets, scores):
    """Budgets (n_budgets,) and scores (n_runs, n_budgets)."""
    budgets, runs = np.asarray(budgets), np.atleast_2d(scores)
    if budgets.ndim != 1 or runs.ndim != 2 or not runs.size or runs.shape[1] != len(budgets):
        raise ValueError(
            f"Curve {name!r} has budgets of shape {budgets.shape} and scores of shape {np.shape(scores)}: "
            "expected (n_budgets,) and (n_budgets,) or (n_runs, n_budgets)."
        )
    return budgets, runs


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

    def __init__(self, prediction, class_names, *, truth=None, picture=None, queries=None):
        self.prediction = prediction
        self.class_names = class_names
        self.truth = truth
        self.picture = picture
        self.queries = queries

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
        title = "Prediction"
        if self.truth is not None and (self.truth >= 0).any():
            known = self.truth >= 0
            title += f", accuracy {(self.prediction == self.truth)[known].mean():.3f}"
        colors = _class_colors(len(self.class_names))
        panels = [("Scene", self.picture)] if self.picture is not None else []
        panels += [("Truth", colors[self.truth])] if self.truth is not None else []
        panels += [(title, colors[self.prediction])]

        if ax is None:
            height, width = self.prediction.shape
            n_rows, n_columns = _legend_shape(len(self.class_names) + 1)
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
        _add_class_legend(axes[-1], self.class_names, shown)
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
        scene_shape, bands, queries, labels, display_labels, missing_label, ax
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
        missing_label="auto",
        ax=None,
    ):
        """Draw the map of predicted labels.

        Parameters
        ----------
        y_pred : array-like of shape (height * width,)
            Predicted labels of the pixels, line by line, missing where a pixel is not classified.
        scene_shape : tuple of int (height, width)
            Shape of the scene in pixels.
        y_true : array-like of shape (height * width,), default=None
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
        targets = [y_pred] if y_true is None else [y_pred, y_true]
        classes, codes = _encode_jointly(targets, labels, missing_label)
        for name, target in zip(("y_pred", "y_true"), codes, strict=False):
            _check_fills(scene_shape, len(target), name)
        maps = [target.reshape(scene_shape) for target in codes]
        display = cls(
            maps[0],
            _class_names(classes, display_labels),
            truth=None if y_true is None else maps[1],
            picture=None if scene is None else _false_color(scene, scene_shape, bands),
            queries=None if queries is None else check_indices("queries", queries, maps[0].size),
        )
        return display.plot(ax=ax)


class LabelEfficiencyDisplay:
    """Curves of score against number of labels.

    It is recommended to use :meth:`from_estimator` or :meth:`from_curves`. All parameters are stored as attributes.

    Parameters
    ----------
    curves : dict of str to tuple (budgets, scores)
        For each name the numbers of labels, of shape (n_budgets,), and the scores, of shape (n_budgets,) or
        (n_runs, n_budgets). Several runs are drawn as their mean and a band from the worst to the best run.
    score_name : str, default="Accuracy"
        Name of the score, for the axis.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the curves.
    figure_ : matplotlib Figure
        Figure containing them.
    lines_ : dict of str to matplotlib Line2D
        The (mean) curves.

    Examples
    --------
    >>> from sklearn_geoal.plot import LabelEfficiencyDisplay
    >>> display = LabelEfficiencyDisplay({"query": ([10, 100], [[0.9, 0.98], [0.94, 0.99]])}).plot()
    >>> display.lines_["query"].get_ydata().round(3).tolist()
    [0.92, 0.985]
    """

    def __init__(self, curves, *, score_name="Accuracy"):
        self.curves = curves
        self.score_name = score_name

    def plot(self, ax=None, *, xscale="log"):
        """Draw all curves on one Axes.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. By default a new figure is made.
        xscale : {"log", "linear"}, default="log"
            Scale of the number of labels.

        Returns
        -------
        display : LabelEfficiencyDisplay
            The display itself.

        Raises
        ------
        ValueError
            If there is no curve, or the scores of one do not match its budgets.
        """
        check_choice("xscale", xscale, ("log", "linear"))
        if not self.curves:
            raise ValueError("curves is empty: give at least one name with its budgets and scores.")
        curves = {name: _check_curve(name, *curve) for name, curve in self.curves.items()}
        if ax is None:
            _, ax = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
        self.lines_ = {}
        colors = _class_colors(len(curves))
        for i, (name, (budgets, runs)) in enumerate(curves.items()):
            (self.lines_[name],) = ax.plot(
                budgets,
                runs.mean(axis=0),
                color=colors[i],
                marker=_MARKERS[i % len(_MARKERS)],
                markersize=5,
                label=name,
            )
            if len(runs) > 1:
                ax.fill_between(budgets, runs.min(axis=0), runs.max(axis=0), color=colors[i], alpha=0.18, linewidth=0)
        ax.set_xscale(xscale)
        if xscale == "log":
            ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            ax.xaxis.set_major_formatter(ScalarFormatter())
            ax.xaxis.set_minor_formatter(NullFormatter())
        ax.set(xlabel="Number of labels", ylabel=self.score_name)
        ax.grid(alpha=0.3)
        ax.legend(frameon=False)
        self.ax_ = ax
        self.figure_ = ax.figure
        return self

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y,
        budgets,
        *,
        strategies=("query", "random"),
        n_runs=1,
        batch_size=10,
        candidates=None,
        missing_label="auto",
        random_state=None,
        ax=None,
    ):
        """Run an active learner with each strategy and draw its accuracy.

        Parameters
        ----------
        estimator : estimator with `query` and `teach`
            The active learner, or a Pipeline whose last step is one.
        X : array-like of shape (n_samples, n_features)
            All samples.
        y : array-like of shape (n_samples,)
            The true labels, missing where they are unknown.
        budgets : array-like of int of shape (n_budgets,)
            Numbers of labels at which to score, increasing.
        strategies : sequence of {"query", "random"}, default=("query", "random")
            One curve each.
        n_runs : int, default=1
            Number of runs, each with a seed of its own for the draws and for every `random_state` of the estimator.
        batch_size, candidates, missing_label
            As for :func:`~sklearn_geoal.model_selection.label_efficiency_curve`.
        random_state : int, RandomState instance or None, default=None
            Seed of the seeds of the runs.
        ax : matplotlib Axes, default=None
            Where to draw. By default a new figure is made.

        Returns
        -------
        display : LabelEfficiencyDisplay
            The display, drawn.
        """
        check_scalar(n_runs, "n_runs", (int, np.integer), min_val=1)
        seeds = check_random_state(random_state).randint(np.iinfo(np.int32).max, size=n_runs).tolist()
        seeded = [name for name in estimator.get_params() if name.split("__")[-1] == "random_state"]
        curves = {
            strategy: [
                label_efficiency_curve(
                    clone(estimator).set_params(**dict.fromkeys(seeded, seed)),
                    X,
                    y,
                    budgets,
                    strategy=strategy,
                    batch_size=batch_size,
                    candidates=candidates,
                    missing_label=missing_label,
                    random_state=seed,
                )
                for seed in seeds
            ]
            for strategy in strategies
        }
        return cls.from_curves(curves, ax=ax)

    @classmethod
    def from_curves(cls, curves, *, score_name="Accuracy", ax=None):
        """Draw curves that :func:`~sklearn_geoal.model_selection.label_efficiency_curve` has computed.

        Parameters
        ----------
        curves : dict of str to Bunch or list of Bunch
            For each name one curve, or one for each run.
        score_name : str, default="Accuracy"
            Name of the score, for the axis.
        ax : matplotlib Axes, default=None
            Where to draw. By default a new figure is made.

        Returns
        -------
        display : LabelEfficiencyDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If the runs of one name differ in their budgets.
        """
        pairs = {}
        for name, runs in curves.items():
            runs = runs if isinstance(runs, (list, tuple)) else [runs]
            if not runs or any(not np.array_equal(run["budgets"], runs[0]["budgets"]) for run in runs):
                raise ValueError(f"The runs of {name!r} must be one or more, all with the same budgets.")
            pairs[name] = runs[0]["budgets"], np.vstack([run["scores"] for run in runs])
        return cls(pairs, score_name=score_name).plot(ax=ax)


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
        labeled = self.codes >= 0
        size = float(np.clip(20_000 / max(labeled.sum(), 1), 6, 30))
        ax.scatter(*self.points[~labeled].T, s=4, color=_UNLABELED, linewidths=0)
        colors = _class_colors(len(self.class_names))
        edge = {"edgecolors": "black", "linewidths": 0.5} if size > 20 else {"linewidths": 0}
        ax.scatter(*self.points[labeled].T, s=size, c=colors[self.codes[labeled]], **edge)
        # distances are what a latent space is about: one unit is as long on both axes
        ax.set_aspect("equal", adjustable="datalim")
        ax.set(xlabel=self.axis_names[0], ylabel=self.axis_names[1])
        if self.class_names:
            _add_class_legend(ax, self.class_names, self.codes)
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
        latents = check_array(latents, dtype=np.float64, input_name="latents")
        n_samples, n_components = latents.shape
        if n_components < 2:
            raise ValueError("latents has one dimension, but the scatter plot needs at least two.")
        y = np.full(n_samples, np.nan) if y is None else y
        check_consistent_length(latents, y)
        classes, (codes,) = _encode_jointly([y], labels, missing_label)
        axis_names = ("Latent dimension 1", "Latent dimension 2")
        if n_components > 2 and n_samples > 1:
            latents, shares = _principal_components(latents, 2)
            axis_names = tuple(
                f"Principal component {i + 1} ({share:.0%} of variance)" for i, share in enumerate(shares)
            )
        # in random order no class covers all the others
        order = check_random_state(random_state).permutation(n_samples)
        order = order[np.argsort(codes[order] < 0, kind="stable")][:max_points]
        return cls(latents[order, :2], codes[order], _class_names(classes, display_labels), axis_names).plot(ax=ax)
