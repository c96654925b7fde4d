"""What the displays share: colours, classes, legends, principal components."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import is_color_like, to_rgb
from matplotlib.patches import Patch
from sklearn.decomposition import PCA

from .._colors import PALETTE
from .._labels import encode_labels
from .._validation import as_random_state

UNLABELED = "#D0D0D0"


def class_colors(n_classes, colors=None):
    """RGB of each class, and in the last row, which index -1 finds, of the unlabelled: (n_classes + 1, 3).

    ``colors`` has one for each class; None takes well-distinguished ones.
    """
    if colors is None and n_classes <= len(PALETTE):
        colors = PALETTE[:n_classes]
    elif colors is None:
        colors = plt.colormaps["turbo"](np.linspace(0, 1, n_classes))[:, :3]
    return np.array([to_rgb(color) for color in [*colors, UNLABELED]])


def colors_in_order(colors, classes, names):
    """Colours in the order of the classes, from a mapping of classes or names to colours, or a list; None stays."""
    if colors is None:
        return None
    if isinstance(colors, dict):
        lacking = [n for c, n in zip(classes.tolist(), names, strict=True) if c not in colors and n not in colors]
        if lacking:
            raise ValueError(f"colors lacks the classes {lacking}: give one for each.")
        colors = [colors.get(c, colors.get(n)) for c, n in zip(classes.tolist(), names, strict=True)]
    if len(colors) != len(classes):
        raise ValueError(f"colors has {len(colors)} colours for {len(classes)} classes, {names}: give one for each.")
    colors = [_from_bytes(color) for color in colors]
    for color in colors:
        if not is_color_like(color):
            raise ValueError(
                f'colors has {color!r}, expected colours as matplotlib reads them, such as "#1f77b4", or red, green, '
                "blue up to 255."
            )
    return colors


def _from_bytes(color):
    """Red, green, blue up to 255, as files have them, as parts of 1; any other colour as it is."""
    if isinstance(color, str) or np.shape(color) != (3,) or not 1 < max(color) <= 255 or min(color) < 0:
        return color
    return tuple(part / 255 for part in color)


def encode_jointly(targets, labels, missing_label):
    """Classes of all the targets together, and each target as indices into them, -1 where there is no label."""
    encoded = [encode_labels(y, missing_label) for y in targets]
    found = [known for known, _ in encoded if len(known)]
    if len({isinstance(known[0], str) for known in found}) > 1:
        raise ValueError("y_true and y_pred must hold labels of one type; got strings in one and numbers in the other.")
    found = np.unique(np.concatenate(found)) if found else np.empty(0, dtype=np.int64)
    classes = found if labels is None else np.asarray(labels)
    unknown = [label for label in found.tolist() if label not in classes.tolist()]
    if unknown:
        raise ValueError(f"labels lacks {unknown}, which occur in y: name every class in labels, or leave it None.")
    index = {label: i for i, label in enumerate(classes.tolist())}
    return classes, [np.array([*(index[label] for label in known.tolist()), -1])[codes] for known, codes in encoded]


def accuracy_of_codes(truth, prediction):
    """Share of right predictions among the pixels with a truth and a prediction; None if there is no such pixel."""
    if truth is None or not (counted := (truth >= 0) & (prediction >= 0)).any():
        return None
    return float((prediction == truth)[counted].mean())


def names_of(classes, display_labels):
    # integers among missing values come as floats
    names = [
        f"{c:g}" if isinstance(c, float) else str(c) for c in (classes if display_labels is None else display_labels)
    ]
    if len(names) != len(classes):
        raise ValueError(
            f"display_labels holds {len(names)} names for {len(classes)} classes, {list(map(str, classes))}: "
            "give one name for each, in their order."
        )
    return names


def class_handles(class_names, codes, colors=None):
    """Entries of a legend: all classes, and the unlabelled if there are any."""
    colors = class_colors(len(class_names), colors)
    handles = [Patch(facecolor=colors[i], label=name) for i, name in enumerate(class_names)]
    return handles + ([Patch(facecolor=colors[-1], label="unlabelled")] if (codes == -1).any() else [])


def add_legend(ax, handles):
    """Legend right of the axes."""
    _, n_columns = legend_shape(len(handles))
    ax.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0, frameon=False, ncols=n_columns
    )


def add_class_legend(ax, class_names, codes, colors=None):
    """Names of all classes right of the axes, and of the unlabelled if there are any."""
    add_legend(ax, class_handles(class_names, codes, colors))


def drawing_order(codes, max_points, random_state):
    """Indices of the points to draw, labelled ones first; in random order no class covers all the others."""
    order = as_random_state(random_state).permutation(len(codes))
    return order[np.argsort(codes[order] < 0, kind="stable")][:max_points]


def scatter_classes(ax, points, codes, class_names):
    """Scatter plot of points (n, 2), the unlabelled small and grey below the labelled, with a legend of the classes."""
    labeled = codes >= 0
    size = float(np.clip(20_000 / max(labeled.sum(), 1), 6, 30))
    ax.scatter(*points[~labeled].T, s=4, color=UNLABELED, linewidths=0)
    colors = class_colors(len(class_names))
    edge = {"edgecolors": "black", "linewidths": 0.5} if size > 20 else {"linewidths": 0}
    ax.scatter(*points[labeled].T, s=size, c=colors[codes[labeled]], **edge)
    if class_names:
        add_class_legend(ax, class_names, codes)


def legend_shape(n_entries):
    n_columns = -(-n_entries // 21)
    return -(-n_entries // n_columns), n_columns


def principal_components(X, n_components):
    """Leading components (n_samples, n_components) of X and their shares of its variance, zero where X is constant."""
    pca = PCA(n_components, random_state=0)
    with np.errstate(invalid="ignore"):
        components = pca.fit_transform(X)
    return components, np.nan_to_num(pca.explained_variance_ratio_)
