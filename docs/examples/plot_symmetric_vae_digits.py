"""
==============================
Digits, recognised and dreamed
==============================

:class:`~sklearn_geoal.SymmetricVAEClassifier` learns from a hundred labelled and many unlabelled pictures of digits
what class a picture has, and also how pictures of a class look: it can draw new ones.
"""

# %%
# Few labels
# ----------
# Ten pictures of each digit have a label. The others are marked by -1.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sklearn_geoal import NetClassifier, SymmetricVAEClassifier

digits = load_digits()
X, X_test, truth, y_test = train_test_split(
    digits.data, digits.target, test_size=1 / 3, stratify=digits.target, random_state=0
)
rng = np.random.default_rng(0)
labeled = np.concatenate([rng.choice(np.flatnonzero(truth == digit), 10, replace=False) for digit in range(10)])
y = np.full(len(X), -1)
y[labeled] = truth[labeled]

# %%
# The classifier, and the same network on the labelled pictures alone.

vae = SymmetricVAEClassifier(max_epochs=60, random_state=0).fit(X, y)
net = NetClassifier(random_state=0).fit(X[labeled], truth[labeled])
print(
    f"labels alone: {net.score(X_test, y_test):.3f} of the test pictures right, game: {vae.score(X_test, y_test):.3f}"
)

# %%
# Samples of each class
# ---------------------
# Each row is a class, each picture another draw of the style s.

pictures, _ = vae.sample(100, y=np.repeat(np.arange(10), 10), random_state=0)
figure, axes = plt.subplots(10, 10, figsize=(6, 6), layout="constrained")
for ax, picture in zip(axes.flat, pictures, strict=True):
    ax.imshow(picture.reshape(8, 8), cmap="gray_r")
    ax.axis("off")
plt.show()

# %%
# Given back
# ----------
# Pictures above, and below what the decoder makes of their class and style.

figure, axes = plt.subplots(2, 10, figsize=(7, 1.6), layout="constrained")
for row, shown in zip(axes, (X_test[:10], vae.reconstruct(X_test[:10])), strict=True):
    for ax, picture in zip(row, shown, strict=True):
        ax.imshow(picture.reshape(8, 8), cmap="gray_r")
        ax.axis("off")
plt.show()

# %%
# How the training went
# ---------------------
# How far the latents of real pictures are from their priors, in nats. A divergence that falls to zero would mean that
# this variable says nothing any more.

figure, ax = plt.subplots(figsize=(5, 3), layout="constrained")
for name in ("divergence_y", "divergence_s"):
    ax.plot([row["epoch"] for row in vae.history_], [row[name] for row in vae.history_], label=name)
ax.set(xlabel="epoch", ylabel="nats", ylim=(0, None))
ax.legend()
plt.show()
