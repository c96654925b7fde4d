"""
==================================
Digits from four labels of a class
==================================

Eighteen hundred little pictures of digits, and somebody who labels forty of them. A network that sees these forty alone
knows too little of how people write; :class:`~sklearn_geoal.MixMatchClassifier` learns it from all the others.
"""

# %%
# Few labels
# ----------
# Two thirds of the pictures are there to learn from, four of each class with a label. The others are marked by -1.

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sklearn_geoal import MixMatchClassifier, NetClassifier
from sklearn_geoal.augment import resolve_augment

digits = load_digits()
X, X_test, truth, y_test = train_test_split(
    digits.images[:, None], digits.target, test_size=1 / 3, stratify=digits.target, random_state=0
)
rng = np.random.default_rng(0)
labeled = np.concatenate([rng.choice(np.flatnonzero(truth == digit), 4, replace=False) for digit in range(10)])
y = np.full(len(X), -1)
y[labeled] = truth[labeled]
print(f"{len(X)} pictures, {(y != -1).sum()} labels")

# %%
# What leaves a digit as it is
# ----------------------------
# Turned a little, stretched a little, somewhat brighter: still a three. This is what MixMatch is told, by
# ``augment="auto"``, and what makes it possible to learn from pictures without a label: whatever their class is, it is
# that of their variants. In each row, a picture and five of its variants.

augment = resolve_augment("auto", (1, 8, 8))
originals = torch.tensor((X[labeled[[0, 12, 20, 36]]] - X.mean()) / X.std())
variants = [augment(originals, torch.Generator().manual_seed(seed)) for seed in range(5)]
figure, axes = plt.subplots(4, 6, figsize=(6, 4), layout="constrained")
for column, pictures in zip(axes.T, [originals, *variants], strict=True):
    for ax, picture in zip(column, pictures, strict=True):
        ax.imshow(picture[0], cmap="gray_r")
        ax.set(xticks=[], yticks=[])
axes[0, 0].set_title("picture")
axes[0, 3].set_title("variants")
plt.show()

# %%
# Forty labels, with and without the rest
# ---------------------------------------

net = NetClassifier(random_state=0).fit(X[labeled], truth[labeled])
mixmatch = MixMatchClassifier(random_state=0).fit(X, y)
for name, classifier in (("forty labels alone", net), ("MixMatch", mixmatch)):
    print(f"{name}: {classifier.score(X_test, y_test):.3f} of the test pictures right")

# %%
# Where the network of forty labels was wrong and MixMatch is right, and where it is the other way round. Above each
# picture what the one and the other say.

said, says = net.predict(X_test), mixmatch.predict(X_test)
gained = np.flatnonzero((said != y_test) & (says == y_test))
lost = np.flatnonzero((said == y_test) & (says != y_test))
print(f"{len(gained)} gained, {len(lost)} lost")

figure, axes = plt.subplots(2, 8, figsize=(8, 2.8), layout="constrained")
for row, (name, rows) in zip(axes, {"gained": gained, "lost": lost}.items(), strict=True):
    row[0].set_ylabel(name)
    for ax in row:
        ax.set(xticks=[], yticks=[], frame_on=False)
    for ax, i in zip(row, rows, strict=False):
        ax.imshow(X_test[i, 0], cmap="gray_r")
        ax.set_title(f"{said[i]} → {says[i]}")
plt.show()

# %%
# How the training went
# ---------------------
# The weight of the guessed labels grows over the whole training: at first the labels alone count, while the guesses are
# poor.

epochs = [row["epoch"] for row in mixmatch.history_]
figure, axes = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
for ax, name, title in (
    (axes[0], "labeled_loss", "cross-entropy to the labels"),
    (axes[1], "unlabeled_loss", "squared difference to the guesses"),
):
    ax.plot(epochs, [row[name] for row in mixmatch.history_])
    ax.set(xlabel="epoch", title=title, ylim=(0, None))
plt.show()
