"""What a map holds: its layers, their type, what marks pixels without a value, and what the numbers of classes mean."""

import colorsys
from dataclasses import dataclass, field

import numpy as np
from sklearn.base import is_regressor

from .._colors import PALETTE

# output -> the verb of the estimator that it comes from
VERBS = {
    "label": "predict",
    "confidence": "predict_proba",
    "probabilities": "predict_proba",
    "features": "transform",
    "score_samples": "score_samples",
}


@dataclass(frozen=True)
class Layer:
    """One output of an estimator on the grid of a scene.

    Parameters
    ----------
    name : str
        A key of ``VERBS``.
    dtype : dtype
        Type of its values.
    nodata : int or float
        Marks pixels without a value.
    names : tuple of str or None
        Names of its bands, one for each; None: it is a single band.
    classes : ndarray or None
        Of labels: the classes, in the order of ``values``.
    values : ndarray of int or None
        Of labels: the number that stands for each class.
    """

    name: str
    dtype: np.dtype
    nodata: float
    names: tuple | None = None
    classes: np.ndarray | None = field(default=None, repr=False)
    values: np.ndarray | None = field(default=None, repr=False)

    @property
    def n_bands(self):
        """Number of bands."""
        return 1 if self.names is None else len(self.names)

    def class_names(self):
        """Name of the class that each number stands for: {number: name}."""
        return {int(value): str(label) for value, label in zip(self.values, self.classes, strict=True)}

    def colored(self, colors=None):
        """Colour of each number of a class, {number: (red, green, blue)}; None of other layers."""
        if self.classes is None:
            return None
        return dict(zip(self.values.tolist(), colors_of(self.classes, colors), strict=True))

    def is_filled(self, values):
        """Whether a value of an array of the layer is more than missing."""
        return bool((~np.isnan(values) if self.dtype.kind == "f" else values != self.nodata).any())

    def shape(self, of_pixels):
        """Shape of an array of the layer: (n_bands, height, width), or (height, width) of a single band."""
        return tuple(of_pixels) if self.names is None else (self.n_bands, *of_pixels)

    def empty(self, of_pixels):
        """An array of the layer without any value."""
        return np.full(self.shape(of_pixels), self.nodata, dtype=self.dtype)

    def encode(self, result):
        """Rows as an estimator gives them as rows of the layer, (n, ...) of its dtype."""
        result = np.asarray(result)
        if self.classes is None:
            return result.astype(self.dtype, copy=False)
        places = np.searchsorted(self.classes, result)
        places = np.minimum(places, len(self.classes) - 1)
        unknown = self.classes[places] != result
        if unknown.any():
            raise ValueError(f"predict gave {result[unknown][0]!r}, expected one of the classes {self.classes[:20]}.")
        return self.values[places]


def layers_of(estimator, outputs):
    """The layers that an estimator fills.

    Raises
    ------
    ValueError
        If it does not have the verb of an output, or an output is none of those known.
    """
    if outputs is None:
        outputs = [name for name in ("label", "confidence") if hasattr(estimator, VERBS[name])] or ["features"]
    outputs = [outputs] if isinstance(outputs, str) else list(outputs)
    unknown = [name for name in outputs if name not in VERBS]
    if unknown or not outputs or len(set(outputs)) < len(outputs):
        raise ValueError(f"outputs must be some of {', '.join(map(repr, VERBS))}, each once; got {outputs}.")
    for name in outputs:
        if not hasattr(estimator, VERBS[name]):
            able = [other for other, verb in VERBS.items() if hasattr(estimator, verb)]
            raise ValueError(
                f"outputs has {name!r}, but {type(estimator).__name__} has no {VERBS[name]}: it can give "
                f"{', '.join(map(repr, able))}."
            )
    return [_layer(name, estimator) for name in outputs]


def label_layer(classes):
    """The layer of labels, of the smallest type: integers keep their value, others are numbered from 1."""
    classes = np.unique(classes)
    if not len(classes):
        raise ValueError("The estimator knows no class yet: teach it labels first.")
    if classes.dtype.kind == "f" and np.array_equal(classes, classes.astype(np.int64)):
        whole = classes.astype(np.int64)
    else:
        whole = classes if classes.dtype.kind in "iu" else None
    values = np.arange(1, len(classes) + 1) if whole is None else whole.astype(np.int64)
    for dtype in (np.uint8, np.int16, np.uint16, np.int32):
        info = np.iinfo(dtype)
        # 0 means "nothing" to most who read maps; else the end of the range
        free = [marker for marker in (0, info.max, info.min) if marker not in values and info.min <= marker]
        if info.min <= values.min() and values.max() <= info.max and free:
            return Layer("label", np.dtype(dtype), free[0], None, classes, values.astype(dtype))
    raise ValueError(f"Classes from {classes.min()} to {classes.max()} do not fit a map: give them numbers below 2^31.")


def colors_of(classes, colors=None):
    """Colour (red, green, blue) from 0 to 255 of each class, in their order.

    Raises
    ------
    ValueError
        If a class has no colour, or a colour cannot be read.
    """
    if colors is None:
        hues = (i * 0.618 % 1 for i in range(len(classes) - len(PALETTE)))  # golden section: neighbours differ
        colors = [*PALETTE, *([round(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.6, 0.9)] for hue in hues)]
        colors = colors[: len(classes)]
    if isinstance(colors, dict):
        lacking = [label for label in classes.tolist() if label not in colors]
        if lacking:
            raise ValueError(f"colors lacks the classes {lacking[:10]}: give one for each of {classes.tolist()[:20]}.")
        colors = [colors[label] for label in classes.tolist()]
    if len(colors) != len(classes):
        raise ValueError(f"colors has {len(colors)} colours for {len(classes)} classes: give one for each.")
    return [_as_rgb(color) for color in colors]


def _as_rgb(color):
    if isinstance(color, str) and len(color) == 7 and color.startswith("#"):
        try:
            return tuple(bytes.fromhex(color[1:]))
        except ValueError:
            pass
    elif not isinstance(color, str) and len(color) in (3, 4) and all(0 <= part <= 255 for part in color):
        return tuple(int(part) for part in color[:3])
    raise ValueError(f'A colour is text such as "#1f77b4" or red, green, blue from 0 to 255; got {color!r}.')


def _layer(name, estimator):
    number = {"dtype": np.dtype(np.float32), "nodata": float("nan")}
    if name == "label" and not is_regressor(estimator):
        return label_layer(_classes(estimator))
    if name == "probabilities":
        return Layer(name, **number, names=tuple(map(str, _classes(estimator))))
    if name == "features":
        return Layer(name, **number, names=_feature_names(estimator))
    return Layer(name, **number)


def _classes(estimator):
    if hasattr(estimator, "classes_"):
        return np.asarray(estimator.classes_)
    if hasattr(estimator, "labels_"):
        return np.unique(estimator.labels_)
    n_clusters = getattr(estimator, "n_clusters", getattr(estimator, "n_components", None))
    if n_clusters is None:
        raise ValueError(
            f"{type(estimator).__name__} has neither classes_ nor labels_ nor n_clusters, so the labels that it may "
            "predict are not known: have it as a step of an estimator that has, or ask for other outputs."
        )
    return np.arange(n_clusters)


def _feature_names(estimator):
    if not hasattr(estimator, "get_feature_names_out"):
        raise ValueError(
            f"{type(estimator).__name__} has no get_feature_names_out, which says how many features transform gives."
        )
    return tuple(map(str, estimator.get_feature_names_out()))
