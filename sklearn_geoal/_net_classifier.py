"""Supervised neural network as a classifier, trained on few labels in a second."""

from functools import partial

from ._labels import encode_labels
from ._nets.bodies import resolve_body
from ._nets.classifier import Classifier
from ._nets.conv import ConvEncoder
from ._nets.dense import DenseEncoder
from ._nets.wide_resnet import WideResNet
from ._torch.class_weight import weights_of_classes
from ._torch.fitting import RowClassifier
from ._torch.inference import infer, penultimate

# two layers: one alone needs far more steps for borders that are not smooth, a third costs accuracy with few labels
DENSE = partial(DenseEncoder, hidden_units=(256, 128))
CONV = partial(ConvEncoder, hidden_units=(16, 32))


class NetClassifier(RowClassifier):
    """Neural network classifier for rows of features or images.

    A network gives one output for each class, the logits, and is trained on the mean cross-entropy of the labelled
    samples. The defaults serve 10 to 1000 labels: as long as all samples fit into one batch, an epoch is one step of
    the optimiser, and ``max_epochs`` counts its steps. With many more samples a few epochs are enough.

    Features are shifted and scaled one by one, whatever their units, images by one mean and standard deviation of all
    their values. Values far outside are cut, with a warning where they can hardly be data.

    Parameters
    ----------
    backbone : {"auto", "dense", "conv", "wide_resnet"} or nn.Module class, default="auto"
        The network. "auto" is convolutional for images and dense for rows of features, "wide_resnet" a wide residual
        network of 28 layers for images. An own class is made by ``backbone(input_shape, n_outputs)`` and takes
        (n, \\*input_shape) to the logits (n, n_outputs), where the input shape is (n_features,) or
        (channels, height, width).
    hidden_units : "auto" or tuple of int, default="auto"
        Sizes of the hidden layers: units of dense layers, (256, 128) if "auto", channels of convolutions that each
        halve the image, (16, 32) if "auto", or channels of the groups of a wide residual network, (32, 64, 128) if
        "auto". With dense layers and () the model is multinomial logistic regression.
    image_shape : tuple of int (channels, height, width), default=None
        Tells that the rows of X are flattened images. An X of shape (n_samples, channels, height, width) says so
        itself.
    class_weight : {"sqrt", "balanced"}, dict or None, default=None
        How much a sample of each class counts in the cross-entropy: as much as one over the number of samples of the
        class if "balanced", over the square root of that number if "sqrt"; what a dict {class: weight} says, 1 where it
        says nothing; or the same, whatever its class, if None. The loss of a step is a weighted mean, so that only the
        ratios of weights matter.
    max_epochs : int, default=200
        Number of passes over X.
    batch_size : int, default=512
        Number of rows in a step of the optimiser, at least 2.
    lr : float, default=3e-3
        Learning rate.
    lr_schedule : {"constant", "cosine"}, default="cosine"
        "cosine" lets the learning rate fall along half a cosine towards 0 at ``max_epochs``.
    optimizer : str or torch.optim.Optimizer class, default="adam"
        Optimiser, by its class or the name of its class.
    device : {"cpu", "cuda", "cuda:<index>", "mps", "auto"}, default="cpu"
        Where to compute; "auto" takes the fastest device that is there.
    early_stopping : bool, default=False
        Whether to set rows aside for validation, to stop when their loss no longer falls, and to go back to the epoch
        in which it was lowest. The rows are drawn class by class, unless there are too few of one.
    validation_fraction : float in (0, 1), default=0.1
        Part of the rows set aside if ``early_stopping``.
    patience : int, default=10
        Number of epochs without a lower validation loss after which to stop if ``early_stopping``.
    callbacks : list of skorch callbacks, default=None
        Called during the training. A KeyboardInterrupt from ``on_epoch_end``, as ``skorch.callbacks.EarlyStopping``
        raises it, ends the training.
    net_params : dict, default=None
        Further parameters of ``skorch.NeuralNet`` for the optimiser and the callbacks, such as
        ``{"optimizer__weight_decay": 1e-4}``.
    checkpoint : str or path-like, default=None
        Folder where the state of the training is written after each epoch. Another ``fit`` with the same parameters
        and data, after a crash for instance, goes on from there and ends where an undisturbed one ends.
    warm_start : bool, default=False
        Whether another ``fit`` trains the network of the last one for ``max_epochs`` more, on samples of the same
        classes; what X is shifted and scaled by stays. An interrupted ``fit`` then leaves the estimator at the last
        completed epoch.
    random_state : int, RandomState instance or None, default=None
        Determines initial weights and order of the rows. Results are reproducible on the same machine.
    verbose : bool or int, default=0
        Whether to show a progress bar.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes, sorted.
    net_ : skorch net
        The trained net; ``net_.module_`` is the torch module.
    history_ : list of dict
        For each epoch its number ("epoch"), "train_loss" and, if ``early_stopping``, "valid_loss", which are mean
        cross-entropies in nats, weighted by class.
    location_, scale_ : ndarray of shape (n_features,), or float
        What X is shifted and scaled by: features one by one, images by two numbers.
    image_shape_ : tuple of int or None
        (channels, height, width) if the rows are images.
    n_features_in_ : int
        Number of features seen during ``fit``; for images channels * height * width.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X has names that are all strings.

    See Also
    --------
    sklearn.neural_network.MLPClassifier : Dense networks in plain NumPy.
    LANDClassifier : Learns from the unlabelled samples too, and says which to label next.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_geoal import NetClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> net = NetClassifier(random_state=0).fit(X[::10], y[::10])
    >>> net.predict_proba(X).shape
    (1797, 10)
    >>> net.score(X, y) > 0.9
    True
    """

    _module_class = Classifier
    _built_in = ("backbone", "hidden_units", "image_shape")
    _changeable = ("class_weight",)

    def __init__(
        self,
        backbone="auto",
        *,
        hidden_units="auto",
        image_shape=None,
        class_weight=None,
        max_epochs=200,
        batch_size=512,
        lr=3e-3,
        lr_schedule="cosine",
        optimizer="adam",
        device="cpu",
        early_stopping=False,
        validation_fraction=0.1,
        patience=10,
        callbacks=None,
        net_params=None,
        checkpoint=None,
        warm_start=False,
        random_state=None,
        verbose=0,
    ):
        self.backbone = backbone
        self.hidden_units = hidden_units
        self.image_shape = image_shape
        self.class_weight = class_weight
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.lr_schedule = lr_schedule
        self.optimizer = optimizer
        self.device = device
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.callbacks = callbacks
        self.net_params = net_params
        self.checkpoint = checkpoint
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X, y):
        """Train the network on labelled samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or ndarray of shape (n_samples, channels, height, width)
            Training data, at least two samples.
        y : array-like of shape (n_samples,)
            Their classes, none missing.

        Returns
        -------
        self : NetClassifier
            Fitted classifier.

        Raises
        ------
        TypeError, ValueError
            If X, y or a parameter is invalid, ``device`` is not there, ``checkpoint`` holds another training, or a
            ``warm_start`` meets new classes or changed parameters of the network.
        FloatingPointError
            If the training diverges.
        """
        return self._fit(X, y)

    def embed(self, X, layer=None):
        """Hidden representation of samples: what the last linear layer of the network is given.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or ndarray of shape (n_samples, channels, height, width)
            Samples.
        layer : str, default=None
            Name of another layer whose input to return, as ``net_.module_.named_modules()`` lists it.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_hidden), dtype float32
            Representation.

        Raises
        ------
        ValueError
            If there is no such layer.
        """
        X = self._rows(X)
        return penultimate(self.net_, self._standardize(X), layer)

    def _check_params(self):
        """There are none but those of every training."""

    def _encode_labels(self, y):
        classes, codes = encode_labels(y, missing_label=None)
        if (codes < 0).any():
            raise ValueError(
                f"y lacks the labels of {(codes < 0).sum()} of {len(codes)} samples (NaN or None): "
                "give the labelled samples only, or use a semi-supervised classifier such as LANDClassifier."
            )
        return classes, codes

    def _module_params(self, rows):
        body = {"hidden_units": self.hidden_units, "image_shape": self.image_shape_}
        return {
            "input_shape": self._input_shape,
            "n_classes": len(self.classes_),
            "class_weight": weights_of_classes(self.class_weight, self.classes_, rows.tensors[1].numpy()),
            "backbone": resolve_body("backbone", self.backbone, DENSE, CONV, wide_resnet=WideResNet, **body),
        }

    def _measure(self, net, rows, noise):
        return [infer(net, net.module_.logits, rows.known)]
