"""Street scenes segmented, filled in and dreamed up by a game of two players, with 10 and more masks of CamVid.

SymmetricVAESegmenter, MixMatchSegmenter and a supervised U-Net, which as the first one weighs all pixels alike, are
trained on the images, masks and numbers of steps of mixmatch_camvid.py: accuracy and mean IoU on test images, and for
the game how far the latents of each level are from their priors, 0 meaning that it has collapsed. Then a quarter of the
pixels of each test image is hidden, under clouds or under blocks, and filled in again: by the mean of all training
images, by linear interpolation (scipy's griddata), by harmonic interpolation, and by ``reconstruct``. Errors are root
mean squares over the hidden pixels, in units of the standard deviation of all pixels.

The reduced form, which is the default, has images of 45 x 60 pixels, and 10 and all masks; --full has 90 x 120 pixels,
all numbers of masks and more steps. Settings were chosen on the validation images (--split val), once for all.

Usage: python benchmarks/symmetric_vae_camvid.py [--quick | --full] [--device cpu|cuda] [--seeds 3] [--split test|val]
       [--jobs 2]

The environment variable SKLEARN_GEOAL_DATA names the folder of the data.

References: B. Flach, D. Schlesinger and A. Shekhovtsov, "Symmetric Equilibrium Learning of VAEs", AISTATS, 2024. A.
Hruska, "Semi-supervised learning for spatio-temporal segmentation of satellite images", 2023: accuracy on Cityscapes,
printed beside ours.
"""

import math
import time

import matplotlib.pyplot as plt
import mixmatch_camvid as camvid
import numpy as np
import torch
from _common import make_parser, save
from joblib import Parallel, delayed
from mixmatch_camvid import MEASURES, MISSING, MIXMATCH, PICTURES, SHARED, UNWEIGHTED, Form, load
from scipy.interpolate import griddata
from scipy.ndimage import gaussian_filter

from sklearn_geoal import SymmetricVAESegmenter
from sklearn_geoal._symmetric_vae.holes import fill_smoothly
from sklearn_geoal.metrics import confusion
from sklearn_geoal.plot import SegmentationDisplay

GAME = "symmetric"
METHODS = (GAME, MIXMATCH, UNWEIGHTED)
FORMS = {
    "quick": Form((10, 367), 20, 2),
    "reduced": Form((10, 367), 900, 2),
    "full": Form((10, 50, 100, 367), 5000, 1),
}
HIDDEN_SHARE = 0.25
# accuracy in percent on Cityscapes with 10, 100, and all labels
PUBLISHED = {
    "HVAE": {10: 74.01, 100: 86.18, 367: 93.51},
    "supervised, that of all masks failed": {10: 74.82, 100: 87.73},
}


def clouds(rng, n, height, width):
    """Smooth random shapes that hide a quarter of each image: (n, height, width)."""
    noise = np.stack([gaussian_filter(rng.normal(size=(height, width)), height / 9, mode="wrap") for _ in range(n)])
    return noise >= np.quantile(noise, 1 - HIDDEN_SHARE, axis=(1, 2), keepdims=True)


def blocks(rng, n, height, width):
    """Rectangles that hide about a quarter of each image: (n, height, width)."""
    hidden = np.zeros((n, height, width), dtype=bool)
    for image in hidden:
        while image.mean() < HIDDEN_SHARE - 0.02:
            rows, columns = (int(side * rng.uniform(0.2, 0.5)) for side in (height, width))
            top, left = rng.integers(height - rows + 1), rng.integers(width - columns + 1)
            covered = image.copy()
            covered[top : top + rows, left : left + columns] = True
            if covered.mean() <= HIDDEN_SHARE + 0.02:
                image[:] = covered
    return hidden


HOLES = {"clouds": clouds, "blocks": blocks}


def draw_holes(name, n, height, width):
    return HOLES[name](np.random.default_rng(0), n, height, width)


def linear(image, hidden):
    """scipy's linear interpolation, the nearest seen pixel outside the hull of what is seen."""
    seen, asked = np.argwhere(~hidden), np.argwhere(hidden)
    filled = image.copy()
    for band in filled:
        values = griddata(seen, band[~hidden], asked, method="linear")
        nearest = griddata(seen, band[~hidden], asked, method="nearest")
        band[hidden] = np.where(np.isnan(values), nearest, values)
    return filled


def error(filled, X, hidden):
    """Root mean square over the hidden pixels."""
    squares = ((filled - X) ** 2).mean(axis=1)
    return float(np.sqrt(squares[hidden].mean()))


def baseline_errors(form, split):
    """Error of what fills holes without learning, by the kind of hole and of filling."""
    (X_train, *_), (X, *_) = (load(subset, FORMS[form].reduction) for subset in ("train", split))
    errors, scale = {}, float(X_train.std())
    for name in HOLES:
        hidden = draw_holes(name, len(X), *X.shape[2:])
        fillings = {
            "mean image": np.broadcast_to(X_train.mean(axis=0), X.shape),
            "linear interpolation": [linear(*pair) for pair in zip(X, hidden, strict=True)],
            "harmonic interpolation": [fill_smoothly(*pair) for pair in zip(X, hidden, strict=True)],
        }
        errors[name] = {filling: error(np.asarray(filled), X, hidden) / scale for filling, filled in fillings.items()}
    return errors


def run(method, n_masks, seed, form, split, device):
    """Train one segmenter: a dict of what it reaches, and pictures of PICTURES by name."""
    if method != GAME:
        result, predicted = camvid.run(method, n_masks, seed, form, split, device, forms=FORMS)
        return result, {"prediction": predicted}
    torch.set_num_threads(1)
    _, n_steps, reduction = FORMS[form]
    X, y, scenes = load("train", reduction)
    y[np.random.default_rng(seed).permutation(len(X))[n_masks:]] = MISSING
    steps_per_epoch = math.ceil(len(X) / SHARED["batch_size"])
    vae = SymmetricVAESegmenter(
        max_epochs=math.ceil(n_steps / steps_per_epoch),
        missing_label=MISSING,
        ignore_label=scenes.ignore_label,
        device=device,
        random_state=seed,
        **SHARED,
    )
    start, scale = time.perf_counter(), float(X.std())
    vae.fit(X, y)
    result = {"method": method, "n_masks": n_masks, "seed": seed, "seconds": time.perf_counter() - start}
    result["divergences"] = {name: value for name, value in vae.history_[-1].items() if name.startswith("divergence")}

    X, y, _ = load(split, reduction)
    predicted, shown = vae.predict(X), np.minimum(PICTURES, len(X) - 1)
    counts = confusion(y, predicted, labels=range(len(scenes.target_names)), ignore_label=scenes.ignore_label)
    result |= {name: 100 * measure(counts=counts) for name, measure in MEASURES.items()}
    result["epochs"] = vae.max_epochs
    pictures = {"prediction": predicted[shown], "reconstruction": vae.reconstruct(X[shown])}
    for name in HOLES:
        hidden = draw_holes(name, len(X), *X.shape[2:])
        filled = vae.reconstruct(X, missing=hidden)
        result[name] = error(filled, X, hidden) / scale
        pictures[f"{name} hidden"] = np.where(hidden[shown, None], 1.0, X[shown])
        pictures[f"{name} filled in"] = filled[shown]
    pictures["sample for a mask"] = vae.sample(len(shown), random_state=0)[0]
    return result, pictures


def summarize(results):
    """One dict for each number of masks and method."""
    groups = {}
    for result in results:
        groups.setdefault((result["n_masks"], result["method"]), []).append(result)
    rows = []
    for (n_masks, method), seeds in sorted(groups.items(), key=lambda group: (group[0][0], METHODS.index(group[0][1]))):
        row = {"n_masks": n_masks, "method": method}
        for name in (*MEASURES, "seconds", *(HOLES if method == GAME else ())):
            values = [result[name] for result in seeds]
            row[name] = {"mean": float(np.mean(values)), "std": float(np.std(values)), "values": values}
        if method == GAME:
            layers = seeds[0]["divergences"]
            row["divergences"] = {name: [result["divergences"][name] for result in seeds] for name in layers}
        rows.append(row)
    return rows


def print_tables(rows, baselines, n_seeds):
    print(f"\nPercent, mean of {n_seeds} seeds (deviation)")
    print(f"{'masks':>5} {'method':<18}" + "".join(f"{name:>16}" for name in MEASURES) + f"{'seconds':>9}")
    for row in rows:
        cells = "".join(f"{row[name]['mean']:>9.2f} ({row[name]['std']:4.2f})" for name in MEASURES)
        print(f"{row['n_masks']:>5} {row['method']:<18}{cells}{row['seconds']['mean']:>9.0f}")
    for name, of_masks in PUBLISHED.items():
        print(f"  on Cityscapes, {name}: " + ", ".join(f"{value} ({n} masks)" for n, value in of_masks.items()))
    games = [row for row in rows if row["method"] == GAME]
    print("\nDivergence of the latents from their priors in nats an image, the least of the seeds")
    for row in games:
        print(f"{row['n_masks']:>5}  " + ", ".join(f"{name} {min(v):.1f}" for name, v in row["divergences"].items()))
    print("\nError on hidden pixels, in standard deviations (deviation over the seeds)")
    for name in HOLES:
        cells = [f"{filling} {value:.3f}" for filling, value in baselines[name].items()]
        cells += [f"{row['n_masks']} masks {row[name]['mean']:.3f} ({row[name]['std']:.3f})" for row in games]
        print(f"{name}: " + ", ".join(cells))


def draw(rows, pictures, form, split):
    """Images as in the slides: reconstruction, holes and what is filled in, samples, image, truth, predictions."""
    X, y, scenes = load(split, FORMS[form].reduction)
    shown = np.minimum(PICTURES, len(X) - 1)
    images = {name: values for name, values in pictures[GAME].items() if name != "prediction"}
    n_columns = 2 + len(METHODS) + len(images)
    fig = plt.figure(figsize=(2.1 * n_columns + 1.5, 1.75 * len(shown)))
    axes = fig.subplots(
        len(shown),
        n_columns,
        gridspec_kw={"left": 0.01, "right": 0.94, "bottom": 0.02, "top": 0.93, "wspace": 0.04, "hspace": 0.04},
    )
    SegmentationDisplay.from_predictions(
        {method: pictures[method]["prediction"] for method in METHODS},
        y_true=y[shown],
        images=X[shown],
        bands=(0, 1, 2),
        labels=range(len(scenes.target_names)),
        display_labels=scenes.target_names,
        ignore_label=scenes.ignore_label,
        ax=axes[:, len(images) :],  # on the right, where there is room for the names of the classes
    )
    for column, (name, values) in zip(axes[:, : len(images)].T, images.items(), strict=True):
        column[0].set_title(name, fontsize="medium")
        for ax, picture in zip(column, values, strict=True):
            ax.imshow(np.clip(picture.transpose(1, 2, 0), 0, 1))
            ax.axis("off")
    return fig


def main():
    parser = make_parser(__doc__, "an epoch, 10 masks and all, one seed: a check that everything runs")
    parser.add_argument("--full", action="store_true", help="images of 90 x 120 pixels and more steps, for a GPU")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seeds", type=int, help="number of seeds (default: 3, with --quick 1)")
    parser.add_argument("--split", choices=["test", "val"], default="test", help="images to segment and fill in")
    parser.add_argument("--jobs", type=int, default=2, help="number of processes, one thread each")
    args = parser.parse_args()
    form = "quick" if args.quick else "full" if args.full else "reduced"
    n_seeds = args.seeds or (1 if args.quick else 3)
    print(f"The {form} form: {FORMS[form]}, {n_seeds} seeds, on {args.device}, images of the {args.split} part")

    # the longer ones first
    tasks = [(method, n, seed) for method in METHODS for n in FORMS[form].n_masks for seed in range(n_seeds)]
    start = time.perf_counter()
    results, pictures = [], {}
    parallel = Parallel(n_jobs=args.jobs, return_as="generator")
    for result, drawn in parallel(delayed(run)(*task, form, args.split, args.device) for task in tasks):
        results.append(result)
        method, n_masks, seed = (result[name] for name in ("method", "n_masks", "seed"))
        if (n_masks, seed) == (FORMS[form].n_masks[0], 0):
            pictures[method] = drawn
        measured = ", ".join(f"{name} {result[name]:.3f}" for name in (*MEASURES, *HOLES) if name in result)
        took = time.perf_counter() - start
        print(f"[{took:5.0f} s] {len(results)} of {len(tasks)}: {method}, {n_masks} masks, {measured}", flush=True)

    rows, baselines = summarize(results), baseline_errors(form, args.split)
    print_tables(rows, baselines, n_seeds)
    settings = {
        "form": form,
        **FORMS[form]._asdict(),
        "split": args.split,
        "device": args.device,
        "seeds": n_seeds,
        "segmenter": repr(SymmetricVAESegmenter(**SHARED)),
        "errors_on_hidden_pixels": baselines,
        "published": PUBLISHED,
        "seconds": time.perf_counter() - start,
    }
    save(args.output, "symmetric_vae_camvid", settings, rows, draw(rows, pictures, form, args.split))


if __name__ == "__main__":
    main()
