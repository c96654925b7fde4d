# over 400 lines: one model, whose parts are read together
"""A generative segmenter: a hierarchical autoencoder with the mask among its latents, trained as a game of two players.

Shapes: images x (n, bands, h, w), masks S as shares of the classes (n, n_classes, h, w), which pixels are seen
(n, 1, h, w), latents z_k of level k (n, d, h_k, w_k) with h_k = ceil(h / 2^k), moments of a Gaussian, its mean and its
log-precision, a pair of the shape of z_k.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from .bodies import checked
from .conv import PixelConv, halved_sizes
from .draws import normal_like, uniform_like
from .mixmatch import cross_entropy, encode, weighted_cross_entropy
from .norms import batch_statistics
from .symmetric_vae import draw_classes, evaluating, optimal_nll

MAX_LOG_PRECISION = 10.0  # what lies far from the training data must not overflow exp
FIRST_LOG_PRECISION = 4.0  # of the encoder, before it has learned anything
FIRST_SHARE = 0.5  # standard deviation of what a level paints at first, in units of that of the bands


class HierarchicalVAE(nn.Module):
    """Decoder p(x, z|S) of an image and its latents given its mask, and encoder q(S, z|x).

    Both go from the coarsest level to the finest. The decoder has p(z_t|z_<t, S) and in the end p(x|z, S), a Gaussian
    of one variance. The encoder has q(S|x), a class for each pixel, and a factor q~(z_t|x) for each level, from a path
    that halves the image level by level; with q(z_t|z_<t, S, x) proportional to p(z_t|z_<t, S) q~(z_t|x) it shares the
    way of the decoder. The coarsest latents, l, are those of the image as a whole.

    Parameters
    ----------
    input_shape : tuple of int
        (bands, height, width) of the images in training.
    n_classes : int
        Number of classes.
    backbone : callable
        ``backbone(input_shape, n_classes)`` returns the module that gives the logits of q(S|x).
    hidden_units : tuple of int
        Channels of the levels of decoder and q~, the finest first.
    axes : tensor of shape (bands, d)
        Directions of the bands in which latents paint at first, each as long as the standard deviation along it.
    augment : Compose
        Augmentation of a batch.
    occlusion : float
        Part of the images of which the encoder does not see all.
    label_weight : float
        Weight of -log q(S|x) of labelled pixels.
    class_weight : tuple of float
        Weights of the classes in the mean of that.
    """

    def __init__(
        self, input_shape, n_classes, backbone, hidden_units, axes, augment, occlusion, label_weight, class_weight
    ):
        super().__init__()
        self.n_classes, self.augment = n_classes, augment
        self.occlusion, self.label_weight, self.class_weight = occlusion, label_weight, class_weight
        self.warmth = 1.0  # of training, below 1 while the noise of dreams grows
        bands, *sides = input_shape
        kernel = 3 if max(sides) > 1 else 1
        self.classifier = checked(backbone(tuple(input_shape), n_classes), input_shape, (n_classes, *sides))
        axes = torch.as_tensor(axes)
        self.recognition = Recognition(bands, hidden_units, axes, kernel)
        self.decoder = Decoder(n_classes, bands, hidden_units, axes, kernel)
        self.alignment = max(2 ** (len(hidden_units) - 1), getattr(self.classifier, "alignment", 1))  # of tiles

    def forward(self, x, y, generator=None):  # images and the codes of their masks -> (), what a validation measures
        return self.labeled_loss(self.logits(x), *encode(y, self.n_classes))

    def logits(self, x):
        """log q(S|x) up to a constant of each pixel: -> (n, n_classes, h, w)."""
        return self.classifier(x)

    def probabilities(self, x):
        """q(S|x): -> (n, n_classes, h, w)."""
        return torch.softmax(self.classifier(x), dim=1)

    # the game

    def losses(self, x, y, u, y_u, generator=None):
        """Of labelled images (x, y) and images u of both kinds, codes (n, h, w) negative where there is no label.

        What to minimise, of it the part of the decoder and -log q(S|x), in nats a pixel, and the divergences of q(S|u)
        and of q(z_t|z_<t, S, u), coarse to fine, from their priors, in nats an image. Samples of one player are
        constants for the other: what each minimises has parameters of its own, and the sum has the gradients of both.
        """
        x, p, w = self._augmented(x, y, generator)
        u, p_u, w_u = self._augmented(u, y_u, generator)
        S, z, divergences = self.inferred(u, p_u, w_u, generator)
        wake, residuals = self.decoder_loss(u, S, z)
        logits = self.classifier(x * self.seen_pixels(x, generator))
        labeled = self.labeled_loss(logits, p, w)
        dreams = self.dreamed(completed(p, w, logits.detach(), generator), residuals, generator)
        loss = wake + self.label_weight * labeled + self.encoder_loss(*dreams, generator)
        names = ("S", "l", *(f"z{t}" for t in range(1, len(divergences) - 1)))
        losses = {"train_loss": loss, "decoder_loss": wake, "labeled_loss": labeled}
        return losses | {f"divergence_{name}": of_name for name, of_name in zip(names, divergences, strict=True)}

    def labeled_loss(self, logits, p, w):
        """Mean of -log q(S|x) of the known pixels, each counted as much as its class weighs."""
        if len(set(self.class_weight)) == 1:
            return cross_entropy(logits, p, w)
        return weighted_cross_entropy(logits, p, self.class_weight)

    @torch.no_grad()
    def inferred(self, x, p, w, generator=None):
        """The encoder's samples for the decoder: (S, z) ~ q(S, z|x), known pixels of S as they are; divergences.

        What the encoder does not see of an image it fills in: so the decoder learns what belongs there.
        """
        seen = self.seen_pixels(x, generator)
        with evaluating(self):
            logits, factors = self.logits(x * seen), self.recognition(x, seen)
            S = completed(p, w * seen, logits, generator)
            divergences = [mask_divergence(logits)]

            def posterior(k, prior):
                q = product(prior, factors[k])
                divergences.append(divergence(q, prior).sum((1, 2, 3)).mean())
                return draw(q, generator=generator)

            _, z, _ = self.decoder(S, posterior)
        return S, z, divergences

    def decoder_loss(self, x, S, z):
        """Mean of -log p(x, z|S) in nats a pixel, up to a constant, and the residuals x - E[x|z, S]."""
        output, _, priors = self.decoder(S, lambda k, prior: z[k])
        latent_nll = -sum(log_density(z[k], priors[k]).sum((1, 2, 3)).mean() for k in z) / x[0, 0].numel()
        residuals = x - output
        return optimal_nll(residuals.square().mean(), x.shape[1]) + latent_nll, residuals.detach()

    @torch.no_grad()
    def dreamed(self, S, residuals, generator=None):
        """The decoder's samples for the encoder: S, z ~ p(z|S), its priors, E[x|z, S] and two kinds of noise.

        Noise independent in each pixel, as the likelihood has it, from which z is to be found. And noise with the
        covariance of what the decoder leaves unexplained of the real images, as the mask is to be found there; z would
        drown in it, for it varies as they do.
        """
        with evaluating(self.decoder):
            expected, z, priors = self.decoder(S, lambda k, prior: draw(prior, generator=generator))
        white = residuals.square().mean().sqrt() * normal_like(expected, generator)
        mixture = torch.randn(len(S), len(residuals), device=S.device, generator=generator)
        mixture /= math.sqrt(len(residuals))
        real = torch.einsum("nm,mbhw->nbhw", mixture, residuals)
        return S, z, priors, expected + self.warmth * white, expected + self.warmth * real

    def encoder_loss(self, S, z, priors, x_white, x_real, generator=None):
        """Mean of -log q(S, z|x) in nats a pixel, of images not all of which are seen."""
        seen = self.seen_pixels(x_real, generator)
        factors = self.recognition(x_white, seen)
        log_q = sum(log_density(z[k], product(priors[k], factors[k])).sum((1, 2, 3)).mean() for k in z)
        with batch_statistics(self.classifier):  # running statistics are those of real images
            logits = self.classifier(x_real * seen)
        return cross_entropy(logits, S, torch.ones_like(S[:, :1])) - log_q / S[0, 0].numel()

    def seen_pixels(self, x, generator=None):
        """Which pixels the encoder sees: all, but for rectangles hidden of some images: (n, ...) -> (n, 1, h, w)."""
        n, _, height, width = x.shape
        rows, columns = torch.arange(height, device=x.device)[:, None], torch.arange(width, device=x.device)
        hidden = torch.zeros(n, 1, height, width, dtype=torch.bool, device=x.device)
        for _ in range(2):
            sides = 0.6 * torch.rand(2, n, 1, 1, 1, device=x.device, generator=generator)
            starts = (1 - sides) * uniform_like(sides, generator)
            inside = [
                (place >= start * length) & (place < torch.floor((start + side) * length))
                for place, length, start, side in zip((rows, columns), (height, width), starts, sides, strict=True)
            ]
            hidden |= inside[0] & inside[1]
        occluded = torch.rand(n, 1, 1, 1, device=x.device, generator=generator) < self.occlusion
        return (~(hidden & occluded)).to(x.dtype)

    def _augmented(self, x, y, generator):
        drawn = self.augment.draw(x, generator)
        p, w = encode(y, self.n_classes)
        return drawn.images, drawn.warp(p), drawn.warp(w)

    # the trained model

    def latent_shapes(self, height, width):
        """Shapes of the latents of an image: (d, h_k, w_k) for each level, coarse to fine."""
        n_levels = len(self.decoder.blocks)
        sizes = [*halved_sizes(height, width, n_levels - 1), (1, 1)]
        return [(self.decoder.d, *sizes[k]) for k in self.decoder.latents]

    def expected(self, codes, noise):
        """E[x|z, S] for codes (n, h, w) of the classes and latents made of standard normal noise, coarse to fine."""
        S = F.one_hot(codes, self.n_classes).movedim(-1, 1).to(noise[0].dtype)
        noise = dict(zip(self.decoder.latents, noise, strict=True))
        return self.decoder(S, lambda k, prior: draw(prior, noise[k]))[0]

    def reconstruct(self, x, seen):
        """E[x|z, S] for the probabilities of the classes as S and the means of z, from what is seen of x."""
        factors = self.recognition(x, seen)
        return self.decoder(self.probabilities(x * seen), lambda k, prior: product(prior, factors[k])[0])[0]


class Decoder(nn.Module):
    """p(z_t|z_<t, S) on levels from coarse to fine, and the mean of p(x|z, S).

    The image is the sum of what each level paints of its latents, doubled in size level by level, and of what the
    network makes of them all. That latents paint from the start, and the encoder finds them so, keeps the game off its
    equilibrium without any.

    Attributes
    ----------
    latents : list of int
        Levels with latents, coarse to fine.
    d : int
        Number of latents in each pixel of a level.
    """

    def __init__(self, n_classes, bands, hidden_units, axes, kernel):
        super().__init__()
        self.d, self.latents = axes.shape[1], latent_levels(len(hidden_units), kernel)
        channels = (*hidden_units, hidden_units[-1])  # the last for the image as a whole
        self.enter = nn.ModuleList(
            convolution(n_classes + n, units, kernel)
            for n, units in zip((*hidden_units[1:], 0), hidden_units, strict=True)
        )
        self.blocks = nn.ModuleList(Block(units, kernel) for units in hidden_units)
        self.prior = nn.ModuleDict({str(k): head(channels[k], 2 * self.d, 1) for k in self.latents[1:]})
        self.absorb = nn.ModuleDict({str(k): convolution(self.d, channels[k], 1) for k in self.latents})
        self.paint = nn.ModuleDict({str(k): product_with(FIRST_SHARE * axes) for k in self.latents})
        self.head = head(hidden_units[0], bands, kernel)
        self.to(memory_format=torch.channels_last)

    def forward(self, S, pick):
        """With latents ``pick(k, moments of p(z_k|..., S))``: E[x|z, S], and by level the latents and these moments."""
        masks = pyramid(S, len(self.blocks))
        z, priors = {}, {}

        def add_latents(k, h, canvas):
            z[k] = pick(k, priors[k])
            return h + self.absorb[str(k)](z[k]), canvas + self.paint[str(k)](z[k])

        zeros = S.new_zeros(len(S), self.d, *((1, 1) if self.latents[0] == len(masks) else S.shape[2:]))
        priors[self.latents[0]] = zeros, zeros  # standard normal
        h, canvas = add_latents(self.latents[0], 0, 0)
        for k, mask in reversed(list(enumerate(masks))):
            if k + 1 < len(masks):
                height, width = mask.shape[2:]
                h = F.interpolate(h, scale_factor=2.0)[:, :, :height, :width]
                canvas = doubled(canvas, height, width)
                h = self.enter[k](torch.cat([mask, h], dim=1))
            else:
                h = h + self.enter[k](mask)
            if str(k) in self.prior:
                priors[k] = gaussian(self.prior[str(k)](h))
                h, canvas = add_latents(k, h, canvas)
            h = self.blocks[k](h)
        return canvas + self.head(h), z, priors


class Recognition(nn.Module):
    """The factors q~(z_k|x): (n, bands, h, w), (n, 1, h, w) of what is seen -> moments by level.

    At first they are what each level of a Laplacian pyramid of the seen pixels has along the axes.
    """

    def __init__(self, bands, hidden_units, axes, kernel):
        super().__init__()
        d, self.latents = axes.shape[1], latent_levels(len(hidden_units), kernel)
        channels = (*hidden_units, hidden_units[-1])
        self.enter = nn.ModuleList(
            convolution(n, units, kernel) for n, units in zip((bands + 1, *hidden_units), hidden_units, strict=False)
        )
        self.blocks = nn.ModuleList(Block(units, kernel) for units in hidden_units)
        self.heads = nn.ModuleDict({str(k): head(channels[k], 2 * d, 1) for k in self.latents})
        for last in self.heads.values():
            nn.init.constant_(last[-1].bias[d:], FIRST_LOG_PRECISION)
        self.find = nn.ModuleDict({str(k): product_with(torch.linalg.pinv(FIRST_SHARE * axes)) for k in self.latents})
        self.to(memory_format=torch.channels_last)

    def forward(self, x, seen):
        # sums and numbers of the seen pixels in each coarser one, and in the image as a whole
        shares = with_mean(pyramid(seen, len(self.blocks)))
        totals = with_mean(pyramid(x * seen, len(self.blocks)))
        means = [total / share.clamp_min(1e-4) for total, share in zip(totals, shares, strict=True)]
        h, features = torch.cat([x * seen, seen], dim=1), []
        for k, (enter, block) in enumerate(zip(self.enter, self.blocks, strict=True)):
            h = block(enter(halved(h) if k else h))
            features.append(h)
        features.append(h.mean((2, 3), keepdim=True))
        factors = {}
        for k in self.latents:
            band = means[k]
            if k + 2 < len(means):
                band = band - doubled(means[k + 1], *band.shape[2:])
            elif k + 1 < len(means) and k + 1 in self.latents:
                band = band - means[k + 1]
            mean, log_precision = gaussian(self.heads[str(k)](features[k]))
            factors[k] = mean + self.find[str(k)](band * (shares[k] > 0)), log_precision
        return factors


def latent_levels(n_levels, kernel):
    """Levels with latents, coarse to fine: n_levels stands for the image as a whole, level 0 are its pixels.

    Those have latents only if there is no other level, and alone if the images are single pixels.
    """
    return [n_levels, *(range(n_levels - 1, 0, -1) or [0])] if kernel > 1 else [0]


def with_mean(levels):
    """The levels of a pyramid and the mean of all pixels, that of a batch (n, m, 1, 1)."""
    return [*levels, levels[0].mean((2, 3), keepdim=True)]


class Block(nn.Module):
    """h + f(h) with two convolutions. A normalisation over the channels depends on no other pixel and no image."""

    def __init__(self, n_channels, kernel):
        super().__init__()
        self.norm = ChannelNorm(n_channels)
        self.first = convolution(n_channels, n_channels, kernel)
        self.second = convolution(n_channels, n_channels, kernel)
        nn.init.zeros_(self.second.weight)

    def forward(self, h):
        return h + self.second(F.relu(self.first(self.norm(h))))


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of each pixel."""

    def forward(self, h):
        return super().forward(h.movedim(1, -1)).movedim(-1, 1)


def convolution(n_in, n_out, kernel):
    return PixelConv(n_in, n_out) if kernel == 1 else nn.Conv2d(n_in, n_out, kernel, padding=kernel // 2)


def head(n_in, n_out, kernel):
    """A last layer that gives zeros at first."""
    last = convolution(n_in, n_out, kernel)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(ChannelNorm(n_in), nn.ReLU(), last)


def product_with(matrix):
    """The product of each pixel with a matrix (n_out, n_in), to be learned from there."""
    layer = PixelConv(*matrix.shape[::-1], bias=False)
    with torch.no_grad():
        layer.weight.copy_(matrix[:, :, None, None])
    return layer


def halved(x):
    """Means of 2 x 2 pixels, of those that are left at an odd border."""
    return F.avg_pool2d(x, 2, ceil_mode=True)


def doubled(x, height, width):
    """The coarser image with smooth transitions on the next finer level."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear")[:, :, :height, :width]


def pyramid(x, n_levels):
    """x and its halves: n_levels images."""
    levels = [x]
    for _ in range(n_levels - 1):
        levels.append(halved(levels[-1]))
    return levels


def gaussian(output):
    """Mean and log-precision: (n, 2 d, ...) -> (n, d, ...), (n, d, ...)."""
    mean, log_precision = output.chunk(2, dim=1)
    return mean, log_precision.clamp(-MAX_LOG_PRECISION, MAX_LOG_PRECISION)


def draw(moments, noise=None, generator=None):
    """A draw of a Gaussian, made of standard normal noise if that is given."""
    mean, log_precision = moments
    return mean + torch.exp(-log_precision / 2) * (normal_like(mean, generator) if noise is None else noise)


def product(p, q):
    """Moments of the Gaussian that is proportional to p q: their natural parameters are added."""
    (mean, log_precision), (other, log_other) = p, q
    total = torch.logaddexp(log_precision, log_other)
    return torch.lerp(mean, other, torch.exp(log_other - total)), total


def log_density(z, moments):
    """log N(z; moments), element by element."""
    mean, log_precision = moments
    return (log_precision - math.log(2 * math.pi) - torch.exp(log_precision) * (z - mean) ** 2) / 2


def divergence(q, p):
    """KL(q || p) of Gaussians, element by element."""
    (mean_q, log_q), (mean_p, log_p) = q, p
    return (log_q - log_p + torch.exp(log_p - log_q) + torch.exp(log_p) * (mean_q - mean_p) ** 2 - 1) / 2


def mask_divergence(logits):
    """Mean over the images of KL(q(S|x) || p(S)), with the shares of the classes in the batch for p(S): -> ()."""
    log_q = torch.log_softmax(logits, dim=1)
    log_p = log_q.exp().mean((0, 2, 3), keepdim=True).log()
    return (log_q.exp() * (log_q - log_p)).sum((1, 2, 3)).mean()


def completed(p, w, logits, generator=None):
    """Masks S: the known classes p, elsewhere one drawn with these log-probabilities for each pixel."""
    drawn = draw_classes(logits.movedim(1, -1).flatten(0, 2), generator).view(len(logits), *logits.shape[2:])
    drawn = F.one_hot(drawn, logits.shape[1]).movedim(-1, 1).to(p.dtype)
    return torch.where(w > 0.5, p / w.clamp_min(0.5), drawn)
