"""MixMatch for rows of features, spectra and images with one class each."""

from functools import partial

from .._nets.bodies import resolve_body
from .._nets.conv import NormalizedConvEncoder
from .._nets.dense import DenseEncoder
from .._nets.wide_resnet import WideResNet
from .._torch.fitting import RowClassifier, transduced
from ..augment import resolve_augment
from .training import MixMatchEstimator

DENSE = partial(DenseEncoder, hidden_units=(256, 128))


class MixMatchClassifier(MixMatchEstimator, RowClassifier):
    """MixMatch classifier: a network that learns from few labelled and many unlabelled samples.

    Each step of the training takes as many unlabelled samples as labelled ones. The network guesses the labels of the
    unlabelled: the mean of what it gives for K augmented copies of a sample, sharpened. All copies and their labels,
    known and guessed, are then mixed in pairs (MixUp), and the network learns to give mixed labels for mixed samples:

    .. math:: L = L_X + \\lambda_U L_U

    with the cross-entropy :math:`L_X` of the labelled part and the mean squared difference :math:`L_U` of the other
    [1]_. It predicts with the average of its weights over the steps. Where every label is known what remains is MixUp
    [2]_ with augmented samples.

    Features are shifted and scaled one by one, whatever their units, images by one mean and standard deviation of all
    their values. Values far outside are cut, with a warning where they can hardly be data.

    Parameters
    ----------
    backbone : {"auto", "dense", "conv", "wide_resnet"} or nn.Module class, default="auto"
        The network. "auto" is convolutional for images and dense for rows of features, "wide_resnet" the residual
        network of the paper, WRN-28-2, for images. An own class is made by ``backbone(input_shape, n_outputs)`` and
        takes (n, \\*input_shape) to the logits (n, n_outputs), where the input shape is (n_features,) or
        (channels, height, width).
    hidden_units : "auto" or tuple of int, default="auto"
        Sizes of the hidden layers: units of dense layers, (256, 128) if "auto", channels of convolutions that each
        halve the image, as many of (32, 64, 128, 256, 256) as it allows if "auto", or channels of the groups of a wide
        residual network, (32, 64, 128) if "auto".
    image_shape : tuple of int (channels, height, width), default=None
        Tells that the rows of X are flattened images. An X of shape (n_samples, channels, height, width) says so
        itself.
    augment : {"auto", "table", "spectra", "image", "aerial"}, augmentation, function, list of these or None, \
default="auto"
        What changes samples at random and leaves their classes as they are: a preset or augmentations of
        :mod:`sklearn_geoal.augment`, which are given standardised samples. "auto" is "image" for images and "table" for
        rows of features; choose "spectra" where the features are bands in their order, "aerial" for images that have
        no upper side. None changes nothing.
    n_augmentations : int, default=2
        Number K of augmented copies of each unlabelled sample.
    temperature : float, default=0.5
        T of the sharpening: guessed labels are raised to the power 1/T. With 1 they stay as they are, towards 0 the
        most probable class gets all.
    alpha : float, default=0.75
        Shares of mixed samples are drawn from Beta(alpha, alpha). With 0 nothing is mixed.
    lambda_u : float, default=75
        Weight lambda_U of the loss of unlabelled samples, as published for ten classes. With fewer it is multiplied by
        their number / 10, for the loss is a mean over them.
    warmup : float in [0, 1], default=1.0
        Part of the steps of ``fit`` in which ``lambda_u`` grows linearly from 0. The paper's 16 000 steps are more than
        all of a training of this length; guesses that count before the network knows the classes make it give up some.
    ema_decay : float in [0, 1), default=0.999
        Part of the average of the weights that a step keeps; less in the first steps.
    class_weight : {"sqrt", "balanced"}, dict or None, default=None
        How much a labelled sample of each class counts in L_X: as much as one over the number of its labelled samples
        if "balanced", over the square root of that number if "sqrt"; what a dict {class: weight} says, 1 where it says
        nothing; or the same, whatever its class, if None. L_X is a weighted mean, so that only the ratios of weights
        matter. L_U has no weights, for guesses are no labels.
    missing_label : "auto", None, scalar or str, default="auto"
        Marker of a missing label in y. "auto" reads NaN in a numeric y, None in an object y and, where neither occurs,
        -1 in an integer-valued y.
    max_epochs : int, default=20
        Number of passes over the unlabelled or the labelled samples, whichever are more; where they are few, an epoch
        goes on for up to 20 steps. The paper takes a million steps; a few thousand serve smaller problems.
    batch_size : int, default=64
        Number of labelled and of unlabelled samples in a step, at least 2.
    lr : float, default=2e-3
        Learning rate.
    lr_schedule : {"constant", "cosine"}, default="constant"
        "cosine" lets the learning rate fall along half a cosine towards 0 at ``max_epochs``.
    weight_decay : float, default=0.02
        Part of the weights, biases left out, that a step takes away, in units of the learning rate.
    optimizer : str or torch.optim.Optimizer class, default="adam"
        Optimiser, by its class or the name of its class.
    device : {"cpu", "cuda", "cuda:<index>", "mps", "auto"}, default="cpu"
        Where to compute; "auto" takes the fastest device that is there.
    early_stopping : bool, default=False
        Whether to set labelled samples aside for validation, to stop when their loss no longer falls, and to go back to
        the epoch in which it was lowest. It takes labels that the training lacks: not for a few labels a class.
    validation_fraction : float in (0, 1), default=0.1
        Part of the labelled samples set aside if ``early_stopping``.
    patience : int, default=10
        Number of epochs without a lower validation loss after which to stop if ``early_stopping``.
    callbacks : list of skorch callbacks, default=None
        Called during the training. A KeyboardInterrupt from ``on_epoch_end``, as ``skorch.callbacks.EarlyStopping``
        raises it, ends the training.
    net_params : dict, default=None
        Further parameters of ``skorch.NeuralNet`` for the optimiser and the callbacks, such as
        ``{"optimizer__betas": (0.9, 0.99)}``.
    checkpoint : str or path-like, default=None
        Folder where the state of the training is written after each epoch. Another ``fit`` with the same parameters
        and data, after a crash for instance, goes on from there and ends where an undisturbed one ends.
    warm_start : bool, default=False
        Whether another ``fit`` trains the network of the last one for ``max_epochs`` more, on samples of the same
        classes; what X is shifted and scaled by stays, and ``lambda_u`` does not grow from 0 again. An interrupted
        ``fit`` then leaves the estimator at the last completed epoch.
    random_state : int, RandomState instance or None, default=None
        Determines initial weights, augmentations, mixtures and the order of the samples. Results are reproducible on
        the same machine.
    verbose : bool or int, default=0
        Whether to show a progress bar.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes, sorted.
    transduction_ : ndarray of shape (n_samples,)
        Label of each sample of ``fit``: the one that was given, or else the one predicted.
    net_ : skorch net
        The trained net; ``net_.module_.average`` is the torch module that predicts.
    history_ : list of dict
        For each epoch its number ("epoch"), the means over its steps of L_X ("labeled_loss", in nats), of L_U
        ("unlabeled_loss") and of the loss that is minimised ("train_loss") and, if ``early_stopping``, "valid_loss",
        the mean cross-entropy in nats of the samples set aside.
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
    NetClassifier : The same networks on the labelled samples alone.
    LANDClassifier : Semi-supervised on a graph; says which samples to label next.
    sklearn.semi_supervised.LabelSpreading : Label diffusion on a graph.

    Notes
    -----
    Much of what MixMatch gains hangs on details that follow the authors' implementation. Guesses are those of the
    network in training, with the statistics of their own batch, but leave the running statistics of batch
    normalisations alone. Samples to learn from pass through the network in batches that each hold labelled samples and
    all copies of unlabelled ones, since batches of one kind would be normalised differently from what is predicted
    later. Each sample has a share of its own in its mixture, and always the larger one, so that it still is mainly a
    labelled or an unlabelled one.

    Some things differ, for trainings much shorter than the published ones: ``lambda_u`` grows over all of a training,
    the average of the weights forgets its first steps sooner, and the running statistics that it predicts with are
    computed anew at the end of each epoch, from samples that are neither augmented nor mixed.

    References
    ----------
    .. [1] Berthelot, D., Carlini, N., Goodfellow, I., Oliver, A., Papernot, N. and Raffel, C., "MixMatch: a holistic
       approach to semi-supervised learning", NeurIPS, 2019.
    .. [2] Zhang, H., Cisse, M., Dauphin, Y. N. and Lopez-Paz, D., "mixup: beyond empirical risk minimization", ICLR,
       2018.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_geoal import MixMatchClassifier
    >>> X, truth = load_digits(return_X_y=True)
    >>> y = np.where(np.arange(len(X)) < 100, truth, -1)  # a hundred labels
    >>> mixmatch = MixMatchClassifier(random_state=0).fit(X, y)
    >>> mixmatch.score(X[100:], truth[100:]) > 0.9
    True
    """

    def __init__(
        self,
        backbone="auto",
        *,
        hidden_units="auto",
        image_shape=None,
        augment="auto",
        n_augmentations=2,
        temperature=0.5,
        alpha=0.75,
        lambda_u=75.0,
        warmup=1.0,
        ema_decay=0.999,
        class_weight=None,
        missing_label="auto",
        max_epochs=20,
        batch_size=64,
        lr=2e-3,
        lr_schedule="constant",
        weight_decay=0.02,
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
        self.augment = augment
        self.n_augmentations = n_augmentations
        self.temperature = temperature
        self.alpha = alpha
        self.lambda_u = lambda_u
        self.warmup = warmup
        self.ema_decay = ema_decay
        self.class_weight = class_weight
        self.missing_label = missing_label
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.lr_schedule = lr_schedule
        self.weight_decay = weight_decay
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
        """Train the network on labelled and unlabelled samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or ndarray of shape (n_samples, channels, height, width)
            All samples, labelled or not, at least two.
        y : array-like of shape (n_samples,)
            Their classes, those that are not known marked as ``missing_label`` says.

        Returns
        -------
        self : MixMatchClassifier
            Fitted classifier.

        Raises
        ------
        TypeError, ValueError
            If X, y or a parameter is invalid, y has no label or labels of one class only, ``device`` is not there,
            ``checkpoint`` holds another training, or a ``warm_start`` meets new classes or changed parameters of the
            network.
        FloatingPointError
            If the training diverges.
        """
        return self._fit(X, y)

    def _method_params(self, rows):
        body = {"hidden_units": self.hidden_units, "image_shape": self.image_shape_, "wide_resnet": WideResNet}
        return {
            "input_shape": self._input_shape,
            "backbone": resolve_body("backbone", self.backbone, DENSE, NormalizedConvEncoder, **body),
            "augment": resolve_augment(self.augment, self._input_shape),
            "dense": False,
            "mixing": "mixup",
            "confidence": 0.0,
        }

    def _conclude(self, rows):
        self.transduction_ = transduced(self, rows)
