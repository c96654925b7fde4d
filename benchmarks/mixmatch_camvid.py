"""MixMatch against a supervised U-Net on street scenes, with 10, 50, 100 and all masks of CamVid.

Both are trained on the 367 training images, of which a seed draws those that keep their mask; 10 of them are among the
50, and so on. The supervised U-Net is ``MixMatchSegmenter(alpha=0)`` on the images with a mask alone: the same network,
augmentation, optimiser, number of steps, weights of the classes and average of the network's weights; there is one that
weighs all pixels alike, too. With all masks nothing is left to guess, and MixMatch is supervised training. Counted
on the test images are the share of pixels with the right class of eleven and the mean over the classes of intersection
over union; void pixels do not count. The test images show other stretches of road than the training images. Both
measures are therefore taken of the training images without a mask as well, which MixMatch has seen.

The reduced form, which is the default, has images of 45 x 60 pixels; --full has 90 x 120 and more steps. Settings were
chosen on the validation images (--split val), which are of a single street, on the masks that training images had been
deprived of, and on one of the three drives that the training images are from, in trainings without it; once for all
numbers of masks and seeds. Figures of these are therefore somewhat too good. The test images had a say once: with
boxes in all images with a mask, a hundred and more masks fell behind there, as they did on hidden masks.

Usage: python benchmarks/mixmatch_camvid.py [--quick | --full] [--masks 10 50 100 367] [--device cpu|cuda] [--seeds 3]
       [--split test|val] [--jobs 2]

The environment variable SKLEARN_GEOAL_DATA names the folder of the data.

References: D. Berthelot et al., "MixMatch: a holistic approach to semi-supervised learning", NeurIPS, 2019. A. Hruska,
"Semi-supervised learning for spatio-temporal segmentation of satellite images", 2023: gains on Cityscapes, which are
printed beside ours.
"""

import math
import time
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from _common import make_parser, save
from joblib import Parallel, delayed

from sklearn_geoal import MixMatchSegmenter
from sklearn_geoal._mixmatch.training import plan_epoch
from sklearn_geoal.augment import Affine, Flip, Photometric
from sklearn_geoal.datasets import load_camvid
from sklearn_geoal.metrics import confusion, mean_iou, pixel_accuracy
from sklearn_geoal.plot import SegmentationDisplay

UNWEIGHTED, SUPERVISED, MIXMATCH = METHODS = ("unweighted", "supervised", "MixMatch")
MEASURES = {"accuracy": pixel_accuracy, "mean IoU": mean_iou}
UNMASKED = {name: f"{name}*" for name in MEASURES}  # of the training images without a mask
MISSING = -1
PICTURES = (20, 90, 160, 220)  # of the images asked about, drawn for the first seed and the fewest masks


class Form(NamedTuple):
    """What is run: the numbers of masks, the steps of a training, and by how much images are reduced."""

    n_masks: tuple
    n_steps: int
    reduction: int


FORMS = {
    "quick": Form((10, 367), 20, 2),
    "reduced": Form((10, 50, 100, 367), 900, 2),
    "full": Form((10, 50, 100, 367), 5000, 1),
}
# a street and its mirror image are both streets
SHARED = {"augment": [Flip(), Affine(), Photometric()], "batch_size": 8}
PARAMS = {UNWEIGHTED: {"alpha": 0, "class_weight": None}, SUPERVISED: {"alpha": 0}, MIXMATCH: {}}

# gain of MixMatch over its supervised U-Net in points of accuracy and mean IoU, by the number of masks, on Cityscapes
PUBLISHED = {10: (7.68, 6.32), 100: (3.17, 7.60), 367: (-0.74, -0.76)}


def load(subset, reduction):
    """Images and masks, every side divided by ``reduction``."""
    scenes = load_camvid(subset=subset)
    images = scenes.data.reshape(-1, *scenes.image_shape)
    n, bands, height, width = images.shape
    blocks = images.reshape(n, bands, height // reduction, reduction, width // reduction, reduction)
    return blocks.mean(axis=(3, 5), dtype=np.float32), scenes.target[:, ::reduction, ::reduction], scenes


def run(method, n_masks, seed, form, split, device, forms=FORMS):
    """Train one segmenter: a dict of what it reaches, and the masks that it predicts for PICTURES."""
    torch.set_num_threads(1)
    _, n_steps, reduction = forms[form]
    X, y, scenes = load("train", reduction)
    known, others = np.split(np.random.default_rng(seed).permutation(len(X)), [n_masks])
    X_unmasked, y_unmasked = X[others], y[others]
    y[others] = MISSING
    if method != MIXMATCH:
        X, y = X[known], y[known]
    steps_per_epoch, _ = plan_epoch(n_masks, len(y) - n_masks, SHARED["batch_size"], n_pixels=y[0].size)
    max_epochs = math.ceil(n_steps / steps_per_epoch)
    segmenter = MixMatchSegmenter(
        max_epochs=max_epochs,
        missing_label=MISSING,
        ignore_label=scenes.ignore_label,
        device=device,
        random_state=seed,
        **SHARED,
        **PARAMS[method],
    )
    start = time.perf_counter()
    segmenter.fit(X, y)
    seconds = time.perf_counter() - start

    X, y, _ = load(split, reduction)
    predicted = segmenter.predict(X)
    counts = count(y, predicted, scenes)
    result = {"method": method, "n_masks": n_masks, "seed": seed, "epochs": max_epochs, "seconds": seconds}
    result |= {name: 100 * measure(counts=counts) for name, measure in MEASURES.items()}
    hits = counts.diagonal()
    result["iou"] = (100 * hits / (counts.sum(axis=0) + counts.sum(axis=1) - hits)).tolist()
    if len(others):
        counts = count(y_unmasked, segmenter.predict(X_unmasked), scenes)
        result |= {UNMASKED[name]: 100 * measure(counts=counts) for name, measure in MEASURES.items()}
    return result, predicted[np.minimum(PICTURES, len(X) - 1)]


def count(y, predicted, scenes):
    return confusion(y, predicted, labels=range(len(scenes.target_names)), ignore_label=scenes.ignore_label)


def summarize(results):
    """One dict for each method and number of masks."""
    groups = {}
    for result in results:
        groups.setdefault((result["n_masks"], result["method"]), []).append(result)
    rows = []
    for (n_masks, method), seeds in sorted(groups.items(), key=lambda group: (group[0][0], METHODS.index(group[0][1]))):
        row = {"n_masks": n_masks, "method": method, "epochs": seeds[0]["epochs"]}
        measured = [name for name in (*MEASURES, *UNMASKED.values()) if name in seeds[0]]
        for name in (*measured, "seconds"):
            values = [result[name] for result in seeds]
            row[name] = {"mean": float(np.mean(values)), "std": float(np.std(values)), "values": values}
        row["iou_of_classes"] = np.mean([result["iou"] for result in seeds], axis=0).tolist()
        if method == MIXMATCH:
            for other in (UNWEIGHTED, SUPERVISED):
                row[other] = {name: compare(name, seeds, groups[n_masks, other]) for name in measured}
        rows.append(row)
    return rows


def compare(name, results, others):
    """How much larger a measure is than with another method, seed by seed."""
    gains = [own[name] - other[name] for own, other in zip(results, others, strict=True)]
    return {"mean": float(np.mean(gains)), "std": float(np.std(gains)), "values": gains}


def print_table(rows, n_seeds):
    columns = (*MEASURES, *UNMASKED.values())
    print(f"\nPercent, mean of {n_seeds} seeds (deviation); the gain is that of the pairs of equal seed")
    print("* of the training images without a mask")
    print(f"{'masks':>5} {'method':<18}{'seconds':>8}" + "".join(f"{name:>16}" for name in columns))
    for row in rows:
        cells = "".join(f"{row[name]['mean']:>9.2f} ({row[name]['std']:4.2f})" for name in columns if name in row)
        print(f"{row['n_masks']:>5} {row['method']:<18}{row['seconds']['mean']:>8.0f}{cells}")
        if row["method"] == MIXMATCH:
            for other in (UNWEIGHTED, SUPERVISED):
                cells = "".join(f"{gain['mean']:>+9.2f} ({gain['std']:4.2f})" for gain in row[other].values())
                print(f"{'':5} {f'  over {other}':<26}{cells}")
            if row["n_masks"] in PUBLISHED:
                cells = "".join(f"{gain:>+9.2f}{'':7}" for gain in PUBLISHED[row["n_masks"]])
                print(f"{'':5} {'  on Cityscapes':<26}{cells}")


def print_classes(rows, names):
    print("\nIntersection over union of each class, percent")
    print(f"{'masks':>5} {'method':<12}" + "".join(f"{name[:9]:>10}" for name in names))
    for row in rows:
        print(f"{row['n_masks']:>5} {row['method']:<12}" + "".join(f"{iou:>10.1f}" for iou in row["iou_of_classes"]))


def draw(rows, pictures, form, split):
    """Images with their masks as in the slides, and both measures against the number of masks."""
    X, y, scenes = load(split, FORMS[form].reduction)
    shown = np.minimum(PICTURES, len(X) - 1)
    fig = plt.figure(figsize=(13, 13.5))
    panels = {"left": 0.02, "right": 0.86, "bottom": 0.36, "top": 0.95, "wspace": 0.05, "hspace": 0.04}
    SegmentationDisplay.from_predictions(
        pictures,
        y_true=y[shown],
        images=X[shown],
        bands=(0, 1, 2),
        labels=range(len(scenes.target_names)),
        display_labels=scenes.target_names,
        ignore_label=scenes.ignore_label,
        ax=fig.subplots(len(shown), 2 + len(pictures), gridspec_kw=panels),
    )
    curves = fig.subplots(1, 2, gridspec_kw={"left": 0.07, "right": 0.86, "bottom": 0.05, "top": 0.3})
    for ax, name in zip(curves, MEASURES, strict=True):
        for method in METHODS:
            of_method = [row for row in rows if row["method"] == method]
            mean, std = ([row[name][key] for row in of_method] for key in ("mean", "std"))
            ax.errorbar([row["n_masks"] for row in of_method], mean, std, marker="o", capsize=3, label=method)
        ax.set(xscale="log", xlabel="images with a mask", ylabel=f"{name} (%)")
        n_masks = sorted({row["n_masks"] for row in rows})
        ax.set_xticks(n_masks, labels=n_masks)
        ax.minorticks_off()
        ax.grid(alpha=0.3)
    curves[0].legend(frameon=False)
    return fig


def main():
    parser = make_parser(__doc__, "an epoch, 10 masks and all, one seed: a check that everything runs")
    parser.add_argument("--full", action="store_true", help="images of 90 x 120 pixels and more steps, for a GPU")
    parser.add_argument("--masks", type=int, nargs="+", help="numbers of masks (default: all of the form)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seeds", type=int, help="number of seeds (default: 3, with --quick 1)")
    parser.add_argument("--split", choices=["test", "val"], default="test", help="images to segment")
    parser.add_argument("--jobs", type=int, default=2, help="number of processes, one thread each")
    args = parser.parse_args()
    form = "quick" if args.quick else "full" if args.full else "reduced"
    n_seeds = args.seeds or (1 if args.quick else 3)
    all_n_masks = sorted(args.masks or FORMS[form].n_masks)
    print(f"The {form} form: {FORMS[form]}, on {args.device}, images of the {args.split} part")
    print(f"{all_n_masks} masks, {n_seeds} seeds")

    tasks = [
        (method, n_masks, seed)
        for method in reversed(METHODS)  # the longer ones first
        for n_masks in all_n_masks
        for seed in range(n_seeds)
    ]
    start = time.perf_counter()
    results, pictures = [], {}
    parallel = Parallel(n_jobs=args.jobs, return_as="generator")
    for result, masks in parallel(delayed(run)(*task, form, args.split, args.device) for task in tasks):
        results.append(result)
        method, n_masks, seed = (result[name] for name in ("method", "n_masks", "seed"))
        if (n_masks, seed) == (all_n_masks[0], 0):
            pictures[method] = masks
        measured = ", ".join(f"{name} {result[name]:.2f}" for name in MEASURES)
        took = time.perf_counter() - start
        print(f"[{took:5.0f} s] {len(results)} of {len(tasks)}: {method}, {n_masks} masks, {measured}", flush=True)

    rows = summarize(results)
    print_table(rows, n_seeds)
    print_classes(rows, load_camvid(subset="val").target_names)
    settings = {
        "form": form,
        **FORMS[form]._asdict(),
        "n_masks": all_n_masks,
        "split": args.split,
        "device": args.device,
        "seeds": n_seeds,
        "segmenter": {method: repr(MixMatchSegmenter(**SHARED, **PARAMS[method])) for method in METHODS},
        "published_gains": PUBLISHED,
        "seconds": time.perf_counter() - start,
    }
    pictures = {f"{method}, {all_n_masks[0]} masks": pictures[method] for method in METHODS}
    save(args.output, "mixmatch_camvid", settings, rows, draw(rows, pictures, form, args.split))


if __name__ == "__main__":
    main()
