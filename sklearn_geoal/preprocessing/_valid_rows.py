"""Meta-estimator: an estimator that meets the complete rows alone, in the places that they have among all rows."""

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone, is_classifier
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data

from .._arrays import as_sequence
from .._labels import answered_mask, is_auto, labels_of_rows
from .._validation import check_candidates, check_indices, check_not_empty, masked_as_nan, unchanged_on_error


def _last_step(estimator):
    while isinstance(estimator, Pipeline):
        estimator = estimator[-1]
    return estimator


def _if_wrapped_has(verb, of=lambda estimator: estimator):
    """Offer a method where the wrapped estimator, or what ``of`` finds in it, has the verb."""

    def has_verb(self):
        getattr(of(vars(self).get("estimator_", self.estimator)), verb)  # raises what says so
        return True

    return available_if(has_verb)


def _take(y, rows):
    return _safe_indexing(as_sequence(y), rows)


def _in_the_form_of(X, values):
    """Values as a data frame with the columns of X if it is one."""
    return type(X)(dict(zip(X.columns, values.T, strict=True))) if hasattr(X, "columns") else values


def _spread(result, valid, fill, X=None):
    """A result for the valid rows of X as one for all rows, ``fill`` where there is none; a data frame stays one."""
    if issparse(result):
        raise TypeError("The result is a sparse matrix, in which a row cannot be NaN: wrap the steps after it as well.")
    if hasattr(result, "columns"):
        values = _spread(result.to_numpy(), valid, fill, X)
        frame = _in_the_form_of(result, values)
        if hasattr(X, "columns") and hasattr(X, "index"):
            frame.index = X.index
        return frame
    result = np.asarray(result)
    numbers = result.dtype.kind in "biufc" and fill is not None and not isinstance(fill, str)
    dtype = np.promote_types(result.dtype, np.min_scalar_type(fill)) if numbers else object
    whole = np.full((len(valid), *result.shape[1:]), fill, dtype=dtype)
    whole[valid] = result
    return whole


class ValidRows(MetaEstimatorMixin, BaseEstimator):
    """Fit an estimator to the rows without NaN or masked values, and keep the places of all rows.

    Scenes have pixels without a measurement, tables have gaps, and most estimators take neither. Wrapped in this one,
    an estimator or a :class:`~sklearn.pipeline.Pipeline` is given the valid rows alone, those in which no value is NaN
    or masked in a :class:`numpy.ma.MaskedArray`. What goes in and comes out counts all rows: y, the indices and
    candidates of ``query`` and ``teach``, predictions, and what is known of the rows of ``fit``. So a map of a scene
    with holes is one reshape away.

    It has the verbs that the wrapped estimator has, and ``query`` and ``teach`` where the last step of a wrapped
    Pipeline has them. Other verbs and attributes are those of ``estimator_``.

    Parameters
    ----------
    estimator : estimator
        What is fitted to the valid rows. Not with a step that needs the grid of a scene, which valid rows no longer
        fill: windows go before, they take NaN themselves.
    fill : "auto" or scalar, default="auto"
        What predictions, ``transduction_`` and ``labels_`` hold where a row is not valid. "auto" is what the package
        reads as a missing label: NaN among floats, -1 among integers, or the next integer below the classes if -1 is
        one of them, None among strings, which makes them objects. No class may be equal to it. Rows of numbers, such
        as probabilities and features, are NaN there whatever ``fill`` says.
    missing_label : "auto", None, scalar or str, default="auto"
        Marker of a missing label in y, handed on to the wrapped estimator. "auto": that of the wrapped estimator.

    Attributes
    ----------
    estimator_ : estimator
        The fitted clone of ``estimator``.
    valid_ : ndarray of shape (n_samples,), dtype bool
        Which rows of ``fit`` are valid.
    n_features_in_ : int
        Number of features seen during ``fit``; of an X with more than two dimensions the second.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X has names that are all strings.

    See Also
    --------
    SpatialWindow : Takes NaN itself, and lets it out of the windows around it.
    sklearn.impute.SimpleImputer : Fills gaps instead of leaving rows out.

    Notes
    -----
    Infinite values are an error, as everywhere in scikit-learn. Labels of rows that are not valid are left out by
    ``fit`` and refused by ``teach``.

    Most of scikit-learn's own estimators do not see the mask of a masked array. As the first step of a Pipeline put one
    of this package, or give ``X.filled(numpy.nan)``.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_geoal import LANDClassifier
    >>> from sklearn_geoal.datasets import make_hyperspectral_scene
    >>> from sklearn_geoal.preprocessing import SpatialWindow, ValidRows
    >>> scene = make_hyperspectral_scene(scene_shape=(20, 30), random_state=0)
    >>> X = scene.data.copy()
    >>> X[:90] = np.nan  # three lines without a measurement
    >>> learner = ValidRows(LANDClassifier(random_state=0))
    >>> land = make_pipeline(SpatialWindow(scene.scene_shape), StandardScaler(), learner).fit(X)[-1]
    >>> pixels = land.query(5, candidates=scene.target != -1)
    >>> land = land.teach(pixels, scene.target[pixels])
    >>> land.transduction_.reshape(scene.scene_shape)[:4, 0]
    array([-1, -1, -1,  3])
    """

    def __init__(self, estimator, *, fill="auto", missing_label="auto"):
        self.estimator = estimator
        self.fill = fill
        self.missing_label = missing_label

    def fit(self, X, y=None):
        """Fit the wrapped estimator to the valid rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or, if the estimator takes it, (n_samples, ...)
            All rows.
        y : array-like of shape (n_samples, ...), default=None
            Targets of all rows, whatever they are where a row is not valid.

        Returns
        -------
        self : ValidRows
            Fitted estimator.

        Raises
        ------
        ValueError
            If X is invalid or has no valid row, ``fill`` is a class, or the estimator refuses the valid rows.
        """
        self._fit("fit", X, y)
        return self

    @_if_wrapped_has("fit_predict")
    def fit_predict(self, X, y=None):
        """Fit the wrapped estimator to the valid rows and return its labels, ``fill`` for the other rows.

        Parameters and errors are those of ``fit``.
        """
        return self._labels(self._fit("fit_predict", X, y), self.valid_)

    @_if_wrapped_has("fit_transform")
    def fit_transform(self, X, y=None):
        """Fit the wrapped estimator to the valid rows and return these transformed, NaN for the other rows.

        Parameters and errors are those of ``fit``.
        """
        return _spread(self._fit("fit_transform", X, y), self.valid_, np.nan, X)

    @_if_wrapped_has("predict")
    def predict(self, X):
        """Predictions for the valid rows of X, of shape (n_samples, ...), and ``fill`` for the others."""
        labels, valid, _ = self._apply("predict", X)
        return self._labels(labels, valid)

    @_if_wrapped_has("predict_proba")
    def predict_proba(self, X):
        """Probabilities of the classes for the valid rows of X, of shape (n_samples, ...), and NaN for the others."""
        return self._numbers("predict_proba", X)

    @_if_wrapped_has("decision_function")
    def decision_function(self, X):
        """Decision function of the valid rows of X, of shape (n_samples, ...), and NaN for the others."""
        return self._numbers("decision_function", X)

    @_if_wrapped_has("score_samples")
    def score_samples(self, X):
        """Scores of the valid rows of X, of shape (n_samples, ...), and NaN for the others."""
        return self._numbers("score_samples", X)

    @_if_wrapped_has("transform")
    def transform(self, X):
        """Valid rows of X, of shape (n_samples, ...), transformed, and NaN for the others."""
        return self._numbers("transform", X)

    @_if_wrapped_has("score")
    def score(self, X, y=None):
        """Score of the wrapped estimator on the valid rows, for a classifier on those whose label is known.

        X and y are of all rows, as in ``fit``. It is an error if no valid row has a known label.
        """
        check_is_fitted(self)
        X, valid, _ = self._read(X, reset=False)
        rows = np.flatnonzero(valid)
        if y is not None:
            y = _take(labels_of_rows(y, X), rows)
            if is_classifier(self) and not any(map(np.ndim, y if isinstance(y, (list, tuple)) else y[:1])):
                y, known, _ = answered_mask(y, self._marker, self.classes_)
                rows = rows[known]
        if not len(rows):
            raise ValueError(f"None of the {len(valid)} rows of X is valid and has a known label: nothing to score.")
        return self.estimator_.score(_safe_indexing(X, rows), y)

    @_if_wrapped_has("query", of=_last_step)
    def query(self, n_queries=1, candidates=None):
        """Rows whose labels would tell most, as the wrapped learner chooses among the valid ones.

        Parameters
        ----------
        n_queries : int, default=1
            Number of rows to name.
        candidates : array-like of bool of shape (n_samples,) or array-like of int, default=None
            The rows that may be asked for, as a mask or as indices; those that are not valid are left out. By default
            all valid rows.

        Returns
        -------
        indices : ndarray of shape (n_queries,)
            Indices into the X of ``fit``, best first, all of them valid.

        Raises
        ------
        ValueError
            If fewer valid candidates than ``n_queries`` can be asked for.
        IndexError
            If a candidate is no index into X.
        """
        check_is_fitted(self)
        if candidates is not None:
            candidates = np.searchsorted(self._rows, check_candidates(candidates, self.valid_))
        return self._rows[_last_step(self.estimator_).query(n_queries, candidates=candidates)]

    @_if_wrapped_has("teach", of=_last_step)
    def teach(self, indices, labels):
        """Add labels of valid rows to the wrapped learner.

        Parameters
        ----------
        indices : array-like of int of shape (n_labels,)
            Indices into the X of ``fit``.
        labels : array-like of shape (n_labels,)
            Their labels, as the learner takes them.

        Returns
        -------
        self : ValidRows
            The estimator with these labels.

        Raises
        ------
        ValueError
            If a row is not valid, or the learner refuses a label.
        IndexError
            If an index lies outside the X of ``fit``.
        """
        check_is_fitted(self)
        indices = check_indices("indices", indices, len(self.valid_))
        left_out = indices[~self.valid_[indices]]
        if len(left_out):
            raise ValueError(
                f"teach takes labels of valid rows; got {len(left_out)} of rows with NaN or masked values, such as the "
                f"row {left_out[0]}: leave them out, valid_ says which they are."
            )
        _last_step(self.estimator_).teach(np.searchsorted(self._rows, indices), labels)
        return self

    @_if_wrapped_has("get_feature_names_out")
    def get_feature_names_out(self, input_features=None):
        """Names of the features that ``transform`` gives, as the wrapped estimator names them."""
        check_is_fitted(self)
        return self.estimator_.get_feature_names_out(input_features)

    @_if_wrapped_has("set_output")
    def set_output(self, *, transform=None):
        """Set what the wrapped estimator's ``transform`` gives: "default", "pandas", "polars" or None for as it is."""
        for estimator in (self.estimator, vars(self).get("estimator_")):
            if estimator is not None:
                estimator.set_output(transform=transform)
        return self

    @property
    def classes_(self):
        """Classes of the wrapped classifier."""
        return self.estimator_.classes_

    @property
    def labels_(self):
        """Cluster of each row of ``fit``, ``fill`` where it is not valid."""
        return self._labels(_last_step(self.estimator_).labels_, self.valid_)

    @property
    def transduction_(self):
        """Label of each row of ``fit`` as the wrapped learner knows or guesses it, ``fill`` where it is not valid."""
        return self._labels(_last_step(self.estimator_).transduction_, self.valid_)

    @property
    def label_distribution_(self):
        """Probability of each class for each row of ``fit``, NaN where it is not valid."""
        return _spread(_last_step(self.estimator_).label_distribution_, self.valid_, np.nan)

    @property
    def query_scores_(self):
        """What the next query ranks the rows of ``fit`` by, 0 where one is not valid, as where nothing is to ask."""
        return _spread(_last_step(self.estimator_).query_scores_, self.valid_, 0)

    @property
    def labeled_indices_(self):
        """Rows of ``fit`` whose label is known, ascending."""
        return self._rows[_last_step(self.estimator_).labeled_indices_]

    @property
    def skipped_indices_(self):
        """Rows of ``fit`` that were taught a missing label, ascending."""
        return self._rows[_last_step(self.estimator_).skipped_indices_]

    def _fit(self, verb, X, y):
        """Fit a clone to the valid rows by one of its verbs; what that returns."""
        with unchanged_on_error(self):
            X, self.valid_, values = self._read(X, reset=True)
            self._rows = np.flatnonzero(self.valid_)
            if not len(self._rows):
                raise ValueError(f"Each of the {len(X)} rows of X has NaN or masked values: there is nothing to learn.")
            if y is not None:
                y = _take(labels_of_rows(y, X), self._rows)
            self._a_valid_row = values[self._rows[:1]]
            self.estimator_ = clone(self.estimator)
            self._marker, self._fill = self._hand_on_marker(), self.fill
            result = getattr(self.estimator_, verb)(_safe_indexing(X, self._rows), y)
            self._check_fill()
        return result

    def _hand_on_marker(self):
        """The marker of a missing label, that of the wrapped estimator from now on if it has one."""
        learner = _last_step(self.estimator_)
        params = learner.get_params(deep=False) if hasattr(learner, "get_params") else {}
        if is_auto(self.missing_label):
            return params.get("missing_label", "auto")
        if "missing_label" in params:
            learner.set_params(missing_label=self.missing_label)
        return self.missing_label

    def _check_fill(self):
        classes = getattr(self.estimator_, "classes_", ())
        if not is_auto(self._fill) and self._fill in np.asarray(classes).tolist():
            raise ValueError(f"fill={self._fill!r} is one of the classes {classes}: give a value that is none.")

    def _read(self, X, reset):
        """X as it is handed on, which of its rows are valid, and X as an array."""
        X = masked_as_nan(X)
        values = validate_data(self, X, ensure_all_finite="allow-nan", allow_nd=True, reset=reset)
        check_not_empty(values)
        if values.dtype.kind == "O":  # of categories, which scikit-learn leaves as they are
            values = values.astype(np.float64)
        valid = ~np.isnan(values).any(axis=tuple(range(1, values.ndim)))
        return X if hasattr(X, "columns") else values, valid, values

    def _apply(self, verb, X):
        """What the wrapped estimator says of the valid rows of X, which these are, and X."""
        check_is_fitted(self)
        X, valid, _ = self._read(X, reset=False)
        # scikit-learn takes no X without a row, but the form of the result is that of any row
        rows = _safe_indexing(X, np.flatnonzero(valid)) if valid.any() else _in_the_form_of(X, self._a_valid_row)
        return getattr(self.estimator_, verb)(rows)[: np.count_nonzero(valid)], valid, X

    def _numbers(self, verb, X):
        result, valid, X = self._apply(verb, X)
        return _spread(result, valid, np.nan, X)

    def _labels(self, labels, valid):
        """Labels of valid rows as labels of all, ``fill`` where there is none."""
        self._check_fill()
        fill, labels = self._fill, np.asarray(labels)
        if is_auto(fill):
            fill = {"f": np.nan, "i": -1, "u": -1}.get(labels.dtype.kind)
            classes = np.asarray(getattr(self.estimator_, "classes_", ()))
            if fill == -1 and -1 in classes.tolist():
                fill = int(classes.min()) - 1
        return _spread(labels, valid, fill)

    def __sklearn_tags__(self):
        tags = get_tags(self.estimator)
        tags.input_tags.allow_nan, tags.input_tags.sparse = True, False
        return tags
