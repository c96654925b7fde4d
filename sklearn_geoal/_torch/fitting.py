"""The one way in which deep estimators are fitted, from scratch or on, and what they share as estimators."""

import math
from functools import partial

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import check_is_fitted

from .._labels import MISSING, KnownLabelsMixin, check_classes, encode_labels, labels_of_rows, recode
from .._scaling import Scaling, scaling_of_bands, scaling_of_values, scaling_of_values_by_bands, standardize
from .._validation import check_within_unit_interval, draw_seed, unchanged_on_error, validate_rows
from .batches import Rows
from .checkpoints import open_checkpoint
from .device import generator_on, undisturbed
from .inference import as_tensor, infer
from .nets import check_torch_params, make_net, make_net_to_go_on
from .training import TensorNet, epochs_as_dicts, train


class DeepEstimator(BaseEstimator):
    """An estimator around a network. A subclass says what its method is, :meth:`_fit` is how fitting goes.

    Attributes of a subclass
    ------------------------
    _module_class : nn.Module class, with ``losses`` and ``forward`` as :class:`TensorNet` calls them
    _net_class : TensorNet, or a subclass with batches of its own
    _built_in : names of the parameters that the network is made with: a training that goes on needs them as they were
    _changeable : names of arguments of the module that a training that goes on takes over as they are now

    Methods of a subclass
    ---------------------
    _check_params() : raises what scikit-learn's conventions ask for
    _read(X, y, from_scratch) : validates X and y and returns what the network is given for X, float32, the classes of y
        and their codes; (Z, None, None) where there are no targets. From scratch it sets what X is standardised by.
    _module_params(rows) : arguments of the module
    _measure(net, rows, noise) : sets what is to be known of a trained net, and returns what it gives for rows of its
        training data, which must be finite
    _start(net, make, rows, noise, seed, checkpoint), _conclude(rows) : see there; there need not be any
    """

    _net_class = TensorNet
    _changeable = ()

    def _fit(self, X, y=None, *, one_pass=False):
        """Train a new net or the present one on X and y and make it the fitted one.

        The present one if there is one and ``warm_start`` or ``one_pass`` asks for it. Whatever ends the training early
        leaves the estimator as it was; where training may go on, at the last completed epoch.

        Parameters
        ----------
        X, y
            What ``_read`` takes.
        one_pass : bool, default=False
            One epoch without warm-up, learning rate schedule, early stopping and checkpoint.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If X, y or a parameter is invalid.
        FloatingPointError
            If the training diverges.
        """
        with unchanged_on_error(self) as keep, undisturbed():
            may_go_on = one_pass or self.warm_start
            old_net = self.net_ if may_go_on and self.__sklearn_is_fitted__() else None
            check_torch_params(self)
            self._check_params()
            Z, classes, codes = self._read(X, y, from_scratch=old_net is None)
            codes = self._take_note(classes, codes, old_net)
            seed, checkpoint = draw_seed(self.random_state), None
            if not one_pass:
                data = {"X": Z} if codes is None else {"X": Z, "y": codes, "classes": self.classes_}
                weights = None if old_net is None else old_net.module_
                checkpoint = open_checkpoint(self, seed, weights, **data)
                seed = seed if checkpoint is None else checkpoint.seed
            early_stopping = self.early_stopping and not one_pass
            rows, valid = as_rows(Z, codes, self.validation_fraction if early_stopping else 0, seed)
            # a training that goes on must not draw the same numbers again
            seed += 0 if old_net is None else len(old_net.history)
            net, noise = self._make_net(rows, old_net, seed, checkpoint)
            options = {"max_epochs": 1}
            if not one_pass:
                options = {"max_epochs": self.max_epochs, "lr_schedule": self.lr_schedule}
                options["stage"] = None if checkpoint is None else checkpoint.stage("training")
                if old_net is None and hasattr(net.module_, "warmth") and self.warmup > 0:
                    options["before_epoch"] = partial(_warm_up, self.warmup)
            if early_stopping:
                options["patience"] = self.patience
            try:
                train(net, rows, valid, seed=seed, noise=noise, verbose=self.verbose, **options)
            except BaseException:
                if may_go_on and len(net.history) > (0 if old_net is None else len(old_net.history)):
                    self._take_over(net, rows, noise)
                    keep()
                raise
            self._take_over(net, rows, noise)
            if not may_go_on:
                net.forget_training()
        return self

    def _take_note(self, classes, codes, old_net):
        """Remember what the network is made for, or check that it suits; the codes of the classes it is made for."""
        model = {name: getattr(self, name) for name in self._built_in}
        if old_net is None:
            self._model = model
            if classes is not None:
                self.classes_ = classes
            return codes
        if self._model != model:
            raise ValueError(
                f"The network was made with {self._model}, but the parameters are now {model}: a training that goes "
                "on, by warm_start or partial_fit, needs the network that it finds. Set them back, or fit without "
                "warm_start."
            )
        if classes is None:
            return codes
        if new := sorted(set(classes.tolist()).difference(self.classes_.tolist())):
            raise ValueError(
                f"y has the new classes {new}, but the network was made for {self.classes_.tolist()}: warm_start goes "
                "on with the network it finds. Fit without warm_start to learn more classes."
            )
        return recode(codes, classes, self.classes_)

    def _make_net(self, rows, old_net, seed, checkpoint):
        """The net to train, and the generator on its device that all is drawn from but the order of the rows."""
        if old_net is None:
            weights = generator_on("cpu", seed)
            make = partial(make_net, self, self._net_class, self._module_class, self._module_params(rows), weights)
            net = make()
            noise = weights if net.device == "cpu" else generator_on(net.device, seed)
            return self._start(net, make, rows, noise, seed, checkpoint), noise
        net = make_net_to_go_on(self, old_net)
        params = self._module_params(rows) if self._changeable else {}
        for name in self._changeable:
            setattr(net.module_, name, params[name])
        return net, generator_on(net.device, seed)

    def _start(self, net, make, rows, noise, seed, checkpoint):
        """The net to train where none was trained before."""
        return net

    def _take_over(self, net, rows, noise):
        """Make a trained net the fitted one, if what it gives is finite."""
        if hasattr(net.module_, "warmth"):
            net.module_.warmth = 1.0
        outputs = self._measure(net, rows, noise)
        if not all(np.isfinite(output).all() for output in outputs):
            raise FloatingPointError(
                f"The trained network gives values that are not finite, with lr={self.lr}: try a smaller lr."
            )
        self.net_, self.history_ = net, epochs_as_dicts(net)
        self._conclude(rows)

    def _conclude(self, rows):
        """What the fitted net says of the samples of ``fit``."""

    def __sklearn_is_fitted__(self):
        return hasattr(self, "net_")


class RowEstimator(DeepEstimator):
    """A deep estimator of rows of features, standardised one by one, or images, all values of which are together."""

    def _read_rows(self, X, from_scratch):
        """Valid rows; from scratch their location and scale are learned."""
        X = validate_rows(self, X, reset=from_scratch)
        if from_scratch:
            self._scaling = self._find_scaling(X)
            self.location_, self.scale_, _ = self._scaling
            self._dtype = X.dtype
        return X

    def _find_scaling(self, X):
        if self._has_images():
            return scaling_of_values(X)
        return scaling_of_bands(X)

    def _has_images(self):
        return self.image_shape_ is not None and math.prod(self.image_shape_[1:]) > 1

    def _standardize(self, X):
        """What the network is given for valid rows."""
        return standardize(X, self._scaling)

    def _rows(self, X):
        """Valid rows to apply the fitted network to."""
        check_is_fitted(self)
        return validate_rows(self, X, reset=False)

    def _infer(self, function, X):
        """A function of the fitted module, applied to valid rows."""
        return infer(self.net_, function, self._standardize(X))

    @property
    def _input_shape(self):
        return self.image_shape_ or (self.n_features_in_,)


class GenerativeEstimator(RowEstimator):
    """A deep estimator of rows with a decoder, whose ``likelihood`` is Gaussian or Bernoulli."""

    def _read_rows(self, X, from_scratch):
        X = super()._read_rows(X, from_scratch)
        if self.likelihood == "bernoulli":
            check_within_unit_interval(X)
        return X

    def _find_scaling(self, X):
        if self.likelihood == "bernoulli":
            return Scaling(0.0, 1.0, np.inf)
        return super()._find_scaling(X) if self._has_images() else scaling_of_values_by_bands(X)

    def _as_data(self, X, dtype):
        """What the decoder gives, in the units and the form of the data."""
        X = X.astype(dtype, copy=False) * self.scale_ + np.asarray(self.location_, dtype=dtype)
        return X.reshape(-1, *self._row_shape)

    def _note_noise(self, module, squared_error, least):
        """Set the variance of a Gaussian likelihood to the mean squared error."""
        variance = max(float(squared_error.mean(dtype=np.float64)), least)
        module.noise_variance.fill_(variance)
        vars(self).pop("noise_variance_", None)
        if self.likelihood == "gaussian":
            self.noise_variance_ = variance * self.scale_ * self.scale_


class RowClassifier(KnownLabelsMixin, RowEstimator):
    """A deep classifier of rows; its module has ``probabilities(x)``."""

    _predicts_most_probable = True  # predict is the class of the largest of predict_proba, so one of them will do

    def _read(self, X, y, from_scratch):
        X = self._read_rows(X, from_scratch)
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None: give a class per sample."
            )
        return self._standardize(X), *self._encode_labels(labels_of_rows(y, X))

    def _encode_labels(self, y):
        """The classes and their codes, those of missing labels negative."""
        classes, codes = encode_labels(y, self.missing_label)
        return check_classes(classes), codes

    def predict(self, X):
        """Most probable class of each sample.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or ndarray of shape (n_samples, channels, height, width)
            Data.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            Classes.
        """
        codes = self.predict_proba(X).argmax(axis=1)
        return self.classes_[codes]

    def predict_proba(self, X):
        """Probabilities of the classes for each sample.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or ndarray of shape (n_samples, channels, height, width)
            Data.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            They sum to 1 in each row; the columns are in the order of ``classes_``. Of the dtype of X.
        """
        X = self._rows(X)
        probabilities = self._infer(self.net_.module_.probabilities, X).astype(X.dtype)
        return probabilities / probabilities.sum(axis=1, keepdims=True)  # the network's are rounded to float32


def transduced(estimator, rows):
    """Label of each sample of ``fit``: the one that was given, or else the one predicted."""
    Z, codes = (tensor.numpy() for tensor in rows.tensors)
    guessed = infer(estimator.net_, estimator.net_.module_.probabilities, Z).argmax(axis=1)
    return estimator.classes_[np.where(codes >= 0, codes, guessed)]


def as_rows(Z, codes, validation_fraction, seed):
    """Rows to train on and to validate on, the latter None if the fraction is 0.

    Rows without a class, or with void pixels only, take no part.

    Parameters
    ----------
    Z : ndarray of shape (n_samples, ...), dtype float32
    codes : ndarray of shape (n_samples,) or (n_samples, height, width), or None where there are no targets
    validation_fraction : float
        Part of the rows with a target to hold out.
    seed : int
    """
    tensors, labeled, unlabeled, strata = (as_tensor(Z),), np.arange(len(Z)), np.arange(0), None
    if codes is not None:
        tensors += (as_tensor(codes, np.int64),)
        targets = codes.reshape(len(codes), -1)
        known = (targets >= 0).any(axis=1)
        labeled, unlabeled = np.flatnonzero(known), np.flatnonzero((targets == MISSING).any(axis=1))
        strata = codes[labeled] if codes.ndim == 1 else None
    valid = None
    if validation_fraction:
        kept, held_out = split_rows(len(labeled), validation_fraction, seed, strata)
        valid = Rows(tensors, torch.from_numpy(labeled[held_out]), torch.empty(0, dtype=torch.int64))
        labeled = labeled[kept]
    return Rows(tensors, torch.from_numpy(labeled), torch.from_numpy(unlabeled)), valid


def split_rows(n_samples, validation_fraction, seed, codes=None):
    """Indices of the rows to train on and to validate on.

    With the codes of their classes the rows are drawn class by class, unless there are too few of one.

    Raises
    ------
    ValueError
        If fewer than two rows are left to train on.
    """
    n_valid = math.ceil(validation_fraction * n_samples)
    if n_samples - n_valid < 2:
        raise ValueError(
            f"early_stopping with validation_fraction={validation_fraction} leaves {n_samples - n_valid} of "
            f"{n_samples} samples to train on, at least 2 are needed: give more samples or set early_stopping=False."
        )
    if codes is not None:
        counts = np.unique(codes, return_counts=True)[1]
        if counts.min() == 1 or len(counts) > min(n_valid, n_samples - n_valid):
            codes = None
    return train_test_split(np.arange(n_samples), test_size=n_valid, random_state=seed, stratify=codes)


def _warm_up(part, module, progress):
    module.warmth = min(1.0, progress / part)
