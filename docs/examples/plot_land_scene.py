"""
=====================================
Label a hyperspectral scene by asking
=====================================

A hyperspectral scene has thousands of pixels, and somebody has to go there to find out what grows in one of them.
This example learns features from all pixels, asks for the labels of ten of them at a time, and maps the whole scene.

The scene is a generated one: six materials in smooth regions, whose spectra vary from pixel to pixel, mixed pixels at
the borders, sensor noise, and parts of each region of which the truth is not known.
"""

# %%
# The scene
# ---------
# A scene is a table with one row a pixel, line by line, and the shape that the lines have.

import sys

import matplotlib.pyplot as plt
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_geoal import LANDClassifier, VAETransformer
from sklearn_geoal.datasets import make_hyperspectral_scene
from sklearn_geoal.model_selection import label_efficiency_curve
from sklearn_geoal.plot import ClassificationMapDisplay, LabelEfficiencyDisplay
from sklearn_geoal.preprocessing import SpatialWindow

scene = make_hyperspectral_scene(
    n_classes=6, scene_shape=(72, 96), patch_scale=9, variability=0.15, noise=0.02, random_state=1
)
known = scene.target != -1
print(f"{len(scene.data)} pixels, {scene.data.shape[1]} bands, the truth of {known.sum()} pixels is known")

# %%
# Features, without any label
# ---------------------------
# Neighbouring pixels mostly show the same material: the mean over a small window takes noise away. A variational
# autoencoder then learns a few features, in units in which distances count what can be told apart. The classifier at
# the end of the pipeline finds out how the pixels hang together. Nothing of this needs a label.

pipeline = make_pipeline(
    SpatialWindow(scene.scene_shape, size=3),
    StandardScaler(),
    VAETransformer(random_state=0),
    LANDClassifier(random_state=0),
)
pipeline.fit(scene.data)

# %%
# Ask, teach, map
# ---------------
# The classifier names ten pixels. Here the known truth answers, so it may only ask where there is one. After that
# every pixel of the scene has a class.

land = pipeline[-1]
queries = land.query(10, candidates=known)
land.teach(queries, scene.target[queries])
accuracy = (land.transduction_ == scene.target)[known].mean()
print(f"accuracy with 10 labels: {accuracy:.3f}")

# %%
# How much is a label worth?
# --------------------------
# The same loop goes on to more labels, once with the classifier's own queries and, for comparison, five times with
# random ones. The features stay as they are.

features = pipeline[:-1].transform(scene.data)
budgets = [10, 20, 30, 50, 100, 200]
own = label_efficiency_curve(land, features, scene.target, budgets)
random = [
    label_efficiency_curve(land, features, scene.target, budgets, strategy="random", random_state=seed)
    for seed in range(5)
]
print("labels  own queries  random queries (mean of 5)")
for i, budget in enumerate(budgets):
    print(f"{budget:6}  {own.scores[i]:11.3f}  {sum(curve.scores[i] for curve in random) / 5:14.3f}")

# %%
# The picture
# -----------
# The rings in the first panel are the ten pixels that were asked for. The grey parts of the truth are not known and
# do not count for the accuracy; the map has a class for them all the same.

fig = plt.figure(figsize=(13, 6.4), layout="constrained")
panels = fig.subplot_mosaic([["scene", "truth", "map"], ["curve"] * 3], height_ratios=[1, 0.9])
ClassificationMapDisplay.from_predictions(
    land.transduction_,
    scene_shape=scene.scene_shape,
    y_true=scene.target,
    scene=scene.data,
    queries=queries,
    display_labels=scene.target_names,
    ax=[panels[name] for name in ("scene", "truth", "map")],
)
panels["scene"].set_title("Scene, and the 10 pixels asked for")
panels["map"].set_title(f"Map from 10 labels, accuracy {accuracy:.3f}")
LabelEfficiencyDisplay.from_curves({"own queries": own, "random queries": random}, ax=panels["curve"])
panels["curve"].legend(loc="lower right", frameon=False)

# %%
# Run as a script with the name of a file, this example writes the picture there.

if len(sys.argv) > 1:
    fig.savefig(sys.argv[1], dpi=120)
    print(f"picture: {sys.argv[1]}")
else:
    plt.show()
