"""What the benchmarks share: command line, seeds, and where results go."""

import argparse
import json
from pathlib import Path

import matplotlib
import numpy
import sklearn
import torch

import sklearn_geoal

matplotlib.use("Agg")

VERSIONS = {module.__name__: module.__version__ for module in (sklearn_geoal, sklearn, torch, numpy)}


def make_parser(doc, quick):
    """Parser with the options of all benchmarks; ``quick`` says what --quick does."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results", help="folder of the results")
    return parser


def with_seed(estimator, seed):
    """Give an estimator, and all within it, this random_state."""
    names = [name for name in estimator.get_params() if name.split("__")[-1] == "random_state"]
    return estimator.set_params(**dict.fromkeys(names, seed))


def save(folder, name, settings, rows, figure):
    """Write name.json and name.png."""
    folder.mkdir(parents=True, exist_ok=True)
    results = {"settings": settings, "versions": VERSIONS, "rows": rows}
    (folder / f"{name}.json").write_text(json.dumps(results, indent=2) + "\n")
    figure.savefig(folder / f"{name}.png", dpi=150)
    print(f"\nWritten to {folder / name}.json and .png")
