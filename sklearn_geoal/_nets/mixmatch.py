"""MixMatch: guessed labels, mixtures, and the two losses of a network that learns from few labels and many samples.

Targets are p, the probabilities of the classes (n, n_classes, ...), times a weight w (n, 1, ...): 1 where there is a
target, 0 where there is none, such as at void pixels, and in between where MixUp has mixed the two. The dots stand for
nothing where a row has one class, for (height, width) where each pixel has one.
"""

import copy
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import nn

from .._labels import VOID
from .._torch.device import drawing_from
from .bodies import checked
from .draws import uniform_like
from .norms import batch_statistics


class MixMatch(nn.Module):
    """A network trained by MixMatch, and the average of its weights, which predicts.

    Parameters
    ----------
    input_shape : tuple of int
        Shape in which the backbone takes a row: (n_features,) or (channels, height, width).
    n_classes : int
        Number of classes.
    backbone : callable
        ``backbone(input_shape, n_classes)`` returns the module that gives the logits.
    augment : Compose
        Augmentation of a batch.
    dense : bool
        Whether the backbone gives logits for each pixel, (n, n_classes, height, width), not for each row.
    class_weight : tuple of float
        Weights of the classes in L_X.
    confidence : float
        A guess counts in L_U if it gives a class at least this probability.
    mixing : {"mixup", "cutmix"}
        How samples are mixed. "cutmix" is for images with a class for each pixel.
    n_augmentations, temperature, alpha, lambda_u : int, float, float, float
        K, T, alpha and lambda_U.
    unlabeled_share : float
        Part of the images of the training that have no mask. With so high a probability CutMix gives those with one a
        box: the fewer there are, the more often they are seen, and the more they should differ.
    rampup_steps : int
        Steps over which lambda_U grows from 0.
    weight_decay : float
        Part of the kernels that a step takes away, in units of the learning rate.
    ema_decay : float
        Part of the average that a step keeps, after a warm-up.
    """

    def __init__(
        self,
        input_shape,
        n_classes,
        backbone,
        augment,
        dense,
        class_weight,
        confidence,
        mixing,
        n_augmentations,
        temperature,
        alpha,
        lambda_u,
        unlabeled_share,
        rampup_steps,
        weight_decay,
        ema_decay,
    ):
        super().__init__()
        self.input_shape, self.n_classes = tuple(input_shape), n_classes
        self.augment, self.dense = augment, dense
        self.class_weight, self.confidence, self.mixing = class_weight, confidence, mixing
        self.n_augmentations, self.temperature, self.alpha = n_augmentations, temperature, alpha
        self.lambda_u, self.unlabeled_share, self.rampup_steps = lambda_u, unlabeled_share, rampup_steps
        self.weight_decay, self.ema_decay, self.n_steps = weight_decay, ema_decay, 0
        output_shape = (n_classes, *self.input_shape[1:]) if dense else (n_classes,)
        self.backbone = checked(backbone(self.input_shape, n_classes), self.input_shape, output_shape)
        self.average = copy.deepcopy(self.backbone)

    def forward(self, x, y, generator=None):  # rows and the codes of their classes -> (), what a validation measures
        p, _ = encode(y, self.n_classes)
        return self.labeled_loss(self.logits(x), p)

    def logits(self, x):
        """log p(y|x) of the averaged network up to a constant: (n, ...) -> (n, n_classes, ...)."""
        return self.average(self.as_input(x))

    def probabilities(self, x):
        """p(y|x) of the averaged network: (n, ...) -> (n, n_classes, ...)."""
        return torch.softmax(self.logits(x), dim=1)

    def losses(self, x, y, u, y_u, generator=None):
        """What to minimise, L_X and L_U, for a labelled and an unlabelled batch of equal size.

        Codes y and y_u are (n,) or (n, height, width). Without unlabelled rows what remains is supervised training, on
        mixtures if these are those of MixUp.
        """
        batches = [self._augmented(self.as_input(x), *encode(y, self.n_classes), generator)]
        if len(u):
            batches += self.guess(self.as_input(u), y_u, generator)
        inputs, p, w = (torch.cat(parts) for parts in zip(*batches, strict=True))
        if self.alpha:
            inputs, p, w = self.mix(inputs, p, w, len(x), generator)
        logits = interleaved(self.backbone, inputs, len(batches))
        loss_x = self.labeled_loss(logits[: len(x)], p[: len(x)])
        loss_u = torch.zeros_like(loss_x)
        if len(u):
            loss_u = squared_difference(logits[len(x) :], p[len(x) :], w[len(x) :])
        loss = loss_x + self.unlabeled_weight() * loss_u
        return {"train_loss": loss, "labeled_loss": loss_x, "unlabeled_loss": loss_u}

    def mix(self, x, p, w, n_labeled, generator=None):
        """Mixtures of samples, of which the first n_labeled are labelled ones, and of their targets."""
        if self.mixing == "mixup":
            return mixup(x, p, w, self.alpha, generator)
        # each kind by itself: guesses in a box would drown the few labels that an image may have
        labeled, unlabeled = zip(*(part.tensor_split([n_labeled]) for part in (x, p, w)), strict=True)
        mixed = [
            cutmix(*labeled, self.alpha, self.unlabeled_share, generator),
            cutmix(*unlabeled, self.alpha, 1.0, generator),
        ]
        return tuple(map(torch.cat, zip(*mixed, strict=True)))

    def labeled_loss(self, logits, p):
        """L_X: the cross-entropy, a mean in which each target counts as much as its class weighs."""
        return weighted_cross_entropy(logits, p, self.class_weight)

    def unlabeled_weight(self):
        """Weight of L_U at this step."""
        # published values are for a mean over 10 classes: over fewer of them the same differences weigh more
        full = self.lambda_u * min(1.0, self.n_classes / 10)
        return full * min(1.0, self.n_steps / self.rampup_steps) if self.rampup_steps else full

    @torch.no_grad()
    def guess(self, u, y_u, generator=None):
        """The K augmented batches of unlabelled u, each with the guessed labels as targets: K times (inputs, p, w)."""
        drawn = [self.augment.draw(u, generator) for _ in range(self.n_augmentations)]
        with batch_statistics(self.backbone):
            guesses = [torch.softmax(self.backbone(one.images), dim=1) for one in drawn]
        w = (y_u != VOID).unsqueeze(1).to(u.dtype)  # (n, 1, ...)
        if not self.dense:
            q = sharpen(sum(guesses) / len(guesses), self.temperature)
            return [(one.images, q, w * self._is_sure(q)) for one in drawn]
        # a pixel that an augmentation moves out of the frame is guessed from the others: sharpening sets the sum to one
        total = sum(one.unwarp(guess) for one, guess in zip(drawn, guesses, strict=True))
        q = sharpen(total, self.temperature)
        w = w * (total.sum(dim=1, keepdim=True) > 1e-6) * self._is_sure(q)
        return [(one.images, one.warp(q * w), one.warp(w)) for one in drawn]

    def _is_sure(self, q):
        return q.amax(dim=1, keepdim=True) >= self.confidence

    @torch.no_grad()
    def finish_step(self, lr):
        """After a step of the optimiser: shrink the kernels and move the average towards the weights."""
        self.n_steps += 1
        for weights in self.backbone.parameters():
            if weights.ndim > 1 and weights.requires_grad:  # biases and normalisations are left alone
                weights.mul_(1 - lr * self.weight_decay)
        decay = min(self.ema_decay, (1 + self.n_steps) / (10 + self.n_steps))  # the first steps are soon forgotten
        for mean, new in zip(self.average.parameters(), self.backbone.parameters(), strict=True):
            mean.lerp_(new, 1 - decay)
        for kept, new in zip(self.average.buffers(), self.backbone.buffers(), strict=True):
            kept.copy_(new)

    def finish(self):
        """Drop the network in training, half of a pickle: the average is what predicts."""
        self.backbone = None

    def resume(self):
        """Get ready for more training, from the average if it alone is left."""
        if self.backbone is None:
            self.backbone = copy.deepcopy(self.average)

    def get_extra_state(self):  # the steps go back with the weights when a training does
        return torch.tensor(self.n_steps)

    def set_extra_state(self, state):
        self.n_steps = int(state)

    def _augmented(self, x, p, w, generator):
        drawn = self.augment.draw(x, generator)
        return (drawn.images, drawn.warp(p), drawn.warp(w)) if self.dense else (drawn.images, p, w)

    def as_input(self, x):
        return x if self.dense else x.view(-1, *self.input_shape)


def encode(codes, n_classes):
    """Targets p and w of codes, both 0 where there is no class: (n, ...) -> (n, n_classes, ...), (n, 1, ...)."""
    w = (codes >= 0).unsqueeze(1).float()
    return F.one_hot(codes.clamp_min(0), n_classes).movedim(-1, 1) * w, w


def sharpen(p, temperature):
    """p^(1/T) / sum p^(1/T) along the classes: (n, n_classes, ...) -> the same shape. The lower T, the surer."""
    return torch.softmax(p.clamp_min(torch.finfo(p.dtype).tiny).log() / temperature, dim=1)


def mixup(x, p, w, alpha, generator=None):
    """Samples mixed each with another: lambda' x_1 + (1 - lambda') x_2, lambda' = max(lambda, 1 - lambda).

    There is a target where x_1 has one: beside a few known pixels, those guessed for x_2 would drown them.
    """
    weight = larger_shares(len(x), alpha, x.device, generator).to(x.dtype)
    other = torch.randperm(len(x), device=x.device, generator=generator)
    has_target = w > 0
    x, p, w = (torch.lerp(part[other], part, weight.view(-1, *[1] * (part.ndim - 1))) for part in (x, p, w))
    return x, p * has_target, w * has_target


def cutmix(x, p, w, alpha, probability=1.0, generator=None):
    """Images that with this probability show another one in a box (CutMix), of the part 1 - lambda' of their area.

    x, p and w are (n, ..., height, width). Each pixel of the box has the target of the image that it shows.
    """
    shares = larger_shares(len(x), alpha, x.device, generator)
    areas = (1 - shares) * (uniform_like(shares, generator) < probability)
    box = boxes(areas, *x.shape[2:], generator)
    other = torch.randperm(len(x), device=x.device, generator=generator)
    return tuple(torch.where(box, part[other], part) for part in (x, p, w))


def boxes(areas, height, width, generator=None):
    """Boxes at random places, by their part of the area of an image: (n,) -> (n, 1, height, width).

    They are of random form: the logarithm of their height is uniform.
    """
    power = uniform_like(areas, generator)
    rows = _intervals(areas**power, height, generator)
    columns = _intervals(areas ** (1 - power), width, generator)
    return rows[:, None, :, None] & columns[:, None, None, :]


def _intervals(lengths, n_pixels, generator):
    """Intervals at random places of [0, 1], where n_pixels have their centres: (n,) -> (n, n_pixels)."""
    starts = (1 - lengths) * uniform_like(lengths, generator)
    offsets = (torch.arange(n_pixels, device=lengths.device) + 0.5) / n_pixels - starts[:, None]
    return (offsets >= 0) & (offsets < lengths[:, None])


def larger_shares(n, alpha, device="cpu", generator=None):
    """Draws of max(lambda, 1 - lambda), lambda ~ Beta(alpha, alpha), that tend to 1 as alpha does to 0: -> (n,)."""
    # lambda = G1 / (G1 + G2) of Gamma(alpha) draws, whose logarithms do not underflow for small alpha
    with drawing_from(generator) if generator is not None else nullcontext():  # this one takes no generator
        gamma = torch.distributions.Gamma(torch.tensor(alpha + 1.0, dtype=torch.float32, device=device), 1.0).sample(
            (2, n)
        )
    log_gamma = gamma.log() + uniform_like(gamma, generator).log() / alpha
    return torch.sigmoid((log_gamma[0] - log_gamma[1]).abs())


def interleaved(net, x, n_batches):
    """``net(x)``, computed in batches that each hold a part of every one of the n_batches blocks of x.

    Batch normalisation then sees labelled and unlabelled samples together, and its running statistics are those of
    the first batch.
    """
    if n_batches == 1:
        return net(x)
    order = torch.arange(len(x), device=x.device).view(n_batches, -1).T.flatten()
    first, *others = x[order].chunk(n_batches)
    outputs = [net(first)]
    with batch_statistics(net):
        outputs += [net(batch) for batch in others]
    return torch.cat(outputs)[order.argsort()]


def cross_entropy(logits, p, w):
    """Mean of -sum_c p_c log f_c over the targets."""
    return -(p * torch.log_softmax(logits, dim=1)).sum() / w.sum().clamp_min(1e-6)


def weighted_cross_entropy(logits, p, class_weight):
    """The same, a mean in which each target counts as much as its class weighs."""
    weights = p.new_tensor(class_weight).view(-1, *[1] * (p.ndim - 2))
    return cross_entropy(logits, weights * p, (weights * p).sum(dim=1, keepdim=True))


def squared_difference(logits, p, w):
    """Mean of |p - f|^2 over targets and classes: L_U."""
    difference = p / w.clamp_min(1e-6) - torch.softmax(logits, dim=1)
    return (w * difference.square()).sum() / (w.sum().clamp_min(1e-6) * logits.shape[1])
