"""MixMatch for images and scenes with a class for each pixel."""

import numbers

from sklearn.utils import check_scalar

from .._nets.unet import resolve_unet
from .._segmentation import BaseSegmenter
from .._validation import check_choice
from ..augment import resolve_augment
from .training import MixMatchEstimator


class MixMatchSegmenter(MixMatchEstimator, BaseSegmenter):
    """MixMatch segmenter: a U-Net that learns a class for each pixel from few masks and many images without one.

    Each step of the training takes as many images without a mask as with one. The network guesses the masks of the
    former: the mean of what it gives for K augmented copies of an image, moved back to where the pixels were, sharpened
    pixel by pixel. All copies and their masks, known and guessed, are then mixed in pairs, and the network learns to
    give mixed masks for mixed images:

    .. math:: L = L_X + \\lambda_U L_U

    with the cross-entropy :math:`L_X` of the pixels of the first part, weighted by class, and the mean squared
    difference :math:`L_U` of the other [1]_. It predicts with the average of its weights over the steps.

    X holds images (n_images, bands, height, width), all of one size in ``fit``; afterwards of any size. Rows of bands
    are images of a single pixel each, with a label each, which a dense network then learns. Each band is shifted and
    scaled by its mean and standard deviation over all pixels.

    Parameters
    ----------
    backbone : "unet" or nn.Module class, default="unet"
        The network: a U-Net [2]_ with batch normalisation, or an own class. That is made by
        ``backbone(input_shape, n_classes)``, with the input shape (bands, height, width), and takes (n, bands, h, w) to
        the logits (n, n_classes, h, w). For tiles without a seam it needs attributes: ``receptive_margin``, the
        largest distance in pixels between an input and an output that depends on it, and ``alignment``, of which the
        first row and column of a tile have to be multiples. Without them a quarter of ``tile_size`` and 1 are taken.
    hidden_units : "auto" or tuple of int, default="auto"
        Channels of the levels of the U-Net, each but the first of which halves the image. "auto" is (16, 32, 64, 128),
        or fewer of these for small images.
    image_shape : tuple of int (bands, height, width), default=None
        Tells that the rows of X are flattened images. An X of shape (n_images, bands, height, width) says so itself.
    augment : {"auto", "image", "aerial", "table", "spectra"}, augmentation, function, list of these or None, \
default="auto"
        How images are changed at random, see :mod:`sklearn_geoal.augment`. What moves pixels moves the masks
        along. "auto" is "image" for images, which warps and shades them a little, and "table" for single pixels.
        "aerial" adds flips and rotations, for scenes seen from above.
    n_augmentations : int, default=2
        Number K of augmented copies of each image without a mask.
    temperature : float, default=0.5
        T of the sharpening: guessed probabilities are raised to the power 1/T. With 1 they stay as they are, towards 0
        the most probable class gets all.
    mixing : {"cutmix", "mixup"}, default="cutmix"
        How two images are mixed: "cutmix" shows one of them in a box within the other, so that each pixel keeps its
        class and loses some of its surroundings [4]_, [5]_; "mixup" lays them over each other, as in the paper on
        MixMatch, which leaves what holds for a whole image, such as its light.
    alpha : float, default=1.0
        Shares of mixed images are drawn from Beta(alpha, alpha); the smaller is the area of the box, or of the second
        image at each pixel. With 0 nothing is mixed. "mixup" takes a smaller one, such as 0.2: much of it slows the
        learning of masks.
    lambda_u : float, default=20.0
        Weight lambda_U of the loss on guessed masks. With fewer than ten classes it is multiplied by their number / 10,
        for the loss is a mean over them. Masks take less than the 75 that is published for images with one class:
        where some classes are rare, too high a weight makes the network give them up.
    confidence : float in [0, 1], default=0.9
        A pixel of an image without a mask is learned from where its guess, sharpened, gives one class at least this
        probability [3]_. With 0, as in the paper on MixMatch, all are. Images unlike those with a mask, of which the
        network is unsure, are so left for later.
    warmup : float in [0, 1], default=1.0
        Part of the steps of ``fit`` in which ``lambda_u`` grows linearly from 0.
    ema_decay : float in [0, 1), default=0.999
        Part of the average of the weights that a step keeps; less in the first steps.
    class_weight : {"sqrt", "balanced"}, dict or None, default="sqrt"
        How much a labelled pixel of each class counts in L_X: as much as one over the number of its labelled pixels if
        "balanced", over the square root of that number if "sqrt"; what a dict {class: weight} says, 1 where it says
        nothing; or the same, whatever its class, if None. Equal pixels make for the highest accuracy, but guesses then
        leave out the rare classes.
    missing_label : "auto", None, scalar or str, default="auto"
        Marks pixels without a label, which are to be learned about. "auto" reads NaN in a numeric y, None in an object
        y and, where neither occurs, -1 in an integer-valued y.
    ignore_label : scalar or str, default=None
        Marks void pixels, such as borders of objects: they are neither trained on nor guessed nor scored. None:
        there are none.
    tile_size : int, default=512
        Images that are higher or wider are predicted in overlapping tiles of this side, which bounds the memory
        needed: about 0.6 KiB a pixel of a tile with the default U-Net.
    max_epochs : int, default=20
        Number of passes over the images with or without a mask, whichever are more; where they are few, an epoch goes
        on for up to 20 steps.
    batch_size : int, default=8
        Number of images of each of the two kinds in a step of the optimiser, at least 2. Of images of less than 256
        pixels together, such as single pixels, a step takes as many as have these.
    lr : float, default=2e-3
        Learning rate.
    lr_schedule : {"constant", "cosine"}, default="constant"
        "cosine" lets the learning rate fall along half a cosine towards 0 at ``max_epochs``.
    weight_decay : float, default=0.02
        Part of the kernels, not of biases and normalisations, that a step takes away, in units of the learning rate.
    optimizer : str or torch.optim.Optimizer class, default="adam"
        Optimiser, by its class or the name of its class.
    device : {"cpu", "cuda", "cuda:<index>", "mps", "auto"}, default="cpu"
        Where to compute; "auto" takes the fastest device that is there.
    early_stopping : bool, default=False
        Whether to set images with a mask aside for validation, to stop when their loss no longer falls, and to go back
        to the epoch in which it was lowest.
    validation_fraction : float in (0, 1), default=0.1
        Part of the images with a mask set aside if ``early_stopping``.
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
        Whether another ``fit`` trains the network of the last one for ``max_epochs`` more, on masks of the same
        classes and images of any size; what the bands are shifted and scaled by stays, and ``lambda_u`` does not grow
        from 0 again. An interrupted ``fit`` then leaves the estimator at the last completed epoch.
    random_state : int, RandomState instance or None, default=None
        Determines initial weights, order of the images, augmentations and mixtures. Results are reproducible on the
        same machine.
    verbose : bool or int, default=0
        Whether to show a progress bar.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes, sorted.
    net_ : skorch net
        The trained net; ``net_.module_.average`` is the torch module that predicts.
    history_ : list of dict
        For each epoch its number ("epoch"), the means over its steps of L_X ("labeled_loss", in nats), of L_U
        ("unlabeled_loss") and of the loss that is minimised ("train_loss") and, if ``early_stopping``, "valid_loss",
        L_X of the images set aside.
    location_, scale_ : ndarray of shape (n_bands,)
        What each band is shifted and scaled by.
    image_shape_ : tuple of int
        (bands, height, width) of the images in ``fit``.
    n_features_in_ : int
        Number of features seen during ``fit``: bands * height * width.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X has names that are all strings.

    See Also
    --------
    MixMatchClassifier : One class for each row or image.

    Notes
    -----
    An image takes part as one with a mask if any of its pixels has a label, and as one without if any lacks it: a few
    labelled points in each scene are enough of a mask. An image whose pixels are all void takes no part.

    Beside a few labelled points guesses would make up most of L_X. With "cutmix" images with a mask are therefore mixed
    among themselves, and with "mixup" a pixel is trained on where the image with the larger share has a target.

    Few masks are seen again and again, and boxes keep the network from learning them by heart; many are learned faster
    without. An image with a mask therefore has a box with a probability that is the part of images without a mask;
    each of these has one.

    With a mask for each image nothing is guessed and the training is that of a supervised U-Net, with augmentation,
    weighted classes and averaged weights; with "mixup" and an ``alpha`` above 0, on mixed images.

    Batch normalisation is treated as in :class:`MixMatchClassifier`. What an augmentation brings in from beyond the
    border of an image is filled by reflection for the network to look at, but neither guessed nor trained on.

    Where images are few and unlike each other, classes rare or masks many, guesses can do harm: compare with the
    supervised U-Net.

    There is no ``transduction_``: ``predict`` gives the masks of the images of ``fit``, as of others, once they are
    asked for.

    References
    ----------
    .. [1] D. Berthelot, N. Carlini, I. Goodfellow, N. Papernot, A. Oliver and C. Raffel. "MixMatch: A Holistic Approach
       to Semi-Supervised Learning." Advances in Neural Information Processing Systems 32 (2019).
    .. [2] O. Ronneberger, P. Fischer and T. Brox. "U-Net: Convolutional Networks for Biomedical Image Segmentation."
       Medical Image Computing and Computer-Assisted Intervention (2015).
    .. [3] K. Sohn, D. Berthelot, C.-L. Li, Z. Zhang, N. Carlini, E. D. Cubuk, A. Kurakin, H. Zhang and C. Raffel.
       "FixMatch: Simplifying Semi-Supervised Learning with Consistency and Confidence." Advances in Neural Information
       Processing Systems 33 (2020).
    .. [4] S. Yun, D. Han, S. J. Oh, S. Chun, J. Choe and Y. Yoo. "CutMix: Regularization Strategy to Train Strong
       Classifiers with Localizable Features." International Conference on Computer Vision (2019).
    .. [5] G. French, S. Laine, T. Aila, M. Mackiewicz and G. Finlayson. "Semi-supervised Semantic Segmentation Needs
       Strong, Varied Perturbations." British Machine Vision Conference (2020).

    Examples
    --------
    Eight noisy images of a bright square, of which two have a mask:

    >>> import numpy as np
    >>> from sklearn_geoal import MixMatchSegmenter
    >>> rng = np.random.default_rng(0)
    >>> y = np.zeros((8, 16, 16), dtype=int)
    >>> y[:, 4:12, 4:12] = 1
    >>> X = y[:, None] + 0.3 * rng.normal(size=(8, 1, 16, 16))
    >>> y_train = y.copy()
    >>> y_train[2:] = -1
    >>> segmenter = MixMatchSegmenter(hidden_units=(8,), max_epochs=30, lr=1e-2, random_state=0).fit(X, y_train)
    >>> segmenter.predict(X).shape
    (8, 16, 16)
    >>> segmenter.score(X, y) > 0.9
    True
    """

    def __init__(
        self,
        backbone="unet",
        *,
        hidden_units="auto",
        image_shape=None,
        augment="auto",
        n_augmentations=2,
        temperature=0.5,
        mixing="cutmix",
        alpha=1.0,
        lambda_u=20.0,
        confidence=0.9,
        warmup=1.0,
        ema_decay=0.999,
        class_weight="sqrt",
        missing_label="auto",
        ignore_label=None,
        tile_size=512,
        max_epochs=20,
        batch_size=8,
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
        self.mixing = mixing
        self.alpha = alpha
        self.lambda_u = lambda_u
        self.confidence = confidence
        self.warmup = warmup
        self.ema_decay = ema_decay
        self.class_weight = class_weight
        self.missing_label = missing_label
        self.ignore_label = ignore_label
        self.tile_size = tile_size
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
        """Train the network on images, some of them with a mask.

        Parameters
        ----------
        X : ndarray of shape (n_images, bands, height, width) or array-like of shape (n_samples, n_features)
            Training images of one size, at least two pixels; or pixels as rows of their bands; or, with
            ``image_shape``, images as rows.
        y : array-like of shape (n_images, height, width) or (n_samples,), or list
            The class of each pixel, missing or void ones marked as ``missing_label`` and ``ignore_label`` say, missing
            ones also by the mask of a masked array. A list has None in place of the mask of an image without one.

        Returns
        -------
        self : MixMatchSegmenter
            Fitted segmenter.

        Raises
        ------
        TypeError, ValueError
            If X, y or a parameter is invalid, no pixel or only one class is labelled, a mask has another size than its
            image, the images are too small for ``hidden_units``, ``device`` is not there, ``checkpoint`` holds another
            training, or a ``warm_start`` meets new classes or changed parameters of the network.
        FloatingPointError
            If the training diverges.
        """
        return self._fit(X, y)

    def _check_params(self):
        super()._check_params()
        check_scalar(self.tile_size, "tile_size", numbers.Integral, min_val=1)
        check_choice("mixing", self.mixing, ("cutmix", "mixup"))
        check_scalar(self.confidence, "confidence", numbers.Real, min_val=0, max_val=1)

    @property
    def _network(self):
        return self.net_.module_.average

    def _method_params(self, rows):
        return {
            "input_shape": self.image_shape_,
            "backbone": resolve_unet(self.backbone, self.hidden_units),
            "augment": resolve_augment(self.augment, self.image_shape_),
            "dense": True,
            "mixing": self.mixing,
            "confidence": self.confidence,
        }
