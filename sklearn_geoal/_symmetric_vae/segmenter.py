"""Generative segmenter for images and scenes with a class for each pixel."""
# over 400 lines: half of them describe parameters and attributes

import numbers

import numpy as np
from sklearn.utils import check_scalar
from sklearn.utils.validation import check_is_fitted

from .._nets.conv import fitting_units
from .._nets.hierarchical_vae import HierarchicalVAE
from .._nets.unet import UNITS, resolve_unet
from .._segmentation import (
    BaseSegmenter,
    apply_in_tiles,
    has_rows,
    infer_images,
    standardize_bands,
    validate_images,
)
from .._torch.class_weight import weights_of_classes
from .._torch.inference import as_tensor, infer
from .._validation import draw_seed, masked_as_nan
from ..augment import resolve_augment
from .axes import principal_axes
from .holes import fill_smoothly
from .training import SymmetricEstimator, codes_to_sample, labels_to_sample, rows_of_both_kinds


class SymmetricVAESegmenter(SymmetricEstimator, BaseSegmenter):
    """Semi-supervised segmenter that also generates: a hierarchical autoencoder with the mask among its latents.

    An image x has a mask S, known for few, and latents for what images with the same mask differ in: l on the coarsest
    level, and :math:`z_1, z_2, \\dots` on finer and finer ones. A decoder network makes an image from coarse to fine,
    :math:`p(x, z|S) = p(l) \\prod_t p(z_t|z_{<t}, S) \\, p(x|z, S)`. An encoder has a U-Net for the mask, q(S|x), and
    for the latents shares the way of the decoder, with a factor for each level,
    :math:`q(z_t|z_{<t}, S, x) \\propto p(z_t|z_{<t}, S) \\, \\tilde q(z_t|x)`. They learn as two players of a game,
    each from samples of the other [1]_, in four parts [2]_:

    - the encoder to name the known pixels: :math:`-\\log q(S|x)`;
    - the decoder from labelled images, with their masks and z of the encoder: :math:`-\\log p(x, z|S)`;
    - the decoder from other images, with masks of the encoder as well;
    - the encoder to find the S and z of images that the decoder has dreamed up for known masks:
      :math:`-\\log q(S, z|x)`.

    Neither needs gradients of the other. Of some images the encoder does not see all, so that it can fill in what is
    hidden, by clouds for instance: see :meth:`reconstruct`.

    X holds images (n_images, bands, height, width), all of one size in ``fit``; afterwards of any size. Rows of bands
    are images of a single pixel each, with a label each. Each band is shifted and scaled by its mean and standard
    deviation over all pixels.

    Parameters
    ----------
    n_components : int, default=3
        Number of latents in each pixel of a level. At first they are the principal components of the bands.
    backbone : "unet" or nn.Module class, default="unet"
        The network of q(S|x): a U-Net with batch normalisation, or an own class as :class:`MixMatchSegmenter` takes it.
    hidden_units : "auto" or tuple of int, default="auto"
        Channels of the levels, each but the first of which halves the image, of the U-Net, of the decoder and of the
        encoder's factors. "auto" is (16, 32, 64, 128), or fewer of these for small images.
    image_shape : tuple of int (bands, height, width), default=None
        Tells that the rows of X are flattened images. An X of shape (n_images, bands, height, width) says so itself.
    augment : {"auto", "image", "aerial", "table", "spectra"}, augmentation, function, list of these or None, \
default="auto"
        How images are changed at random, see :mod:`sklearn_geoal.augment`. What moves pixels moves the masks
        along. "auto" is "image" for images, which warps and shades them a little, and "table" for single pixels.
        "aerial" adds flips and rotations, for scenes seen from above.
    occlusion : float in [0, 1], default=0.5
        Part of the images in training of which the encoder does not see one or two rectangles.
    label_weight : float, default=10.0
        Weight of the cross-entropy of the known pixels in what the encoder minimises, beside that of dreamed images.
    class_weight : {"sqrt", "balanced"}, dict or None, default=None
        How much a labelled pixel of each class counts in that cross-entropy: as much as one over the number of labelled
        pixels of the class if "balanced", over the square root of that number if "sqrt"; what a dict {class: weight}
        says, 1 where it says nothing; or the same, whatever its class, if None. It is a weighted mean, so that only the
        ratios of weights matter. What is learned of dreams and of images without a mask has no weights.
    warmup : float in [0, 1], default=0.5
        Part of ``max_epochs`` over which the noise of dreams grows from 0. Noise from the start would hide the latents.
    missing_label : "auto", None, scalar or str, default="auto"
        Marks pixels without a label, which are to be learned about. "auto" reads NaN in a numeric y, None in an object
        y and, where neither occurs, -1 in an integer-valued y.
    ignore_label : scalar or str, default=None
        Marks void pixels, such as borders of objects: their class is neither trained on nor scored. None: there are
        none.
    tile_size : int, default=512
        Images that are higher or wider are worked on in overlapping tiles of this side, which bounds the memory needed.
    max_epochs : int, default=20
        Number of passes over the images; where they are few, an epoch goes on for up to 20 steps.
    batch_size : int, default=8
        Number of images in a step of the optimiser, at least 2. Up to as many with a mask come with them. Of images of
        less than 256 pixels together, such as single pixels, a step takes as many as have these.
    lr : float, default=1e-3
        Learning rate.
    lr_schedule : {"constant", "cosine"}, default="cosine"
        "cosine" lets the learning rate fall along half a cosine towards 0 at ``max_epochs``.
    optimizer : str or torch.optim.Optimizer class, default="adam"
        Optimiser, by its class or the name of its class. It should keep to each parameter's own gradient.
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
        ``{"optimizer__weight_decay": 1e-4}``.
    checkpoint : str or path-like, default=None
        Folder where the state of the training is written after each epoch. Another ``fit`` with the same parameters
        and data, after a crash for instance, goes on from there and ends where an undisturbed one ends.
    warm_start : bool, default=False
        Whether another ``fit`` trains the network of the last one for ``max_epochs`` more, without a warm-up, on masks
        of the same classes and images of any size; what the bands are shifted and scaled by stays. An interrupted
        ``fit`` then leaves the estimator at the last completed epoch.
    random_state : int, RandomState instance or None, default=None
        Determines initial weights, order of the images, augmentations and the draws of both players. Results are
        reproducible on the same machine.
    verbose : bool or int, default=0
        Whether to show a progress bar.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes, sorted.
    masks_ : ndarray of shape (n_masks, height, width)
        Masks of the labelled images, their missing and void pixels predicted, which :meth:`sample` draws from.
    net_ : skorch net
        The trained net; ``net_.module_`` is the torch module.
    history_ : list of dict
        For each epoch its number ("epoch") and means over its steps: of what is minimised ("train_loss"), of it
        -log p(x, z|S) up to a constant ("decoder_loss") and -log q(S|x) of the known pixels ("labeled_loss"), in nats a
        pixel; and of how far the latents of real images are from their priors, in nats an image: q(S|x) from the
        shares of the classes ("divergence_S"), q(l|x) from p(l) ("divergence_l"), q(z_t|z_<t, S, x) from
        p(z_t|z_<t, S) ("divergence_z1", "divergence_z2", ...). One near 0 has collapsed. If ``early_stopping``,
        "valid_loss" is the mean of -log q(S|x) of the images set aside.
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
    MixMatchSegmenter : Learns from what a network guesses for augmented images; it does not generate.
    SymmetricVAEClassifier : One class for each row or image.

    Notes
    -----
    An image takes part as one with a mask if any of its pixels has a label: a few labelled points are enough of a mask,
    the encoder completes it.

    Two kinds of noise are laid on dreamed images. For the latents it is that of the likelihood, independent in each
    pixel. For the masks it has the covariance of what the decoder leaves unexplained of the real images in the batch:
    what q(S|x) learns from images with noise like no real one says little about those.

    Latents that say nothing at first are given up before the encoder has learned to find them. Therefore each level
    begins with something to tell: it paints a share of the principal components of the bands, and the encoder finds
    them in the levels of a Laplacian pyramid.

    References
    ----------
    .. [1] B. Flach, D. Schlesinger and A. Shekhovtsov, "Symmetric Equilibrium Learning of VAEs", AISTATS, 2024.
    .. [2] A. Hruska, "Semi-supervised learning for spatio-temporal segmentation of satellite images", 2023, the part on
       symmetric learning of a hierarchical VAE.

    Examples
    --------
    Eight noisy images of a bright square, of which two have a mask:

    >>> import numpy as np
    >>> from sklearn_geoal import SymmetricVAESegmenter
    >>> rng = np.random.default_rng(0)
    >>> y = np.zeros((8, 16, 16), dtype=int)
    >>> y[:, 4:12, 4:12] = 1
    >>> X = y[:, None] + 0.3 * rng.normal(size=(8, 1, 16, 16))
    >>> y_train = y.copy()
    >>> y_train[2:] = -1
    >>> vae = SymmetricVAESegmenter(hidden_units=(8, 8), max_epochs=10, lr=5e-3, random_state=0).fit(X, y_train)
    >>> vae.score(X, y) > 0.9
    True
    >>> X_new, y_new = vae.sample(3, random_state=0)
    >>> X_new.shape, y_new.shape
    ((3, 1, 16, 16), (3, 16, 16))
    """

    _module_class = HierarchicalVAE
    _built_in = ("n_components", "backbone", "hidden_units", "image_shape", "augment", "occlusion", "label_weight")

    def __init__(
        self,
        n_components=3,
        *,
        backbone="unet",
        hidden_units="auto",
        image_shape=None,
        augment="auto",
        occlusion=0.5,
        label_weight=10.0,
        class_weight=None,
        warmup=0.5,
        missing_label="auto",
        ignore_label=None,
        tile_size=512,
        max_epochs=20,
        batch_size=8,
        lr=1e-3,
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
        self.n_components = n_components
        self.backbone = backbone
        self.hidden_units = hidden_units
        self.image_shape = image_shape
        self.augment = augment
        self.occlusion = occlusion
        self.label_weight = label_weight
        self.class_weight = class_weight
        self.warmup = warmup
        self.missing_label = missing_label
        self.ignore_label = ignore_label
        self.tile_size = tile_size
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
        """Train decoder and encoder on images, some of them with a mask.

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
        self : SymmetricVAESegmenter
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

    def reconstruct(self, X, missing=None):
        """Images as the decoder gives them back, and with hidden pixels filled in.

        Parameters
        ----------
        X : ndarray of shape (n_images, bands, height, width) or array-like of shape (n_samples, n_features)
            Images of any height and width, or rows as in ``fit``.
        missing : array-like of shape (n_images, height, width) or (n_samples,) of bool, default=None
            Which pixels are hidden, under clouds for instance. Their values in X do not matter and may be NaN.

        Returns
        -------
        X_reconstructed : ndarray, of the shape of X
            Without ``missing`` the expected images for the means of masks and latents, given X. With it
            X, and hidden pixels as expected from what is seen; what the decoder leaves unexplained around them is
            carried on into them, smoothly. Of the dtype of X, or float32 for images of small integers.

        Raises
        ------
        ValueError
            If X has other bands than in ``fit``, ``missing`` another shape than its images, an image has no pixel
            that is seen, or X is larger than a ``tile_size`` that leaves nothing between the margins of tiles.
        """
        check_is_fitted(self)
        if missing is None:
            images = validate_images(self, X, reset=False)
            seen = np.ones((len(images), 1, *images.shape[2:]), dtype=bool)
        else:
            images, seen = self._seen_images(X, missing)
        Z = np.concatenate([standardize_bands(images, self.location_, self.scale_), seen], axis=1, dtype=np.float32)
        out = np.empty(images.shape, dtype=np.result_type(images.dtype, np.float32))
        apply_in_tiles(
            self._reconstructed,
            Z,
            out,
            tile_size=self.tile_size,
            margin=self.tile_size // 4,
            alignment=self.net_.module_.alignment,
        )
        if missing is not None:
            for result, image, visible in zip(out, images, seen[:, 0], strict=True):
                result += fill_smoothly(image - result, ~visible)
        return out.reshape(len(out), -1) if has_rows(X) else out

    def sample(self, n_samples=1, y=None, random_state=None):
        """Expected images for latents drawn from their priors, without the noise of the likelihood.

        Parameters
        ----------
        n_samples : int, default=1
            Number of images.
        y : array-like of shape (n_samples, height, width) or (height, width), default=None
            Their masks, one for all or one each. None draws them from ``masks_``.
        random_state : int, RandomState instance or None, default=None
            Determines the draws.

        Returns
        -------
        X : ndarray of shape (n_samples, bands, height, width) or (n_samples, n_features)
            Images, in the form that X had in ``fit``, and of its dtype, or float32 for images of small integers.
        y : ndarray of shape (n_samples, height, width) or (n_samples,)
            Their masks.

        Raises
        ------
        ValueError
            If y holds a class that was not among the labels of ``fit``, is masked somewhere, or is neither one mask nor
            ``n_samples``.
        """
        check_is_fitted(self)
        check_scalar(n_samples, "n_samples", numbers.Integral, min_val=1)
        rng, module = np.random.RandomState(draw_seed(random_state)), self.net_.module_
        codes = self._codes_to_sample(y, n_samples, rng)
        noise = [rng.standard_normal((n_samples, *shape)) for shape in module.latent_shapes(*codes.shape[1:])]
        drawn = [as_tensor(codes, np.int64), *map(as_tensor, noise)]

        def expected(rows):
            codes, *noise = (part[rows.long().cpu()].to(rows.device) for part in drawn)
            return module.expected(codes, noise)

        X = self._in_units(infer(self.net_, expected, np.arange(n_samples)))
        X = X.astype(np.result_type(self._dtype, np.float32))
        y = self.classes_[codes]
        if self._takes_rows:
            X = X.reshape(n_samples, -1)
            y = y[:, 0, 0] if y.shape[1:] == (1, 1) else y
        return X, y

    def _codes_to_sample(self, y, n_samples, rng):
        """Codes of the masks to make images of: (n_samples, height, width)."""
        if y is None:
            y = self.masks_[rng.randint(len(self.masks_), size=n_samples)]
        y = labels_to_sample(y)
        if self.image_shape_[1:] == (1, 1) and y.ndim < 2:
            y = np.broadcast_to(y, n_samples)[:, None, None] if y.shape in ((), (n_samples,)) else y
        elif y.ndim == 2:
            y = np.broadcast_to(y, (n_samples, *y.shape))
        if y.ndim != 3 or len(y) != n_samples:
            raise ValueError(
                f"y has shape {y.shape}, but n_samples={n_samples}: give one mask (height, width) for all samples, or "
                "one for each."
            )
        return codes_to_sample(y, self.classes_)

    def _seen_images(self, X, missing):
        """Images with something finite where they are hidden, and which pixels are seen: (n, 1, height, width)."""
        values, missing = np.asarray(masked_as_nan(X)), np.asarray(missing)
        is_row = values.ndim == 2 and values.shape[1] == self.n_features_in_
        images = values.reshape(len(values), *self.image_shape_) if is_row else values
        expected = (len(images), *images.shape[2:])
        missing = missing.reshape(expected) if expected[1:] == (1, 1) and missing.shape == expected[:1] else missing
        if images.ndim == 4 and (missing.shape != expected or missing.dtype != bool):
            raise ValueError(
                f"missing is an array of {missing.dtype} of shape {missing.shape}, expected bool of shape {expected}: "
                "for each image which pixels (height, width) are hidden."
            )
        if images.ndim == 4 and images.shape[1] == len(self.location_):
            if missing.all(axis=(1, 2)).any():
                image = int(missing.all(axis=(1, 2)).argmax())
                raise ValueError(f"All pixels of image {image} are missing: there is nothing to fill it in from.")
            location = self.location_.astype(np.result_type(values.dtype, np.float32))[:, None, None]
            values = np.where(missing[:, None], location, images).reshape(values.shape)
        return validate_images(self, values, reset=False), ~missing[:, None]

    def _reconstructed(self, tile):
        """(m, bands + 1, h, w), the last one telling what is seen -> (m, bands, h, w)"""
        module = self.net_.module_
        return self._in_units(infer_images(self.net_, lambda z: module.reconstruct(z[:, :-1], z[:, -1:]), tile))

    def _in_units(self, Z):
        return Z * self.scale_[:, None, None] + self.location_[:, None, None]

    @property
    def _network(self):
        return self.net_.module_.classifier

    def _check_params(self):
        super()._check_params()
        check_scalar(self.tile_size, "tile_size", numbers.Integral, min_val=1)
        check_scalar(self.occlusion, "occlusion", numbers.Real, min_val=0, max_val=1)

    def _module_params(self, rows):
        backbone = resolve_unet(self.backbone, self.hidden_units)
        if not len(self.hidden_units):
            raise ValueError(f"hidden_units must have one level at least; got {self.hidden_units!r}.")
        return {
            "input_shape": self.image_shape_,
            "n_classes": len(self.classes_),
            "backbone": backbone,
            "hidden_units": fitting_units(self.hidden_units, self.image_shape_, auto=UNITS),
            "axes": principal_axes(rows.tensors[0].numpy(), self.n_components),
            "augment": resolve_augment(self.augment, self.image_shape_),
            "occlusion": self.occlusion,
            "label_weight": self.label_weight,
            "class_weight": weights_of_classes(self.class_weight, self.classes_, rows.tensors[1].numpy()),
        }

    def _measure(self, net, rows, noise):
        return [infer(net, net.module_.logits, rows.tensors[0][rows_of_both_kinds(rows)[: self.batch_size]].numpy())]

    def _conclude(self, rows):
        Z, codes = (tensor.numpy() for tensor in rows.tensors)
        labeled = (codes >= 0).any(axis=(1, 2))
        guessed = np.empty_like(codes[labeled])
        logits = self.net_.module_.logits
        self._in_tiles(guessed, lambda tile: infer_images(self.net_, logits, tile).argmax(axis=1), Z[labeled])
        self.masks_ = self.classes_[np.where(codes[labeled] >= 0, codes[labeled], guessed)]
