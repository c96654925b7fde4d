"""Diffusion-based deep active learning (DDAL): ask where labels diffused over a network's representation are open."""

from copy import deepcopy
from numbers import Integral, Real

import numpy as np
from joblib import effective_n_jobs
from sklearn.base import MetaEstimatorMixin, clone
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import NotFittedError
from sklearn.utils import check_array, check_scalar
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from .._net_classifier import NetClassifier
from .._validation import check_choice, draw_seed, unchanged_on_error, validate_complete
from .certainty import CRITERIA, certainty
from .diffusion import diffuse_labels, select_spread
from .distinct import distinct_rows
from .forest import kernel_density
from .graph import Frame, kernel_weights, nearest_neighbors, random_walk, shortest_reach
from .learner import NOTHING_KNOWN, ActiveLearner
from .representation import class_probabilities, representation, warm_started


def _estimator_has(method):
    def check(self):
        estimator = vars(self).get("_settings", vars(self))["estimator"]
        return hasattr(NetClassifier if estimator is None else estimator, method)

    return check


class DDALQueryStrategy(MetaEstimatorMixin, ActiveLearner):
    """Diffusion-based deep active learning (DDAL).

    A classifier that is trained on the samples labelled so far, and asks for the next ones [1]_. The hidden
    representation that the classifier has learned of all samples, labelled or not, makes a graph of nearest neighbours;
    the known labels are diffused over it for a few steps, restored after each. Where no label arrives, or labels of
    several classes arrive alike, the diffused labels are near zero, and the next queries are there: they explore the
    data as long as parts of it are out of reach of any label, and refine the boundaries between the classes
    afterwards. By default, the queries of a batch keep away from each other.

    Parameters
    ----------
    estimator : classifier, default=None
        Cloned and trained on the labelled samples: a scikit-learn or skorch classifier, or a Pipeline that ends in
        one. It is given the classes as integers from 0 to ``n_classes - 1``, and at first very few samples, too few
        for skorch's own ``train_split``: set that to None. None is a :class:`~sklearn_geoal.NetClassifier` with its
        defaults.
    embedding : {"auto", "input"}, transformer or callable, default="auto"
        The representation of which the graph is made. "auto" is the hidden one of the trained estimator: the input of
        the last linear layer of a torch module, the last hidden activations of an
        :class:`~sklearn.neural_network.MLPClassifier`, X for a linear model. "input" is X, a transformer is cloned and
        fitted to X, and a callable is given the trained estimator and X and returns an array of as many rows.
    layer : str, default=None
        For a torch module, the name of the layer whose input is the representation, instead of the last linear one.
    n_neighbors : int, default=10
        Number K of nearest neighbours in the graph. At most ``n_samples - 1`` are used.
    kernel_scale : {"local", "own"}, default="local"
        Scale of the Gaussian kernel on the edges: the geometric mean of the distances from both ends to their last
        neighbour, or that of one end (eq. (1) of [1]_, averaged over the two ends).
    n_steps : int or "auto", default=10
        Number T of diffusion steps. "auto" is log_K(n_samples), as in [1]_.
    criterion : {"auto", "min_abs", "norm", "uncertainty", "margin", "entropy"}, default="auto"
        How decided a sample is. For each class +1 is diffused from its labels and -1 from those of others, starting
        from 0: "min_abs" is the smallest magnitude over the classes (eq. (6) of [1]_), "norm" the p-norm over the
        classes. Or distributions over the classes are, starting from uniform ones: "uncertainty" is the largest
        probability, "margin" the difference of the two largest, "entropy" says itself. "auto" is "min_abs".
    norm_order : float, default=1
        The p >= 1 of "norm", which may be ``np.inf``.
    batch_mode : {"sequential", "smallest"}, default="sequential"
        How the queries of a batch are chosen: one after another, each taken as labelled before the next is chosen, or
        those that are least decided all at once, as in [1]_, which often lie in one place.
    retrain_every : int or None, default=1
        The estimator is trained anew, and the graph built of its new representation, at every so many calls of
        ``teach``; calls in between diffuse the labels over the same graph. None: only by ``retrain``. A second class
        is trained on at once.
    warm_start : bool, default=False
        Whether training goes on from the present weights of the estimator, as in [1]_, and not from scratch. It starts
        from scratch where a class is new.
    missing_label : "auto", None, scalar or str, default="auto"
        Marker of a missing label in y. "auto" reads NaN in a numeric y, None in an object y and, where neither occurs,
        -1 in an integer-valued y.
    n_jobs : int, default=None
        Number of parallel jobs of the search for neighbours. None means 1 unless in a :func:`joblib.parallel_config`
        context, -1 means all processors. What the approximate search (above 100 000 samples) finds depends on it a
        little, all else does not.
    random_state : int, RandomState instance or None, default=None
        Seed of the default estimator, and of the approximate search for neighbours (above 100 000 samples). An
        estimator that is given has its own.
    verbose : bool or int, default=0
        Whether to print what is being done.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels known so far, sorted.
    estimator_ : classifier
        The trained classifier; there once a label is known.
    transduction_ : ndarray of shape (n_samples,)
        Label of each sample of ``fit`` by diffusion; there once a label is known.
    label_distribution_ : ndarray of shape (n_samples, n_classes), dtype float32
        Probability of each class for each sample of ``fit`` by diffusion, that of ``estimator_`` where no label
        arrives; there once a label is known.
    query_scores_ : ndarray of shape (n_samples,)
        What the next query ranks the samples by: 1 where the diffused labels are not decided at all, 0 where a sample
        is labelled or skipped.
    labeled_indices_, skipped_indices_ : ndarray of int
        Samples whose label is known, and those taught a missing one, which are not asked for again; ascending.
    embedding_ : ndarray of shape (n_samples, n_hidden)
        The representation of the samples of ``fit``.
    n_neighbors_, n_steps_ : int
        Number of neighbours and of diffusion steps used.
    n_features_in_ : int
        Number of features seen during ``fit``; of an X with more than two dimensions the second.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X has names that are all strings.

    See Also
    --------
    LANDClassifier : Active learning on the graph of the data as they are, without a network.
    sklearn_geoal.model_selection.label_efficiency_curve : Runs the loop of queries and answers on known labels.

    Notes
    -----
    Parameters that are set after ``fit`` take effect at the next ``fit``.

    Equal rows of X are one point of the graph. They get the same label by diffusion, are asked for once, by the first
    of their indices among the candidates, and not any more when one of them has a label or is skipped. Where they were
    given different labels the most frequent is diffused, of equally frequent ones the first; the estimator is trained
    on all of them. This is not so where all rows are equal.

    The algorithm of [1]_ is ``DDALQueryStrategy(estimator, kernel_scale="own", n_steps="auto", batch_mode="smallest",
    warm_start=True)``, but for the graph, which is made symmetric here.

    References
    ----------
    .. [1] Kushnir, D. and Venturi, L., "Diffusion-Based Sampling for Deep Active Learning", International Conference
       on Sampling Theory and Applications, 2023.

    Examples
    --------
    >>> from sklearn.datasets import make_moons
    >>> from sklearn_geoal import DDALQueryStrategy
    >>> X, y = make_moons(500, noise=0.1, random_state=0)
    >>> ddal = DDALQueryStrategy(random_state=0).fit(X)
    >>> for _ in range(3):
    ...     queries = ddal.query(5)
    ...     ddal = ddal.teach(queries, y[queries])
    >>> ddal.score(X, y) > 0.95
    True
    """

    def __init__(
        self,
        estimator=None,
        *,
        embedding="auto",
        layer=None,
        n_neighbors=10,
        kernel_scale="local",
        n_steps=10,
        criterion="auto",
        norm_order=1,
        batch_mode="sequential",
        retrain_every=1,
        warm_start=False,
        missing_label="auto",
        n_jobs=None,
        random_state=None,
        verbose=0,
    ):
        self.estimator = estimator
        self.embedding = embedding
        self.layer = layer
        self.n_neighbors = n_neighbors
        self.kernel_scale = kernel_scale
        self.n_steps = n_steps
        self.criterion = criterion
        self.norm_order = norm_order
        self.batch_mode = batch_mode
        self.retrain_every = retrain_every
        self.warm_start = warm_start
        self.missing_label = missing_label
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X, y=None):
        """Train the estimator on the labelled samples, build the graph of all, and diffuse the labels.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or, if the estimator takes it, (n_samples, ...)
            All samples, labelled or not, at least two. They are kept, not copied: leave them as they are.
        y : array-like of shape (n_samples,), default=None
            Labels, those that are not known marked as ``missing_label`` says. None: no label is known.

        Returns
        -------
        self : DDALQueryStrategy
            Fitted classifier.

        Raises
        ------
        ValueError
            If X, y or a parameter is invalid, y is given and holds no known label, or the estimator has no
            representation that "auto" could take.
        """
        with unchanged_on_error(self):
            self._check_params()
            X = self._check_X(X, reset=True)
            self._start(X, y, distinct_rows(X.reshape(len(X), -1)))
            if self.criterion == "auto":
                self._settings.criterion = "min_abs"
            n_points = len(self._points.first)
            self.n_steps_ = shortest_reach(n_points, self.n_neighbors) if self.n_steps == "auto" else self.n_steps
            if not self.warm_start:
                vars(self).pop("estimator_", None)
            self._X, self._seed, self._n_taught = X, draw_seed(self.random_state), 0
            self._retrain(with_graph=True)
        return self

    def retrain(self):
        """Train the estimator on all labels known now, and build the graph of its new representation.

        Returns
        -------
        self : DDALQueryStrategy
        """
        check_is_fitted(self)
        with unchanged_on_error(self):
            self._retrain()
        return self

    def predict(self, X):
        """Labels of samples, by the trained estimator.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features) or as in ``fit``
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
        X = self._check_X_to_predict(X)
        return self.classes_[self._estimator_proba(X).argmax(axis=1)]

    @available_if(_estimator_has("predict_proba"))
    def predict_proba(self, X):
        """Probabilities of the classes, by the trained estimator.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features) or as in ``fit``
            Samples.

        Returns
        -------
        p : ndarray of shape (n_queries, n_classes)
            Probabilities in the order of ``classes_``; 0 for classes that the estimator was not trained on yet.

        Raises
        ------
        NotFittedError
            If no label is known.
        """
        return self._estimator_proba(self._check_X_to_predict(X))

    def _check_params(self):
        check_scalar(self.n_neighbors, "n_neighbors", Integral, min_val=1)
        if not isinstance(self.n_steps, str):
            check_scalar(self.n_steps, "n_steps", Integral, min_val=1)
        elif self.n_steps != "auto":
            raise ValueError(f'n_steps must be a positive integer or "auto"; got {self.n_steps!r}.')
        check_choice("kernel_scale", self.kernel_scale, ("local", "own"))
        check_choice("criterion", self.criterion, ("auto", *CRITERIA))
        check_scalar(self.norm_order, "norm_order", Real, min_val=1)
        check_choice("batch_mode", self.batch_mode, ("sequential", "smallest"))
        if self.n_jobs is not None:
            check_scalar(self.n_jobs, "n_jobs", Integral)
        if self.retrain_every is not None:
            check_scalar(self.retrain_every, "retrain_every", Integral, min_val=1)
        is_one = callable(self.embedding) or hasattr(self.embedding, "transform")
        if not is_one and not (isinstance(self.embedding, str) and self.embedding in ("auto", "input")):
            raise ValueError(
                f'embedding must be "auto", "input", a transformer or a callable(estimator, X); got {self.embedding!r}.'
            )

    def _check_X(self, X, reset):
        form = {"dtype": [np.float64, np.float32], "allow_nd": True, "ensure_min_samples": 1 + reset}
        return validate_complete(self, X, reset=reset, **form)

    def _check_X_to_predict(self, X):
        check_is_fitted(self)
        if not len(self.classes_):
            raise NotFittedError(NOTHING_KNOWN)
        return self._check_X(X, reset=False)

    def _select(self, n_queries, candidates):
        # among samples that are equally open, those out of reach for instance, the densest tells most
        candidates = candidates[np.argsort(-self._density[candidates], kind="stable")]
        open_ = 1 - self._points.of_points(self.query_scores_)
        if self._settings.batch_mode == "smallest":
            return candidates[np.argsort(open_[candidates], kind="stable")[:n_queries]]
        return select_spread(self._walk, open_, candidates, n_queries, self.n_steps_)

    def _learn(self, is_new=True):
        self._n_taught += is_new
        every = self._settings.retrain_every
        is_due = is_new and every is not None and self._n_taught % every == 0
        if is_due or len(self._trained_classes) < 2:
            self._retrain()
        else:
            self._diffuse()

    def _retrain(self, with_graph=False):
        """Train, build the graph again if it depends on the training or has to be, and diffuse."""
        classes, codes = np.unique(self._labels, return_inverse=True)
        if len(classes):
            self._log(f"training on {len(codes)} labels")
            self.estimator_ = self._trained(classes, self._X[self.labeled_indices_], codes)
        self._trained_classes = classes
        embedding = self._settings.embedding
        if with_graph or callable(embedding) or (isinstance(embedding, str) and embedding == "auto"):
            self._log(f"graph of {len(self._X)} samples")
            self._build_graph()
        self._diffuse()

    def _trained(self, classes, X, codes):
        """Estimator trained on the labelled samples, a constant one if they are all of one class."""
        if len(classes) == 1:
            return DummyClassifier(strategy="most_frequent").fit(X, codes)
        if self._settings.warm_start and np.array_equal(classes, vars(self).get("_trained_classes")):
            # a copy, as a training that is interrupted must not leave the present one half-way
            return warm_started(deepcopy(self.estimator_)).fit(X, codes)
        estimator = self._settings.estimator
        estimator = NetClassifier(random_state=self._seed) if estimator is None else clone(estimator)
        return estimator.fit(X, codes)

    def _embed(self):
        """Representation of all samples, (n_samples, n_hidden)."""
        embedding = self._settings.embedding
        if hasattr(embedding, "transform"):
            Z = clone(embedding).fit_transform(self._X)
        elif len(self._trained_classes) < 2 or (isinstance(embedding, str) and embedding == "input"):
            Z = self._X.reshape(len(self._X), -1)
        elif callable(embedding):
            Z = embedding(self.estimator_, self._X)
        else:
            Z = representation(self.estimator_, self._X, self._settings.layer)
        check_consistent_length(self._X, Z)
        return check_array(Z, dtype=[np.float64, np.float32], input_name="embedding")

    def _build_graph(self):
        settings = self._settings
        self.embedding_ = self._embed()
        Z = self._points.of_points(self.embedding_)
        self.n_neighbors_ = min(settings.n_neighbors, len(Z) - 1)
        Z = Frame.of(Z).place(Z)
        rng = np.random.RandomState(self._seed)
        distances, indices = nearest_neighbors(Z, self.n_neighbors_, rng, effective_n_jobs(settings.n_jobs))
        self._density = kernel_density(distances, indices, self._points.counts)
        self._walk = random_walk(kernel_weights(distances, indices, settings.kernel_scale))

    def _diffuse(self):
        """Everything that depends on labels and not on the training."""
        self.classes_, codes = np.unique(self._labels, return_inverse=True)
        query_scores = np.ones(len(self._points.first))
        for name in ("transduction_", "label_distribution_"):
            vars(self).pop(name, None)
        if len(self.classes_):
            u = diffuse_labels(self._walk, self._point_codes(codes), len(self.classes_), self.n_steps_)
            decided = certainty(u, self._settings.criterion, self._settings.norm_order)
            query_scores = 1 - decided.astype(np.float64)
            reached = u.sum(axis=1, keepdims=True)
            distribution = np.divide(u, reached, out=u, where=reached > 0)
            beyond = np.flatnonzero(reached[:, 0] == 0)
            if len(beyond):
                distribution[beyond] = self._estimator_proba(self._X[self._points.first[beyond]])
            self.label_distribution_ = self._points.of_samples(distribution)
            self.transduction_ = self.classes_[self.label_distribution_.argmax(axis=1)]
        query_scores[~self._is_open()] = 0
        self.query_scores_ = self._points.of_samples(query_scores)

    def _estimator_proba(self, X):
        return class_probabilities(self.estimator_, X, self._trained_classes, self.classes_)
