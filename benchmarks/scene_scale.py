"""predict_scene on scenes of 10^6 to 10^9 pixels: seconds and memory, beside reading and the bare predict.

The scene is Landsat 8 around Zion, four bands, repeated side by side by a VRT that takes no place on the disk. The
model is a Pipeline of a window of 3 x 3 pixels, a scaler and LAND, fitted to 8000 pixels with 200 labels. Three things
run in turns, each in a process of its own on one thread:

- read: every block read by rasterio and let go;
- bare: the same blocks read, then what anyone would write: the window by scipy, scaler and LAND's predict on the rows
  of the block, nothing written;
- ours: predict_scene of the same Pipeline into a GeoTIFF, with halo, no-data, scratch files and the final compression.

The rate of "ours" is that of "bare" plus what keeping the map costs. Peak memory is what the process takes beyond the
loaded model. Sizes above --largest are extrapolated from the seconds per pixel of the largest that ran.

Usage: python benchmarks/scene_scale.py [--quick] [--largest 8] [--repeats 1]
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
import rasterio
from _common import make_parser, repeated_vrt, save
from rasterio.windows import Window
from scipy.ndimage import uniform_filter
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sklearn_geoal
from sklearn_geoal import LANDClassifier
from sklearn_geoal.datasets._files import find
from sklearn_geoal.preprocessing import SpatialWindow
from sklearn_geoal.scenes import open_scene, predict_scene

WAYS = ("read", "bare", "ours")
BLOCK, N_FITTED, N_LABELS, WINDOW = 512, 8000, 200, 3


def fit_model(path, labels, target):
    """A window, a scaler and LAND, saved to a file."""
    scene = open_scene(path)
    window = SpatialWindow(size=WINDOW).fit(scene.read())
    rows = np.random.RandomState(0).choice(scene.n_pixels, N_FITTED, replace=False)
    Z = window.transform(scene.read())[rows]
    scaler = StandardScaler().fit(Z)
    with rasterio.open(labels) as file:
        y = file.read(1).ravel()[rows].astype(int)
    y[N_LABELS:] = -1
    land = LANDClassifier(random_state=0).fit(scaler.transform(Z), y)
    sklearn_geoal.save(make_pipeline(window, scaler, land), target)


def blocks_of(file):
    for top in range(0, file.height, BLOCK):
        for left in range(0, file.width, BLOCK):
            yield Window(left, top, min(BLOCK, file.width - left), min(BLOCK, file.height - top))


def run(way, path, model, target):
    """Seconds and peak memory, in megabytes beyond the model, of one way in this process."""
    model = sklearn_geoal.load(model)
    before, start = resident(), time.perf_counter()
    if way == "ours":
        predict_scene(model, path, target, outputs="label", block_size=BLOCK)
    else:
        with rasterio.open(path) as file:
            for window in blocks_of(file):
                values = file.read(window=window)
                if way == "bare":
                    means = uniform_filter(values.astype(np.float32), (0, WINDOW, WINDOW))
                    model[-1].predict(model[1].transform(means.reshape(len(values), -1).T))
    return {"seconds": time.perf_counter() - start, "megabytes": peak() - before}


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def measured(way, path, model, folder):
    call = [sys.executable, __file__, "--run", way, str(path), str(model), str(folder / "map.tif")]
    return json.loads(subprocess.run(call, stdout=subprocess.PIPE, check=True).stdout)


def main():
    parser = make_parser(__doc__, "10^6 and 4 x 10^6 pixels")
    parser.add_argument("--largest", type=float, default=8, help="decimal logarithm of the largest size that runs")
    parser.add_argument("--repeats", type=int, default=1)
    args = parser.parse_args()
    sizes = [10**6, 4 * 10**6] if args.quick else [int(10**k) for k in np.arange(6, args.largest + 0.01)]
    source = find("landsat8_zion/landsat8_zion_4band.tif", None)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        fit_model(source, find("landsat8_zion/labels_nlcd8.tif", None), folder / "model.geoal")
        print(f"{'pixels':>12} {'way':>5} {'seconds':>9} {'pixels/s':>10} {'MB':>7}")
        for size in sizes:
            side = round(size**0.5)
            path = repeated_vrt(folder / f"{size}.vrt", source, side, side)
            for repeat in range(args.repeats):
                for way in WAYS:
                    row = {"pixels": side**2, "way": way, "repeat": repeat}
                    row |= measured(way, path, folder / "model.geoal", folder)
                    rows.append(row)
                    rate = row["pixels"] / row["seconds"]
                    print(f"{row['pixels']:>12} {way:>5} {row['seconds']:>9.1f} {rate:>10.0f} {row['megabytes']:>7.0f}")
    summarise(rows, sizes)
    save(args.output, "scene_scale", {"block": BLOCK, "fitted": N_FITTED, "window": WINDOW}, rows, draw(rows))


def summarise(rows, sizes):
    largest = max(row["pixels"] for row in rows)
    seconds = {
        way: np.median([row["seconds"] for row in rows if row["pixels"] == largest and row["way"] == way])
        for way in WAYS
    }
    print(f"\nspeed of ours over (reading + bare predict): {seconds['bare'] / seconds['ours']:.2f}")
    print(f"10^9 pixels, extrapolated: {seconds['ours'] * 1e9 / largest / 3600:.1f} hours")


def draw(rows):
    figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    for way in WAYS:
        own = [row for row in rows if row["way"] == way]
        axes[0].loglog([row["pixels"] for row in own], [row["seconds"] for row in own], "o-", label=way)
        axes[1].semilogx([row["pixels"] for row in own], [row["megabytes"] for row in own], "o-", label=way)
    axes[0].set(xlabel="pixels", ylabel="seconds")
    axes[1].set(xlabel="pixels", ylabel="peak memory beyond the model, MB", ylim=(0, None))
    axes[0].legend()
    return figure


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        print(json.dumps(run(*sys.argv[2:])))
    else:
        main()
