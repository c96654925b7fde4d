"""Samples per second of VAETransformer.fit beside a bare PyTorch loop, skorch's default loader and hyperbolic latents.

The same network, loss, optimiser (fused Adam) and batch size everywhere, one thread, in one process. The ways take
turns, each is repeated, and the ratio to the bare loop is taken within a turn, so that other load on the machine
falls on all of them. Times are wall-clock times of the training, the making of the network included.

HyperbolicVAETransformer is measured against VAETransformer in the same manner, with the same dense nets on the spectra
and the same convolutions on images of 3 x 64 x 64 pixels.

Usage: python benchmarks/training_throughput.py [--quick] [--epochs 20] [--repeats 5]
"""

import statistics
import time

import matplotlib.pyplot as plt
import numpy as np
import torch
from _common import make_parser, save
from skorch import NeuralNet

from sklearn_geoal import HyperbolicVAETransformer, VAETransformer
from sklearn_geoal._nets.conv import NormalizedConvDecoder, NormalizedConvEncoder
from sklearn_geoal._nets.dense import DenseDecoder, DenseEncoder
from sklearn_geoal._nets.vae import VAE

N_SAMPLES, N_FEATURES, N_COMPONENTS, BATCH_SIZE, LR = 7138, 204, 20, 128, 1e-3
MODULE_PARAMS = {
    "input_shape": (N_FEATURES,),
    "n_components": N_COMPONENTS,
    "encoder": DenseEncoder,
    "decoder": DenseDecoder,
}


def make_spectra(seed=0):
    """Standardised random mixtures of smooth spectra, in the size of the Salinas-A scene."""
    rng = np.random.default_rng(seed)
    grid = np.linspace(0, 1, N_FEATURES)
    centers, widths = rng.uniform(0, 1, (6, 1)), rng.uniform(0.05, 0.3, (6, 1))
    endmembers = np.exp(-(((grid - centers) / widths) ** 2))
    X = rng.dirichlet(np.full(6, 0.3), N_SAMPLES) @ endmembers + 0.01 * rng.standard_normal((N_SAMPLES, N_FEATURES))
    return ((X - X.mean()) / X.std()).astype(np.float32)


def bare_loop(X, epochs):
    module = VAE(**MODULE_PARAMS).train()
    optimizer = torch.optim.Adam(module.parameters(), lr=LR, fused=True)
    X = torch.from_numpy(X)
    for _ in range(epochs):
        order = torch.randperm(len(X))
        for start in range(0, len(X), BATCH_SIZE):
            optimizer.zero_grad()
            loss = module(X[order[start : start + BATCH_SIZE]])
            loss.backward()
            optimizer.step()


def vae_transformer(X, epochs):
    VAETransformer(N_COMPONENTS, max_epochs=epochs, batch_size=BATCH_SIZE, lr=LR).fit(X)


class LossOfModule(NeuralNet):
    """skorch as it is, for a module that returns its own loss."""

    def get_loss(self, y_pred, y_true, X=None, training=False):
        return y_pred


def skorch_default(X, epochs):
    LossOfModule(
        VAE,
        criterion=torch.nn.Identity,
        optimizer=torch.optim.Adam,
        optimizer__fused=True,
        lr=LR,
        max_epochs=epochs,
        batch_size=BATCH_SIZE,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
        **{f"module__{name}": value for name, value in MODULE_PARAMS.items()},
    ).fit(X)


WAYS = {"bare loop": bare_loop, "VAETransformer.fit": vae_transformer, "skorch, default loader": skorch_default}


CONVOLUTIONS = {"encoder": NormalizedConvEncoder, "decoder": NormalizedConvDecoder, "batch_size": 64}
# what both transformers are given
HYPERBOLIC_CASES = {"dense": {"batch_size": BATCH_SIZE}, "convolutional": CONVOLUTIONS}


def compare_hyperbolic(nets, params, epochs, repeats):
    """Speed of HyperbolicVAETransformer.fit as a ratio to VAETransformer.fit with the same nets."""
    X = make_spectra() if nets == "dense" else np.random.default_rng(0).random((512, 3, 64, 64), dtype=np.float32)
    ways = {
        transformer.__name__: lambda X, n, transformer=transformer: transformer(
            N_COMPONENTS, max_epochs=n, **params
        ).fit(X)
        for transformer in (VAETransformer, HyperbolicVAETransformer)
    }
    seconds = measure(ways, X, epochs, repeats)
    ratios = [flat / curved for flat, curved in zip(*seconds.values(), strict=True)]
    return {"nets": nets, "ratio": statistics.median(ratios), "ratio_range": [min(ratios), max(ratios)]}


def measure(ways, X, epochs, repeats):
    """Seconds of each way in each turn, after one short turn that warms up."""
    for train in ways.values():
        train(X, 1)
    seconds = {name: [] for name in ways}
    for turn in range(repeats):
        order = list(ways) if turn % 2 == 0 else list(ways)[::-1]
        for name in order:
            start = time.perf_counter()
            ways[name](X, epochs)
            seconds[name].append(time.perf_counter() - start)
    return seconds


def summarize(seconds, epochs):
    """Samples per second and the ratio to the bare loop, median and range over the turns."""
    rows = []
    for name, values in seconds.items():
        speeds = [epochs * N_SAMPLES / value for value in values]
        ratios = [bare / value for bare, value in zip(seconds["bare loop"], values, strict=True)]
        rows.append(
            {
                "way": name,
                "samples_per_second": statistics.median(speeds),
                "samples_per_second_range": [min(speeds), max(speeds)],
                "ratio_to_bare_loop": statistics.median(ratios),
                "ratio_range": [min(ratios), max(ratios)],
            }
        )
    return rows


def draw(rows):
    fig, ax = plt.subplots(figsize=(6, 2.4), layout="constrained")
    speeds = np.array([row["samples_per_second"] for row in rows])
    ranges = np.array([row["samples_per_second_range"] for row in rows]).T
    labels = [f"{row['way']} ({row['ratio_to_bare_loop']:.2f})" for row in rows]
    ax.barh(labels, speeds, xerr=np.abs(ranges - speeds), color="0.6", capsize=3)
    ax.invert_yaxis()
    ax.set(
        xlabel="samples per second (median and range)", title=f"VAE training, {N_SAMPLES} x {N_FEATURES}, one thread"
    )
    return fig


def main():
    parser = make_parser(__doc__, "3 epochs and 3 turns")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    epochs, repeats = (3, 3) if args.quick else (args.epochs, args.repeats)
    torch.set_num_threads(1)
    torch.manual_seed(0)

    rows = summarize(measure(WAYS, make_spectra(), epochs, repeats), epochs)
    print(f"{'way':<24}{'samples/s':>12}{'ratio to bare loop':>26}")
    for row in rows:
        low, high = row["ratio_range"]
        print(
            f"{row['way']:<24}{row['samples_per_second']:>12,.0f}"
            f"{row['ratio_to_bare_loop']:>12.3f} ({low:.3f} .. {high:.3f})"
        )
    print(f"\n{'nets':<24}{'HyperbolicVAETransformer : VAETransformer':>50}")
    hyperbolic = [
        compare_hyperbolic(nets, params, epochs if nets == "dense" else 1, repeats)
        for nets, params in HYPERBOLIC_CASES.items()
    ]
    for row in hyperbolic:
        low, high = row["ratio_range"]
        print(f"{row['nets']:<24}{row['ratio']:>32.3f} ({low:.3f} .. {high:.3f})")
    settings = {"epochs": epochs, "repeats": repeats, "batch_size": BATCH_SIZE}
    save(args.output, "training_throughput", settings, rows + hyperbolic, draw(rows))


if __name__ == "__main__":
    main()
