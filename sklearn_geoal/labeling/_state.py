"""What is known in a session: a plain function of its journal."""

import re

from .._colors import PALETTE

_MAX_CLASSES = 200  # one byte a pixel in palette images, and some values to spare
_MAX_NAME = 60


class ConflictError(ValueError):
    """Somebody else answered first, and what they said was not seen when this was asked for."""


class State:
    """Classes, labels and history, made by applying the events of a journal.

    Events are dicts with ``do``, and ``seq``, counted from 1: "start" (what scene it is), "class" (a new one),
    "rename", "color", "answer", "skip", "add", "undo" and "taught", a note of how much the map changed.

    Attributes
    ----------
    classes : list of dict
        ``name`` and ``color`` of each class. Its place is its number, for good.
    actions : list of dict
        Events "answer", "skip" and "add" that were not undone, oldest first.
    labels : dict of int to int or None
        Class of each labelled pixel, None where it was skipped.
    seq : int
        Number of the last event.
    """

    def __init__(self):
        self.classes, self.actions, self.labels, self.seq = [], [], {}, 0
        self._said = {}  # pixel -> seq of the action that its label is from

    def apply(self, event):
        """Take an event in."""
        getattr(self, f"_{event['do']}")(event)
        self.seq = event["seq"]

    def place_of(self, label):
        """Number of a class by its name, or by its number.

        Raises
        ------
        ValueError
            If there is no such class.
        """
        names = [known["name"] for known in self.classes]
        if isinstance(label, str) and label in names:
            return names.index(label)
        if isinstance(label, int) and not isinstance(label, bool) and 0 <= label < len(names):
            return label
        raise ValueError(f"There is no class {label!r}; the classes are {', '.join(names) or 'none yet'}.")

    def check_name(self, name, place=None):
        """A name for a class without blanks around it, unlike those of the other classes."""
        if not isinstance(name, str) or not name.strip() or len(name) > _MAX_NAME or not name.strip().isprintable():
            raise ValueError(f"The name of a class is text of 1 to {_MAX_NAME} characters; got {name!r}.")
        name = name.strip()
        others = [known["name"] for i, known in enumerate(self.classes) if i != place]
        if name in others:
            raise ValueError(f"There is a class {name!r} already.")
        return name

    def check_color(self, color):
        """A colour as text; None: the next one of the palette."""
        if len(self.classes) >= _MAX_CLASSES:
            raise ValueError(f"There are {_MAX_CLASSES} classes already, which is as many as there may be.")
        return PALETTE[len(self.classes) % len(PALETTE)] if color is None else as_color(color)

    def check_seen(self, pixels, seen):
        """Check that the labels of pixels are those that somebody saw who knows the events up to ``seen``."""
        if seen is None:
            return
        for pixel in pixels:
            if self._said.get(pixel, 0) > seen:
                label = self.labels[pixel]
                given = "skipped" if label is None else f"labelled {self.classes[label]['name']!r}"
                raise ConflictError(
                    f"Pixel {pixel} was {given} meanwhile, in another window. Answer again to change it."
                )

    def check_last(self, seen):
        """Check that there is something to undo, and that who asks for it has seen it."""
        if not self.actions:
            raise ValueError("There is nothing to undo: no answer was given yet.")
        if seen is not None and self.actions[-1]["seq"] > seen:
            raise ConflictError("The last answer came meanwhile, from another window. Undo again to take it back.")

    def plain(self):
        """All of it as plain values, equal where the state is."""
        return {
            "seq": self.seq,
            "classes": [dict(known) for known in self.classes],
            "actions": [dict(action) for action in self.actions],
            "labels": sorted(self.labels.items()),
        }

    def _start(self, event):
        pass

    def _class(self, event):
        self.classes.append({"name": event["name"], "color": event["color"]})

    def _rename(self, event):
        self.classes[event["class"]] = {**self.classes[event["class"]], "name": event["name"]}

    def _color(self, event):
        self.classes[event["class"]] = {**self.classes[event["class"]], "color": event["color"]}

    def _answer(self, event):
        self.actions.append(event)
        for pixel in event["pixels"]:
            self.labels[pixel], self._said[pixel] = event["class"], event["seq"]

    _skip = _add = _answer

    def _undo(self, event):
        undone = self.actions.pop()
        earlier, wanted = {}, set(undone["pixels"])
        for action in self.actions:
            earlier.update(dict.fromkeys(wanted.intersection(action["pixels"]), action["class"]))
        for pixel in undone["pixels"]:
            if pixel in earlier:
                self.labels[pixel], self._said[pixel] = earlier[pixel], event["seq"]
            else:
                self.labels.pop(pixel, None)  # an action may name a pixel twice
                self._said.pop(pixel, None)

    def _taught(self, event):
        # of an action that was undone meanwhile nothing is to be noted
        for i, action in enumerate(self.actions):
            if action["seq"] == event["action"]:
                self.actions[i] = {**action, "changed": event["changed"]}


def as_color(color):
    """Colour as lower-case text "#rrggbb".

    Raises
    ------
    ValueError
        If it is something else.
    """
    if not isinstance(color, str) or not re.fullmatch("#[0-9a-fA-F]{6}", color):
        raise ValueError(f'A colour is text such as "#1f77b4"; got {color!r}.')
    return color.lower()
