"""Paired rows: the images that two outputs share, whatever files their rows lie in."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from mask_tables import FINGERPRINT, write_mask_table
from pipeline.output.output_folder import Output
from pipeline.scores.best_and_worst import RowPlace
from pipeline.scores.paired_rows import ScoredRows, pair_rows
from pipeline.storage.storage import Storage

CLASSES = 5


@pytest.fixture
def output(tmp_path):
    """An output of twelve made-up rows in four part files."""
    write_mask_table(tmp_path, "d", shards=2, parts=2, part_images=3, num_classes=CLASSES)
    return Output(tmp_path.as_uri(), Storage())


def read(output, names=None, fingerprint=FINGERPRINT):
    names = sorted(output.storage.names(output.masks_uri("d"))) if names is None else names
    return ScoredRows.read(output, "d", names, CLASSES, fingerprint)


def change_column(output, rows, name, values):
    """Write a part file anew with other values in a column."""
    path = output.masks_uri("d").removeprefix("file://") + f"/{rows.names[0]}"
    table = pq.ParquetFile(path).read()
    place = table.schema.get_field_index(name)
    field = table.schema.field(place)
    pq.write_table(table.set_column(place, field, [values]), path)


def test_the_rows_of_an_output_are_paired_with_themselves(output):
    rows = read(output)

    first, second = pair_rows(rows, rows)

    assert first.tolist() == second.tolist() == list(range(12))
    assert rows.place(4) == RowPlace(rows.names[1], 4)


def test_rows_in_other_files_are_found_and_what_one_output_lacks_is_left_out(output):
    rows = read(output)
    some = read(output, [rows.names[3], rows.names[0]])

    first, second = pair_rows(rows, some)

    assert first.tolist() == [0, 1, 2, 9, 10, 11]
    assert second.tolist() == [3, 4, 5, 0, 1, 2]
    np.testing.assert_array_equal(rows.mious[first], some.mious[second])


def test_images_that_are_there_twice_are_paired_one_to_one(output):
    rows = read(output)
    change_column(output, rows, "key", ["same"] * 3)
    change_column(output, rows, "image_sha256", ["0" * 64] * 3)
    twice = read(output, rows.names[:1])

    first, second = pair_rows(twice, read(output))

    assert first.tolist() == second.tolist() == [0, 1, 2]
    assert len(set(twice.identities.tolist())) == 3


def test_files_of_another_job_have_no_rows_and_are_named(output):
    rows = read(output, fingerprint={**FINGERPRINT, "model": "another"})

    assert len(rows.foreign) == 4
    assert (list(rows.names), rows.mious.size) == ([], 0)


def test_some_of_the_rows_add_up_to_what_they_are(output):
    rows = read(output)

    some, others = (
        rows.count(np.array(chosen), output.storage, CLASSES)
        for chosen in ([0, 5, 11], [1, 2, 3, 4, 6, 7, 8, 9, 10])
    )
    every = rows.count(np.arange(12), output.storage, CLASSES)

    assert (some.images, others.images) == (3, 9)
    np.testing.assert_array_equal(some.confusion + others.confusion, every.confusion)
    assert some.image_mious.tolist() == sorted(rows.mious[[0, 5, 11]].tolist())
