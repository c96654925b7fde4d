"""What a trained classifier makes of samples: the input of its last linear map, and probabilities of classes."""

import numpy as np
from scipy.special import expit
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline

from .._net_classifier import NetClassifier
from .._torch.inference import is_skorch, penultimate


def representation(estimator, X, layer=None):
    """What the last linear map of a trained classifier is given: (n_samples, ...) -> (n_samples, n_hidden).

    Raises
    ------
    ValueError
        If ``estimator`` is not of a kind whose representation is known, or has no such layer.
    """
    while isinstance(estimator, Pipeline):
        steps, estimator = estimator[:-1], estimator[-1]
        X = steps.transform(X) if len(steps) else X
    if isinstance(estimator, NetClassifier):
        return estimator.embed(X, layer)
    if is_skorch(estimator):
        return penultimate(estimator, X, layer)
    if layer is not None:
        raise ValueError(f"layer={layer!r} is for torch modules, but the estimator is a {type(estimator).__name__}.")
    if isinstance(estimator, MLPClassifier):
        return hidden_activations(estimator, X)
    if hasattr(estimator, "coef_"):
        return X  # a linear model: its only linear map is given X itself
    raise ValueError(
        f"{type(estimator).__name__} is no network whose hidden representation could be taken: give embedding='input', "
        "a transformer, or a callable(estimator, X) that returns the representation."
    )


def hidden_activations(mlp, X):
    """Activations of the last hidden layer of a trained MLPClassifier."""
    apply = {"identity": lambda x: x, "logistic": expit, "tanh": np.tanh, "relu": lambda x: np.maximum(x, 0)}
    for weights, bias in zip(mlp.coefs_[:-1], mlp.intercepts_[:-1], strict=True):
        X = apply[mlp.activation](X @ weights + bias)
    return X


def class_probabilities(estimator, X, trained, classes):
    """Probabilities of ``classes`` by an estimator of the codes of ``trained`` classes, both sorted: (n, n_classes)."""
    if hasattr(estimator, "predict_proba"):
        # a net may have outputs for classes that nobody has met yet
        known = estimator.predict_proba(X)[:, : len(trained)]
    else:
        known = np.eye(len(trained))[estimator.predict(X)]
    p = np.zeros((len(known), len(classes)), dtype=known.dtype)
    still = np.isin(trained, classes)
    p[:, np.searchsorted(classes, trained[still])] = known[:, still]
    total = p.sum(axis=1, keepdims=True)
    return np.divide(p, total, out=np.full_like(p, 1 / p.shape[1]), where=total > 0)


def warm_started(estimator):
    """The estimator with the parameter ``warm_start``, its own or that of its last step, set to True.

    Raises
    ------
    ValueError
        If it has none.
    """
    name, last = "warm_start", estimator
    if isinstance(estimator, Pipeline):
        name, last = f"{estimator.steps[-1][0]}__warm_start", estimator[-1]
    if "warm_start" not in last.get_params():
        raise ValueError(
            f"warm_start=True needs an estimator that goes on from its present weights, but {type(last).__name__} has "
            "no parameter warm_start: set warm_start=False."
        )
    return estimator.set_params(**{name: True})
