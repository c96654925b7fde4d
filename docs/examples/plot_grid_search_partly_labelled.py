"""
===============================================
Choose parameters where few samples have labels
===============================================

A semi-supervised pipeline learns from all pixels of a scene, but only the labelled ones can tell how good it is. With
:class:`~sklearn_geoal.model_selection.LabeledStratifiedKFold` every test fold holds labelled pixels only, and every
pixel without a label is in every training fold. The rest is scikit-learn's own grid search.
"""

# %%
# Ten labels a class
# ------------------
# The truth of the scene is known; the pipeline is told that of ten random pixels of each class. All others are -1.

from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_geoal import LANDClassifier, VAETransformer
from sklearn_geoal.datasets import make_hyperspectral_scene
from sklearn_geoal.model_selection import LabeledStratifiedKFold
from sklearn_geoal.plot import ClassificationMapDisplay
from sklearn_geoal.preprocessing import SpatialWindow

scene = make_hyperspectral_scene(
    n_classes=5, scene_shape=(48, 60), patch_scale=8, variability=0.15, noise=0.02, background=0, random_state=0
)
rng = np.random.RandomState(0)
labeled = np.concatenate([rng.choice(np.flatnonzero(scene.target == label), 10, replace=False) for label in range(5)])
y = np.full_like(scene.target, -1)
y[labeled] = scene.target[labeled]
print(f"{len(labeled)} of {len(y)} pixels are labelled")

# %%
# A window needs the whole scene, which a training fold is not, so it comes before the search.

X = SpatialWindow(scene.scene_shape, size=3).fit_transform(scene.data)

# %%
# The search
# ----------
# The number of latent variables and of neighbours in the graph are searched together. ``memory`` keeps what the first
# steps of the pipeline have learned, so that the autoencoder is not trained again for each number of neighbours.

with TemporaryDirectory() as memory:
    pipeline = make_pipeline(
        StandardScaler(), VAETransformer(max_epochs=15, random_state=0), LANDClassifier(random_state=0), memory=memory
    )
    search = GridSearchCV(
        pipeline,
        {"vaetransformer__n_components": [2, 4, 8, 16], "landclassifier__n_neighbors": [5, 15, 45]},
        cv=LabeledStratifiedKFold(5),
    ).fit(X, y)
    print(f"best: {search.best_params_}, accuracy in cross-validation {search.best_score_:.3f}")

# %%
# The best pipeline was fitted again with all labels. It has given a label to every pixel of the scene, and since this
# scene is a generated one, they can be compared with the truth.

y_pred = search.best_estimator_[-1].transduction_
unseen = y == -1
print(f"accuracy on the {unseen.sum()} pixels without a label {(y_pred == scene.target)[unseen].mean():.3f}")

# %%
# The picture
# -----------

table = search.cv_results_["mean_test_score"].reshape(3, 4)  # (n_neighbors, n_components)
fig, axes = plt.subplots(1, 3, figsize=(12.5, 3.1), layout="constrained", width_ratios=[1, 1.2, 1.2])
axes[0].imshow(table, cmap="Blues", vmin=table.min() - 0.1, vmax=1.1)
for (row, column), score in np.ndenumerate(table):
    axes[0].text(column, row, f"{score:.2f}", ha="center", va="center")
axes[0].set(
    title="Accuracy in cross-validation",
    xlabel="n_components of the VAE",
    ylabel="n_neighbors of the graph",
    xticks=range(4),
    xticklabels=search.param_grid["vaetransformer__n_components"],
    yticks=range(3),
    yticklabels=search.param_grid["landclassifier__n_neighbors"],
)
ClassificationMapDisplay.from_predictions(
    y_pred,
    scene_shape=scene.scene_shape,
    y_true=scene.target,
    queries=labeled,
    display_labels=scene.target_names,
    ax=axes[1:],
)
axes[1].set_title("Truth, and the labelled pixels")
plt.show()
