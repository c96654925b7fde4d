"""
==================================
Exploration turning to refinement
==================================

A checkerboard has many regions and long boundaries. Whoever asks only where a classifier is unsure never finds the
regions that it has not seen; whoever only spreads the questions does not draw the boundaries. This example follows
:class:`~sklearn_geoal.DDALQueryStrategy` as it does one after the other.
"""

# %%
# The board
# ---------
# 2000 points on a board of 4 x 4 fields, whose colours follow four classes. Eight labels, two of each class, are known
# at first.

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import to_rgb

from sklearn_geoal import DDALQueryStrategy, NetClassifier


def make_checkerboard(n_samples, rng):
    X = rng.random((n_samples, 2))
    column, row = np.floor(4 * X).astype(int).T
    return X, (column + 2 * row) % 4


rng = np.random.default_rng(0)
X, y = make_checkerboard(2000, rng)
X_test, y_test = make_checkerboard(20_000, rng)
known = np.concatenate([rng.choice(np.flatnonzero(y == label), 2, replace=False) for label in range(4)])
y_known = np.full(len(X), -1)
y_known[known] = y[known]

# %%
# The loop
# --------
# A small network is trained on the labels known so far. The hidden representation that it has learned of all 2000
# points makes a graph, over which the labels are diffused for a few steps. ``query`` names ten points that are least
# decided then, one after another, each as if it had its label already; their labels are looked up, and so on.

net = NetClassifier(hidden_units=(30, 30), lr=0.01, max_epochs=400, random_state=0)
ddal = DDALQueryStrategy(net, random_state=0).fit(X, y_known)
shown, stages = (1, 8, 16, 24), []
print("batch  labels  accuracy  scores of the queries")
for batch in range(1, shown[-1] + 1):
    queries = ddal.query(10)
    if batch in shown:
        # what was known when these queries were chosen
        certainty, accuracy = 1 - ddal.query_scores_, ddal.score(X_test, y_test)
        stages.append((batch, ddal.transduction_, certainty, known, queries, accuracy))
        print(f"{batch:5}  {len(known):6}  {accuracy:8.3f}  {ddal.query_scores_[queries].mean():.3f}")
    ddal.teach(queries, y[queries])
    known = np.concatenate([known, queries])

# %%
# The picture
# -----------
# Colours are the diffused labels, the paler the less decided; white points are known labels, black ones the ten
# queries. At first most of the board is out of reach of any label, and the queries spread over it; a score of 1 says
# that no label arrives. Once every field has a label, the queries move to the boundaries between the fields.

colors = np.array([to_rgb(color) for color in ("#0072B2", "#E69F00", "#009E73", "#CC79A7")])
fig, axes = plt.subplots(1, 1 + len(shown), figsize=(15, 3.5), layout="constrained")
axes[0].scatter(*X.T, s=6, c=colors[y])
axes[0].set_title("Truth")
for ax, (batch, labels, certainty, labeled, queries, accuracy) in zip(axes[1:], stages, strict=True):
    strength = np.sqrt(certainty)[:, None]
    ax.scatter(*X.T, s=6, c=strength * colors[labels] + (1 - strength) * 0.93)
    ax.scatter(*X[labeled].T, s=9, c="white", edgecolors="0.4", linewidths=0.4)
    ax.scatter(*X[queries].T, s=16, c="black")
    ax.set_title(f"Batch {batch}: accuracy {accuracy:.0%}")
for ax in axes:
    ax.set(xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[], aspect="equal")
plt.show()
