"""How far a session is: counts, an honest accuracy, and whether the map has come to rest."""

import math

from sklearn.utils import Bunch

_JUDGED = 30  # last answers by which the accuracy is estimated
_WINDOW, _LATEST, _STILL = 10, 3, 0.005


def progress(state):
    """What :meth:`LabelingSession.progress` says of a state."""
    known = [label for label in state.labels.values() if label is not None]
    judged = [action["guess"] == action["class"] for action in state.actions if "guess" in action][-_JUDGED:]
    changed = [action.get("changed") for action in state.actions]
    stable = (
        _is_stable([action.get("changed") for action in state.actions if action["do"] != "skip"])
        and len(set(known)) > 1
    )
    hint = "The map has hardly changed for a while: more answers may tell little." if stable else ""
    return Bunch(
        n_labels=len(known),
        n_skipped=len(state.labels) - len(known),
        counts=[known.count(place) for place in range(len(state.classes))],
        changed=changed,
        accuracy=sum(judged) / len(judged) if judged else None,
        accuracy_interval=_wilson(sum(judged), len(judged)) if judged else None,
        n_judged=len(judged),
        stable=stable,
        hint=hint,
    )


def _is_stable(changed):
    latest = changed[-_WINDOW:]
    if len(latest) < _WINDOW or None in latest:
        return False
    return sum(latest) / _WINDOW < _STILL and max(latest[-_LATEST:]) <= _STILL


def _wilson(n_right, n, z=1.96):
    """Wilson's interval of a proportion: holds also for few answers, and for all of them right."""
    center = (n_right + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * math.sqrt(n_right * (n - n_right) / n + z * z / 4)
    return max(0.0, center - half), min(1.0, center + half)
