"""What a dataset's rows add up to: exact, and the same in whatever order."""

import itertools
import json
import math

import numpy as np
import pytest

from label_maps import ADVERSARIAL
from pipeline.output.mask_table import MaskRow
from pipeline.report.write_summary import dataset_content
from pipeline.scores.dataset_counts import DatasetCounts
from pipeline.scores.summary import summarize_dataset
from refinenet_core import LabelSet, boundary_counts, confusion_matrix
from scored_parts import DEFAULTS, LABELS, as_table, part_table, scored_row, summarize


def merged(groups):
    """Add up groups of tables apart, then merge them."""
    total = DatasetCounts(3)
    for tables in groups:
        counts = DatasetCounts(3)
        for table in tables:
            counts.add(table)
        total += counts
    return summarize_dataset("d", LABELS, total, DEFAULTS, planned=8, complete=True)


def test_neither_the_order_of_parts_nor_their_grouping_changes_a_bit():
    tables = [part_table(number) for number in range(4)]

    results = {
        json.dumps(dataset_content(summarize(order))) for order in itertools.permutations(tables)
    }
    a, b, c, d = tables
    results |= {
        json.dumps(dataset_content(merged(groups)))
        for groups in ([[a, b], [c, d]], [[d], [b, a, c]], [[c], [], [a], [d], [b]])
    }

    assert len(results) == 1


@pytest.mark.parametrize(
    ("prediction", "target", "num_classes"), ADVERSARIAL.values(), ids=ADVERSARIAL
)
def test_odd_label_maps_come_through_the_table_as_they_were_counted(
    prediction, target, num_classes
):
    labels = LabelSet("odd", tuple(map(str, range(num_classes))), (), 255)
    rows = [scored_row(0, prediction, target, num_classes)]

    summary = summarize([as_table(rows)], labels=labels)

    counts = confusion_matrix(prediction, target, num_classes=num_classes)
    np.testing.assert_array_equal(summary.counts.confusion, counts)
    expected = boundary_counts(prediction, target, num_classes=num_classes).iou
    np.testing.assert_array_equal(summary.boundary_iou, expected)
    assert json.dumps(dataset_content(summary), allow_nan=False)


@pytest.mark.parametrize("pixels", [2**31 + 1, 2**32 + 1, 2**40 + 1])
def test_pixel_counts_past_32_bits_stay_exact(pixels):
    row = MaskRow("s", 0, "k", "u", None, ignored_pixels=pixels)
    row.class_pixels = [{"class": 1, "pixels": pixels}]
    row.confusion = [{"target": 1, "prediction": 1, "pixels": pixels}]
    row.boundary = [{"class": 1, "both": pixels, "target": pixels, "prediction": pixels + 1}]

    content = dataset_content(summarize([as_table([row])] * 3))

    assert content["confusion"][1][1] == content["classes"][1]["predicted_pixels"] == 3 * pixels
    assert content["classes"][1]["mask_pixels"] == content["ignored_pixels"] == 3 * pixels
    assert content["classes"][1]["boundary_iou"] == 3 * pixels / (3 * (pixels + 1))


def test_each_row_of_a_part_gets_its_own_miou_and_none_where_it_is_not_scored():
    labels, wrong = np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8)
    wrong[:2] = 1
    rows = [
        scored_row(0, labels, labels, 3),
        MaskRow("s", 1, "k1", "u", None),
        scored_row(2, wrong, labels, 3),
    ]
    counts = DatasetCounts(3)

    mious = counts.add(as_table(rows))

    np.testing.assert_array_equal(mious, [1.0, math.nan, 0.25])
    assert counts.image_mious.tolist() == [0.25, 1.0]
    assert (counts.images, counts.scored_images) == (3, 2)


def test_the_mean_confidence_is_of_the_rows_that_have_one():
    rows = [MaskRow("s", n, "k", "u", None, confidence=c) for n, c in enumerate([0.5, None, 1.0])]
    counts = DatasetCounts(3)

    counts.add(as_table(rows))

    assert counts.mean_confidence == 0.75
    assert math.isnan(DatasetCounts(3).mean_confidence)
