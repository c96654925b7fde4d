"""Accuracy against the number of labels."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter
from sklearn.base import clone
from sklearn.utils import check_scalar

from .._validation import as_random_state, check_choice
from ..model_selection import label_efficiency_curve
from ._common import class_colors

_MARKERS = "osD^vPX*"


def _check_curve(name, budgets, scores):
    """Budgets (n_budgets,) and scores (n_runs, n_budgets)."""
    budgets, runs = np.asarray(budgets), np.atleast_2d(scores)
    if budgets.ndim != 1 or runs.ndim != 2 or not runs.size or runs.shape[1] != len(budgets):
        raise ValueError(
            f"Curve {name!r} has budgets of shape {budgets.shape} and scores of shape {np.shape(scores)}: "
            "expected (n_budgets,) and (n_budgets,) or (n_runs, n_budgets)."
        )
    return budgets, runs


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
        colors = class_colors(len(curves))
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
        seeds = as_random_state(random_state).randint(np.iinfo(np.int32).max, size=n_runs).tolist()
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
