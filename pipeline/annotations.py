"""Masks as annotations in JSON: COCO's run lengths, and GeoJSON's polygons.

Both are written item by item, so that a file of any length takes little memory.
"""

import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt

from pipeline.output.mask_table import MaskRow
from pipeline.polygons import Polygon, trace_polygons
from pipeline.run_length import Runs, class_runs
from pipeline.storage.uris import without_extension
from refinenet_core.labels.label_sets import LabelSet

Labels = npt.NDArray[np.uint8]
Items = Iterator[tuple[str, dict[str, Any]]]
Describe = Callable[[int, MaskRow, Labels, LabelSet], Items]

_SPOOLED_BYTES: Final = 1 << 20
_MOST_CLASSES: Final = 256


def coco_header(labels: LabelSet) -> dict[str, Any]:
    """Return what a COCO file holds besides its lists; category ids are class ids, from 0."""
    return {
        "info": {"description": "masks written by refinenet-batch export"},
        "licenses": [],
        "categories": _categories(labels),
    }


def coco_items(image_id: int, row: MaskRow, found: Labels, labels: LabelSet) -> Items:
    """Yield an image's entry in `images`, and one in `annotations` for each class in its mask.

    Args:
        image_id: Number of the image.
        row: Its row.
        found: Its label map, shape (H, W); ids that are no class get no annotation.
        labels: The classes.
    """
    name = (row.uri or "").rpartition("#")[2]
    height, width = found.shape
    yield (
        "images",
        {
            "id": image_id,
            "file_name": row.key + name[len(without_extension(name)) :],
            "height": height,
            "width": width,
            **_identity(row),
        },
    )
    for class_id, runs in _classes(found, labels):
        yield (
            "annotations",
            {
                "id": image_id * _MOST_CLASSES + class_id,
                "image_id": image_id,
                "category_id": class_id,
                "segmentation": {"size": [height, width], "counts": runs.compressed()},
                "area": runs.area,
                "bbox": list(runs.box),
                "iscrowd": 0,
            },
        )


def geojson_header(labels: LabelSet) -> dict[str, Any]:
    """Return what a GeoJSON file holds besides its features."""
    return {"type": "FeatureCollection", "categories": _categories(labels)}


def geojson_items(image_id: int, row: MaskRow, found: Labels, labels: LabelSet) -> Items:
    """Yield a feature for each class in an image's mask: a MultiPolygon in pixels, y down.

    Pixel (row y, column x) is the square from (x, y) to (x + 1, y + 1); the polygons cover the
    class exactly. Arguments as of `coco_items`.
    """
    for class_id, runs in _classes(found, labels):
        left, top, width, height = runs.box
        part = found[top : top + height, left : left + width] == class_id
        polygons = trace_polygons(part)
        yield (
            "features",
            {
                "type": "Feature",
                "id": image_id * _MOST_CLASSES + class_id,
                "properties": {
                    "image_id": image_id,
                    **_identity(row),
                    "height": found.shape[0],
                    "width": found.shape[1],
                    "category_id": class_id,
                    "category": labels.classes[class_id],
                    "area": runs.area,
                },
                "geometry": {
                    "type": "MultiPolygon",
                    "coordinates": [_moved(polygon, left, top) for polygon in polygons],
                },
            },
        )


class ItemLists:
    """Lists of JSON items by name, a line each, in memory while they are small, then on disk."""

    def __init__(self, names: Sequence[str]) -> None:
        self._files = {
            name: tempfile.SpooledTemporaryFile(_SPOOLED_BYTES)  # noqa: SIM115 - closed by `close`
            for name in names
        }

    def add(self, name: str, item: Mapping[str, Any]) -> None:
        """Append an item to a list."""
        line = json.dumps(item, separators=(",", ":"), allow_nan=False)
        self._files[name].write(line.encode() + b"\n")

    def lines(self, name: str) -> Iterator[bytes]:
        """Yield a list's items from the first."""
        file = self._files[name]
        file.seek(0)
        for line in file:
            yield line.rstrip(b"\n")

    def close(self) -> None:
        """Give up the memory and the disk."""
        for file in self._files.values():
            file.close()


def write_document(
    file: IO[bytes], header: Mapping[str, Any], names: Sequence[str], parts: Iterable[ItemLists]
) -> None:
    """Write a JSON object of a header and lists; the first goes through, others wait on disk.

    Args:
        file: Where to.
        header: The fields that are no lists.
        names: The lists.
        parts: What the lists are made of, one behind the other; each is closed.
    """
    with contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(tempfile.TemporaryFile()) for _ in names[1:]]
        lists = dict(zip(names, (file, *waiting), strict=True))
        separators = dict.fromkeys(names, b"\n")
        file.write(json.dumps(header)[:-1].encode())
        for name, each in lists.items():
            each.write(f",\n{json.dumps(name)}: [".encode())
        for part in parts:
            with contextlib.closing(part):
                for name, each in lists.items():
                    for line in part.lines(name):
                        each.write(separators[name] + line)
                        separators[name] = b",\n"
        for each in lists.values():
            each.write(b"\n]")
        for each in waiting:
            each.seek(0)
            shutil.copyfileobj(each, file)
        file.write(b"}\n")


def _categories(labels: LabelSet) -> list[dict[str, Any]]:
    return [
        {"id": class_id, "name": name, "color": list(colour)}
        for class_id, (name, colour) in enumerate(zip(labels.classes, labels.colours, strict=True))
    ]


def _identity(row: MaskRow) -> dict[str, Any]:
    return {"key": row.key, "shard": row.shard, "index": row.index, "uri": row.uri}


def _classes(found: Labels, labels: LabelSet) -> Iterator[tuple[int, Runs]]:
    for class_id, runs in class_runs(found).items():
        if class_id < len(labels.classes):
            yield class_id, runs


def _moved(polygon: Polygon, left: int, top: int) -> Polygon:
    return [[(x + left, y + top) for x, y in ring] for ring in polygon]
