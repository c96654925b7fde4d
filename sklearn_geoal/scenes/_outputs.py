"""Maps on their way to a file: a scratch folder that survives a kill, and the GeoTIFF that is made of it."""

import hashlib
import json
import os
import shutil
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from ._blocks import cover, spans

_TILE = 256  # side of the tiles of a GeoTIFF
_COPY_PIXELS = 2**22


class Scratch:
    """Layers of a map as plain files beside its destination, and a journal of the finished blocks.

    Files are written by position and flushed before a block is noted as finished, so that whatever ends the process, a
    block that is noted is whole. A run with the same signature goes on where the last one ended; another starts anew.

    Parameters
    ----------
    folder : Path
        Where the files lie; made, and removed by :meth:`remove`.
    layers : list of Layer
        What is written.
    scene_shape : tuple of two ints
        ``(height, width)``.
    signature : str
        Tells one run from another.
    """

    def __init__(self, folder, layers, scene_shape, signature):
        self._layers, self._shape, self._folder = layers, scene_shape, folder
        self.done = self._finished(signature)
        if not self.done:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        self._files = {layer.name: self._open(layer) for layer in layers}
        self._journal = open(folder / "journal", "r+" if self.done else "w", encoding="ascii")
        if self.done:  # a line that was cut short must not become the beginning of the next one
            self._journal.truncate(self._journal.read().rfind("\n") + 1)
            self._journal.seek(0, os.SEEK_END)
        if not self.done:
            self._note(signature)

    def _open(self, layer):
        file = open(self._path(layer), "r+b" if self.done else "w+b", buffering=0)
        file.truncate(self._n_bytes(layer))  # a hole until it is written
        return file

    def _path(self, layer):
        return self._folder / f"{layer.name}.raw"

    def _n_bytes(self, layer):
        return layer.n_bands * self._shape[0] * self._shape[1] * layer.dtype.itemsize

    def write(self, number, block, maps):
        """Write the layers of a block, then note it as finished."""
        for layer in self._layers:
            file, itemsize = self._files[layer.name], layer.dtype.itemsize
            for band, values in enumerate(maps[layer.name].reshape(layer.n_bands, *block.shape)):
                for row, line in enumerate(values, start=block.top):
                    place = ((band * self._shape[0] + row) * self._shape[1] + block.left) * itemsize
                    _write_all(file, line.tobytes(), place)
            os.fsync(file.fileno())
        self._note(str(number))

    def read(self, layer, block):
        """Values (n_bands, h, w) of a layer."""
        values = np.empty((layer.n_bands, *block.shape), dtype=layer.dtype)
        file = self._files[layer.name]
        for band, row in np.ndindex(layer.n_bands, block.shape[0]):
            file.seek(((band * self._shape[0] + block.top + row) * self._shape[1] + block.left) * layer.dtype.itemsize)
            file.readinto(values[band, row])
        return values

    def close(self):
        """Close the files and leave them."""
        for file in self._files.values():
            file.close()
        self._files = {}
        self._journal.close()

    def remove(self):
        """Remove the folder."""
        self.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _finished(self, signature):
        """Numbers of the blocks that an earlier run of the same signature has finished."""
        try:
            lines = (self._folder / "journal").read_text(encoding="ascii").split("\n")
        except (OSError, UnicodeDecodeError):
            return set()
        whole = lines[:-1]  # what follows the last line break was cut short
        if any(
            not self._path(layer).is_file() or self._path(layer).stat().st_size != self._n_bytes(layer)
            for layer in self._layers
        ):
            return set()
        return {int(line) for line in whole[1:] if line.isdigit()} if whole[:1] == [signature] else set()

    def _note(self, line):
        self._journal.write(f"{line}\n")
        self._journal.flush()
        os.fsync(self._journal.fileno())


def _write_all(file, content, place):
    file.seek(place)
    while content:
        content = content[file.write(content) :]


def signature_of(*parts):
    """One line that differs where a part, of plain values, differs."""
    return hashlib.blake2b(json.dumps(parts, sort_keys=True, default=str).encode(), digest_size=16).hexdigest()


def path_of(destination, layer, layers):
    """File of a layer: the destination itself for the first one, ``<stem>_<layer><suffix>`` for the others."""
    destination = Path(destination)
    if layer is layers[0]:
        return destination
    return destination.with_name(f"{destination.stem}_{layer.name}{destination.suffix}")


def check_spares_source(paths, scene):
    """Check that none of the files to be written is one that the scene is read from, under whatever name.

    Raises
    ------
    ValueError
        If one is.
    """
    for path in map(Path, paths):
        if path.exists() and any(os.path.exists(file) and path.samefile(file) for file in scene.files):
            raise ValueError(
                f"{path} is a file that the scene is read from, which the result would replace: name another "
                "destination."
            )


def write_geotiff(path, layer, read, scene, *, colors=None, overviews=False):
    """Write a layer as GeoTIFF, whole or not at all: tiled, compressed, with CRS, transform, colours and names.

    Parameters
    ----------
    path : Path
        The file. One that exists is replaced once the new one is complete.
    layer : Layer
        What is written.
    read : callable
        Gives the values (n_bands, h, w) of a block.
    scene : Scene
        Whose grid it is.
    colors : dict of int to tuple, default=None
        Colour (red, green, blue) from 0 to 255 of each number of a class.
    overviews : bool, default=False
        Write a cloud-optimised GeoTIFF with overviews.
    """
    import rasterio
    import rasterio.shutil
    from rasterio.enums import Resampling

    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp.tif")
    final = temporary.with_name(f"{temporary.stem}.cog.tif") if overviews else temporary
    height, width = scene.scene_shape
    try:
        # a checksum of what went in, for the comparison with what came to lie on the disk
        written = hashlib.blake2b(digest_size=16)
        with rasterio.open(
            temporary, "w", driver="GTiff", height=height, width=width, count=layer.n_bands, dtype=layer.dtype,
            crs=scene.crs, transform=scene.transform, nodata=layer.nodata, tiled=True, blockxsize=_TILE,
            blockysize=_TILE, compress="deflate", predictor=3 if layer.dtype.kind == "f" else 2, bigtiff="if_safer",
            interleave="band",
        ) as file:  # fmt: skip
            for block in _lines_of_tiles(scene.scene_shape):
                values = read(block)
                written.update(values)
                file.write(values, window=_window(block))
            _describe(file, layer, colors)
        if overviews:
            resampling = Resampling.nearest if layer.dtype.kind != "f" else Resampling.average
            rasterio.shutil.copy(
                temporary, final, driver="COG", compress="deflate", predictor="yes", bigtiff="if_safer",
                overview_resampling=resampling.name,
            )  # fmt: skip
        with rasterio.open(final) as file:
            found = hashlib.blake2b(digest_size=16)
            for block in _lines_of_tiles(scene.scene_shape):
                found.update(file.read(window=_window(block)))
        if found.digest() != written.digest():
            raise OSError(f"{path} could not be written as a whole: is the disk full?")
        if layer.classes is not None:
            Path(f"{temporary}.names").write_text(_names_for_gdal(layer), encoding="utf-8")
            os.replace(f"{temporary}.names", f"{path}.aux.xml")
        else:
            Path(f"{path}.aux.xml").unlink(missing_ok=True)  # it would be of the file that is replaced
        os.replace(final, path)
    finally:
        for leftover in (temporary, final, Path(f"{temporary}.names"), Path(f"{temporary}.aux.xml")):
            leftover.unlink(missing_ok=True)


def _lines_of_tiles(scene_shape):
    height, width = scene_shape
    step = max(1, _COPY_PIXELS // (_TILE * width)) * _TILE
    return cover(spans(height, step), [(0, width)])


def _window(block):
    from rasterio.windows import Window

    return Window(block.left, block.top, block.shape[1], block.shape[0])


def _describe(file, layer, colors):
    """Names of bands and classes and the colours, inside the file."""
    if layer.names is None:
        file.set_band_description(1, layer.name)
    for band, name in enumerate(layer.names or (), start=1):
        file.set_band_description(band, name)
    if layer.classes is None:
        return
    file.update_tags(classes=json.dumps({str(value): name for value, name in layer.class_names().items()}))
    if layer.dtype == np.uint8:  # no other type has a colour table
        table = dict.fromkeys(range(256), (0, 0, 0, 255))
        table |= {value: (*color[:3], 255) for value, color in colors.items()}
        table[int(layer.nodata)] = (0, 0, 0, 0)
        file.write_colormap(1, table)


def _names_for_gdal(layer):
    """The names of the classes as GDAL, and QGIS through it, reads them beside a file."""
    names = layer.class_names()
    first_to_last = [names.get(value, "") for value in range(max(names) + 1)] if min(names) >= 0 else []
    lines = "".join(f"      <Category>{escape(name)}</Category>\n" for name in first_to_last)
    return (
        '<PAMDataset>\n  <PAMRasterBand band="1">\n    <CategoryNames>\n'
        f"{lines}    </CategoryNames>\n  </PAMRasterBand>\n</PAMDataset>\n"
    )
