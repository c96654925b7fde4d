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
# Each image has fields of four kinds, in the light and the season of its day. Six images have a mask.

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import gaussian_filter

from sklearn_geoal import SymmetricVAESegmenter
from sklearn_geoal.plot import SegmentationDisplay

COLORS = np.array([[0.35, 0.5, 0.2], [0.7, 0.6, 0.3], [0.45, 0.35, 0.25], [0.2, 0.35, 0.25]])  # red, green, blue
NAMES = ["meadow", "wheat", "soil", "wood"]


def make_fields(n, side, rng):
    """Images (n, 3, side, side) and masks (n, side, side)."""
    places = np.stack(np.mgrid[:side, :side], axis=-1)
    y = np.empty((n, side, side), dtype=int)
    for mask in y:
        centers, kinds = rng.uniform(0, side, size=(9, 2)), rng.integers(0, 4, size=9)
        mask[:] = kinds[np.linalg.norm(places[..., None, :] - centers, axis=-1).argmin(axis=-1)]
    light = rng.uniform(0.6, 1.3, size=(n, 1, 1, 1)) * rng.uniform(0.85, 1.15, size=(n, 3, 1, 1))
    X = light * np.moveaxis(COLORS[y], -1, 1)
    texture = gaussian_filter(rng.normal(size=X.shape[:1] + X.shape[2:]), (0, 0.7, 0.7))[:, None]
    rough = np.array([0.03, 0.05, 0.02, 0.12])[y][:, None]  # woods are
    return X + rough * texture, y


rng = np.random.default_rng(0)
X, y = make_fields(60, 40, rng)
X_test, y_test = make_fields(4, 40, rng)
y_train = np.where(np.arange(len(y))[:, None, None] < 6, y, -1)

# %%
# Masks
# -----

vae = SymmetricVAESegmenter(hidden_units=(8, 16, 32), augment="aerial", lr=3e-3, random_state=0).fit(X, y_train)
print(f"{vae.score(X_test, y_test):.3f} of the pixels of new images right")
SegmentationDisplay.from_estimator(vae, X_test, y_test, bands=(0, 1, 2), display_labels=NAMES)
plt.show()

# %%
# Clouds
# ------
# A quarter of each image is hidden. What is there follows from the masks, which the encoder continues under the clouds,
# and from the light of the day, which it reads off what is seen.

noise = gaussian_filter(rng.normal(size=(4, 40, 40)), (0, 4, 4))
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
