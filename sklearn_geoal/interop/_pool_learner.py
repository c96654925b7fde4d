"""Query strategies of scikit-activeml as active learners of this package."""

import inspect

import numpy as np
from skactiveml.base import SkactivemlClassifier
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from .._active.learner import NOTHING_KNOWN, ActiveLearner
from .._validation import as_random_state, unchanged_on_error, validate_complete


class PoolLearner(MetaEstimatorMixin, ActiveLearner):
    """Active learner made of a classifier and a query strategy of scikit-activeml.

    The classifier learns from the labelled samples alone, anew after each `teach`, and the strategy names the samples
    to label next. So the strategies of scikit-activeml run in
    :func:`~sklearn_geoal.model_selection.label_efficiency_curve` beside the learners of this package.

    Parameters
    ----------
    estimator : classifier
        A classifier of scikit-learn, skorch or scikit-activeml. It meets classes as integers from 0, their positions
        in `classes_`; a network may have more outputs than classes are known.
    strategy : skactiveml.base.SingleAnnotatorPoolQueryStrategy
        The strategy, such as ``UncertaintySampling(method="entropy")``, ``CoreSet()`` or ``QueryByCommittee()`` (with
        an ensemble as `estimator`). The fitted classifier is handed to what asks for `clf`, `ensemble` or
        `estimator`, an unfitted one to what asks for a `discriminator`. Missing labels are NaN to it, whatever
        its own `missing_label`.
    representation : callable, default=None
        ``representation(estimator, X)`` gives the rows, shape (n_rows, n_outputs), by which the strategy compares
        samples, such as ``NetClassifier.embed``, the last hidden layer of a network. Strategies without a classifier
        meet them in place of X, those with a parameter `clf_embedding_flag_name` beside the predictions; others never
        meet them. By default X itself.
    missing_label : "auto", None, scalar or str, default="auto"
        The marker of a missing label in the `y` of `fit`. "auto" reads NaN in a numeric `y`, None in an object `y`
        and, where neither occurs, -1 in an integer-valued `y`.
    random_state : int, RandomState instance or None, default=None
        Seed of the draws at the start, and of the classifier and the strategy, with all within them, where their own
        `random_state` is None. Networks of skorch have none: seed torch for them.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels known so far, sorted.
    estimator_ : classifier
        The fitted classifier; there once two classes are known.
    strategy_ : skactiveml.base.SingleAnnotatorPoolQueryStrategy
        The strategy in use.
    labeled_indices_, skipped_indices_ : ndarray of int
        Samples whose label is known, and those taught a missing one, which are not asked for again; ascending.
    n_features_in_ : int
        Number of features seen during ``fit``.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X has names that are all strings.

    See Also
    --------
    SkactivemlQueryStrategy : The other way round, learners of this package as strategies of scikit-activeml.
    sklearn_geoal.model_selection.label_efficiency_curve : Runs the loop of queries and answers on known labels.

    Notes
    -----
    As long as fewer than two classes are known there is no classifier: strategies that need one are replaced by random
    draws, and predictions are the only known class.

    A strategy that clusters seeds its clusterer by a parameter of its own, as in
    ``Clue(cluster_algo_dict={"random_state": 0})``. One that reaches for more of scikit-activeml's classifiers than
    probabilities wants the estimator wrapped, as in ``SklearnClassifier(LogisticRegression())``.

    Examples
    --------
    >>> from skactiveml.pool import UncertaintySampling
    >>> from sklearn.datasets import make_blobs
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn_geoal.interop import PoolLearner
    >>> from sklearn_geoal.model_selection import label_efficiency_curve
    >>> X, y = make_blobs(300, random_state=0)
    >>> learner = PoolLearner(LogisticRegression(), UncertaintySampling(method="margin_sampling"), random_state=0)
    >>> label_efficiency_curve(learner, X, y, budgets=[5, 20], batch_size=5).scores.shape
    (2,)
    """

    def __init__(self, estimator, strategy, *, representation=None, missing_label="auto", random_state=None):
        self.estimator = estimator
        self.strategy = strategy
        self.representation = representation
        self.missing_label = missing_label
        self.random_state = random_state

    @property
    def transduction_(self):
        """Label of each sample of ``fit``: the known one or the predicted one; there once a label is known."""
        labels = self._predict(self._X)
        labels[self.labeled_indices_] = self._labels
        return labels

    def fit(self, X, y=None):
        """Train the classifier on the labelled samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, channels, height, width)
            All samples, labelled or not.
        y : array-like of shape (n_samples,), default=None
            Labels, those that are not known marked as ``missing_label`` says. None: no label is known.

        Returns
        -------
        self : PoolLearner
            Fitted learner.

        Raises
        ------
        TypeError
            If the strategy is none, or one for regression.
        ValueError
            If X or y is invalid, or y is given and holds no known label.
        """
        if isinstance(self.strategy, type) or not hasattr(self.strategy, "query"):
            raise TypeError(f"strategy must be a query strategy, such as RandomSampling(); got {self.strategy!r}.")
        with unchanged_on_error(self):
            self._X = validate_complete(self, X, allow_nd=True)
            self._start(self._X, y)
            rng = as_random_state(self.random_state)
            self._order = rng.permutation(len(self._X))
            self._unfitted = fill_random_states(clone(self.estimator), rng)
            self.strategy_ = self._prepared(fill_random_states(clone(self.strategy), rng))
            self._learn()
        return self

    def predict(self, X):
        """Labels of new samples.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features) or (n_queries, channels, height, width)
            Samples.

        Returns
        -------
        y : ndarray of shape (n_queries,)
            Labels.

        Raises
        ------
        NotFittedError
            If no label is known.
        """
        check_is_fitted(self)
        return self._predict(validate_complete(self, X, allow_nd=True, reset=False))

    def _prepared(self, strategy):
        """The strategy with our marker of a missing label, and told to use the representation."""
        for name, value in strategy.get_params().items():
            parameter = name.rpartition("__")[2]
            if parameter == "missing_label":
                strategy.set_params(**{name: np.nan})
            elif parameter == "clf_embedding_flag_name" and value is None and self.representation is not None:
                strategy.set_params(**{name: "return_embeddings"})
        if "reg" in asked_by(strategy):
            raise TypeError(
                f"{type(strategy).__name__} is a strategy for regression: PoolLearner takes those for classes."
            )
        return strategy

    def _select(self, n_queries, candidates):
        asked, representation = asked_by(self.strategy_), self._settings.representation
        models = [name for name in ("clf", "ensemble", "estimator") if name in asked]
        needs_classifier = models or "discriminator" in asked
        if not hasattr(self, "_classifier") and (needs_classifier or representation is not None):
            return self._order[np.isin(self._order, candidates)][:n_queries]
        given = {}
        for name in models:
            # strategies that foresee the effect of a label train the classifier themselves
            given |= {name: self._classifier, f"fit_{name}": "ignore_partial_fit" in asked}
        if "discriminator" in asked:
            given["discriminator"] = self._make_classifier(n_classes=2)
        X = self._X
        if not needs_classifier and representation is not None:
            X = representation(self.estimator_, X)
        elif not needs_classifier:
            X = X.reshape(len(X), -1)
        return np.asarray(
            self.strategy_.query(X, self._codes, candidates=candidates, batch_size=int(n_queries), **given)
        )

    def _learn(self, is_new=True):
        """Everything that depends on labels."""
        self.classes_, known = np.unique(self._labels, return_inverse=True)
        self._codes = np.full(len(self._X), np.nan)
        self._codes[self.labeled_indices_] = known
        for name in ("estimator_", "_classifier"):
            vars(self).pop(name, None)
        if len(self.classes_) > 1:
            self._classifier = self._make_classifier(len(self.classes_)).fit(self._X, self._codes)
            self.estimator_ = getattr(self._classifier, "estimator_", self._classifier)

    def _predict(self, X):
        if not len(self.classes_):
            raise NotFittedError(NOTHING_KNOWN)
        if len(self.classes_) == 1:
            return np.repeat(self.classes_, len(X))
        return self.classes_[self._classifier.predict(X).astype(np.int64)]

    def _make_classifier(self, n_classes):
        classes = np.arange(n_classes)
        if isinstance(self._unfitted, SkactivemlClassifier):
            return clone(self._unfitted).set_params(classes=classes, missing_label=np.nan)
        return _CodeClassifier(self._unfitted, classes, self._settings.representation)


def asked_by(strategy):
    """What the query of a strategy asks for, or that of the strategy that it wraps."""
    while hasattr(strategy, "query_strategy"):
        strategy = strategy.query_strategy
    return inspect.signature(strategy.query).parameters


class _CodeClassifier(SkactivemlClassifier):
    """Classifier of class codes 0, 1, ... and NaN, as the strategies of scikit-activeml expect it.

    Unlike ``skactiveml.classifier.SklearnClassifier`` it lets the errors of the estimator pass and takes networks with
    more outputs than there are classes.
    """

    def __init__(self, estimator, classes=None, representation=None, missing_label=np.nan):
        super().__init__(classes=classes, missing_label=missing_label)
        self.estimator = estimator
        self.representation = representation

    def fit(self, X, y, sample_weight=None):
        labeled = ~np.isnan(y)
        weights = {} if sample_weight is None else {"sample_weight": sample_weight[labeled]}
        self.classes_ = np.asarray(self.classes)
        self.estimator_ = clone(self.estimator).fit(X[labeled], y[labeled].astype(np.int64), **weights)
        return self

    def predict(self, X, return_embeddings=False):
        if hasattr(self.estimator_, "predict_proba"):
            y = self.classes_[self.predict_proba(X).argmax(axis=1)]
        else:
            y = self.estimator_.predict(X)
        return (y, self._embed(X)) if return_embeddings else y

    def predict_proba(self, X, return_embeddings=False):
        outputs = self.estimator_.predict_proba(X)
        codes = np.asarray(self.estimator_.classes_)
        if len(codes) != outputs.shape[1]:  # a network with more outputs than classes
            codes = np.arange(outputs.shape[1])
        known = codes < len(self.classes_)
        proba = np.full((len(X), len(self.classes_)), np.finfo(float).tiny)
        proba[:, codes[known]] += outputs[:, known]
        proba /= proba.sum(axis=1, keepdims=True)
        return (proba, self._embed(X)) if return_embeddings else proba

    def _embed(self, X):
        return X if self.representation is None else self.representation(self.estimator_, X)

    def __getattr__(self, name):
        # members of an ensemble, and methods by which networks draw samples
        if "estimator_" not in vars(self):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.estimator_, name)


def fill_random_states(estimator, rng):
    """Give an estimator, and all estimators within it, seeds where their ``random_state`` is None."""
    params = estimator.get_params()
    for name in sorted(params):
        owner, _, parameter = name.rpartition("__")
        # a splitter may refuse a seed
        seedable = isinstance(params.get(owner) if owner else estimator, BaseEstimator)
        if parameter == "random_state" and params[name] is None and seedable:
            estimator.set_params(**{name: int(rng.randint(np.iinfo(np.int32).max))})
    return estimator
