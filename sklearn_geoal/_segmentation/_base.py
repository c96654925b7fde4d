"""What segmenters predict, and how well."""

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from .._labels import check_classes
from .._torch.fitting import DeepEstimator
from ._bands import band_location_and_scale, standardize_bands
from ._images import as_given, has_rows, validate_images
from ._masks import check_masks, known_accuracy
from ._tiles import apply_in_tiles, infer_images, spans


class BaseSegmenter(ClassifierMixin, DeepEstimator):
    """A deep classifier of pixels; its module has ``probabilities(x)``.

    A subclass has the property ``_network``, the part of the module that gives them, for the margin of its tiles.
    """

    _predicts_most_probable = True  # predict is the class of the largest of predict_proba, so one of them will do

    def predict(self, X):
        """Most probable class of each pixel.

        Parameters
        ----------
        X : ndarray of shape (n_images, bands, height, width) or array-like of shape (n_samples, n_features)
            Images of any height and width, or rows as in ``fit``.

        Returns
        -------
        y : ndarray of shape (n_images, height, width) or (n_samples,)
            Classes; (n_samples,) for pixels as rows.

        Raises
        ------
        ValueError
            If X has other bands than in ``fit``, or is larger than ``tile_size``, which leaves nothing between the
            margins that tiles need.
        """
        check_is_fitted(self)
        images = validate_images(self, X, reset=False)
        masks = np.empty((len(images), *images.shape[2:]), dtype=self.classes_.dtype)
        self._in_tiles(masks, lambda tile: self.classes_[self._probabilities(tile).argmax(axis=1)], images)
        return as_given(masks, X)

    def predict_proba(self, X):
        """Probabilities of the classes for each pixel.

        Parameters
        ----------
        X : ndarray of shape (n_images, bands, height, width) or array-like of shape (n_samples, n_features)
            Images of any height and width, or rows as in ``fit``.

        Returns
        -------
        probabilities : ndarray of shape (n_images, n_classes, height, width) or (n_samples, n_classes)
            They sum to 1 over the classes, which are in the order of ``classes_``. Of the dtype of X, or float32 for
            images of small integers.

        Raises
        ------
        ValueError
            As in ``predict``.
        """
        check_is_fitted(self)
        images = validate_images(self, X, reset=False)
        shape = (len(images), len(self.classes_), *images.shape[2:])
        probabilities = np.empty(shape, dtype=np.result_type(images.dtype, np.float32))
        self._in_tiles(probabilities, self._probabilities, images)
        return as_given(probabilities, X)

    def score(self, X, y):
        """Accuracy of the predicted classes over the pixels whose class is known.

        Parameters
        ----------
        X : ndarray of shape (n_images, bands, height, width) or array-like of shape (n_samples, n_features)
            Images or rows.
        y : array-like of shape (n_images, height, width) or (n_samples,), or list
            The class of each pixel, as in ``fit``.

        Returns
        -------
        accuracy : float
            Share of the pixels that are neither missing nor void whose class is predicted.

        Raises
        ------
        ValueError
            If y does not go with X, or no pixel of it is known.
        """
        return known_accuracy(y, self.predict(X), self.missing_label, self.ignore_label)

    def _read(self, X, y, from_scratch):
        takes_rows = has_rows(X)
        X = validate_images(self, X, reset=from_scratch)
        classes, codes = check_masks(y, X.shape, self.missing_label, self.ignore_label)
        if from_scratch:
            self.location_, self.scale_ = band_location_and_scale(X)
            self._dtype, self._takes_rows = X.dtype, takes_rows
        return standardize_bands(X, self.location_, self.scale_), check_classes(classes), codes

    def _in_tiles(self, out, function, images):
        apply_in_tiles(function, images, out, **self._tiles())

    def _tiles(self):
        net = self._network
        return {
            "tile_size": self.tile_size,
            "margin": getattr(net, "receptive_margin", self.tile_size // 4),
            "alignment": getattr(net, "alignment", 1),
        }

    def _tile_spans(self, length):
        """The tiles along a side of an image, which no other image has a say in: slices that are kept and read."""
        return spans(length, **self._tiles())

    def _probabilities(self, images):
        """(m, bands, h, w) -> (m, n_classes, h, w)"""
        Z = standardize_bands(images, self.location_, self.scale_)
        probabilities = infer_images(self.net_, self.net_.module_.probabilities, Z)
        probabilities = probabilities.astype(np.result_type(images.dtype, np.float32))
        return probabilities / probabilities.sum(axis=1, keepdims=True)  # the network's are rounded to float32
