"""The mask table: its rows, and how counts are stored in them."""

import numpy as np

from pipeline.output.mask_table import (
    MASK_SCHEMA,
    MaskRow,
    class_pixels,
    sparse_boundary,
    sparse_confusion,
)
from refinenet_core import boundary_counts


def test_a_row_has_the_columns_of_the_table_in_their_order():
    assert list(vars(MaskRow("s", 0, "k", None, None))) == MASK_SCHEMA.names


def test_a_row_is_ok_until_something_goes_wrong():
    row = MaskRow("s", 0, "k", None, None)
    before = row.status

    row.fail("undecodable", "not an image")

    assert before == "ok"
    assert (row.status, row.error) == ("undecodable", "not an image")


def test_of_a_label_map_the_classes_that_it_has_are_counted():
    labels = np.array([[2, 0, 2], [255, 2, 0]], np.uint8)

    assert class_pixels(labels) == [
        {"class": 0, "pixels": 2},
        {"class": 2, "pixels": 3},
        {"class": 255, "pixels": 1},
    ]


def test_of_a_confusion_matrix_cells_with_pixels_are_stored_and_misses_of_all_classes_as_such():
    counts = np.array([[5, 0, 1], [0, 0, 2]], np.int64)

    assert sparse_confusion(counts) == [
        {"target": 0, "prediction": 0, "pixels": 5},
        {"target": 0, "prediction": -1, "pixels": 1},
        {"target": 1, "prediction": -1, "pixels": 2},
    ]


def test_of_boundary_regions_those_of_classes_that_are_there_are_stored():
    target, prediction = np.zeros((2, 20, 20), np.uint8)
    target[5:9, 5:9] = 2
    prediction[5:9, 6:10] = 2

    stored = sparse_boundary(boundary_counts(prediction, target, num_classes=4))

    assert [cell["class"] for cell in stored] == [0, 2]
    assert stored[1] == {"class": 2, "both": 6, "target": 12, "prediction": 12}
