"""Exports as COCO: what pycocotools reads is what the masks hold."""

import numpy as np
import pytest
from pycocotools import mask as coco
from pycocotools.coco import COCO

from exported_job import files_below, masks
from pipeline import export
from pipeline.export.coco import coco_header, coco_items
from pipeline.output.mask_table import MaskRow
from refinenet_core import LabelSet
from tiny_job import CLASSES


# pycocotools has not followed numpy 2 yet.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
def test_coco_opens_in_pycocotools_and_decodes_to_the_same_pixels(finished, tmp_path, capsys):
    report = export(str(finished.output), str(tmp_path), export_format="coco")

    assert files_below(tmp_path) == {
        "pictures.json",
        "tars.json",
        "tables.json",
        "export.json",
    }
    for dataset in ("pictures", "tars", "tables"):
        found = COCO(tmp_path / f"{dataset}.json")
        expected = masks(finished.output, dataset)
        images = {image["index"]: image for image in found.dataset["images"]}
        assert len(images) == len(found.imgs) == len(expected)
        assert len(found.anns) == len(found.dataset["annotations"])
        for row, labels in expected:
            image = images[row["index"]]
            assert (image["key"], image["uri"]) == (row["key"], row["uri"])
            assert (image["height"], image["width"]) == labels.shape
            annotations = found.imgToAnns[image["id"]]
            assert [each["category_id"] for each in annotations] == np.unique(labels).tolist()
            for each in annotations:
                ours = labels == each["category_id"]
                np.testing.assert_array_equal(found.annToMask(each), ours)
                assert each["area"] == ours.sum()
                assert each["bbox"] == coco.toBbox(found.annToRLE(each)).tolist()
    assert [each["name"] for each in found.dataset["categories"]] == CLASSES
    assert {i["file_name"] for i in COCO(tmp_path / "tars.json").imgs.values()} == {
        f"in/{number:02d}.png" for number in range(12)
    }
    assert report.datasets[0].without_mask == {"undecodable": 1}
    assert "index created" in capsys.readouterr().out  # what pycocotools prints


LABELS = LabelSet("two", ("road", "sky"), ((1, 2, 3), (4, 5, 6)), 255)


def test_the_file_of_an_image_is_called_by_its_key_with_the_objects_own_ending():
    row = MaskRow("s", 3, "deep/key", "s3://bucket/x.tar#deep/key.left.JPG", None)

    (_, image), *_ = coco_items(7, row, np.zeros((2, 3), np.uint8), LABELS)

    assert image["file_name"] == "deep/key.JPG"
    assert (image["id"], image["height"], image["width"]) == (7, 2, 3)


def test_annotations_of_a_file_have_numbers_of_their_own_and_classes_from_zero():
    row = MaskRow("s", 0, "k", "u.png", None)
    found = np.array([[0, 1], [1, 1]], np.uint8)

    annotations = [
        item
        for image_id in (1, 2)
        for _, item in list(coco_items(image_id, row, found, LABELS))[1:]
    ]

    assert len({each["id"] for each in annotations}) == 4
    assert [(each["category_id"], each["area"]) for each in annotations[:2]] == [(0, 1), (1, 3)]
    categories = coco_header(LABELS)["categories"]
    assert [(each["id"], each["name"]) for each in categories] == [(0, "road"), (1, "sky")]
