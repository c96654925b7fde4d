"""RECAL and k-means on a Landsat scene without labels: two models of its halves, and how far they agree.

One model learns from patches of the left half of the Landsat 8 scene of Zion National Park, one from patches of the
right half, and each labels the patches of both. As in the paper, with its two scenes, the consensus of the models is
the Jaccard similarity of their clusters, one table for each half: the model of that half meets one that has never seen
it. Beside it stands the normalised mutual information (NMI) of the whole maps with the national land cover, of which no
model knows anything and on which no setting was chosen. Of its eight classes two cover nine tenths of the scene, and
some differ by use rather than by looks: ten clusters, alike in size or not, cannot come near an NMI of 1. A patch of
8 x 8 pixels, 46 m in the paper, has 240 m here, and only one in four lies within one class.

RECAL runs with its own loss, and with that of the paper, without augmentation and weight on the class entropy. k-means
is given the same number of clusters, on the same patches, on their mean values and on single pixels.

The file has digital numbers without the elevation of the Sun. Reflectance is one factor and one shift a band away from
them (``sklearn_geoal.preprocessing.ReflectanceTransformer``), which the standardisation of each band undoes: each model
takes mean and deviation of the bands from its own half.

Usage: python benchmarks/recal_scene.py [--quick] [--size 8] [--stride 8] [--seeds 3] [--device cpu|cuda] [--jobs 2]

The environment variable SKLEARN_GEOAL_DATA names the folder of the data. The maps of the first seed are written as
GeoTIFF files; partners of both models have one number.

Reference: J. Saha and J. Mukhopadhyay, "RECAL: reuse of established CNN classifier apropos unsupervised learning
paradigm", arXiv:1906.06480, 2019, Tables 4 and 5.
"""

import time

import matplotlib.pyplot as plt
import numpy as np
import rasterio
import torch
from _common import make_parser, save
from joblib import Parallel, delayed
from sklearn.cluster import MiniBatchKMeans
from sklearn.metrics import normalized_mutual_info_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sklearn_geoal import RECALClusterer
from sklearn_geoal.datasets import load_landsat8_zion
from sklearn_geoal.metrics import jaccard_consensus
from sklearn_geoal.plot import ClassificationMapDisplay
from sklearn_geoal.preprocessing import PatchTransformer

N_CLUSTERS = 10
RECAL, AS_PAPER, ON_PATCHES, ON_MEANS, ON_PIXELS = METHODS = (
    "RECAL",
    "RECAL, paper's loss",
    "k-means, patches",
    "k-means, patch means",
    "k-means, pixels",
)
LOSSES = {RECAL: {"augment": "aerial"}, AS_PAPER: {"augment": None, "class_entropy_weight": 1.0, "overclustering": 1}}
HALVES = ("left", "right")
MAP_STRIDE = 2
MEASURES = ("NMI, whole scene", "NMI, own half", "NMI, other half", "consensus", "consensus, best 5")
QUICK_SIDE = 256  # of the square that --quick cuts out
# Jaccard similarities of the partners in Tables 4 and 5, five of ten clusters, on LISS-IV scenes of 5.8 m
PUBLISHED = ((0.545, 0.299, 0.243, 0.211, 0.721), (0.624, 0.186, 0.315, 0.556, 0.570))


def load(quick):
    """Bands (height, width, 4) and land cover (height, width) of the scene, and the scene as it was loaded."""
    scene = load_landsat8_zion()
    cube = scene.data.reshape(*scene.scene_shape, -1)
    cover = scene.target.reshape(scene.scene_shape)
    if quick:
        cube, cover = cube[:QUICK_SIDE, :QUICK_SIDE], cover[:QUICK_SIDE, :QUICK_SIDE]
    return cube, cover, scene


def half_of(image, half):
    middle = image.shape[1] // 2
    return image[:, :middle] if half == "left" else image[:, middle:]


def as_rows(cube):
    return cube.reshape(-1, cube.shape[-1])


def means_of_bands(patches, n_bands):
    return patches.reshape(len(patches), n_bands, -1).mean(axis=2)


def make_model(method, image_shape, seed, quick, device):
    """Clusterer of patches."""
    if method in LOSSES:
        epochs = {"n_init": 2, "init_epochs": 1, "max_epochs": 1} if quick else {}
        return RECALClusterer(
            N_CLUSTERS, image_shape=image_shape, device=device, random_state=seed, **LOSSES[method], **epochs
        )
    k_means = MiniBatchKMeans(N_CLUSTERS, batch_size=4096, n_init=10, random_state=seed)
    if method == ON_MEANS:
        return make_pipeline(FunctionTransformer(means_of_bands, kw_args={"n_bands": image_shape[0]}), k_means)
    return k_means


def segment(method, half, seed, size, stride, quick, device):
    """Train a model on one half of the scene: its map of the whole, and the processor time of the training."""
    torch.set_num_threads(1)
    cube, _, _ = load(quick)
    own = half_of(cube, half)
    scaler = StandardScaler().fit(as_rows(own))
    size, strides = (1, (1, 1)) if method == ON_PIXELS else (size, (stride, MAP_STRIDE))
    start = time.process_time()
    patches = PatchTransformer(own.shape[:2], size=size, stride=strides[0])
    X = patches.fit_transform(scaler.transform(as_rows(own)))
    model = make_model(method, patches.image_shape_, seed, quick, device).fit(X)
    seconds = time.process_time() - start
    patches = PatchTransformer(cube.shape[:2], size=size, stride=strides[1])
    labels = model.predict(patches.fit_transform(scaler.transform(as_rows(cube))))
    return patches.label_map(labels), seconds


def renamed(label_map, reference):
    """The map with each cluster called as its partner in another map."""
    matched = jaccard_consensus(reference, label_map, match=True)
    names = dict(zip(matched.labels_b.tolist(), matched.labels_a.tolist(), strict=False))
    free = iter(sorted(set(range(N_CLUSTERS)).difference(names.values())))
    names |= {label: next(free) for label in matched.labels_b.tolist() if label not in names}
    lookup = np.arange(N_CLUSTERS)
    lookup[list(names)] = list(names.values())
    return lookup[label_map]


def measure(maps, cover):
    """What two maps of the scene agree on: consensus on each half, and NMI of each with the land cover there."""
    nmi, consensus = {}, {}
    for half in HALVES:
        consensus[half] = jaccard_consensus(*(half_of(label_map, half) for label_map in maps), match=True)
        for model, label_map in zip(HALVES, maps, strict=True):
            of_model = normalized_mutual_info_score(*(half_of(image, half).ravel() for image in (cover, label_map)))
            nmi.setdefault("own half" if model == half else "other half", []).append(of_model)
    nmi["whole scene"] = [normalized_mutual_info_score(cover.ravel(), label_map.ravel()) for label_map in maps]
    result = {f"NMI, {part}": float(np.mean(values)) for part, values in nmi.items()}
    # clusters without a partner count as 0
    partners = np.zeros((len(HALVES), N_CLUSTERS))
    for similarities, found in zip(partners, consensus.values(), strict=True):
        diagonal = found.matrix.diagonal()
        similarities[: len(diagonal)] = np.sort(diagonal)[::-1]
    result["consensus"] = float(partners.mean())
    result["consensus, best 5"] = float(partners[:, :5].mean())
    return result, consensus


def summarize(results):
    """One dict for each method."""
    rows = []
    for method in METHODS:
        of_method = [result for result in results if result["method"] == method]
        row = {"method": method}
        for name in (*MEASURES, "seconds"):
            values = [result[name] for result in of_method]
            row[name] = {"mean": float(np.mean(values)), "std": float(np.std(values)), "values": values}
        if method in LOSSES:
            row["tables"] = [result["tables"] for result in of_method]
        rows.append(row)
    return rows


def print_summary(rows, n_seeds):
    print(f"\nMean of {n_seeds} seeds (deviation); consensus is the mean similarity of partners, seconds those of the")
    print("processor in a training")
    print(f"{'':<20}" + "".join(f"{name:>19}" for name in (*MEASURES, "seconds")))
    for row in rows:
        cells = (f"{row[name]['mean']:.3f} ({row[name]['std']:.3f})" for name in MEASURES)
        print(f"{row['method']:<20}" + "".join(f"{cell:>19}" for cell in cells) + f"{row['seconds']['mean']:>19.1f}")
    for name in ("NMI, whole scene", "consensus"):
        ranked = sorted(rows, key=lambda row: row[name]["mean"], reverse=True)
        print(f"{name}: {', then '.join(row['method'] for row in ranked)}")


def print_consensus(consensus, covers, maps, class_names):
    """Table of one half, with the land cover that most of a cluster has; the paper's shows the upper triangle."""

    def name_of(label, label_map):
        counts = np.bincount(covers[label_map == label], minlength=len(class_names))
        return f"{label} {class_names[counts.argmax()][:9]} {100 * counts.max() / counts.sum():.0f} %"

    rows = [name_of(label, maps[0]) for label in consensus.labels_a]
    columns = [name_of(label, maps[1]) for label in consensus.labels_b]
    print(f"{'model of the left half':<23}" + "".join(f"{label:>7}" for label in consensus.labels_b) + "  its partner")
    for i, (name, similarities) in enumerate(zip(rows, consensus.matrix, strict=True)):
        cells = "".join(f"{value:>7.3f}" for value in similarities)
        print(f"{name:<23}{cells}  {columns[i] if i < len(columns) else ''}")


def draw(cube, cover, maps, class_names):
    """False colour, the maps of both models, land cover; a line parts the halves."""
    shared = {"scene_shape": cover.shape, "missing_label": -1}
    fig, axes = plt.subplots(1, 4, figsize=(19, 5.8), layout="constrained")
    clusters = {"labels": range(N_CLUSTERS), "display_labels": [f"cluster {i}" for i in range(N_CLUSTERS)]}
    ClassificationMapDisplay.from_predictions(
        maps[0].ravel(), scene=as_rows(cube), bands=(3, 2, 1), ax=axes[:2], **clusters, **shared
    )
    axes[1].get_legend().remove()  # that of the next panel
    ClassificationMapDisplay.from_predictions(maps[1].ravel(), ax=axes[2], **clusters, **shared)
    ClassificationMapDisplay.from_predictions(
        cover.ravel(), labels=range(len(class_names)), display_labels=class_names, ax=axes[3], **shared
    )
    titles = ("Near infrared, red, green", "Model of the left half", "Model of the right half", "Land cover")
    for ax, title in zip(axes, titles, strict=True):
        ax.set_title(title)
        ax.axvline(cover.shape[1] // 2 - 0.5, color="black", linewidth=0.8)
    return fig


def write_maps(folder, maps, scene):
    folder.mkdir(parents=True, exist_ok=True)
    for half, label_map in zip(HALVES, maps, strict=True):
        height, width = label_map.shape
        profile = {"driver": "GTiff", "height": height, "width": width, "count": 1, "dtype": "uint8"}
        profile |= {"crs": scene.crs, "transform": rasterio.Affine(*scene.transform), "compress": "deflate"}
        with rasterio.open(folder / f"recal_scene_{half}.tif", "w", **profile) as file:
            file.write(label_map.astype(np.uint8), 1)


def main():
    parser = make_parser(__doc__, f"{QUICK_SIDE} x {QUICK_SIDE} pixels, few epochs, one seed: a check that all runs")
    parser.add_argument("--size", type=int, default=8, help="side of a patch in pixels")
    parser.add_argument("--stride", type=int, default=8, help="pixels from one patch to learn from to the next")
    parser.add_argument("--seeds", type=int, help="number of seeds (default: 3, with --quick 1)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--jobs", type=int, default=2, help="number of processes, one thread each")
    args = parser.parse_args()
    n_seeds = args.seeds or (1 if args.quick else 3)

    start = time.perf_counter()
    cube, cover, scene = load(args.quick)
    tasks = [(method, half, seed) for seed in range(n_seeds) for method in METHODS for half in HALVES]
    parallel = Parallel(n_jobs=args.jobs, return_as="generator")
    found = parallel(delayed(segment)(*task, args.size, args.stride, args.quick, args.device) for task in tasks)
    segmented = dict(zip(tasks, found, strict=True))

    results, shown = [], None
    for method, seed in [(method, seed) for method in METHODS for seed in range(n_seeds)]:
        maps, seconds = zip(*(segmented[method, half, seed] for half in HALVES), strict=True)
        maps = (maps[0], renamed(maps[1], maps[0]))
        measured, consensus = measure(maps, cover)
        tables = {half: found.matrix.tolist() for half, found in consensus.items()}
        results.append({"method": method, **measured, "seconds": float(np.mean(seconds)), "tables": tables})
        if shown is None:  # RECAL with the first seed
            shown = maps
            for half, published in zip(HALVES, PUBLISHED, strict=True):
                print(f"\nJaccard similarity of the clusters of two models on the {half} half, {method}, seed {seed}")
                parts = [half_of(label_map, half) for label_map in maps]
                print_consensus(consensus[half], half_of(cover, half), parts, scene.target_names)
                listed = ", ".join(map(str, published))
                print(f"the paper's partners, five of ten: {listed}, mean {np.mean(published):.3f}")

    rows = summarize(results)
    print_summary(rows, n_seeds)
    image_shape = (cube.shape[2], args.size, args.size)
    settings = {
        "n_clusters": N_CLUSTERS,
        "size": args.size,
        "stride": args.stride,
        "map_stride": MAP_STRIDE,
        "quick": args.quick,
        "seeds": n_seeds,
        "device": args.device,
        "recal": {method: repr(make_model(method, image_shape, 0, args.quick, args.device)) for method in LOSSES},
        "published_partners": PUBLISHED,
        "seconds": time.perf_counter() - start,
    }
    write_maps(args.output, shown, scene)
    save(args.output, "recal_scene", settings, rows, draw(cube, cover, shown, scene.target_names))


if __name__ == "__main__":
    main()
