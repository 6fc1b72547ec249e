"""What masks become when they are exported: one function for each format."""

import io
from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from pipeline.datasets.shard_writers import PackedImage, write_tar
from pipeline.export.coco import coco_header, coco_items
from pipeline.export.exported_rows import (
    EXTENSION,
    DatasetExport,
    ExportedDataset,
    StoredMask,
    Unit,
)
from pipeline.export.file_names import FileNames
from pipeline.export.geojson import geojson_header, geojson_items
from pipeline.export.json_items import Describe, ItemLists, write_document
from pipeline.output.mask_table import MaskRow
from pipeline.output.row_source import SourceImages
from pipeline.storage.uris import join
from refinenet_core.labels.palettes import Colour

ExportFormat = Literal["labels", "palette", "overlay", "coco", "geojson", "webdataset"]

Draw = Callable[[StoredMask], bytes]
Pixels = npt.NDArray[np.uint8]


def _export_labels(export: DatasetExport) -> None:
    """Write `<dataset>/<name>.png`, grey, values are class ids."""
    _write_files(export, lambda mask: _png(mask.labels()))


def _export_palette(export: DatasetExport) -> None:
    """Write `<dataset>/<name>.png` as the table has it."""
    _write_files(export, lambda mask: mask.png)


def _export_overlay(export: DatasetExport) -> None:
    """Write `<dataset>/<name>.png`, the image half in its classes' colours."""
    names, colours = export.file_names(), export.labels.colours

    def write(unit: Unit, exported: ExportedDataset) -> None:
        images = SourceImages(export.dataset, unit.shard, export.storage)
        for mask in unit.masks(exported):
            source = images.read(mask.row)
            if source is None or source.pixels is None:
                exported.masks -= 1
                exported.without_image += 1
            else:
                picture = _png(blend(source.pixels, mask.labels(), colours))
                _write_file(export, names, mask.row, picture, exported)

    for _ in export.each(write, export.shards()):
        pass


def blend(image: Pixels, labels: Pixels, colours: tuple[Colour, ...]) -> Pixels:
    """Return an image half in its classes' colours, shape (H, W, 3).

    Args:
        image: RGB, shape (H, W, 3), uint8.
        labels: Class ids, shape (H, W), uint8; the image stays as it is where an id is no class.
        colours: RGB of each class.
    """
    table = np.zeros((256, 3), dtype=np.uint8)
    table[: len(colours)] = colours
    # Halves are taken before they are added: in eight bits a sum would not fit.
    mixed = image // 2 + table[labels] // 2
    return np.where((labels < len(colours))[..., np.newaxis], mixed, image)


def _write_files(export: DatasetExport, draw: Draw) -> None:
    names = export.file_names()

    def write(unit: Unit, exported: ExportedDataset) -> None:
        for mask in unit.masks(exported):
            _write_file(export, names, mask.row, draw(mask), exported)

    for _ in export.each(write, export.parts()):
        pass


def _write_file(
    export: DatasetExport, names: FileNames, row: MaskRow, data: bytes, exported: ExportedDataset
) -> None:
    name, suffixed = names.name(row.key, row.shard, row.index)
    export.storage.write(join(export.target, export.dataset.name, name), data)
    exported.note_name(row.key, name, suffixed=suffixed)


def _png(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=4)
    return buffer.getvalue()


def _export_coco(export: DatasetExport) -> None:
    """Write `<dataset>.json`."""
    header = coco_header(export.labels)
    _write_annotations(export, "json", header, ("annotations", "images"), coco_items)


def _export_geojson(export: DatasetExport) -> None:
    """Write `<dataset>.geojson`."""
    header = geojson_header(export.labels)
    _write_annotations(export, "geojson", header, ("features",), geojson_items)


def _write_annotations(
    export: DatasetExport,
    suffix: str,
    header: Mapping[str, Any],
    lists: tuple[str, ...],
    describe: Describe,
) -> None:
    def items(unit: Unit, exported: ExportedDataset) -> ItemLists:
        found = ItemLists(lists)
        for mask in unit.masks(exported):
            for name, item in describe(mask.image_id, mask.row, mask.labels(), export.labels):
                found.add(name, item)
        return found

    units = export.counted_parts()
    with export.storage.write_file(join(export.target, f"{export.dataset.name}.{suffix}")) as file:
        write_document(file, header, lists, export.each(items, units))


def _export_webdataset(export: DatasetExport) -> None:
    """Write `<dataset>/<shard>.tar` of `<key>.png`, as the table has them; none without masks."""

    def write(unit: Unit, exported: ExportedDataset) -> None:
        images = (
            PackedImage(mask.row.key, f"mask{EXTENSION}", mask.png, None, None)
            for mask in unit.masks(exported)
        )
        first = next(images, None)
        if first is None:
            return
        uri = join(export.target, export.dataset.name, f"{unit.shard.slug}.tar")
        with export.storage.write_file(uri) as file:
            write_tar(file, chain([first], images))

    for _ in export.each(write, export.shards()):
        pass


EXPORTERS: Final[Mapping[str, Callable[[DatasetExport], None]]] = {
    "labels": _export_labels,
    "palette": _export_palette,
    "overlay": _export_overlay,
    "coco": _export_coco,
    "geojson": _export_geojson,
    "webdataset": _export_webdataset,
}
"""What writes a dataset's masks in each format."""
