"""Summaries: a fold whose order does not matter, from what the tables hold alone."""

import itertools
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.mask_table import MaskRow, class_pixels, part_file, sparse_confusion
from pipeline.part import Part
from pipeline.summary import SUMMARY_COLUMNS, summarize_dataset
from refinenet_core import LabelSet, confusion_matrix, scores

LABELS = LabelSet("three", ("a", "b", "c"), ((0, 0, 0), (1, 1, 1), (2, 2, 2)), 255)


def part_table(number):
    """A part of four rows as a reader of the output gets it: two scored, one bare, one failed."""
    rng = np.random.default_rng(number)
    rows = []
    for index in range(4):
        row = MaskRow("s", index, f"k{index}", "u", None, confidence=float(rng.random()))
        prediction = rng.integers(0, 5, (6, 7)).astype(np.uint8)  # 3 and 4 are outside the classes
        target = rng.choice([0, 1, 255], (6, 7)).astype(np.uint8)
        if index < 2:
            counts = confusion_matrix(prediction, target, num_classes=3)
            row.confusion = sparse_confusion(counts)
            row.ignored_pixels = int((target == 255).sum())
            row.class_pixels = class_pixels(np.minimum(prediction, 2))
        if index == 3:
            row.fail("undecodable", "broken")
            row.confidence = None
        rows.append(row)
    data = part_file(rows, Part("d", "s", number, 4, ""), {})
    return pq.read_table(pa.BufferReader(data), columns=list(SUMMARY_COLUMNS))


def test_the_order_of_parts_changes_no_bit():
    tables = [part_table(number) for number in range(4)]

    results = {
        json.dumps(summarize_dataset("d", LABELS, order, planned=16, complete=True).to_json())
        for order in itertools.permutations(tables)
    }

    assert len(results) == 1


def test_counts_are_those_of_the_rows_and_predictions_outside_the_classes_are_misses():
    summary = summarize_dataset(
        "d", LABELS, [part_table(0), part_table(1)], planned=8, complete=True
    )

    content = summary.to_json()
    counts = np.array(content["confusion"])
    assert counts.shape == (3, 4)
    assert counts[:, 3].sum() > 0
    assert content["miou"] == scores(counts).miou
    assert content["images"] == {
        "planned": 8,
        "committed": 8,
        "ok": 6,
        "failed": 2,
        "scored": 4,
    }
    assert content["statuses"] == {"ok": 6, "undecodable": 2}
    assert counts.sum() + content["ignored_pixels"] == 4 * 42
    assert content["classes"][2]["target_pixels"] == 0


def test_a_dataset_of_which_nothing_is_committed_has_no_scores_and_is_not_complete():
    summary = summarize_dataset("d", LABELS, [], planned=8, complete=False)

    content = summary.to_json()
    assert content["complete"] is False
    assert content["miou"] is content["mean_confidence"] is None
    assert json.dumps(content, allow_nan=False)


def test_the_same_rows_give_the_same_file_and_the_file_says_whose_it_is():
    rows = [MaskRow("s", 0, "k", "u", None)]
    part = Part("d", "s", 7, 1, "end")

    first, second = (part_file(rows, part, {"model": "m"}) for _ in range(2))

    assert first == second
    metadata = json.loads(pq.read_schema(pa.BufferReader(first)).metadata[b"refinenet_batch"])
    assert metadata["fingerprint"] == {"model": "m"}
    assert metadata["part"]["number"] == 7


@pytest.mark.parametrize("pixels", [2**31 + 1, 2**40])
def test_pixel_counts_past_32_bits_stay_exact(pixels):
    row = MaskRow("s", 0, "k", "u", None, ignored_pixels=pixels)
    row.class_pixels = [{"class": 1, "pixels": pixels}]
    row.confusion = [{"target": 1, "prediction": 1, "pixels": pixels}]
    data = part_file([row], Part("d", "s", 0, 1, "end"), {})
    table = pq.read_table(pa.BufferReader(data), columns=list(SUMMARY_COLUMNS))

    content = summarize_dataset("d", LABELS, [table] * 3, planned=3, complete=True).to_json()

    assert content["confusion"][1][1] == content["classes"][1]["predicted_pixels"] == 3 * pixels
    assert content["ignored_pixels"] == 3 * pixels
