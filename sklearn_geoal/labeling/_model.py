"""The learner of a session: what it is fitted to, what labels make of it, and its maps of all pixels."""

from copy import deepcopy

import numpy as np
from scipy.spatial import cKDTree
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler
from sklearn.utils.validation import has_fit_parameter

from .._active.queries import find_learner
from .._validation import check_candidates, check_map_shape
from ..preprocessing import SpatialWindow, ValidRows
from ..scenes import sample_pixels
from ..scenes._plan import Plan

_FIT_PIXELS = 2**19  # pixels to which features are fitted, of strips that are spread over the scene
_STRIPS = 16
_SPECTRUM = 10  # bands or more make a spectrum
_BESIDE_SKIPPED = 3  # pixels on each side of one that nobody could tell, which are not asked for either
_N_DIRECTIONS = 12  # in which the pixels of a scene look for those that stand for them


class SceneModel:
    """A learner on the pixels of a scene, or on some that stand for them.

    Parameters
    ----------
    scene : Scene
        The scene.
    features : transformer or None
        What is made of its bands; None: what suits as many bands.
    learner : estimator
        With ``query`` and ``teach``.
    n_pixels : int
        Number of pixels that the learner is fitted to, at most.
    candidates : array-like or None
        Pixels of the scene that may be asked for, as a mask or as numbers.
    random_state : int
        Seed of their choice.
    tell : callable
        Is told what is being done, and which share of all is done.

    Attributes
    ----------
    rows : ndarray of int of shape (n,)
        Numbers of the pixels that the learner is fitted to, ascending.
    nearest : ndarray of int32 of shape (n_scene_pixels,)
        For each pixel of the scene the place in ``rows`` of the one that stands for it, -1 where it has no value.
    features : Pipeline
        Fitted.
    """

    def __init__(self, scene, features, learner, n_pixels, candidates, random_state, tell):
        find_learner(learner)
        tell("features of the bands", 0.05)
        self.features = _fitted(features, scene)
        tell("pixels that stand for the scene", 0.2)
        sample = sample_pixels(scene, n_pixels, transformer=self.features, random_state=random_state)
        self._X, self.rows, self._width = np.asarray(sample.X), sample.rows, scene.scene_shape[1]
        if candidates is not None:
            candidates = np.asarray(candidates)
            check_map_shape("candidates", candidates, scene.scene_shape)
        candidates = check_candidates(candidates, np.ones(scene.n_pixels, dtype=bool))
        self._candidates = np.isin(self.rows, candidates)
        tell("the learner", 0.4)
        weights = {}
        if has_fit_parameter(learner, "sample_weight") and np.ptp(sample.weights):
            weights = {"sample_weight": sample.weights}
        self._blank = clone(learner).fit(self._X, **weights)
        tell("the pixels around them", 0.6)
        self.nearest = self._standing_for_all(scene)
        self._counts = np.bincount(self.nearest[self.nearest >= 0], minlength=len(self.rows))
        tell("ready", 1.0)

    def taught(self, labels):
        """A learner that knows the labels {pixel: class or None}; always the same for the same labels.

        It starts from the learner that knows nothing, so that it makes no difference in which order labels came, and
        which were taken back. Labels of pixels that it was not fitted to go to those that stand for them.
        """
        learner = deepcopy(self._blank)
        answers = {}
        for pixel, label in sorted(labels.items()):
            place = int(self.nearest[pixel])
            # its own label first, else of several that it stands for the first
            if self.rows[place] == pixel or (answers.get(place) is None and self.rows[place] not in labels):
                answers[place] = label
        if answers:
            values = np.empty(len(answers), dtype=object)
            values[:] = list(answers.values())
            learner.teach(list(answers), values)
        return learner

    def query(self, learner, labels):
        """The pixel to ask for, None if there is none left, and its score.

        Pixels beside one that was skipped are not asked for: who could not tell that one can hardly tell these.
        """
        skipped = [pixel for pixel, label in labels.items() if label is None]
        open_ = self._candidates & ~self._is_beside(skipped)
        try:
            place = int(np.asarray(learner.query(1, candidates=np.flatnonzero(open_)))[0])
        except ValueError:
            return None, None  # all is labelled or skipped, or equal to what is
        scores = getattr(learner, "query_scores_", None)
        return int(self.rows[place]), None if scores is None else float(scores[place])

    def _is_beside(self, pixels):
        """Which of ``rows`` lie beside some pixels."""
        row, column = np.divmod(self.rows, self._width)
        beside = np.zeros(len(self.rows), dtype=bool)
        for its_row, its_column in (divmod(pixel, self._width) for pixel in pixels):
            beside |= (np.abs(row - its_row) <= _BESIDE_SKIPPED) & (np.abs(column - its_column) <= _BESIDE_SKIPPED)
        return beside

    def maps(self, learner):
        """Class and uncertainty of each pixel that the learner was fitted to, and for a pixel without value at the end.

        Returns
        -------
        classes : ndarray of int16 of shape (n + 1,)
            -1 where there is none.
        uncertainty : ndarray of float32 of shape (n + 1,)
            One minus the largest probability, NaN where there is none.
        """
        classes = np.full(len(self.rows) + 1, -1, dtype=np.int16)
        uncertainty = np.full(len(self.rows) + 1, np.nan, dtype=np.float32)
        if len(getattr(learner, "classes_", ())):
            known = hasattr(learner, "transduction_")
            classes[:-1] = learner.transduction_ if known else learner.predict(self._X)
            if hasattr(learner, "label_distribution_"):
                uncertainty[:-1] = 1 - np.max(learner.label_distribution_, axis=1)
            elif hasattr(learner, "predict_proba"):
                uncertainty[:-1] = 1 - np.max(learner.predict_proba(self._X), axis=1)
        return classes, uncertainty

    def share(self, chosen):
        """Share of the pixels of the scene for which some of ``rows``, a mask, stand."""
        return float(self._counts[chosen].sum() / self._counts.sum())

    def pipeline(self, learner):
        """Features and a learner as one fitted estimator of bands."""
        return Pipeline([*self.features.steps, ("learner", learner)])

    def _standing_for_all(self, scene):
        nearest = np.full(scene.n_pixels, -1, dtype=np.int32)
        nearest[self.rows] = np.arange(len(self.rows))
        plan = Plan(self.features, "features", scene.band_names, scene.is_named, scene.scene_shape)
        n_features = max(scene.n_bands, self._X.shape[1])
        if len(self.rows) < 2:
            return nearest
        directions = PCA(min(_N_DIRECTIONS, *self._X.shape), random_state=0).fit(self._X)
        tree = cKDTree(directions.transform(self._X))
        for strip in scene.strips(max(1, 2**24 // n_features)):
            values = plan.apply(scene.read(plan.outer(strip)), strip)["features"]
            rows = np.flatnonzero(~np.isnan(values).any(axis=0)) + strip.top * scene.scene_shape[1]
            rows = rows[nearest[rows] < 0]
            if len(rows):
                found = values.reshape(len(values), -1)[:, rows - strip.top * scene.scene_shape[1]].T
                nearest[rows] = tree.query(directions.transform(found), workers=-1)[1]
        return nearest


def _features_for(n_bands):
    """Spectra tell materials by their form; of a few bands brightness and surroundings are needed as well."""
    if n_bands >= _SPECTRUM:
        return make_pipeline(ValidRows(Normalizer()))
    return make_pipeline(SpatialWindow(size=3), StandardScaler())


def _fitted(features, scene):
    """Features fitted to the scene, or to strips spread over it if it is large; a Pipeline in any case."""
    features = _features_for(scene.n_bands) if features is None else clone(features)
    if not isinstance(features, Pipeline):
        features = make_pipeline(features)
    strips = [(0, *scene.scene_shape[:1], 0, scene.scene_shape[1])]
    if scene.n_pixels > _FIT_PIXELS:
        height, width = scene.scene_shape
        lines = max(1, _FIT_PIXELS // _STRIPS // width)
        strips = [(top, top + lines, 0, width) for top in np.linspace(0, height - lines, _STRIPS).astype(int).tolist()]
    values = np.concatenate([scene.read(strip) for strip in strips], axis=1)
    grids = [name for name in features.get_params() if name.rpartition("__")[2] == "scene_shape"]
    features.set_params(**dict.fromkeys(grids, values.shape[1:]))
    features.fit(np.moveaxis(values, 0, -1).reshape(-1, len(values)))
    return features


def split(learner):
    """Features and learner of what a user gives: a Pipeline of both, or a learner alone."""
    if isinstance(learner, Pipeline):
        find_learner(learner)
        return (learner[:-1] if len(learner) > 1 else None), learner[-1]
    return None, learner
