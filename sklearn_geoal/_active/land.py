"""Learning by active nonlinear diffusion (LAND): ask for the labels that tell most, give the rest by diffusion."""
# over 400 lines: half of them describe parameters and attributes

from numbers import Integral, Real

import numpy as np
from joblib import effective_n_jobs
from sklearn.exceptions import NotFittedError
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import check_scalar
from sklearn.utils.validation import check_is_fitted

from .._scaling import warn_of_far_values
from .._validation import as_random_state, check_choice, unchanged_on_error, validate_complete
from .coverage import above_gain, coverage_order, owned_mass
from .diffusion import diffuse_labels, diffused_mass, margins, nearest_label, neighborhood_mean, select_spread
from .distinct import distinct_rows, every_sample, weighted_points
from .forest import density_forest, kernel_density
from .graph import (
    Frame,
    check_distance_graph,
    kernel_weights,
    nearest_neighbors,
    neighbors_of_graph,
    random_walk,
)
from .learner import NOTHING_KNOWN, ActiveLearner
from .queries import check_weights
from .search import PointIndex, in_blocks, weighted_mean
from .spectrum import diffusion_coordinates, leading_eigenpairs

# steps over which a query keeps the other queries of its batch away
_SPREAD_STEPS = 75
# points of largest mass * rho that stand for all points when coverage is measured
_N_MODES = 200


class LANDClassifier(ActiveLearner):
    """Active and semi-supervised classifier by diffusion on a nearest-neighbour graph.

    ``fit`` builds the graph of all samples, most or all of them without a label. ``query`` names the samples whose
    labels tell most, ``teach`` takes their labels, and after each of these ``transduction_`` holds the labels of all
    samples.

    Queries first *explore*: each goes to the sample that brings the modes of the density closest, in diffusion
    distance [1]_, to a labelled one. Once a further sample would gain little, they *refine*: they go where the labels
    diffused over the graph are least decided, and the queries of a batch keep away from each other.

    Learning by active nonlinear diffusion to the letter [1]_ [2]_ is ``LANDClassifier(kernel_scale="global",
    propagation="forest", query_score="density", refine=False)``; what the defaults do differently, and what that
    gains, is in the user guide.

    Parameters
    ----------
    n_neighbors : int, default=20
        Number of nearest neighbours in the graph. At most ``n_samples - 1`` are used.
    metric : {"euclidean", "precomputed"}, default="euclidean"
        "precomputed" takes X as a sparse matrix of distances to the nearest neighbours, such as
        :class:`~sklearn.neighbors.KNeighborsTransformer` gives.
    kernel_scale : {"local", "global"} or float, default="local"
        Scale of the Gaussian kernel on the edges, in units of distance: "local" adapts it to the neighbourhood of
        both ends, "global" is the mean distance to the last neighbour, a number is taken as it is.
    n_eigenpairs : int, default=10
        Number of eigenpairs of the Markov operator that make the diffusion distance.
    diffusion_time : float, default=30
        Time t of the diffusion distance D_t, in steps of the random walk.
    density_neighbors : int, default=50
        Number of nearest neighbours from which the density is estimated. At most ``n_samples - 1`` are used.
    propagation : {"diffusion", "forest"}, default="diffusion"
        How labels reach the other samples: "diffusion" over the graph with the known labels restored at every step,
        or "forest", each sample taking the label of its nearest sample of higher density in diffusion distance.
    n_steps : int, default=200
        Number of steps of the diffused labels. Their distribution is the mean over the steps, so that a label counts
        the more the sooner it is met.
    query_score : {"auto", "coverage", "mass", "density"}, default="auto"
        What exploring queries are ranked by: by the gain in "coverage" of the modes, by rho, the diffusion distance to
        the nearest sample of higher density, times the "mass" of samples that would take their label from this one,
        or times its "density". "auto" is "coverage" for ``propagation="diffusion"`` and "mass" for "forest", where a
        label helps only below its sample.
    refine : bool, default=True
        Whether to turn from exploring to refining queries. Needs labels of two classes.
    min_gain : float, default=0.06
        Explore as long as the next sample gains at least this share of what is left: of the distances that are not
        covered, or of the scores of the samples without a label.
    missing_label : "auto", None, scalar or str, default="auto"
        Marker of a missing label in y. "auto" reads NaN in a numeric y, None in an object y and, where neither occurs,
        -1 in an integer-valued y.
    n_jobs : int, default=None
        Number of parallel jobs of the searches for neighbours. None means 1 unless in a
        :func:`joblib.parallel_config` context, -1 means all processors. What the approximate search (above 100 000
        samples) finds depends on it a little, all else does not.
    random_state : int, RandomState instance or None, default=None
        Determines the start of the eigensolver and of the approximate search for neighbours (above 100 000 samples).
    verbose : bool or int, default=0
        Whether to print what ``fit`` is doing.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels known so far, sorted.
    transduction_ : ndarray of shape (n_samples,)
        Label of each sample of ``fit``; there once a label is known.
    label_distribution_ : ndarray of shape (n_samples, n_classes), dtype float32
        Probability of each class for each sample of ``fit``; there once a label is known.
    query_scores_ : ndarray of shape (n_samples,)
        What the next query ranks the samples by, higher is better: the gain or score of exploring queries, or one
        minus the margin of the diffused labels, averaged with that of its neighbourhood. 0 where a sample is labelled,
        skipped or not considered.
    labeled_indices_, skipped_indices_ : ndarray of int
        Samples whose label is known, and those taught a missing one, which are not asked for again; ascending.
    exploring_ : bool
        Whether the next query explores. It may do so again after it refined, where labels left a mode uncovered.
    density_ : ndarray of shape (n_samples,)
        Kernel density p.
    diffusion_map_ : ndarray of shape (n_samples, n_eigenpairs)
        Coordinates in which the Euclidean distance is the diffusion distance D_t.
    eigenvalues_ : ndarray of shape (n_eigenpairs,)
        Leading eigenvalues of the Markov operator, falling from 1.
    n_neighbors_ : int
        Number of nearest neighbours used.
    n_features_in_ : int
        Number of features seen during ``fit``.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X has names that are all strings.

    See Also
    --------
    sklearn.semi_supervised.LabelSpreading : Label diffusion without queries.
    sklearn_geoal.model_selection.label_efficiency_curve : Runs the loop of queries and answers on known labels.

    Notes
    -----
    Parameters that are set after ``fit`` take effect at the next ``fit``.

    Equal rows are one point of the graph, which counts in density and masses as often as the row occurs. They get the
    same label, and are asked for once, by their first index among the candidates, until one is labelled or skipped; of
    different labels for them the most frequent counts, of equally frequent ones the first. So borders filled with
    zeros cost one query. It is not so for ``metric="precomputed"``, nor where all rows are equal.

    ``sample_weight`` of ``fit`` counts as copies of a row would: in density and masses, and so in what is asked for
    first, not in the walk. There is no ``class_weight``: no loss is minimised in which a class could weigh more, and a
    sample whose walks meet one class first would have to be given to another.

    References
    ----------
    .. [1] Maggioni, M. and Murphy, J. M., "Learning by active nonlinear diffusion", Foundations of Data Science 1(3),
       2019.
    .. [2] Nguyen, D., Tasissa, A. and Murphy, J. M., "Deep diffusion processes for active learning of hyperspectral
       images", IGARSS, 2021, section 2.2 and algorithm 1.

    Examples
    --------
    >>> from sklearn.datasets import make_moons
    >>> from sklearn_geoal import LANDClassifier
    >>> X, y = make_moons(500, noise=0.05, random_state=0)
    >>> land = LANDClassifier(random_state=0).fit(X)
    >>> queries = land.query(5)
    >>> land.teach(queries, y[queries]).score(X, y)
    1.0
    """

    def __init__(
        self,
        n_neighbors=20,
        *,
        metric="euclidean",
        kernel_scale="local",
        n_eigenpairs=10,
        diffusion_time=30,
        density_neighbors=50,
        propagation="diffusion",
        n_steps=200,
        query_score="auto",
        refine=True,
        min_gain=0.06,
        missing_label="auto",
        n_jobs=None,
        random_state=None,
        verbose=0,
    ):
        self.n_neighbors = n_neighbors
        self.metric = metric
        self.kernel_scale = kernel_scale
        self.n_eigenpairs = n_eigenpairs
        self.diffusion_time = diffusion_time
        self.density_neighbors = density_neighbors
        self.propagation = propagation
        self.n_steps = n_steps
        self.query_score = query_score
        self.refine = refine
        self.min_gain = min_gain
        self.missing_label = missing_label
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X, y=None, sample_weight=None):
        """Build the graph of X and give every sample a label, if any is known.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or sparse matrix of shape (n_samples, n_samples)
            All samples, labelled or not, at least two; distances if ``metric="precomputed"``.
        y : array-like of shape (n_samples,), default=None
            Labels, those that are not known marked as ``missing_label`` says. None: no label is known.
        sample_weight : array-like of shape (n_samples,), default=None
            How many samples each row stands for, such as pixels of a scene too large to take them all; it need not be
            whole. A row of weight 0 is as good as not there: its label is ignored, it is not asked for, and gets the
            label of the row of positive weight that is nearest; not for ``metric="precomputed"``. None: one each.

        Returns
        -------
        self : LANDClassifier
            Fitted classifier.

        Raises
        ------
        ValueError
            If X, y or a parameter is invalid, or y is given and holds no known label.
        """
        with unchanged_on_error(self):
            self._check_params()
            X = self._check_X(X, self.metric, reset=True)
            weights = check_weights(sample_weight, X.shape[0], least=2)
            self._start(X, y, self._points_of(X, weights))
            if self.query_score == "auto":
                # the forest hands a label to what lies below its sample alone
                self._settings.query_score = "coverage" if self.propagation == "diffusion" else "mass"
            self._fit_graph(X)
            self._learn()
        return self

    def predict(self, X):
        """Labels of new samples: the most probable classes.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features) or sparse matrix of shape (n_queries, n_samples)
            Samples; distances to samples of ``fit`` if ``metric="precomputed"``.

        Returns
        -------
        y : ndarray of shape (n_queries,)
            Labels. A sample of ``fit`` gets its label in ``transduction_``.

        Raises
        ------
        NotFittedError
            If no label is known.
        """
        X = self._check_X_to_predict(X)
        if self._settings.metric == "precomputed":
            return self.classes_[self._proba_of_graph(X).argmax(axis=1)]
        return self.classes_[self._in_blocks(self._voters().predict, X)]

    def predict_proba(self, X):
        """Probabilities of the classes for new samples: those of their neighbours, weighted by 1 / distance^2.

        Above 500 distinct samples the neighbours come from a search that may miss some of the nearest, as long as that
        changes the labels of no more than one in 200. The result for a row does not depend on the rows beside it.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features) or sparse matrix of shape (n_queries, n_samples)
            Samples; distances to samples of ``fit`` if ``metric="precomputed"``.

        Returns
        -------
        p : ndarray of shape (n_queries, n_classes)
            Probabilities in the order of ``classes_``.

        Raises
        ------
        NotFittedError
            If no label is known.
        """
        X = self._check_X_to_predict(X)
        if self._settings.metric == "precomputed":
            return self._proba_of_graph(X)
        return self._in_blocks(self._voters().predict_proba, X)

    def _check_params(self):
        for name, least in (("n_neighbors", 1), ("n_eigenpairs", 1), ("density_neighbors", 1), ("n_steps", 1)):
            check_scalar(getattr(self, name), name, Integral, min_val=least)
        if self.n_jobs is not None:
            check_scalar(self.n_jobs, "n_jobs", Integral)
        check_scalar(self.diffusion_time, "diffusion_time", Real, min_val=0)
        check_scalar(self.min_gain, "min_gain", Real, min_val=0, max_val=1)
        for name in ("diffusion_time", "min_gain", "kernel_scale"):
            if isinstance(getattr(self, name), Real) and not np.isfinite(getattr(self, name)):
                raise ValueError(f"{name} must be finite; got {getattr(self, name)}.")
        check_choice("metric", self.metric, ("euclidean", "precomputed"))
        check_choice("propagation", self.propagation, ("diffusion", "forest"))
        check_choice("query_score", self.query_score, ("auto", "coverage", "mass", "density"))
        if isinstance(self.kernel_scale, Real):
            check_scalar(self.kernel_scale, "kernel_scale", Real, min_val=0, include_boundaries="neither")
        else:
            check_choice("kernel_scale", self.kernel_scale, ("local", "global"))

    def _check_X(self, X, metric, reset):
        accepted = "csr" if metric == "precomputed" else False
        X = validate_complete(
            self, X, accept_sparse=accepted, dtype=[np.float64, np.float32], reset=reset, ensure_min_samples=1 + reset
        )
        return check_distance_graph(X, square=reset) if metric == "precomputed" else X

    def _points_of(self, X, weights):
        if self.metric == "precomputed":
            if weights is not None and not weights.all():
                raise ValueError('metric="precomputed" takes positive weights only: leave rows of weight 0 out of X.')
            points = every_sample(X.shape[0])
        else:
            points = distinct_rows(X if weights is None else X[weights > 0])
        return points if weights is None else weighted_points(points, weights)

    def _check_X_to_predict(self, X):
        check_is_fitted(self)
        X = self._check_X(X, self._settings.metric, reset=False)
        if not len(self.labeled_indices_):
            raise NotFittedError(NOTHING_KNOWN)
        return X

    def _proba_of_graph(self, graph):
        return weighted_mean(self.label_distribution_, *self._index.kneighbors(graph))

    def _voters(self):
        # made when first asked for; two threads that ask at once make the same
        if "voters" not in self._made:
            self._made["voters"] = self._index.voters(self._points.of_points(self.label_distribution_))
        return self._made["voters"]

    def _in_blocks(self, verb, X):
        parts = (self._frame.place(part) for part in in_blocks(X))
        return np.concatenate([verb(part, self.n_neighbors_, self._settings.n_jobs) for part in parts])

    def _fit_graph(self, X):
        """Everything that does not depend on labels."""
        # the walk steps between distinct rows, lest a heap of equal ones swallow it; density and masses count samples
        points, rng, n_jobs = self._points, as_random_state(self.random_state), effective_n_jobs(self.n_jobs)
        kernel_scale = self.kernel_scale
        if self.metric == "euclidean":
            self._frame = Frame.of(points.of_points(X))  # not of all samples: copies and weights leave it as it is
            warn_of_far_values(self._frame.spread.far(X))
            aside = np.flatnonzero(points.point < 0)
            if len(aside):
                placed = self._frame.place(points.of_points(X))
                found = NearestNeighbors(n_neighbors=1).fit(placed).kneighbors(self._frame.place(X[aside]))
                points.point[aside] = found[1][:, 0]
        X = points.of_points(X)
        self.n_neighbors_, n_density = (min(k, X.shape[0] - 1) for k in (self.n_neighbors, self.density_neighbors))
        self._log(f"neighbours of {X.shape[0]} samples")
        if self.metric == "precomputed":
            distances, indices = neighbors_of_graph(X, self.n_neighbors_, n_density)
            self._index = NearestNeighbors(n_neighbors=self.n_neighbors_, metric="precomputed").fit(X)
        else:
            X = self._frame.place(X)
            distances, indices = nearest_neighbors(X, max(self.n_neighbors_, n_density), rng, n_jobs)
            if isinstance(kernel_scale, Real):
                kernel_scale = self._frame.in_its_unit(kernel_scale)
            self._index = PointIndex.of(X, indices[:, : self.n_neighbors_])
        self._log("graph and its spectrum")
        density = kernel_density(distances[:, :n_density], indices[:, :n_density], points.counts)
        k = self.n_neighbors_
        W = kernel_weights(distances[:, :k], indices[:, :k], kernel_scale)
        self._walk = random_walk(W)
        self.eigenvalues_, eigenvectors = leading_eigenpairs(W, min(self.n_eigenpairs, X.shape[0]), rng)
        coordinates = diffusion_coordinates(self.eigenvalues_, eigenvectors, self.diffusion_time)
        self._log("nearest samples of higher density")
        self._forest = density_forest(coordinates, density, n_jobs)
        weight = density if self.query_score == "density" else self._forest.mass(points.counts)
        self._mode_scores = weight * self._forest.rho
        self._ranking = np.argsort(-self._mode_scores, kind="stable")
        self._mode_mass = owned_mass(self._forest, self._ranking[:_N_MODES], points.counts)
        self.density_, self.diffusion_map_ = points.of_samples(density), points.of_samples(coordinates)

    def _learn(self, is_new=True):
        """Everything that depends on labels."""
        self.classes_, codes = np.unique(self._labels, return_inverse=True)
        self._made = {}
        for name in ("transduction_", "label_distribution_", "_margins"):
            vars(self).pop(name, None)
        if len(self.classes_):
            self._codes = self._point_codes(codes)
            self.label_distribution_ = self._points.of_samples(self._propagate())
            self.transduction_ = self.classes_[self.label_distribution_.argmax(axis=1)]
        candidates = np.flatnonzero(self._is_open())
        query_scores = np.zeros(len(self._points.first))
        self.exploring_ = False
        if len(candidates):
            queries, scores = self._explore(1, candidates)
            self.exploring_ = len(queries) > 0
            query_scores[candidates] = scores if self.exploring_ else 1 - self._margins[candidates]
        self.query_scores_ = self._points.of_samples(query_scores) * self._points.counting()

    def _propagate(self):
        """Distribution of labels over all points, (n_points, n_classes)."""
        n_classes, settings = len(self.classes_), self._settings
        if settings.propagation == "diffusion" or settings.refine:
            distribution = diffuse_labels(self._walk, self._codes, n_classes, settings.n_steps, averaged=True)
            own = margins(distribution)
            # a label in the middle of an undecided region tells more than one at its edge or on an outlier
            self._margins = (own + neighborhood_mean(self._walk, own, n_steps=2)) / 2
        if settings.propagation == "diffusion":
            total = distribution.sum(axis=1, keepdims=True)
            np.divide(distribution, total, out=distribution, where=total > 0)
            beyond = np.flatnonzero(total[:, 0] == 0)
        else:
            codes = self._forest.inherit(self._codes)
            distribution = np.eye(n_classes, dtype=np.float32)[codes]
            beyond = np.flatnonzero(codes < 0)
        # out of reach of any label: the nearest one in diffusion distance
        coordinates, labeled = self._points.of_points(self.diffusion_map_), np.flatnonzero(self._codes >= 0)
        codes = nearest_label(coordinates, labeled, self._codes, beyond)
        distribution[beyond] = np.eye(n_classes, dtype=np.float32)[codes]
        return distribution

    def _select(self, n_queries, candidates):
        """Exploring queries as long as they gain enough, then refining ones, away from these and from each other."""
        queries, _ = self._explore(n_queries, candidates)
        if len(queries) == n_queries:
            return queries
        scores = self._margins.astype(np.float64)
        for query in queries:
            points, mass = diffused_mass(self._walk, query, _SPREAD_STEPS)
            scores[points] += mass
        candidates = np.setdiff1d(candidates, queries)
        refining = select_spread(self._walk, scores, candidates, n_queries - len(queries), _SPREAD_STEPS)
        return np.concatenate([queries, refining])

    def _explore(self, n_queries, candidates):
        """Exploring queries, fewer than asked for where refining ones are better, and the scores of the candidates."""
        min_gain = self._settings.min_gain if self._settings.refine and len(self.classes_) > 1 else 0.0
        ranked = self._ranking[np.isin(self._ranking, candidates)]
        scores = np.zeros(len(self._points.first))
        if self._settings.query_score == "coverage":
            coordinates = self._points.of_points(self.diffusion_map_)
            labeled = np.unique(self._points.point[self.labeled_indices_])
            sites, modes = ranked[: max(_N_MODES, n_queries)], self._ranking[:_N_MODES]
            queries, scores[sites] = coverage_order(
                coordinates, sites, modes, self._mode_mass, labeled, n_queries, min_gain
            )
        else:
            scores[candidates] = self._mode_scores[candidates]
            top = ranked[:n_queries]
            queries = top[: above_gain(scores[top], self._mode_scores[self._is_open()].sum(), min_gain)]
        return queries, scores[candidates]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = tags.input_tags.pairwise = self.metric == "precomputed"
        return tags
