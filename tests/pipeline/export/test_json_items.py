"""JSON files of lists that are written item by item."""

import io
import json

import numpy as np
import pytest

from exported_job import change_rows
from pipeline import export
from pipeline.export.json_items import ItemLists, write_document
from pipeline.output.mask_png import encode_mask
from refinenet_core.labels.palettes import png_palette, voc_colours


def test_pixels_of_no_class_get_no_annotation(job, tmp_path):
    """Outside the square that the protocol `fixed` looks at a mask is 255."""
    labels = np.full((40, 56), 255, dtype=np.uint8)
    labels[10:20, 10:30] = 2
    mask = encode_mask(labels, png_palette(voc_colours(4)))

    def crop(row):
        row.update(mask=mask, height=40, width=56)

    change_rows(job, "tars", crop)
    for export_format, suffix, items in (
        ("coco", "json", "annotations"),
        ("geojson", "geojson", "features"),
    ):
        target = tmp_path / export_format
        export(str(job.output), str(target), export_format=export_format, datasets=["tars"])
        found = json.loads((target / f"tars.{suffix}").read_text())[items]
        assert len(found) == 12
        assert {each.get("area", each.get("properties", {}).get("area")) for each in found} == {200}


def lists_of(**items):
    """Return lists with these items."""
    found = ItemLists(["first", "second"])
    for name, values in items.items():
        for value in values:
            found.add(name, {"value": value})
    return found


def test_a_document_holds_header_and_lists_in_the_order_of_their_parts():
    parts = [lists_of(first=[1, 2], second=["a"]), lists_of(), lists_of(first=[3], second=["b"])]
    file = io.BytesIO()

    write_document(file, {"type": "T"}, ("first", "second"), parts)

    assert json.loads(file.getvalue()) == {
        "type": "T",
        "first": [{"value": 1}, {"value": 2}, {"value": 3}],
        "second": [{"value": "a"}, {"value": "b"}],
    }


def test_a_document_without_items_is_json_as_well():
    file = io.BytesIO()

    write_document(file, {"type": "T"}, ("first", "second"), [])

    assert json.loads(file.getvalue()) == {"type": "T", "first": [], "second": []}


def test_lists_that_outgrow_memory_are_read_back_whole():
    items = ["x" * 1000 + str(number) for number in range(1500)]

    lines = list(lists_of(first=items).lines("first"))

    assert [json.loads(line)["value"] for line in lines] == items


def test_what_strict_json_cannot_hold_is_refused():
    with pytest.raises(ValueError, match="JSON"):
        ItemLists(["first"]).add("first", {"value": float("nan")})
