"""
==================================
Fields, recognised and under cloud
==================================

:class:`~sklearn_geoal.SymmetricVAESegmenter` learns from a few images with a mask, and many without, what class a pixel
has. It learns besides how images look that have such a mask: so it can fill in what clouds hide, and draw new images.
"""

# %%
# Images of fields
# ----------------
# Each image has fields of four kinds, in the light of its day. Six images have a mask.

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import gaussian_filter

from sklearn_geoal import SymmetricVAESegmenter
from sklearn_geoal.datasets import make_fields
from sklearn_geoal.plot import SegmentationDisplay

fields = make_fields(64, random_state=0)
images = fields.data.reshape(-1, *fields.image_shape)
X, X_test, y, y_test = images[:60], images[60:], fields.target[:60], fields.target[60:]
y_train = np.where(np.arange(len(y))[:, None, None] < 6, y, -1)

# %%
# Masks
# -----

vae = SymmetricVAESegmenter(hidden_units=(8, 16, 32), augment="aerial", lr=3e-3, random_state=0).fit(X, y_train)
print(f"{vae.score(X_test, y_test):.3f} of the pixels of new images right")
SegmentationDisplay.from_estimator(vae, X_test, y_test, bands=(0, 1, 2), display_labels=fields.target_names)
plt.show()

# %%
# Clouds
# ------
# A quarter of each image is hidden. What is there follows from the masks, which the encoder continues under the clouds,
# and from the light of the day, which it reads off what is seen.

noise = gaussian_filter(np.random.default_rng(0).normal(size=y_test.shape), (0, 4, 4))
clouds = noise > np.quantile(noise, 0.75, axis=(1, 2), keepdims=True)
filled = vae.reconstruct(X_test, missing=clouds)
rows = {"image": X_test, "with clouds": np.where(clouds[:, None], 1.0, X_test), "filled in": filled}


def show(rows):
    _, axes = plt.subplots(len(rows), 4, figsize=(6, 1.6 * len(rows)), layout="constrained", squeeze=False)
    for row, (name, images) in zip(axes, rows.items(), strict=True):
        row[0].set_ylabel(name)
        for ax, image in zip(row, images, strict=True):
            ax.imshow(np.clip(image.transpose(1, 2, 0), 0, 1))
            ax.set(xticks=[], yticks=[])
    plt.show()


show(rows)
hidden = np.broadcast_to(clouds[:, None], X_test.shape)
for name, guess in (("mean image", np.broadcast_to(X.mean(axis=0), X_test.shape)), ("filled in", filled)):
    print(f"{name}: {np.abs(guess - X_test)[hidden].mean():.3f} off where clouds were")

# %%
# New images
# ----------
# For the mask of the first image, four draws of the latents.

samples, _ = vae.sample(4, y=y_test[0], random_state=0)
show({"samples": samples})

# %%
# How the training went
# ---------------------
# How far the latents of real images are from their priors, level by level, in nats an image. A divergence that falls to
# zero would mean that this level says nothing any more.

_, ax = plt.subplots(figsize=(5, 3), layout="constrained")
for name in vae.history_[0]:
    if name.startswith("divergence"):
        ax.plot([row["epoch"] for row in vae.history_], [row[name] for row in vae.history_], label=name)
ax.set(xlabel="epoch", ylabel="nats an image", yscale="log")
ax.legend()
plt.show()
