"""A labelling session: queries, answers and maps of a scene, kept in a folder; without any page."""
# over 400 lines: more than half of them describe parameters and methods

import threading
import time
from numbers import Integral
from pathlib import Path

import numpy as np
from sklearn.utils import Bunch, check_scalar

from .._validation import check_indices
from ..scenes import open_scene
from ._export import export
from ._journal import Journal
from ._model import SceneModel, split
from ._polygons import pixels_within
from ._progress import progress
from ._state import State, as_color

_MAX_ADDED = 100_000  # pixels of one polygon: a line of the journal stays below a megabyte


class LabelingSession:
    """Label a scene with as few answers as it takes: the learner asks, a person answers, the map follows.

    Everything that is answered is on the disk before a method returns, in ``folder/journal.jsonl``. A session of the
    same scene and folder goes on where the last one ended, however it ended.

    Parameters
    ----------
    scene : path, list of paths, DataArray, Dataset, ndarray or Scene
        As :func:`~sklearn_geoal.scenes.open_scene` takes it.
    learner : estimator or None, default=None
        With ``query`` and ``teach``, or a Pipeline of features and such a learner. It is cloned. None: a
        :class:`~sklearn_geoal.LANDClassifier`. Without a Pipeline, features are the spectra scaled to unit norm or,
        of fewer than ten bands, their means over windows of 3 x 3 pixels, standardised.
    classes : list of str, default=()
        Names of the classes; :meth:`add_class` adds more. A session that goes on knows its classes, and takes from
        these what is new.
    folder : path, default="labels"
        Where the session is kept; made if it is not there.
    candidates : array-like of bool of shape (height, width) or (n_scene_pixels,) or array-like of int, default=None
        Pixels that may be asked for, such as those that can be reached, as a mask or as numbers. None: all.
    n_pixels : int, default=10000
        The learner sees at most so many pixels, those that :func:`~sklearn_geoal.scenes.sample_pixels` draws. The other
        pixels of the map follow the one of them that is nearest in features.
    random_state : int, default=0
        Seed of the draw.
    tell : callable or None, default=None
        Called with a text and a share from 0 to 1 while the session is prepared.

    Attributes
    ----------
    scene : Scene
        The scene.
    folder : Path
        Where the session is kept.
    version, map_version : int
        Grow whenever the state or the map changes, and whenever the map does.

    Raises
    ------
    TypeError
        If the learner has no ``query`` or ``teach``.
    ValueError
        If the folder holds the session of a scene of another form, or its journal is damaged.
    OSError
        If another process has the session open.

    Notes
    -----
    The learner is always that of the labels alone, taught all at once, so that it makes no difference in which order
    they came and what was taken back. It is taught when it is next needed, by :meth:`next`, :meth:`map`,
    :meth:`uncertainty` or :meth:`update`. All methods may be called from several threads.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from sklearn_geoal.labeling import LabelingSession
    >>> scene = np.random.RandomState(0).rand(3, 20, 30)
    >>> scene[:, :, 15:] += 5
    >>> session = LabelingSession(scene, classes=["water", "land"], folder=tempfile.mkdtemp())
    >>> while len(session.labels) < 4:
    ...     query = session.next()
    ...     session.answer(query.pixel, "land" if query.column >= 15 else "water")
    >>> bool((session.map() == (np.arange(30) >= 15)).mean() > 0.9)
    True
    >>> session.close()
    """

    def __init__(
        self, scene, learner=None, classes=(), folder="labels", *,
        candidates=None, n_pixels=10_000, random_state=0, tell=None,
    ):  # fmt: skip
        check_scalar(n_pixels, "n_pixels", Integral, min_val=2)
        self.scene, self.folder = open_scene(scene), Path(folder)
        if learner is None:
            from .._active.land import LANDClassifier

            learner = LANDClassifier(random_state=0)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()  # held for moments only, unlike that of teaching
        self._teaching = threading.Lock()
        self.version = self.map_version = 0
        self._taught_labels = self._sample_classes = self._sample_uncertainty = self._query = None
        self._journal = Journal(self.folder / "journal.jsonl")
        try:
            self._resume()
            tell = tell or (lambda text, share: None)
            self._model = SceneModel(self.scene, *split(learner), n_pixels, candidates, random_state, tell)
            for name in classes:
                if name not in [known["name"] for known in self.classes]:
                    self.add_class(name)
        except BaseException:
            self._journal.close()
            raise

    @property
    def classes(self):
        """Name and colour of each class."""
        with self._lock:
            return [dict(known) for known in self._state.classes]

    @property
    def labels(self):
        """Name of the class of each labelled pixel: {pixel: name}."""
        with self._lock:
            names = [known["name"] for known in self._state.classes]
            return {pixel: names[label] for pixel, label in self._state.labels.items() if label is not None}

    @property
    def skipped(self):
        """Pixels of which nobody could tell the class, ascending."""
        with self._lock:
            return sorted(pixel for pixel, label in self._state.labels.items() if label is None)

    @property
    def history(self):
        """What was answered, skipped and added and not undone, oldest first, as dicts."""
        with self._lock:
            return [dict(action) for action in self._state.actions]

    def state(self):
        """All that the journal says, as plain values: equal for equal sessions."""
        with self._lock:
            return self._state.plain()

    def next(self):
        """The pixel whose label would tell most.

        Returns
        -------
        query : Bunch or None
            ``pixel`` (its number), ``row``, ``column``, ``why`` ("exploring": of a region without a label; "refining":
            between classes), ``score``. None if there is nothing left to ask.
        """
        self.update()
        with self._lock:
            return self._query

    @property
    def latest_query(self):
        """What :meth:`next` gave last, without teaching; None if that pixel was answered since."""
        with self._lock:
            return None if self._query is None or self._query.pixel in self._state.labels else self._query

    @property
    def is_behind(self):
        """Whether there are labels that the learner was not taught yet."""
        with self._lock:
            return self._state.labels != self._taught_labels

    def answer(self, pixel, label, *, seen=None):
        """Say which class a pixel is of, asked for or not; a later answer replaces an earlier one.

        Parameters
        ----------
        pixel : int
            Its number in the scene.
        label : str or int
            Name of a class, or its number.
        seen : int or None, default=None
            ``state()["seq"]`` as whoever answers knows it: an answer to the pixel that came later is then not replaced.

        Raises
        ------
        ConflictError
            If somebody labelled the pixel since ``seen``.
        IndexError
            If there is no such pixel.
        ValueError
            If there is no such class, or the pixel has no value.
        """
        self._act("answer", [pixel], label, seen)

    def skip(self, pixel, *, seen=None):
        """Say that nobody can tell the class of a pixel: neither it nor what is beside it is asked for again."""
        self._act("skip", [pixel], None, seen)

    def add(self, label, *, pixels=None, polygon=None, seen=None):
        """Give pixels a class that were not asked for.

        Parameters
        ----------
        label : str or int
            Name of a class, or its number.
        pixels : array-like of int, default=None
            Numbers of the pixels; those without a value are left out.
        polygon : array-like of shape (n, 2), default=None
            Instead of ``pixels``: corners (x, y) in pixels from the upper left corner of the scene. It holds the pixels
            whose centres lie in it.
        seen : int or None, default=None
            As of :meth:`answer`.

        Raises
        ------
        ConflictError, IndexError, ValueError
            As by :meth:`answer`; also if no pixel with a value is left, or more than 100 000.
        """
        if (pixels is None) == (polygon is None):
            raise ValueError("add takes either pixels or a polygon.")
        if polygon is not None:
            pixels = pixels_within(polygon, self.scene.scene_shape)
        pixels = np.unique(check_indices("pixels", pixels, self.scene.n_pixels))
        pixels = pixels[self._model.nearest[pixels] >= 0]
        if not 0 < len(pixels) <= _MAX_ADDED:
            raise ValueError(f"add takes 1 to {_MAX_ADDED} pixels with a value at a time; got {len(pixels)}.")
        self._act("add", pixels.tolist(), label, seen)

    def undo(self, *, seen=None):
        """Take back the last answer, skip or addition that was not taken back yet.

        Raises
        ------
        ValueError
            If there is none.
        ConflictError
            If it came after ``seen``.
        """
        with self._lock:
            self._state.check_last(seen)
            self._note({"do": "undo"})

    def add_class(self, name, color=None):
        """Add a class; the colour is text such as "#1f77b4", None is the next one of the palette."""
        with self._lock:
            self._note({"do": "class", "name": self._state.check_name(name), "color": self._state.check_color(color)})

    def rename(self, label, name):
        """Give a class, by its name or number, another name."""
        with self._lock:
            place = self._state.place_of(label)
            self._note({"do": "rename", "class": place, "name": self._state.check_name(name, place)})

    def recolor(self, label, color):
        """Give a class, by its name or number, another colour."""
        with self._lock:
            self._note({"do": "color", "class": self._state.place_of(label), "color": as_color(color)})

    def update(self):
        """Teach the learner what it does not know yet, and make the next query; does nothing where it knows all."""
        with self._teaching:
            with self._lock:
                labels, actions = dict(self._state.labels), self._state.actions
                latest = actions[-1]["seq"] if actions else None
            if labels == self._taught_labels:
                return
            learner = self._model.taught(labels)
            classes, uncertainty = self._model.maps(learner)
            pixel, score = self._model.query(learner, labels)
            with self._lock:
                before, self._sample_classes = self._sample_classes, classes
                self._sample_uncertainty, self._taught_labels = uncertainty, labels
                self._query = None if pixel is None else self._as_query(learner, pixel, score)
                is_noted = any(action["seq"] == latest and "changed" in action for action in self._state.actions)
                if latest is not None and before is not None and not is_noted:
                    share = self._model.share((before != classes)[:-1])
                    self._note({"do": "taught", "action": latest, "changed": round(share, 6)})
                self.version += 1
                self.map_version += 1

    def map(self):
        """Class of each pixel.

        Returns
        -------
        classes : ndarray of int16 of shape (height, width)
            Place of the class in ``classes``, -1 where a pixel has no value or no label is known. Pixels that were
            labelled have their label.
        """
        self.update()
        with self._lock:
            values, labels = self._sample_classes, self._state.labels
            known = {pixel: label for pixel, label in labels.items() if label is not None}
        classes = values[self._model.nearest]  # of -1 the last one
        classes[list(known)] = list(known.values())
        return classes.reshape(self.scene.scene_shape)

    def uncertainty(self):
        """One minus the probability of the class of each pixel, NaN where it has none.

        Returns
        -------
        uncertainty : ndarray of float32 of shape (height, width)
        """
        self.update()
        with self._lock:
            values = self._sample_uncertainty
        return values[self._model.nearest].reshape(self.scene.scene_shape)

    def progress(self):
        """How far the session is.

        Returns
        -------
        progress : Bunch
            ``n_labels``, ``n_skipped``, ``counts`` (labels of each class), ``changed`` (share of the map that each
            action changed, None where it was not measured), ``accuracy``, ``accuracy_interval`` (95%) and ``n_judged``,
            ``stable`` and ``hint``.

        Notes
        -----
        The accuracy is that of the last 30 answers to queries, compared with what the map said before it was taught
        them. Queries go where the learner knows least, so the map as a whole is rather better.

        The map is stable if the last ten answers and additions changed less than half a percent of it on average, and
        the last three no more than that each.
        """
        with self._lock:
            return progress(self._state)

    def estimator(self):
        """Features and the learner, taught the names of the classes, as one fitted Pipeline of bands.

        Raises
        ------
        ValueError
            If no label is known.
        """
        with self._lock:
            names = [known["name"] for known in self._state.classes]
            labels = {p: None if label is None else names[label] for p, label in self._state.labels.items()}
        if not any(label is not None for label in labels.values()):
            raise ValueError("There is no model yet: no label is known.")
        return self._model.pipeline(self._model.taught(labels))

    def export(self, folder=None):
        """Write labels.csv, labels.geojson, map.tif, uncertainty.tif and model.geoal.

        Parameters
        ----------
        folder : path or None, default=None
            Where to; None: the folder of the session.

        Returns
        -------
        paths : Bunch of Path
            ``labels_csv``, ``labels_geojson``, ``map``, ``uncertainty`` and ``model``.

        Raises
        ------
        ValueError
            If no label is known.
        ImportError
            If the extra ``geo`` is not installed.
        """
        return export(self, self.folder if folder is None else Path(folder))

    def has_value(self, pixel):
        """Whether a pixel can be labelled."""
        return bool(self._model.nearest[pixel] >= 0)

    def close(self):
        """Let go of the folder, so that another process may go on."""
        with self._teaching, self._lock:
            self._journal.close()

    def _resume(self):
        self._state = State()
        transform = None if self.scene.transform is None else list(self.scene.transform)[:6]
        form = {"scene_shape": list(self.scene.scene_shape), "n_bands": self.scene.n_bands, "transform": transform}
        for event in self._journal.events:
            self._state.apply(event)
        if not self._journal.events:
            self._note({"do": "start", **form})
            return
        found = {name: self._journal.events[0].get(name) for name in form}
        if found != form:
            raise ValueError(
                f"{self.folder} holds the labels of another scene, {found}; this one is {form}: give another folder."
            )

    def _act(self, do, pixels, label, seen):
        pixels = check_indices("pixel", pixels, self.scene.n_pixels).tolist()
        if not self.has_value(pixels[0]):
            raise ValueError(f"Pixel {pixels[0]} has no value, so there is nothing to label.")
        with self._lock:
            place = None if do == "skip" else self._state.place_of(label)
            self._state.check_seen(pixels, seen)
            event = {"do": do, "pixels": pixels, "class": place, "time": round(time.time(), 1)}
            if do == "answer" and self._query is not None and pixels[0] == self._query.pixel:
                guess = int(self._sample_classes[self._model.nearest[pixels[0]]])
                if guess >= 0 and pixels[0] not in self._state.labels:
                    event["guess"] = guess  # said before it is taught the answer
            self._note(event)

    def _note(self, event):
        """Take an event in once it is on the disk."""
        event = {"seq": self._state.seq + 1, **event}
        self._journal.append(event)
        self._state.apply(event)
        self.version += 1

    def _as_query(self, learner, pixel, score):
        row, column = divmod(pixel, self.scene.scene_shape[1])
        exploring = getattr(learner, "exploring_", not len(getattr(learner, "classes_", ())))
        return Bunch(pixel=pixel, row=row, column=column, why="exploring" if exploring else "refining", score=score)
