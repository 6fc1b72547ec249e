"""Exports as GeoJSON: polygons that cover each class exactly."""

import json
from itertools import pairwise

import numpy as np

from exported_job import masks
from pipeline import export
from pipeline.export.geojson import geojson_items
from pipeline.output.mask_table import MaskRow
from refinenet_core import LabelSet
from tiny_job import CLASSES


def test_geojson_covers_each_class_exactly(finished, tmp_path):
    export(str(finished.output), str(tmp_path), export_format="geojson", datasets=["pictures"])

    found = json.loads((tmp_path / "pictures.geojson").read_text())
    assert found["type"] == "FeatureCollection"
    features = {}
    for feature in found["features"]:
        assert feature["type"] == "Feature"
        assert feature["geometry"]["type"] == "MultiPolygon"
        place = feature["properties"]["index"], feature["properties"]["category_id"]
        features[place] = feature
    assert len(features) == len(found["features"])
    holes = 0
    for row, labels in masks(finished.output, "pictures"):
        for class_id in np.unique(labels):
            feature = features.pop((row["index"], class_id))
            polygons = feature["geometry"]["coordinates"]
            rings = [ring for polygon in polygons for ring in polygon]
            holes += len(rings) - len(polygons)
            np.testing.assert_array_equal(_filled(rings, labels.shape), labels == class_id)
            assert feature["properties"]["area"] == (labels == class_id).sum()
            assert feature["properties"]["category"] == CLASSES[class_id]
    assert features == {}
    assert holes > 0


def _filled(rings, shape):
    """Rasterise by the even-odd rule: a point is inside if an odd number of edges is left of it."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    crossings = np.zeros(shape, dtype=int)
    for ring in rings:
        for (x0, y0), (_, y1) in pairwise(ring):
            crossings += (min(y0, y1) < y) & (y < max(y0, y1)) & (x0 < x)
    return crossings % 2 == 1


def test_polygons_lie_where_the_class_is_in_the_image():
    found = np.full((5, 6), 255, np.uint8)
    found[2:4, 3:5] = 1
    labels = LabelSet("two", ("road", "sky"), ((1, 2, 3), (4, 5, 6)), 255)

    [(kind, feature)] = geojson_items(1, MaskRow("s", 0, "k", "u", None), found, labels)

    [[ring]] = feature["geometry"]["coordinates"]
    assert kind == "features"
    assert set(ring) == {(3, 2), (5, 2), (5, 4), (3, 4)}
    assert (feature["properties"]["category"], feature["properties"]["area"]) == ("sky", 4)
