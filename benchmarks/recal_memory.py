"""Peak memory of a step of RECALClusterer on t mini-batches, beside one mini-batch of the same number of rows.

The class entropy of RECAL needs steps of many samples. ``accumulate_batches=t`` takes them in t mini-batches: "exact"
passes over them twice, "running" goes back through the last one alone. Each step, forward and backward on augmented
copies of random images of 3 x 32 x 32 pixels, runs in a process of its own on one thread; its peak is how far the
memory of the process rises above what it has taken before the step, the images and the network included. Of
accumulated steps only the augmented copies of the rows grow with t: both passes must meet the same.

The gradients are compared with those of the same augmented copies in one graph, by the norm of the difference over the
norm of the gradient. Where each mini-batch is normalised by itself there as well, "exact" differs by rounding; one
large mini-batch also has batch normalisation take its statistics over all rows, which makes it another loss.

Usage: python benchmarks/recal_memory.py [--quick] [--backbone conv|vgg16_bn] [--repeats 3]
"""

import json
import resource
import statistics
import subprocess
import sys
import time
import warnings

import matplotlib.pyplot as plt
import torch
from _common import make_parser, save
from sklearn.exceptions import ConvergenceWarning

from sklearn_geoal import RECALClusterer

IMAGE_SHAPE, N_CLUSTERS, BATCH_SIZE = (3, 32, 32), 10, 256
LARGE, EXACT, RUNNING = WAYS = ("one large batch", "exact", "running")
MEGABYTE = 2**20


def make_module(backbone, accumulation):
    """The network of a clusterer that has seen a few images: it has gradients, and libraries have their buffers."""
    X = torch.randn(16, *IMAGE_SHAPE, generator=torch.Generator().manual_seed(0)).numpy()
    params = {"backbone": backbone, "accumulation": accumulation, "n_init": 1, "max_epochs": 1, "batch_size": 16}
    recal = RECALClusterer(N_CLUSTERS, random_state=0, **params)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # noise has no clusters
        return recal.fit(X).net_.module_.train()


def run_step(way, t, backbone):
    """Peak memory in MB and seconds of processor time of one step, in this process."""
    torch.set_num_threads(1)
    module = make_module(backbone, EXACT if way == LARGE else way)
    batch_size = t * BATCH_SIZE if way == LARGE else BATCH_SIZE
    x = torch.randn(t * BATCH_SIZE, *IMAGE_SHAPE)
    before, start = peak_memory(), time.process_time()
    module.backward(x, batch_size)
    return {"megabytes": peak_memory() - before, "seconds": time.process_time() - start}


def peak_memory():
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MEGABYTE


def in_own_process(way, t, backbone):
    call = [sys.executable, __file__, "--step", way, str(t), backbone]
    return json.loads(subprocess.run(call, stdout=subprocess.PIPE, check=True).stdout)


def relative_differences(t, backbone):
    """Distance of the accumulated gradients to those of one graph, as parts of the norm of these."""
    x = torch.randn(t * BATCH_SIZE, *IMAGE_SHAPE, generator=torch.Generator().manual_seed(1))

    def gradient(way, normalised_apart=True):
        module = make_module(backbone, EXACT if way == LARGE else way)
        module.zero_grad()
        torch.manual_seed(2)  # of the augmentations
        if way == LARGE:
            views = [module.views(part) for part in x.split(BATCH_SIZE)]
            groups = views if normalised_apart else [torch.cat(views, dim=1)]
            terms = [module.terms(group) for group in groups]
            module.loss(*(torch.stack(term).mean(dim=0) for term in zip(*terms, strict=True))).mean().backward()
        else:
            module.backward(x, BATCH_SIZE)
        return torch.cat([weights.grad.flatten() for weights in module.parameters()])

    apart, together = gradient(LARGE), gradient(LARGE, normalised_apart=False)
    return {
        way: {
            "normalised apart": ((gradient(way) - apart).norm() / apart.norm()).item(),
            "normalised together": ((gradient(way) - together).norm() / together.norm()).item(),
        }
        for way in (EXACT, RUNNING)
    }


def draw(rows, backbone):
    fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for ax, name, label in zip(
        axes, ("megabytes", "seconds"), ("peak memory (MB)", "processor time of a step (s)"), strict=True
    ):
        for way in WAYS:
            of_way = [row for row in rows if row["way"] == way]
            ax.plot([row["t"] for row in of_way], [row[name] for row in of_way], "o-", label=way)
        ax.set(xlabel=f"t, mini-batches of {BATCH_SIZE} rows", ylabel=label, ylim=(0, None))
        ax.set_xticks([row["t"] for row in of_way])
        ax.grid(alpha=0.3)
    axes[0].legend(frameon=False)
    fig.suptitle(f"A step of RECALClusterer, backbone {backbone}, one thread")
    return fig


def main():
    if sys.argv[1:2] == ["--step"]:
        way, t, backbone = sys.argv[2:]
        print(json.dumps(run_step(way, int(t), backbone)))
        return
    parser = make_parser(__doc__, "t of 1 and 2, once: a check that everything runs")
    parser.add_argument("--backbone", choices=["conv", "vgg16_bn"], default="conv")
    parser.add_argument("--repeats", type=int, help="processes of each step (default: 3, with --quick 1)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    numbers = (1, 2) if args.quick else (1, 2, 4, 8)
    repeats = args.repeats or (1 if args.quick else 3)

    print(f"Backbone {args.backbone}, mini-batches of {BATCH_SIZE} rows, median of {repeats} steps")
    print(f"{'t':>2} {'':<16}{'MB':>7}{'seconds':>9}")
    rows = []
    for t in numbers:
        for way in WAYS:
            runs = [in_own_process(way, t, args.backbone) for _ in range(repeats)]
            row = {"t": t, "way": way}
            for name in ("megabytes", "seconds"):
                values = [run[name] for run in runs]
                row |= {name: statistics.median(values), f"{name}_range": [min(values), max(values)]}
            rows.append(row)
            print(f"{t:>2} {way:<16}{row['megabytes']:>7.0f}{row['seconds']:>9.2f}", flush=True)

    # only now: on Linux a process begins with the peak memory of the one that it comes from
    print("\nRelative difference of the gradient to that of one graph, mini-batches normalised apart and together")
    for t in numbers:
        for way, differences in relative_differences(t, args.backbone).items():
            next(row for row in rows if (row["t"], row["way"]) == (t, way))["difference"] = differences
            print(f"{t:>2} {way:<16}" + "".join(f"{value:>9.1e}" for value in differences.values()), flush=True)
    settings = {
        "backbone": args.backbone,
        "image_shape": IMAGE_SHAPE,
        "batch_size": BATCH_SIZE,
        "n_clusters": N_CLUSTERS,
        "repeats": repeats,
    }
    save(args.output, "recal_memory", settings, rows, draw(rows, args.backbone))


if __name__ == "__main__":
    main()
