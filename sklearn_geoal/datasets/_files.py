"""Files of the public data sets: what they are, where they lie, and what they hold."""

import hashlib
import json
import os
from functools import cache
from pathlib import Path

import numpy as np
from scipy.io import loadmat
from sklearn.utils import Bunch

_VARIABLE = "SKLEARN_GEOAL_DATA"

# folder -> what it holds, where it comes from, and the sha256 of each file
SETS = {
    "salinas_a": (
        "AVIRIS scene of fields in the Salinas Valley, California: 83 x 86 pixels, 204 bands after removal of the "
        "water absorption bands, six classes, 5348 of 7138 pixels labelled.",
        "Grupo de Inteligencia Computacional, EHU, "
        "https://www.ehu.eus/ccwintco/index.php/Hyperspectral_Remote_Sensing_Scenes",
        {
            "SalinasA_corrected.mat": "d75684ed3ab71a1024cee0f9db9061f50a3523a92ff5edfbbb1eed976b9f1721",
            "SalinasA_gt.mat": "17814c1d3296c0e29b27f320f2c4174d2a68adb87e376abe78f02923e2c2e454",
        },
    ),
    "jasper_ridge": (
        "AVIRIS scene of Jasper Ridge, California: 100 x 100 pixels, 198 bands, abundances of four materials. The "
        "target is the most abundant material of each pixel, not a published map.",
        "unmixing benchmarks of the Remote Sensing Laboratory, https://rslab.ut.ac.ir/data, repacked as one npz file "
        "(cube, abundance, gt_argmax, endmembers, names, bands)",
        {"jasper_ridge.npz": "563f6c35e75b8bf9cb7e35365eb3e6e63ad7e5fb8b4acd44d6967df3dcb7b76f"},
    ),
    "usps": (
        "Handwritten digits from envelopes of the US postal service: 9298 grey images of 16 x 16 pixels.",
        "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass.html#usps, repacked as one npz file "
        "(X, y, is_test)",
        {"usps.npz": "0edc2cda3619d6ae989d93bd099d256076f9a582a42273cd8cf599284c4a04ae"},
    ),
    "mnist": (
        "Handwritten digits: 60000 training and 10000 test images, grey, 28 x 28 pixels. CC BY-SA 3.0.",
        "http://yann.lecun.com/exdb/mnist, repacked as one npz file (x_train, y_train, x_test, y_test)",
        {"mnist.npz": "06af5dfe73b70e3bc1c36439982b18a8d76803db9b544f6fdf838a37fbb01b64"},
    ),
    "coil20": (
        "Columbia object image library: 20 objects, each turned through 72 angles, 1440 grey images of 32 x 32 "
        "pixels. For research use.",
        "https://www.cs.columbia.edu/CAVE/software/softlib/coil-20.php, repacked as one npz file (X, y)",
        {"coil20.npz": "a63c35c70652a6d83560991970aed4e5364d482d30c5b685c6d8656a44c0af2b"},
    ),
    "aid": (
        "Aerial scenes of 30 classes in a hierarchy of 9 and 4 groups: 6890 colour images reduced to 64 x 64 pixels. "
        "For academic use.",
        "https://captain-whu.github.io/AID, reduced, split and repacked as one npz file "
        "(x_train, y_train, x_val, y_val, x_test, y_test, classes, level2, level3, level2_names, level3_names)",
        {"aid_64_split.npz": "db75b05c8cee0f847866116dfef95c3dc1c41825d487047a8a8987c0bf873e19"},
    ),
    "camvid": (
        "Street scenes with a class for each pixel: 701 colour images reduced to 90 x 120 pixels, 11 classes and "
        "void. For research use.",
        "http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid, reduced, split and repacked as one npz file "
        "(x_train, y_train, x_val, y_val, x_test, y_test, classes)",
        {"camvid_90x120.npz": "a5f6847dc802d480a0f14485dedd3306693c80066d59d1dc2727c2487235b915"},
    ),
    "landsat8_zion": (
        "Landsat 8 scene around Zion National Park, Utah: 1428 x 1128 pixels of 30 m, four bands of digital numbers, "
        "land cover of every pixel in eight classes. CC0.",
        "Landsat 8 and the National Land Cover Database, https://earthexplorer.usgs.gov and https://www.mrlc.gov, "
        "cut out as GeoTIFF files",
        {
            "landsat8_zion_4band.tif": "650e4b226ab7021e854aff23192536ebb2bed27c9a1ae9744753d193a5ad7cc5",
            "labels_nlcd8.tif": "96ef9cfae796b700b8e058d81568e66e667488cb0f5fae829f277337fbafdc9d",
        },
    ),
    "sentinel2_amazon": (
        "Sentinel-2 scene on the Amazon: 237 x 247 pixels, twelve bands of reflectance, 2370 pixels labelled in four "
        "classes. Contains Copernicus Sentinel data.",
        "https://dataspace.copernicus.eu, cut out as GeoTIFF files",
        {
            "sentinel2_amazon_12band.tif": "ac9410c40a43fc89fd70323ff7dfdb1a9c3bb58cf7f7a0499efb648d44159fe2",
            "labels.tif": "f6b6a89f57d53871a0429ebb142f5450057381c88e8ac6097d4c0ee01cee1458",
            "classes.json": "db64228dfce0bbecd6a464f2111e55eb63b37a7d6845fcba9e18f48ceffdd35f",
        },
    ),
    "pokerhand": (
        "Poker hands: suit (1 to 4) and rank (1 to 13) of five cards, ten classes of hands, the 25010 hands of the "
        "training part. CC BY 4.0.",
        "https://archive.ics.uci.edu/dataset/158/poker+hand, the training part repacked as one npz file (X, y, names)",
        {"pokerhand_train25010.npz": "4c5c804f69cbf6c1f6e5225e64d0b010c3516a8e31b111f9aa24d70352853b84"},
    ),
}


def read(name, data_home):
    """What a file holds: arrays by name, or for a GeoTIFF a Bunch of its bands and where they lie."""
    path = find(name, data_home)
    if path.suffix == ".mat":
        return loadmat(path)
    if path.suffix == ".json":
        return json.loads(path.read_text(encoding="utf-8"))
    if path.suffix == ".tif":
        return _read_geotiff(path)
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def find(name, data_home):
    """Path of a file of a set, after checking that it is there and is the expected one."""
    folder, file = name.split("/")
    _, source, checksums = SETS[folder]
    root = os.environ.get(_VARIABLE) if data_home is None else data_home
    if not root:
        raise FileNotFoundError(
            f"No folder to look for {name} in: pass data_home or set the environment variable {_VARIABLE} to a folder "
            f"that holds {folder}/{file}. Source: {source}."
        )
    path = Path(root).expanduser().absolute() / folder / file
    if not path.is_file():
        origin = "data_home" if data_home is not None else f"the environment variable {_VARIABLE}"
        raise FileNotFoundError(
            f"{file} is not in {path.parent}: {origin} must name a folder that holds {name}. Source: {source}."
        )
    stat = path.stat()
    got = _sha256(path, stat.st_mtime_ns, stat.st_size)
    if got != checksums[file]:
        raise OSError(
            f"{path} has sha256 {got}, expected {checksums[file]}: it is damaged or of another version. Replace it. "
            f"Source: {source}."
        )
    return path


@cache
def _sha256(path, mtime_ns, size):
    """Checksum of a file; time and size are there so that a file is read again only when it has changed."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_geotiff(path):
    try:
        import rasterio
    except ImportError as error:
        raise ImportError(
            f"Reading {path.name} needs rasterio, which is not installed: pip install 'sklearn_geoal[geo]'."
        ) from error
    with rasterio.open(path) as image:
        return Bunch(
            cube=np.moveaxis(image.read(), 0, -1),  # (height, width, bands)
            band_names=image.descriptions,
            crs=image.crs.to_string(),
            transform=tuple(image.transform)[:6],
        )
