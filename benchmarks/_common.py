"""What the benchmarks share: command line, seeds, and where results go."""

import argparse
import json
from pathlib import Path

import matplotlib
import numpy
import rasterio
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


def repeated_vrt(path, source, height, width):
    """Write a VRT that repeats a raster side by side to height x width pixels; it takes no place on the disk."""
    with rasterio.open(source) as file:
        shape, count, dtype, crs, transform = file.shape, file.count, file.dtypes[0], file.crs, file.transform
    kind = {"uint8": "Byte", "uint16": "UInt16", "int16": "Int16", "float32": "Float32"}[dtype]
    lines = [f'<VRTDataset rasterXSize="{width}" rasterYSize="{height}">', f"<SRS>{crs.to_string()}</SRS>"]
    lines.append(f"<GeoTransform>{', '.join(map(str, transform.to_gdal()))}</GeoTransform>")
    for band in range(1, count + 1):
        lines.append(f'<VRTRasterBand dataType="{kind}" band="{band}">')
        for top in range(0, height, shape[0]):
            for left in range(0, width, shape[1]):
                size = min(shape[1], width - left), min(shape[0], height - top)
                lines.append(
                    f"<SimpleSource><SourceFilename>{source}</SourceFilename><SourceBand>{band}</SourceBand>"
                    f'<SrcRect xOff="0" yOff="0" xSize="{size[0]}" ySize="{size[1]}"/>'
                    f'<DstRect xOff="{left}" yOff="{top}" xSize="{size[0]}" ySize="{size[1]}"/></SimpleSource>'
                )
        lines.append("</VRTRasterBand>")
    path.write_text("\n".join([*lines, "</VRTDataset>\n"]))
    return path
