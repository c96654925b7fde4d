"""Clusters of digits and objects found without labels: agreement with the true classes, as Tables 6 and 7 of RECAL.

On all images of USPS, on 20 000 of MNIST or all of them, and on COIL-20, normalised mutual information (NMI) with the
true classes of the network's own clusters, of k-means on its embedding and of k-means on the pixels, and the accuracy
of the best matching of clusters and classes. The networks start from random weights, with one setting for all data sets
and seeds. Published figures stand beside them.

Usage: python benchmarks/recal_images.py [--quick] [--data usps mnist coil20] [--full] [--seeds 3] [--threads 2]
       [--device cpu]

The environment variable SKLEARN_GEOAL_DATA names the folder of the data.

Reference: J. Saha and J. Mukhopadhyay, "RECAL: reuse of established CNN classifier apropos unsupervised learning
paradigm", arXiv:1906.06480, 2019.
"""

import time

import matplotlib.pyplot as plt
import numpy as np
import torch
from _common import make_parser, save
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.metrics import confusion_matrix, normalized_mutual_info_score

from sklearn_geoal import RECALClusterer
from sklearn_geoal.datasets import load_coil20, load_mnist, load_usps

N_MNIST = 20_000
QUICK_ROWS = 1000
QUICK = {"n_init": 2, "init_epochs": 2, "max_epochs": 2}

DATA = {"usps": ("USPS", load_usps), "mnist": ("MNIST", load_mnist), "coil20": ("COIL-20", load_coil20)}
MEASURES = {
    "network": "RECAL, the network's clusters",
    "embedding": "RECAL, k-means on the embedding",
    "pixels": "k-means on the pixels",
}
# NMI as printed in Tables 6 and 7
PUBLISHED = {
    "RECAL, ImageNet weights": {"usps": 0.913, "mnist": 0.852, "coil20": 0.880},
    "  k-means on its embedding": {"usps": 0.913, "mnist": 0.885, "coil20": 0.948},
    "JULE-RC": {"usps": 0.913, "mnist": 0.913, "coil20": 1.000},
    "DEPICT": {"usps": 0.927, "mnist": 0.917},
    "DEC": {"usps": 0.586, "mnist": 0.816},
    "k-means": {"usps": 0.447, "mnist": 0.500, "coil20": 0.775},
}


def load(name, full, quick):
    """Images (n, channels * height * width), their classes and their shape."""
    bunch = DATA[name][1]()
    X, y = bunch.data, bunch.target
    n_rows = QUICK_ROWS if quick else N_MNIST if name == "mnist" and not full else len(X)
    rows = np.sort(np.random.default_rng(0).permutation(len(X))[:n_rows])
    return X[rows], y[rows], bunch.image_shape


def run(name, seed, full, quick, device):
    """All measures of one training."""
    X, y, image_shape = load(name, full, quick)
    n_classes = len(np.unique(y))
    start = time.perf_counter()
    recal = RECALClusterer(n_classes, image_shape=image_shape, random_state=seed, device=device, verbose=1)
    recal.set_params(**QUICK if quick else {}).fit(X)
    seconds = time.perf_counter() - start
    labels = {
        "network": recal.labels_,
        "embedding": k_means(recal.transform(X), n_classes, seed),
        "pixels": k_means(X, n_classes, seed),
    }
    row = {
        "data": name,
        "n_samples": len(X),
        "seed": seed,
        "seconds": seconds,
        "loss": recal.history_[-1]["train_loss"],
    }
    row |= {measure: float(normalized_mutual_info_score(y, found)) for measure, found in labels.items()}
    row |= {"accuracy": matched_accuracy(y, recal.labels_), "init_scores": recal.init_scores_.tolist()}
    print(
        "  ".join(f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items())
    )
    return row


def k_means(X, n_clusters, seed):
    return KMeans(n_clusters, n_init=10, random_state=seed).fit_predict(X)


def matched_accuracy(y, labels):
    """Share of the samples that are right when each cluster is given the class of the best matching."""
    counts = confusion_matrix(y, labels)
    return float(counts[linear_sum_assignment(-counts)].sum() / len(y))


def print_tables(rows):
    for name in (name for name in DATA if any(row["data"] == name for row in rows)):
        runs = [row for row in rows if row["data"] == name]
        print(
            f"\n{DATA[name][0]}, {runs[0]['n_samples']} images: NMI, mean of {len(runs)} seeds (deviation; the lowest)"
        )
        for measure, text in [*MEASURES.items(), ("accuracy", "RECAL, matched accuracy")]:
            values = np.array([row[measure] for row in runs])
            print(f"{text:<34}{values.mean():.3f} ({values.std():.3f}; {values.min():.3f})")
        print(f"{'seconds of a fit':<34}{np.mean([row['seconds'] for row in runs]):.0f}")
        for text, values in PUBLISHED.items():
            if name in values:
                print(f"{text + ' (published)':<42}{values[name]:.3f}")


def draw(rows):
    names = [name for name in DATA if any(row["data"] == name for row in rows)]
    figure, axes = plt.subplots(1, len(names), figsize=(4.2 * len(names), 3.8), layout="constrained", squeeze=False)
    for ax, name in zip(axes[0], names, strict=True):
        runs = [row for row in rows if row["data"] == name]
        bars = [(text.replace(", ", ",\n"), [row[measure] for row in runs]) for measure, text in MEASURES.items()]
        bars += [
            (text.strip().replace(", ", ",\n"), [values[name]]) for text, values in PUBLISHED.items() if name in values
        ]
        for i, (_, values) in enumerate(bars):
            ax.barh(i, np.mean(values), color="tab:blue" if i < len(MEASURES) else "lightgray")
            ax.plot(values, [i] * len(values), "k.", markersize=4)
        ax.set_yticks(range(len(bars)), [text for text, _ in bars], fontsize=7)
        ax.invert_yaxis()
        ax.set(xlim=(0, 1), xlabel="NMI with the true classes", title=f"{DATA[name][0]}, {runs[0]['n_samples']} images")
    figure.supxlabel("blue: this run, a dot for each seed; grey: published", fontsize=7)
    return figure


def main():
    parser = make_parser(__doc__, quick=f"{QUICK_ROWS} images of each data set, one seed, few epochs")
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--full", action="store_true", help=f"all 70 000 images of MNIST, not {N_MNIST}")
    parser.add_argument("--seeds", type=int, default=3, help="number of trainings")
    parser.add_argument("--threads", type=int, default=2, help="threads of a training on the CPU")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    seeds = range(1 if args.quick else args.seeds)
    rows = [run(name, seed, args.full, args.quick, args.device) for name in args.data for seed in seeds]
    print_tables(rows)
    settings = {key: str(value) for key, value in vars(args).items()}
    save(args.output, "recal_images", settings, rows, draw(rows))


if __name__ == "__main__":
    main()
