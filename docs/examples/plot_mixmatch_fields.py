"""
======================
Fields from four masks
======================

Sixty aerial images, each in the light of its own day, and somebody who drew the fields of four of them. A network that
sees these four alone takes a change of light for a change of crop; :class:`~sklearn_geoal.MixMatchSegmenter` has the
light of all other days to learn from.
"""

# %%
# Few masks
# ---------
# The first four images have a mask. What the others show is not known: they are marked by -1.

import matplotlib.pyplot as plt
import numpy as np

from sklearn_geoal import MixMatchSegmenter
from sklearn_geoal.datasets import make_fields
from sklearn_geoal.metrics import mean_iou, pixel_accuracy
from sklearn_geoal.plot import SegmentationDisplay

fields = make_fields(160, random_state=0)
images, masks = fields.data.reshape(-1, *fields.image_shape), fields.target
X, X_test, y_test = images[:60], images[60:], masks[60:]
y = np.full((60, *masks.shape[1:]), -1)
y[:4] = masks[:4]

show = {"bands": (0, 1, 2), "labels": range(4), "display_labels": fields.target_names}
SegmentationDisplay.from_predictions({"mask": masks[:4]}, images=X[:4], **show)
plt.show()

# %%
# With and without the other images
# ---------------------------------
# The baseline is the same U-Net, with the same augmentation and the same number of steps, on the four images alone.
# An image is in one light all over. MixUp, which lays images over each other, leaves it so; CutMix, the default, would
# show a box in the light of another day.

params = {"hidden_units": (8, 16, 32), "augment": "aerial", "random_state": 0}
segmenters = {
    "supervised": MixMatchSegmenter(alpha=0, **params).fit(X[:4], y[:4]),
    "MixMatch": MixMatchSegmenter(mixing="mixup", alpha=0.2, **params).fit(X, y),
}
predicted = {name: segmenter.predict(X_test) for name, segmenter in segmenters.items()}
for name, found in predicted.items():
    print(f"{name}: accuracy {pixel_accuracy(y_test, found):.3f}, mean IoU {mean_iou(y_test, found):.3f}")

# %%
# New images, the first four of a hundred, their true masks, and what both make of them.

first = {name: found[:4] for name, found in predicted.items()}
SegmentationDisplay.from_predictions(first, y_true=y_test[:4], images=X_test[:4], **show)
plt.show()

# %%
# In which light
# --------------
# The accuracy of each image against its mean brightness; vertical lines are the four images with a mask.

brightness = X_test.mean(axis=(1, 2, 3))
figure, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
for name, found in predicted.items():
    ax.plot(brightness, (found == y_test).mean(axis=(1, 2)), "o", markersize=4, label=name)
for value in X[:4].mean(axis=(1, 2, 3)):
    ax.axvline(value, color="0.7", zorder=0)
ax.set(xlabel="mean brightness of an image", ylabel="accuracy", ylim=(0, 1.02))
ax.legend(frameon=False)
plt.show()
