"""What loaders and generators share: Bunches of images, numbered names, and the forms in which data are given."""

import numpy as np
from sklearn.utils import Bunch

from ._files import SETS, find


def numbered(prefix, n_names):
    return np.array([f"{prefix}_{number:03d}" for number in range(1, n_names + 1)])


def image_bunch(images, target, names):
    """Bunch of images (n_samples, channels, height, width), integers scaled from 0..255 to [0, 1]."""
    data = np.array(images, dtype=np.float32, order="C").reshape(len(images), -1)
    if images.dtype == np.uint8:
        data /= 255
    return Bunch(
        data=data,
        target=target.astype(np.int64),
        target_names=np.asarray(names),
        feature_names=["pixel_" + "_".join(map(str, index)) for index in np.ndindex(images.shape[1:])],
        image_shape=images.shape[1:],
    )


def deliver(bunch, name, data_home, return_X_y, as_frame=False):
    """Add the description of the set to a Bunch and give it in the form asked for."""
    description, source, _ = SETS[name.split("/")[0]]
    bunch.update(DESCR=f"{description}\n\nSource: {source}.", filename=str(find(name, data_home)))
    if as_frame:
        import pandas as pd

        bunch.frame = pd.DataFrame(bunch.data, columns=bunch.feature_names).assign(target=bunch.target)
        bunch.data, bunch.target = bunch.frame[bunch.feature_names], bunch.frame["target"]
    return (bunch.data, bunch.target) if return_X_y else bunch
