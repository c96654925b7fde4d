"""The estimator: clusters that a network finds without labels, and an embedding."""
# over 400 lines: half of them describe parameters and attributes

import math
import numbers
from functools import partial

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_scalar

from .._nets.bodies import resolve_body
from .._nets.conv import NormalizedConvEncoder
from .._nets.dense import DenseEncoder
from .._nets.recal import RECAL
from .._nets.vgg import VGG16BN
from .._torch.fitting import RowEstimator
from .._torch.inference import infer
from .._torch.training import train
from .._validation import check_choice
from .._warnings import warn
from ..augment import resolve_augment
from .training import RECALNet, distance_to_neighbors, merge_clusters, pretrained, without_validation

DENSE = partial(DenseEncoder, hidden_units=(256, 128))

# parameters of the estimator that the network has under the same names
_SHARED = ("entropy_weight", "class_entropy_weight", "consistency_weight", "accumulate_batches", "accumulation")


class RECALClusterer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, RowEstimator):
    """Clustering by a network whose outputs are the clusters, for images, patches of scenes and tables.

    A network takes each sample x to an embedding z and this to the probabilities p(y|x) of the clusters. It is trained
    on

    .. math:: L = \\lambda H(y|x) - w H(y) - c \\, \\log \\sum_k p(y=k|x') \\, p(y=k|x'')

    with the mean entropy H(y|x) of its predictions ("classification entropy" in the paper [1]_, low where each sample
    belongs to one cluster), the entropy H(y) of the mean prediction ("class entropy", high where all clusters are
    used), and two augmented copies x' and x'' of each sample, which should meet in one cluster. It needs no labels, no
    initial clusters and no weights trained on other images.

    Trained like this from the start, a network often splits one cluster and joins two others, and cannot go back. So
    it first has several times as many clusters. After some epochs those between which the copies of a sample change
    most are merged, until ``n_clusters`` are left, and the training goes on. Merged clusters are expected in the sizes
    they then have: the divergence of the mean prediction from these takes the place of -H(y), which up to a constant
    is that from equal sizes.

    Features are shifted and scaled one by one, whatever their units, images by one mean and standard deviation of all
    their values. Values far outside are cut, with a warning where they can hardly be data.

    Parameters
    ----------
    n_clusters : int, default=8
        Number of clusters.
    backbone : {"auto", "dense", "conv", "vgg16_bn"} or nn.Module class, default="auto"
        The network up to the embedding. "auto" is convolutional for images and dense for rows of features, "vgg16_bn"
        are the layers of the paper: VGG16 with batch normalisation, cut where the image has become one pixel. An own
        class is made by ``backbone(input_shape, n_components)`` and takes (n, \\*input_shape) to (n, n_components),
        where the input shape is (n_features,) or (channels, height, width).
    n_components : int, default=128
        Number of dimensions of the embedding.
    hidden_units : "auto" or tuple of int, default="auto"
        Sizes of the hidden layers: units of dense layers, (256, 128) if "auto", or channels of convolutions that each
        halve the image, as many of (32, 64, 128, 256, 256) as it allows if "auto", or of the blocks of "vgg16_bn".
    weights : str or path-like, default=None
        File with the state dict of torchvision's ``vgg16_bn``, such as the published one of ImageNet, whose feature
        layers the backbone "vgg16_bn" starts from. None starts from random weights.
    image_shape : tuple of int (channels, height, width), default=None
        Tells that the rows of X are flattened images. An X of shape (n_samples, channels, height, width) says so
        itself.
    augment : {"auto", "adversarial", "table", "spectra", "image", "aerial"}, augmentation, function, list of these or \
None, default="auto"
        What changes samples and should leave their clusters as they are: a preset or augmentations of
        :mod:`sklearn_geoal.augment`, which are given standardised samples, or "adversarial" for small steps in the
        direction in which the predictions change most (virtual adversarial training [2]_, [3]_). "auto" is "image" for
        images and "adversarial" for rows of features; choose "spectra" where the features are bands in their order,
        "aerial" for images that have no upper side. None changes nothing, and there is no consistency to ask for, as in
        the paper.
    entropy_weight : float, default=0.5
        Weight lambda of H(y|x), above 0. Too large, clusters merge; too small, samples stay between clusters.
    class_entropy_weight : float, default=3.0
        Weight w of H(y). The larger, the closer to the sizes expected of them the clusters.
    consistency_weight : float, default=2.0
        Weight c of the disagreement of augmented copies.
    overclustering : int, default=4
        How many times ``n_clusters`` there are at first. With 1 nothing is merged.
    n_init : int, default=3
        Number of starts, short trainings up to the merging. The one is trained on whose merged clusters say most about
        each other in two copies of a sample.
    init_epochs : int, default=8
        Number of passes over X of each of them.
    accumulate_batches : int, default=1
        Number t of mini-batches of a step of the optimiser. The class entropy needs many samples, some ten for each
        cluster or more: where memory does not hold them, take t smaller mini-batches.
    accumulation : {"exact", "running"}, default="exact"
        "exact" takes two passes over the t mini-batches and gives the gradient of all of them together at the memory of
        one. "running" is Algorithm 2 of the paper: the last of the t mini-batches has a gradient, the others only count
        in H(y|x) and H(y).
    max_epochs : int, default=20
        Number of passes over X; where samples are few, an epoch goes on for up to 20 steps.
    batch_size : int, default=512
        Number of rows in a mini-batch, at least 2.
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
        in which it was lowest.
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
        Whether another ``fit`` trains the network of the last one for ``max_epochs`` more, without another start; what
        X is shifted and scaled by stays. An interrupted ``fit`` then leaves the estimator at the last completed epoch.
    random_state : int, RandomState instance or None, default=None
        Determines initial weights, augmentations and the order of the rows. Results are reproducible on the same
        machine.
    verbose : bool or int, default=0
        Whether to show progress bars.

    Attributes
    ----------
    labels_ : ndarray of shape (n_samples,)
        Cluster of each sample of ``fit``, as ``predict`` gives it.
    init_scores_ : ndarray of shape (n_init,)
        Mutual information in nats of the clusters of two copies of a sample, after the merging of each start. Empty
        if there is but one start and nothing to merge.
    net_ : skorch net
        The trained net; ``net_.module_`` is the torch module.
    history_ : list of dict
        For each epoch after the starts its number ("epoch"), the means over its steps of H(y|x)
        ("conditional_entropy"), H(y) ("class_entropy"), the disagreement of augmented copies ("disagreement"), all in
        nats, and of the loss L ("train_loss"), and, if ``early_stopping``, "valid_loss".
    location_, scale_ : ndarray of shape (n_features,), or float
        What X is shifted and scaled by: features one by one, images by two numbers.
    epsilon_ : float or None
        Length of the adversarial perturbations of standardised samples: a quarter of the median distance of a sample to
        its tenth nearest neighbour, measured on at most 5000 samples.
    image_shape_ : tuple of int or None
        (channels, height, width) if the rows are images.
    n_features_in_ : int
        Number of features seen during ``fit``; for images channels * height * width.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X has names that are all strings.

    See Also
    --------
    sklearn.cluster.KMeans : Clusters around means; good on the embedding too.
    sklearn_geoal.preprocessing.PatchTransformer : Patches of a scene, and their clusters as a map.
    VAETransformer : Features of images without clusters.

    Notes
    -----
    The paper trains with ``backbone="vgg16_bn"``, ImageNet's ``weights``, ``augment=None``, ``class_entropy_weight=1``,
    ``overclustering=1``, ``n_init=1``, ``optimizer="sgd"`` with ``net_params={"optimizer__momentum": 0.9}``,
    ``lr=1e-4`` and a constant learning rate. Its network ends in a ReLU between the batch normalisation and the
    softmax, which is left out here.

    With ``accumulation="exact"`` both passes meet the same augmented samples and batch statistics, so that the gradient
    is that of all mini-batches up to rounding, unless an own backbone has dropout. "running" gives t times the gradient
    that Algorithm 2 has to the letter: its scale does not depend on t.

    References
    ----------
    .. [1] Saha, J. and Mukhopadhyay, J., "RECAL: reuse of established CNN classifier apropos unsupervised learning
       paradigm", arXiv:1906.06480, 2019.
    .. [2] Miyato, T., Maeda, S., Koyama, M. and Ishii, S., "Virtual adversarial training: a regularization method for
       supervised and semi-supervised learning", IEEE TPAMI, 2019.
    .. [3] Hu, W., Miyato, T., Tokui, S., Matsumoto, E. and Sugiyama, M., "Learning discrete representations via
       information maximizing self-augmented training", ICML, 2017.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.metrics import normalized_mutual_info_score
    >>> from sklearn_geoal import RECALClusterer
    >>> X, y = load_digits(return_X_y=True)
    >>> recal = RECALClusterer(n_clusters=10, image_shape=(1, 8, 8), n_init=1, max_epochs=5, random_state=0).fit(X)
    >>> normalized_mutual_info_score(y, recal.labels_) > 0.8
    True
    >>> recal.transform(X).shape
    (1797, 128)
    """

    _module_class, _net_class = RECAL, RECALNet
    _built_in = ("backbone", "hidden_units", "image_shape", "n_clusters", "n_components")
    _changeable = (*_SHARED, "augment", "epsilon")

    def __init__(
        self,
        n_clusters=8,
        *,
        backbone="auto",
        n_components=128,
        hidden_units="auto",
        weights=None,
        image_shape=None,
        augment="auto",
        entropy_weight=0.5,
        class_entropy_weight=3.0,
        consistency_weight=2.0,
        overclustering=4,
        n_init=3,
        init_epochs=8,
        accumulate_batches=1,
        accumulation="exact",
        max_epochs=20,
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
        self.n_clusters = n_clusters
        self.backbone = backbone
        self.n_components = n_components
        self.hidden_units = hidden_units
        self.weights = weights
        self.image_shape = image_shape
        self.augment = augment
        self.entropy_weight = entropy_weight
        self.class_entropy_weight = class_entropy_weight
        self.consistency_weight = consistency_weight
        self.overclustering = overclustering
        self.n_init = n_init
        self.init_epochs = init_epochs
        self.accumulate_batches = accumulate_batches
        self.accumulation = accumulation
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

    def fit(self, X, y=None):
        """Train the network and put the samples into clusters.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or ndarray of shape (n_samples, channels, height, width)
            Training data, at least ``n_clusters`` samples and at least two.
        y : None
            Ignored.

        Returns
        -------
        self : RECALClusterer
            Fitted clusterer.

        Raises
        ------
        TypeError, ValueError
            If X or a parameter is invalid, there are fewer samples than clusters, ``device`` is not there, ``weights``
            do not fit the network, ``checkpoint`` holds another training, or a ``warm_start`` meets changed parameters
            of the network.
        FileNotFoundError
            If there is no file ``weights``.
        FloatingPointError
            If the training diverges.

        Warns
        -----
        ConvergenceWarning
            If at most half of the clusters are used.
        UserWarning
            If a step has fewer rows than there are clusters.
        """
        self._fit(X)
        self._warn_of_collapse()
        return self

    def predict(self, X):
        """Most probable cluster of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or ndarray of shape (n_samples, channels, height, width)
            Data.

        Returns
        -------
        labels : ndarray of shape (n_samples,), dtype int64
            Clusters, from 0 to ``n_clusters`` - 1.
        """
        return self._probabilities(self._rows(X)).argmax(axis=1)  # as labels_, before any further rounding

    def predict_proba(self, X):
        """Probabilities p(y|x) of the clusters for each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or ndarray of shape (n_samples, channels, height, width)
            Data.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_clusters)
            They sum to 1 in each row. Of the dtype of X.
        """
        X = self._rows(X)
        probabilities = self._probabilities(X).astype(X.dtype)
        return probabilities / probabilities.sum(axis=1, keepdims=True)  # the network's are rounded to float32

    def transform(self, X):
        """Embedding z of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or ndarray of shape (n_samples, channels, height, width)
            Data.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_components)
            Embedding, of the dtype of X.
        """
        X = self._rows(X)
        return self._infer(self.net_.module_.embed, X).astype(X.dtype, copy=False)

    def _check_params(self):
        for name in ("n_clusters", "n_components", "overclustering", "n_init", "init_epochs", "accumulate_batches"):
            check_scalar(getattr(self, name), name, numbers.Integral, min_val=1)
        check_scalar(self.entropy_weight, "entropy_weight", numbers.Real, min_val=0, include_boundaries="neither")
        check_scalar(self.class_entropy_weight, "class_entropy_weight", numbers.Real, min_val=0)
        check_scalar(self.consistency_weight, "consistency_weight", numbers.Real, min_val=0)
        check_choice("accumulation", self.accumulation, ("exact", "running"))
        if self.weights is not None and self.backbone != "vgg16_bn":
            raise ValueError(
                f'weights are those of backbone="vgg16_bn"; got weights={self.weights!r} and '
                f"backbone={self.backbone!r}."
            )
        if self.accumulate_batches * self.batch_size < self.n_clusters:
            warn(
                f"A step has {self.accumulate_batches} x {self.batch_size} rows (accumulate_batches x batch_size), "
                f"fewer than n_clusters={self.n_clusters}: the mean prediction of so few rows cannot use all clusters. "
                "Raise one of them."
            )

    def _read(self, X, y, from_scratch):
        X = self._read_rows(X, from_scratch)
        if len(X) < self.n_clusters:
            raise ValueError(
                f"n_samples={len(X)} must be at least n_clusters={self.n_clusters}: give more samples or ask for fewer "
                "clusters."
            )
        Z = self._standardize(X)
        if from_scratch:
            self.init_scores_, self.epsilon_ = np.empty(0), None
        self.epsilon_ = self._epsilon(Z)
        return Z, None, None

    def _epsilon(self, Z):
        """Length of adversarial perturbations of standardised rows, None where they are augmented otherwise."""
        is_image = self.image_shape_ is not None and math.prod(self.image_shape_[1:]) > 1
        names = ("adversarial",) if is_image else ("adversarial", "auto")
        if isinstance(self.augment, str) and self.augment in names:
            return self.epsilon_ or 0.25 * distance_to_neighbors(Z)  # that of the first fit stays
        return None

    def _start(self, net, make, rows, noise, seed, checkpoint):
        """The best net of several short trainings, after its clusters were merged."""
        if self.overclustering * self.n_init == 1:
            return net
        scores, best = [], None
        for i in range(self.n_init):
            net = net if i == 0 else make()
            stage = None if checkpoint is None else checkpoint.stage(f"start{i}")
            with without_validation(net):
                train(
                    net,
                    rows,
                    max_epochs=self.init_epochs,
                    seed=seed + i + 1,
                    noise=noise,
                    stage=stage,
                    verbose=self.verbose,
                )
            scores.append(merge_clusters(net, rows, self.n_clusters, seed, noise))
            if best is None or scores[-1] > max(scores[:-1]):
                best = net
        self.init_scores_ = np.array(scores)
        best.forget_training()  # its optimiser knows the outputs that were merged
        best.initialize_history()
        return best

    def _warn_of_collapse(self):
        n_used = len(np.unique(self.labels_))
        if n_used <= self.n_clusters / 2:
            warn(
                f"Only {n_used} of {self.n_clusters} clusters are used: the samples may be too much alike, or the "
                "training collapsed. Try a smaller entropy_weight, a larger class_entropy_weight or another "
                "random_state.",
                ConvergenceWarning,
            )

    def _module_params(self, rows):
        body = {"hidden_units": self.hidden_units, "image_shape": self.image_shape_}
        backbone = resolve_body("backbone", self.backbone, DENSE, NormalizedConvEncoder, vgg16_bn=VGG16BN, **body)
        return {
            "input_shape": self._input_shape,
            "n_clusters": self.overclustering * self.n_clusters,
            "n_components": self.n_components,
            "backbone": backbone if self.weights is None else partial(pretrained, backbone, weights=self.weights),
            "augment": resolve_augment(self.augment if self.epsilon_ is None else None, self._input_shape),
            "epsilon": self.epsilon_,
        } | {name: getattr(self, name) for name in _SHARED}

    def _measure(self, net, rows, noise):
        return [infer(net, net.module_.log_probabilities, rows.tensors[0][: self.batch_size].numpy())]

    def _conclude(self, rows):
        self.labels_ = infer(self.net_, self.net_.module_.probabilities, rows.tensors[0].numpy()).argmax(axis=1)

    def _probabilities(self, X):
        return self._infer(self.net_.module_.probabilities, X)

    @property
    def _n_features_out(self):
        return self.net_.module_.norm.num_features

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
