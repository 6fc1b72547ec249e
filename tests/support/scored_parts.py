"""Parts of a mask table with scored rows, as a reader of an output gets them."""

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.output.mask_table import MaskRow, class_pixels, sparse_boundary, sparse_confusion
from pipeline.output.part_file import part_file
from pipeline.output.part_name import Part
from pipeline.scores.dataset_counts import SUMMARY_COLUMNS, DatasetCounts
from pipeline.scores.summary import summarize_dataset
from pipeline.spec.job_spec import MetricsSpec
from refinenet_core import LabelSet, boundary_counts, confusion_matrix

COLOURS = ((0, 0, 0), (1, 1, 1), (2, 2, 2))


LABELS = LabelSet("three", ("a", "b", "c"), COLOURS, 255)


DEFAULTS = MetricsSpec()


def scored_row(index, prediction, target, num_classes):
    """A row as the segmenter makes it, boundary regions included."""
    counts = confusion_matrix(prediction, target, num_classes=num_classes)
    row = MaskRow("s", index, f"k{index}", "u", None)
    row.confusion = sparse_confusion(counts)
    row.boundary = sparse_boundary(boundary_counts(prediction, target, num_classes=num_classes))
    row.ignored_pixels = int((target == 255).sum())
    row.class_pixels = class_pixels(np.minimum(prediction, num_classes - 1))
    row.image_sha256 = hashlib.sha256(prediction.tobytes()).hexdigest()
    return row


def as_table(rows, number=0):
    """The rows as a reader of the output gets them."""
    data = part_file(rows, Part("d", "s", number, len(rows), ""), {})
    return pq.read_table(pa.BufferReader(data), columns=list(SUMMARY_COLUMNS))


def part_table(number):
    """A part of four rows: two scored, one bare, one failed."""
    rng = np.random.default_rng(number)
    rows = []
    for index in range(4):
        row = MaskRow("s", index, f"k{index}", "u", None)
        prediction = rng.integers(0, 5, (6, 7)).astype(np.uint8)  # 3 and 4 are outside the classes
        target = rng.choice([0, 1, 255], (6, 7)).astype(np.uint8)
        if index < 2:
            row = scored_row(index, prediction, target, 3)
        row.confidence = float(rng.random())
        if index == 3:
            row.fail("undecodable", "broken")
            row.confidence = None
        rows.append(row)
    return as_table(rows, number)


def summarize(tables, metrics=DEFAULTS, *, labels=LABELS, name="d", planned=8, complete=True):
    counts = DatasetCounts(len(labels.classes))
    for table in tables:
        counts.add(table)
    return summarize_dataset(name, labels, counts, metrics, planned=planned, complete=complete)
