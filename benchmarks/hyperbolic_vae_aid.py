"""Hyperbolic against Euclidean variational autoencoders on aerial scenes (tables 1 and 2 and figure 2 of the paper).

Autoencoders learn the 3000 training images of AID without their labels; each test image then takes the class of the
nearest training image, nearest in latent space, where the distance is that of the space. Counted is the share of right
classes, and of right groups of classes at the two coarser levels of the hierarchy. All models have the same networks,
likelihood (Gaussian, its noise variance the optimal one), weight of the divergence, and training. Next to the models of
the paper stands what tells their parts from each other: the clipped model in a space that is flat (curvature 1e-6), and
the Euclidean model with the angle for a distance, which is the distance between points that are all clipped.

The reduced form, which is the default, has fewer epochs, narrower networks and d = 8 and 32; --full is the protocol
of the paper: d = 8 to 128, up to 1500 epochs with early stopping after 50, early stopping by a split of the training
images. Settings were chosen on the validation images (--split val).

Usage: python benchmarks/hyperbolic_vae_aid.py [--quick | --full] [--device cpu|cuda] [--seeds 3] [--split test|val]
       [--jobs 2]

The environment variable SKLEARN_GEOAL_DATA names the folder of the data.

Reference: M. Hamzaoui, L. Chapel, M.-T. Pham and S. Lefevre, "Hyperbolic variational auto-encoder for remote sensing
scene embeddings", IGARSS, 2023. Its images are those of NWPU-RESISC45.
"""

import time

import matplotlib.pyplot as plt
import numpy as np
import torch
from _common import make_parser, save
from joblib import Parallel, delayed
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from sklearn_geoal import HyperbolicVAETransformer, VAETransformer
from sklearn_geoal._nets.conv import NormalizedConvDecoder, NormalizedConvEncoder
from sklearn_geoal.datasets import load_aid
from sklearn_geoal.metrics import delta_hyperbolicity, hierarchical_accuracy, hyperbolic_distances
from sklearn_geoal.preprocessing import HyperbolicNeighborsTransformer

FLAT = 1e-6  # a curvature that is none
HYPERBOLIC = {
    "hyperbolic, r = 1": {},
    "hyperbolic, r = 1, prior 1": {"prior_scale": 1.0},
    "hyperbolic, no r, prior 1": {"prior_scale": 1.0, "clip_radius": None},
    "flat, r = 1": {"curvature": FLAT},
}
EUCLIDEAN, ANGLE = "Euclidean", "Euclidean, angle"
MODELS = [EUCLIDEAN, ANGLE, *HYPERBOLIC]  # order of the table
LEVELS = ("leaf", "level3", "level2")

REDUCED = {"max_epochs": 12, "hidden_units": (16, 32, 64, 128, 128)}
FORMS = {
    "quick": {**REDUCED, "max_epochs": 1},
    "reduced": REDUCED,
    "full": {"max_epochs": 1500, "early_stopping": True, "patience": 50, "lr_schedule": "constant"},
}
DIMENSIONS = {"quick": (8,), "reduced": (8, 32), "full": (8, 16, 32, 64, 128)}
RADII = {"quick": (0.5, 2), "reduced": (0.25, 0.5, 2, 4), "full": (0.1, 0.25, 0.5, 0.8, 1.2, 1.5, 2, 4)}  # beside 1
RADIUS_DIMENSION = {"quick": 8, "reduced": 32, "full": 32}  # of figure 2
SHARED = {"beta": 1.0, "warmup": 0.0, "batch_size": 64, "lr": 1e-3}

# leaf, level 3, level 2 in percent, of another set of images
PUBLISHED = {
    EUCLIDEAN: {8: (12.00, 18.38, 28.34), 32: (13.21, 19.33, 30.97)},
    "hyperbolic, no r, prior 1": {8: (11.38, 17.83, 28.58), 32: (10.77, 15.90, 27.85)},
    "hyperbolic, r = 1, prior 1": {8: (12.36, 18.80, 28.46), 32: (14.17, 20.50, 31.91)},
}


class RangeDecoder(NormalizedConvDecoder):
    """The decoder of HyperbolicVAETransformer for VAETransformer: a tanh over the range of the standardised images."""

    def forward(self, z):
        return 0.5787 + 2.6654 * torch.tanh(super().forward(z))


def make_euclidean(form, **params):
    options = {"hidden_units": "auto", **FORMS[form]}
    units = options.pop("hidden_units")

    class Encoder(NormalizedConvEncoder):
        def __init__(self, input_shape, n_outputs):
            super().__init__(input_shape, n_outputs, units)

    class Decoder(RangeDecoder):
        def __init__(self, n_inputs, output_shape):
            super().__init__(n_inputs, output_shape, units)

    return VAETransformer(encoder=Encoder, decoder=Decoder, latent_unit="prior", **SHARED, **options, **params)


def accuracies(classifier, Z, data, Z_asked, asked):
    """Accuracy at each level, in percent."""
    predicted = classifier.fit(Z, data.target).predict(Z_asked)
    levels = {level: data[level] for level in LEVELS[1:]}
    return {level: 100 * value for level, value in hierarchical_accuracy(asked.target, predicted, levels).items()}


def run(form, model, params, d, seed, split, device, n_repeats):
    """Train one model: a dict for each way to look for neighbours."""
    torch.set_num_threads(1)
    data, asked = load_aid(subset="train"), load_aid(subset=split)
    options = {"n_components": d, "image_shape": data.image_shape, "random_state": seed, "device": device, **params}
    if model == EUCLIDEAN:
        vae = make_euclidean(form, **options)
    else:
        vae = HyperbolicVAETransformer(**SHARED, **FORMS[form], **options)
    start = time.perf_counter()
    Z = vae.fit(data.data).transform(data.data)
    seconds = time.perf_counter() - start
    Z_asked = vae.transform(asked.data)

    row = {"model": model, "d": d, "seed": seed, "seconds": seconds, "epochs": len(vae.history_)}
    row |= {"radius": float(np.median(np.linalg.norm(Z, axis=1))), "noise_std": vae.noise_variance_**0.5}
    delta = {"n_repeats": n_repeats, "random_state": seed}
    if model != EUCLIDEAN:
        c = vae.curvature_
        neighbors = HyperbolicNeighborsTransformer(n_neighbors=1, curvature=c)
        nearest = make_pipeline(neighbors, KNeighborsClassifier(1, metric="precomputed"))
        row["delta"] = delta_hyperbolicity(hyperbolic_distances(Z, curvature=c), metric="precomputed", **delta).mean
        return [row | accuracies(nearest, Z, data, Z_asked, asked)]
    row["delta"] = delta_hyperbolicity(Z, **delta).mean
    by_angle = {"model": ANGLE, "delta": delta_hyperbolicity(Z, metric="cosine", **delta).mean}
    return [
        row | accuracies(KNeighborsClassifier(1), Z, data, Z_asked, asked),
        row | by_angle | accuracies(KNeighborsClassifier(1, metric="cosine"), Z, data, Z_asked, asked),
    ]


def summarize(rows):
    """One dict for all seeds of a model and dimension."""
    groups = {}
    for row in rows:
        groups.setdefault((row["model"], row["d"]), []).append(row)
    summary = []
    for (model, d), seeds in groups.items():
        stats = {"model": model, "d": d, "n_seeds": len(seeds)}
        for name in (*LEVELS, "delta", "radius", "noise_std", "epochs", "seconds"):
            values = [row[name] for row in seeds]
            stats[name] = {"mean": float(np.mean(values)), "std": float(np.std(values)), "values": values}
        summary.append(stats)
    return summary


def print_table(summary, published):
    print("\nAccuracy of the nearest neighbour in percent, mean +- deviation over the seeds, at the three levels;")
    print("delta of the features (table 1), median distance from the origin, noise, epochs, seconds of a training")
    header = f"{'model':<28}{'d':>4}" + "".join(f"{level:>15}" for level in LEVELS)
    print(header + f"{'delta':>8}{'radius':>8}{'noise':>8}{'epochs':>8}{'time':>8}")
    for d in sorted({stats["d"] for stats in summary}):
        for stats in sorted((s for s in summary if s["d"] == d), key=lambda s: MODELS.index(s["model"])):
            cells = "".join(f"{stats[level]['mean']:>8.2f} +-{stats[level]['std']:>5.2f}" for level in LEVELS)
            mean = {name: stats[name]["mean"] for name in ("delta", "radius", "noise_std", "epochs", "seconds")}
            print(
                f"{stats['model']:<28}{d:>4}{cells}{mean['delta']:>8.3f}{mean['radius']:>8.2f}"
                f"{mean['noise_std']:>8.3f}{mean['epochs']:>8.0f}{mean['seconds']:>8.0f}"
            )
        for model, values in published.items():
            if d in values:
                print(f"{'  published: ' + model:<38}"[:38] + "".join(f"{v:>8.2f}{'':7}" for v in values[d]).rstrip())


def print_differences(rows, model="hyperbolic, r = 1"):
    """Differences within a seed, whose spread does not hold what the seed does to all models."""
    print(f"\n{model} minus the others, percent points, mean +- standard error of the pairs of equal seed")
    scores = {(row["model"], row["d"], row["seed"]): [row[level] for level in LEVELS] for row in rows}
    for d in sorted({d for _, d, _ in scores}):
        seeds = sorted({seed for name, dim, seed in scores if dim == d and name == model})
        for other in MODELS:
            if other != model and (other, d, seeds[0]) in scores:
                pairs = np.array([np.subtract(scores[model, d, s], scores[other, d, s]) for s in seeds])
                error = pairs.std(axis=0, ddof=1) / len(seeds) ** 0.5 if len(seeds) > 1 else np.full(3, np.nan)
                cells = "".join(f"{m:>8.2f} +-{e:>5.2f}" for m, e in zip(pairs.mean(axis=0), error, strict=True))
                print(f"{other:<28}{d:>4}{cells}")


def draw(summary, radii_summary, d_radii):
    """Accuracy against the dimension, and against the clip radius."""
    fig, axes = plt.subplots(2, 3, figsize=(12, 7), layout="constrained")
    for level, (top, bottom) in zip(LEVELS, axes.T, strict=True):
        for model in MODELS:
            shown = sorted((s for s in summary if s["model"] == model), key=lambda s: s["d"])
            mean, std = ([s[level][name] for s in shown] for name in ("mean", "std"))
            top.errorbar([s["d"] for s in shown], mean, std, marker="o", capsize=3, label=model)
        top.set_xscale("log")
        top.set_xticks(dimensions := sorted({s["d"] for s in summary}), labels=dimensions)
        top.minorticks_off()
        top.set(title=level, xlabel="latent dimension d", ylabel="accuracy (%)")
        shown = sorted(radii_summary, key=lambda s: s["clip_radius"])
        bottom.errorbar(*([s[name] for s in shown] for name in ("clip_radius", level, f"{level}_std")), marker="o")
        euclidean = next(s for s in summary if (s["model"], s["d"]) == (EUCLIDEAN, d_radii))
        bottom.axhline(euclidean[level]["mean"], color="0.5", linestyle="--", label="Euclidean, in the lower panels")
        bottom.set(xlabel=f"clip radius r, d = {d_radii}", ylabel="accuracy (%)")
    handles, labels = (
        above + below for above, below in zip(*(ax.get_legend_handles_labels() for ax in axes[:, 0]), strict=True)
    )
    fig.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return fig


def main():
    parser = make_parser(__doc__, "one epoch, d = 8: a check that everything runs")
    parser.add_argument("--full", action="store_true", help="the protocol of the paper, for a GPU")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seeds", type=int, help="number of seeds (default: 3, with --quick 1)")
    parser.add_argument("--split", choices=["test", "val"], default="test", help="images to classify")
    parser.add_argument("--jobs", type=int, default=2, help="number of processes, one thread each")
    args = parser.parse_args()
    form = "quick" if args.quick else "full" if args.full else "reduced"
    n_seeds = args.seeds or (1 if args.quick else 3)
    print(f"The {form} form: d = {DIMENSIONS[form]}, {n_seeds} seeds, {FORMS[form]}, on {args.device}")

    shared = {"split": args.split, "device": args.device, "n_repeats": 10 if args.full else 1}
    tasks = [
        {"model": model, "params": HYPERBOLIC.get(model, {}), "d": d, "seed": seed}
        for seed in range(n_seeds)
        for d in DIMENSIONS[form]
        for model in (EUCLIDEAN, *HYPERBOLIC)
    ]
    d_radii = RADIUS_DIMENSION[form]
    n_radius_seeds = n_seeds if args.full else 1
    tasks += [
        {"model": "radius", "params": {"clip_radius": r}, "d": d_radii, "seed": seed}
        for r in RADII[form]
        for seed in range(n_radius_seeds)
    ]
    start = time.perf_counter()
    rows, by_radius = [], {}
    parallel = Parallel(n_jobs=args.jobs, return_as="generator")
    for done, (task, result) in enumerate(
        zip(tasks, parallel(delayed(run)(form, **task, **shared) for task in tasks), strict=True), 1
    ):
        if task["model"] == "radius":
            by_radius.setdefault(task["params"]["clip_radius"], []).append(result[0])
        else:
            rows += result
        took = time.perf_counter() - start
        print(f"[{took:5.0f} s] {done} of {len(tasks)} runs: {task['model']}, d = {task['d']}", flush=True)
    by_radius[1] = [
        row
        for row in rows
        if (row["model"], row["d"]) == ("hyperbolic, r = 1", d_radii) and row["seed"] < n_radius_seeds
    ]

    summary = summarize(rows)
    print_table(summary, PUBLISHED)
    print_differences(rows)
    print(f"\nAccuracy against the clip radius r, d = {d_radii}, {n_radius_seeds} seeds")
    radii_summary = []
    for r in sorted(by_radius):
        values = np.array([[row[level] for level in LEVELS] for row in by_radius[r]])
        mean, std = values.mean(axis=0), values.std(axis=0)
        print(f"{r:>6}" + "".join(f"{m:>8.2f} +-{s:>5.2f}" for m, s in zip(mean, std, strict=True)))
        stats = {"clip_radius": r, **dict(zip(LEVELS, mean.tolist(), strict=True))}
        radii_summary.append(stats | {f"{level}_std": s for level, s in zip(LEVELS, std.tolist(), strict=True)})
    pixels = delta_hyperbolicity(load_aid(subset="train").data, n_repeats=shared["n_repeats"], random_state=0)
    print(f"\ndelta of the pixels: {pixels.mean:.3f}; of the features: in the table")

    settings = {
        "form": form,
        "split": args.split,
        "device": args.device,
        "seeds": n_seeds,
        **{"training": {**SHARED, **FORMS[form]}, "hyperbolic": HYPERBOLIC, "published": PUBLISHED},
        "delta_of_pixels": pixels._asdict(),
        "radii": radii_summary,
        "seconds": time.perf_counter() - start,
    }
    save(args.output, "hyperbolic_vae_aid", settings, summary, draw(summary, radii_summary, d_radii))


if __name__ == "__main__":
    main()
