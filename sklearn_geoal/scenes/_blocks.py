"""Blocks of a scene: rectangles of pixels, and the tilings that cover a scene with them."""

from typing import NamedTuple


class Block(NamedTuple):
    """Pixels of a scene from row ``top`` to before ``bottom`` and from column ``left`` to before ``right``."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def shape(self):
        """``(height, width)`` in pixels."""
        return self.bottom - self.top, self.right - self.left

    def grown(self, margin, scene_shape):
        """The block with a margin around it, as far as the scene reaches."""
        height, width = scene_shape
        return Block(
            max(self.top - margin, 0),
            min(self.bottom + margin, height),
            max(self.left - margin, 0),
            min(self.right + margin, width),
        )

    def within(self, outer):
        """Slices of rows and columns that cut this block out of an array of a larger one."""
        return (
            slice(self.top - outer.top, self.bottom - outer.top),
            slice(self.left - outer.left, self.right - outer.left),
        )

    @property
    def slices(self):
        """Slices of rows and columns that cut this block out of an array of the scene."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def __str__(self):
        return f"rows {self.top} to {self.bottom - 1}, columns {self.left} to {self.right - 1}"


def whole(scene_shape):
    """The block that is the scene."""
    return Block(0, scene_shape[0], 0, scene_shape[1])


def cover(row_spans, column_spans):
    """Blocks in raster order from spans (start, stop) of rows and of columns."""
    return [Block(*rows, *columns) for rows in row_spans for columns in column_spans]


def spans(length, step):
    """Spans (start, stop) of a step that cover a side, the last one shorter where it does not divide."""
    return [(start, min(start + step, length)) for start in range(0, length, step)]
