"""Masks as the polygons of a GeoJSON file."""

from typing import Any

from pipeline.export.json_items import (
    MOST_CLASSES,
    Items,
    Labels,
    categories,
    identity,
    runs_of_classes,
)
from pipeline.export.polygons import Polygon, trace_polygons
from pipeline.output.mask_table import MaskRow
from refinenet_core.labels.label_sets import LabelSet


def geojson_header(labels: LabelSet) -> dict[str, Any]:
    """Return what a GeoJSON file holds besides its features."""
    return {"type": "FeatureCollection", "categories": categories(labels)}


def geojson_items(image_id: int, row: MaskRow, found: Labels, labels: LabelSet) -> Items:
    """Yield a feature for each class in an image's mask: a MultiPolygon in pixels, y down.

    Pixel (row y, column x) is the square from (x, y) to (x + 1, y + 1); the polygons cover the
    class exactly. Arguments as of `coco_items`.
    """
    for class_id, runs in runs_of_classes(found, labels):
        left, top, width, height = runs.box
        part = found[top : top + height, left : left + width] == class_id
        polygons = trace_polygons(part)
        yield (
            "features",
            {
                "type": "Feature",
                "id": image_id * MOST_CLASSES + class_id,
                "properties": {
                    "image_id": image_id,
                    **identity(row),
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


def _moved(polygon: Polygon, left: int, top: int) -> Polygon:
    return [[(x + left, y + top) for x, y in ring] for ring in polygon]
