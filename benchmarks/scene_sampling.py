"""Learn from pixels that stand for a scene: accuracy beside LAND on all pixels, and seconds and memory at any size.

Two tables. The first takes a part of Landsat 8 around Zion, 400 x 500 pixels of which all labels are known, and lets
LAND ask among all of its pixels, or among samples of each strategy, weighted by what they stand for or not; the map of
all pixels is scored. The second repeats the scene side by side, by a VRT that takes no place on the disk, and takes the
seconds and the peak memory of reading alone, sample_pixels, LAND's fit and query(100), each size in a process of its
own.

Usage: python benchmarks/scene_sampling.py [--quick] [--largest 8] [--seeds 3] [--sample 20000]
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from _common import make_parser, repeated_vrt, save
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_geoal import LANDClassifier
from sklearn_geoal.datasets._files import find
from sklearn_geoal.preprocessing import SpatialWindow
from sklearn_geoal.scenes import labels_from, open_scene, predict_scene, sample_pixels

PART, BUDGETS = (500, 900, 300, 800), (10, 20, 50, 100)
WAYS = ("all pixels", "coverage", "coverage, unweighted", "random", "spread")


def accuracies(values, y, way, n, seed):
    """Accuracy of the map after each budget, and how many classes were seen."""
    features = make_pipeline(SpatialWindow(size=3), StandardScaler()).fit(values)
    strategy, _, unweighted = way.partition(", ")
    size, strategy = (y.size, "random") if way == "all pixels" else (n, strategy)
    sample = sample_pixels(values, size, strategy=strategy, transformer=features, random_state=seed)
    land = LANDClassifier(random_state=seed)
    land.fit(sample.X, sample_weight=None if unweighted else sample.weights)
    for budget in BUDGETS:
        queries = land.query(budget - len(land.labeled_indices_))
        land.teach(queries, y[sample.rows][queries])
        label = predict_scene(make_pipeline(features, land), values, outputs="label").label.values.ravel()
        yield {"budget": budget, "accuracy": float((label == y).mean()), "classes": len(land.classes_)}


def compare(args, source, labels):
    part = open_scene(source)
    y = labels_from(part, labels).reshape(part.scene_shape)[PART[0] : PART[1], PART[2] : PART[3]].ravel()
    values, rows = part.read(PART), []
    if args.quick:
        values = values[:, :100, :125]
        y = y.reshape(400, 500)[:100, :125].ravel()
    print(f"{'':24}" + "".join(f"{budget:>16}" for budget in BUDGETS))
    for way in WAYS:
        for seed in range(args.seeds):
            rows += [{"way": way, "seed": seed, **row} for row in accuracies(values, y, way, args.sample, seed)]
        cells = []
        for budget in BUDGETS:
            own = [row["accuracy"] for row in rows if row["way"] == way and row["budget"] == budget]
            cells.append(f"{np.mean(own):>9.4f} {np.std(own):.4f}")
        print(f"{way:24}" + "".join(f"{cell:>16}" for cell in cells), flush=True)
    return rows


def run(path, n, strategy):
    """Seconds of each step and peak memory in megabytes, in this process."""
    scene, steps = open_scene(path), {}

    def timed(name, function):
        start = time.perf_counter()
        result = function()
        steps[name] = time.perf_counter() - start
        return result

    timed("read", lambda: [scene.read(strip) is None for strip in scene.strips(2**22)])
    sample = timed("sample", lambda: sample_pixels(scene, int(n), strategy=strategy, random_state=0))
    Z = StandardScaler().fit_transform(sample.X)
    land = timed("fit", lambda: LANDClassifier(random_state=0).fit(Z, sample_weight=sample.weights))
    timed("query", lambda: land.query(100))
    return {**steps, "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def scale(args, source, folder):
    sizes = [10**6] if args.quick else [10**k for k in range(6, args.largest + 1)]
    rows = []
    columns = ("read", "sample", "fit", "query", "megabytes")
    print(f"\n{'pixels':>12} {'strategy':>9}" + "".join(f"{name:>11}" for name in columns))
    for size in sizes:
        side = round(size**0.5)
        path = repeated_vrt(folder / f"{size}.vrt", source, side, side)
        for strategy in ("coverage", "random", "spread"):
            call = [sys.executable, __file__, "--run", str(path), str(args.sample), strategy]
            row = json.loads(subprocess.run(call, stdout=subprocess.PIPE, check=True).stdout)
            rows.append({"pixels": side**2, "strategy": strategy, **row})
            print(f"{side**2:>12} {strategy:>9}" + "".join(f"{row[name]:>11.1f}" for name in columns), flush=True)
    return rows


def draw(accuracy_rows, scale_rows):
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for way in WAYS:
        means = [
            np.mean([row["accuracy"] for row in accuracy_rows if row["way"] == way and row["budget"] == budget])
            for budget in BUDGETS
        ]
        axes[0].plot(BUDGETS, means, "o-", label=way)
    axes[0].set(xlabel="labels", ylabel="accuracy of the map", xscale="log")
    axes[0].set_xticks(BUDGETS, BUDGETS)
    axes[0].legend()
    for strategy in ("coverage", "random", "spread"):
        own = [row for row in scale_rows if row["strategy"] == strategy]
        seconds = [sum(row[name] for name in ("sample", "fit", "query")) for row in own]
        axes[1].loglog([row["pixels"] for row in own], seconds, "o-", label=strategy)
    axes[1].set(xlabel="pixels of the scene", ylabel="seconds to 100 queries")
    axes[1].legend()
    return figure


def main():
    parser = make_parser(__doc__, "a part of 100 x 125 pixels, 10^6 pixels")
    parser.add_argument("--largest", type=int, default=8, help="decimal logarithm of the largest size")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sample", type=int, default=20_000, help="pixels of a sample")
    args = parser.parse_args()
    if args.quick:
        args.seeds, args.sample = 1, 2000
    source = find("landsat8_zion/landsat8_zion_4band.tif", None)
    accuracy_rows = compare(args, source, find("landsat8_zion/labels_nlcd8.tif", None))
    with tempfile.TemporaryDirectory() as folder:
        scale_rows = scale(args, source, Path(folder))
    settings = {"part": PART, "sample": args.sample, "seeds": args.seeds}
    rows = [{"table": "accuracy", **row} for row in accuracy_rows] + [{"table": "scale", **row} for row in scale_rows]
    save(args.output, "scene_sampling", settings, rows, draw(accuracy_rows, scale_rows))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        print(json.dumps(run(*sys.argv[2:])))
    else:
        main()
