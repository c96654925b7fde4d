"""
=================================
Segment a scene without any label
=================================

What a piece of land shows is often not in the colour of a pixel but in the pattern of many: a vineyard, an orchard and
a meadow are all green. This example cuts a scene into patches, puts them into clusters without any label, and looks at
what the clusters show.

The scene is a generated one of three bands. Meadows, orchards and vineyards have the same mean colour; the rows of
vines run north in some places and east in others. Water and towns complete it.
"""

# %%
# The scene
# ---------
# A kind of land has a mean colour and a pattern. The pattern of the vineyards comes in two directions.

import sys

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import gaussian_filter
from sklearn.cluster import KMeans
from sklearn.metrics import normalized_mutual_info_score
from sklearn.preprocessing import StandardScaler

from sklearn_geoal import RECALClusterer
from sklearn_geoal.metrics import jaccard_consensus
from sklearn_geoal.plot import ClassificationMapDisplay
from sklearn_geoal.preprocessing import PatchTransformer

names = ["water", "town", "meadow", "orchard", "vineyard"]
colors = np.array([[0.1, 0.1, 0.2], [0.45, 0.4, 0.4], [0.2, 0.4, 0.15], [0.2, 0.4, 0.15], [0.2, 0.4, 0.15]])
shape = height, width = 192, 288

rng = np.random.default_rng(1)
kinds = gaussian_filter(rng.standard_normal((len(names), *shape)), (0, 18, 18), truncate=3).argmax(axis=0)
runs_north = gaussian_filter(rng.standard_normal(shape), 27) > 0
row, column = np.indices(shape)


def wave(x):
    return np.sqrt(2) * np.sin(2 * np.pi * x / 5)


flat = np.zeros(shape)
houses = np.kron(rng.standard_normal((height // 3, width // 3)), np.ones((3, 3)))
trees = wave(row) * wave(column)
vines = wave(np.where(runs_north, column, row))
pattern = np.take_along_axis(np.stack([flat, houses, flat, trees, vines]), kinds[None], axis=0)[0]
bands = colors[kinds] * (1 + 0.3 * pattern[..., None]) + 0.03 * rng.standard_normal((*shape, 3))
pixels = bands.reshape(-1, 3)

# %%
# Patches and clusters
# --------------------
# Windows of 8 x 8 pixels start every fourth pixel. Turned around, a patch from above shows the same land:
# ``augment="aerial"`` says so. The clusterer starts three times from twenty clusters, merges them to five, and goes on
# with the start whose clusters say most about each other in two augmented copies of a patch.

patches = PatchTransformer(shape, size=8, stride=4)
X = patches.fit_transform(StandardScaler().fit_transform(pixels))
recal = RECALClusterer(5, image_shape=patches.image_shape_, augment="aerial", batch_size=256, random_state=0).fit(X)
print(f"{len(X)} patches, mutual information of two copies in each of three starts:")
print(recal.init_scores_.round(2))

# %%
# The map
# -------
# Back on the scene, patches that overlap vote. k-means is given the single pixels, and the same patches. On pixels it
# sees colours only. On patches, a row of vines that begins a pixel further to the left is another row to it, and all
# that is green becomes one cluster, while a town is several.
#
# The normalised mutual information says how far a map tells the kinds of land apart, 1 if entirely. For this the truth
# is used, and for the colours: a cluster has that of the kind of land that it is matched with.
#
# The entropies say how the clusters came about. All five are used alike from the start, and each patch makes up its
# mind among them little by little.

k_means = KMeans(5, n_init=10, random_state=0)
maps = {
    "RECAL": patches.label_map(recal.labels_),
    "k-means on pixels": k_means.fit_predict(pixels).reshape(shape),
    "k-means on patches": patches.label_map(k_means.fit_predict(X)),
}
fig, axes = plt.subplots(2, 3, figsize=(14, 6.2), layout="constrained")
shared = {"scene_shape": shape, "labels": range(5), "display_labels": names}
ClassificationMapDisplay.from_predictions(
    kinds.ravel(), scene=pixels, bands=(0, 1, 2), ax=[axes[0, 0], axes[0, 2]], **shared
)
axes[0, 2].set_title("What it shows")
for ax, (name, found) in zip([axes[0, 1], *axes[1, :2]], maps.items(), strict=True):
    score = normalized_mutual_info_score(kinds.ravel(), found.ravel())
    print(f"{name:<20}{score:.3f}")
    partners = jaccard_consensus(kinds, found, match=True)
    kind_of = np.empty(5, dtype=int)
    kind_of[partners.labels_b] = partners.labels_a[: len(partners.labels_b)]
    ClassificationMapDisplay.from_predictions(kind_of[found].ravel(), ax=ax, **shared)
    ax.set_title(f"{name}, mutual information {score:.2f}")
    ax.get_legend().remove()

ax = axes[1, 2]
epochs = [epoch["epoch"] for epoch in recal.history_]
ax.plot(epochs, [epoch["class_entropy"] for epoch in recal.history_], label="H(y): all clusters are used")
ax.plot(epochs, [epoch["conditional_entropy"] for epoch in recal.history_], label="H(y|x): patches choose")
ax.axhline(np.log(5), color="black", linestyle=":", linewidth=1)
ax.set(title="Entropies of the predictions", xlabel="epoch", ylabel="nats", ylim=(0, 1.75), xticks=range(0, 21, 5))
ax.legend(frameon=False)

# %%
# What the clusters show
# ----------------------
# Nobody has named them. Some of the patches that the network is surest of, one row a cluster, make it easy.

cuts = patches.transform(pixels).reshape(-1, *patches.image_shape_)
sheet, rows = plt.subplots(5, 10, figsize=(8, 4.4), layout="constrained")
for cluster, (panels, p) in enumerate(zip(rows, recal.predict_proba(X).T, strict=True)):
    surest = p.argsort()[-len(X) // 10 :]
    for panel, i in zip(panels, rng.choice(surest, len(panels), replace=False), strict=True):
        panel.imshow(np.moveaxis(cuts[i], 0, -1).clip(0, 1))
        panel.set(xticks=[], yticks=[])
    panels[0].set_ylabel(cluster, rotation=0, labelpad=12, va="center")
sheet.suptitle("Among the surest tenth of all patches, for each cluster")

# %%
# Run as a script with the name of a file, this example writes the maps there.

if len(sys.argv) > 1:
    fig.savefig(sys.argv[1], dpi=120)
    print(f"picture: {sys.argv[1]}")
else:
    plt.show()
