"""Pictures for the page: small PNG files of bands, of classes and of uncertainty."""

import struct
import zlib

import numpy as np

_MAX_SIDE = 2048  # of a picture in pixels; of larger scenes every second, third, ... pixel is shown
_STRETCH_SAMPLE = 200_000
# viridis at ten places, from certain to uncertain
_RAMP = "440154 482878 3e4989 31688e 26828e 1f9e89 35b779 6ece58 b5de2b fde725".split()


def step_of(scene_shape):
    """Every how manyeth pixel of a scene is shown in a picture of all of it."""
    return max(1, -(-max(scene_shape) // _MAX_SIDE))


class SceneView:
    """Pictures of the bands of a scene, as they are asked for.

    Parameters
    ----------
    scene : Scene
        Read once, strip by strip, if it is shown in part; kept as every ``step``-th pixel.
    """

    def __init__(self, scene):
        self.scene, self.step = scene, step_of(scene.scene_shape)
        parts = [scene.read(strip)[:, -strip.top % self.step :: self.step, :: self.step] for strip in scene.strips()]
        self._values = np.concatenate(parts, axis=1)  # (n_bands, h, w)

    def default_bands(self):
        """Three bands, for red, green and blue, spread over those that there are."""
        n_bands = self.scene.n_bands
        return [round(share * (n_bands - 1)) for share in (0.6, 0.3, 0.1)] if n_bands > 4 else [
            min(band, n_bands - 1) for band in (2, 1, 0)
        ]  # fmt: skip

    def picture(self, bands, cut):
        """PNG in colours of three bands, stretched between their percentiles ``cut`` and ``100 - cut``."""
        return png(np.stack([self._stretched(band, cut) for band in bands], axis=-1))

    def detail(self, bands, cut, block):
        """The same of a block ``(top, bottom, left, right)`` of the scene, of each of its pixels."""
        values = self.scene.read(block)
        return png(np.stack([self._stretched(band, cut, values[band]) for band in bands], axis=-1))

    def _stretched(self, band, cut, values=None):
        shown = self._values[band]
        low, high = np.nanpercentile(shown.ravel()[:: max(1, shown.size // _STRETCH_SAMPLE)], (cut, 100 - cut))
        values = shown if values is None else values
        return (np.nan_to_num((values - low) / max(high - low, 1e-12)).clip(0, 1) * 255).astype(np.uint8)


def class_png(classes, colors):
    """PNG of a class map, clear where there is none: one byte a pixel and a table of colours."""
    palette = [*(bytes.fromhex(color[1:]) for color in colors), b"\0\0\0"]
    alpha = [255] * len(colors) + [0]
    return png(np.where(classes < 0, len(colors), classes).astype(np.uint8), palette, alpha)


def uncertainty_png(uncertainty):
    """PNG of an uncertainty from 0 to 1, clear where there is none."""
    ramp = np.array([list(bytes.fromhex(color)) for color in _RAMP], dtype=float)
    places = np.linspace(0, len(ramp) - 1, 255)
    table = np.stack([np.interp(places, np.arange(len(ramp)), channel) for channel in ramp.T], axis=-1).astype(np.uint8)
    known = np.nan_to_num(uncertainty).clip(0, 1) * 254
    values = np.where(np.isnan(uncertainty), 255, known).astype(np.uint8)
    return png(values, [*map(bytes, table), b"\0\0\0"], [255] * 255 + [0])


def png(values, palette=None, alpha=None):
    """Bytes of a PNG file: (h, w, 3) as red, green, blue, or (h, w) as places in a palette; packed fast."""
    height, width = values.shape[:2]
    lines = np.zeros((height, 1 + values[0].size), dtype=np.uint8)  # each begins with 0: not filtered
    lines[:, 1:] = values.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if palette is None else 3, 0, 0, 0)
    chunks = [_chunk(b"IHDR", header)]
    if palette is not None:
        chunks += [_chunk(b"PLTE", b"".join(palette)), _chunk(b"tRNS", bytes(alpha))]
    chunks += [_chunk(b"IDAT", zlib.compress(lines, 1)), _chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
