"""Masks as COCO's annotations, with compressed run lengths."""

from typing import Any

from pipeline.export.json_items import (
    MOST_CLASSES,
    Items,
    Labels,
    categories,
    identity,
    runs_of_classes,
)
from pipeline.output.mask_table import MaskRow
from pipeline.storage.uris import without_extension
from refinenet_core.labels.label_sets import LabelSet


def coco_header(labels: LabelSet) -> dict[str, Any]:
    """Return what a COCO file holds besides its lists; category ids are class ids, from 0."""
    return {
        "info": {"description": "masks written by refinenet-batch export"},
        "licenses": [],
        "categories": categories(labels),
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
            **identity(row),
        },
    )
    for class_id, runs in runs_of_classes(found, labels):
        yield (
            "annotations",
            {
                "id": image_id * MOST_CLASSES + class_id,
                "image_id": image_id,
                "category_id": class_id,
                "segmentation": {"size": [height, width], "counts": runs.compressed()},
                "area": runs.area,
                "bbox": list(runs.box),
                "iscrowd": 0,
            },
        )
