"""The gallery: the rows that are shown are those that were asked for, with their label maps."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from mask_tables import FINGERPRINT, write_mask_table
from pipeline.output.output_folder import Output
from pipeline.report.gallery import Gallery
from pipeline.scores.best_and_worst import Highlight, Highlights, RowPlace
from pipeline.scores.merge_counts import PartFiles
from pipeline.spec.dataset_spec import DatasetSpec
from pipeline.storage.storage import Storage
from tiny_job import decode_mask

CLASSES = ["a", "b", "c"]


@pytest.fixture
def gallery(tmp_path):
    """The gallery of twelve made-up rows, whose images are nowhere; the sixth has failed."""
    plan = write_mask_table(tmp_path, "d", shards=2, parts=2, part_images=3, num_classes=3)
    path = parts(tmp_path)[1]
    table = pq.ParquetFile(path).read()
    rows = table.to_pylist()
    empty = dict.fromkeys(("mask", "confusion", "class_pixels", "confidence"))
    rows[2] |= {**empty, "status": "undecodable", "error": "no image"}
    pq.write_table(table.from_pylist(rows, schema=table.schema), path)
    images = f"{tmp_path}/nowhere/*.tar"
    dataset = DatasetSpec(name="d", format="webdataset", images=images, classes=CLASSES)
    return Gallery(Output(tmp_path.as_uri(), Storage()), dataset, plan)


def parts(folder):
    return sorted((folder / "masks/dataset=d").iterdir())


def highlights_of(folder):
    names = [path.name for path in parts(folder)]
    files = PartFiles(f"file://{folder}/masks/dataset=d", names, Storage(), FINGERPRINT, 3)
    return files.fold().highlights


def test_label_maps_are_the_masks_of_their_rows(gallery, tmp_path):
    rows = {
        RowPlace(path.name, row["index"]): row["mask"]
        for path in parts(tmp_path)
        for row in pq.ParquetFile(path).read().to_pylist()
    }

    found = gallery.label_maps(rows)

    assert len(found) == 11  # one has none
    for place, labels in found.items():
        np.testing.assert_array_equal(labels, decode_mask(rows[place]))


def test_failed_images_stand_by_status_the_most_frequent_first(gallery, tmp_path):
    highlights = highlights_of(tmp_path)
    highlights.failures["crashed"] = []

    failed = gallery.failures(highlights, {"ok": 10, "undecodable": 1, "crashed": 2})

    assert [(each.status, each.images) for each in failed] == [("crashed", 2), ("undecodable", 1)]
    assert [row.error for row in failed[1].examples] == ["no image"]


def test_nothing_to_be_shown_gives_no_groups(gallery):
    assert gallery.groups(Highlights(), most=3) == []
    assert gallery.failures(Highlights(), {"ok": 12}) == []


def test_a_row_without_a_mask_has_no_picture(gallery, tmp_path):
    place = RowPlace(parts(tmp_path)[1].name, 5)

    assert gallery.pictures([Highlight(place, 0.5, 0.5)]) == {}
