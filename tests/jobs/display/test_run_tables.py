"""What people see of a report: the figures of `summary.json`."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from jobs.display.run_tables import report_table
from pipeline import RunReport
from pipeline.execution.timings import RunTimings
from pipeline.output.mask_table import MaskRow, class_pixels, sparse_confusion
from pipeline.output.part_file import part_file
from pipeline.output.part_name import Part
from pipeline.report.write_summary import report_content
from pipeline.scores.dataset_counts import SUMMARY_COLUMNS, DatasetCounts
from pipeline.scores.summary import combine, summarize_dataset
from pipeline.spec.job_spec import MetricsSpec
from pipeline.stages.receipt import StageSeconds
from refinenet_core import LabelSet, confusion_matrix, label_set

METRICS = MetricsSpec(rule="gt_present")


def dataset(name, labels, *, seed, targets=True):
    """A summary of three images and one that failed."""
    rng, counts = np.random.default_rng(seed), DatasetCounts(len(labels.classes))
    rows = [MaskRow("s", index, "k", "u", None, confidence=0.5) for index in range(4)]
    rows[3].fail("undecodable", "broken")
    for row in rows[:3]:
        prediction, target = rng.integers(0, len(labels.classes) - 1, (2, 9, 9), dtype=np.uint8)
        row.class_pixels = class_pixels(prediction)
        if targets:
            matrix = confusion_matrix(prediction, target, num_classes=len(labels.classes))
            row.confusion = sparse_confusion(matrix)
    data = part_file(rows, Part(name, "s", 0, 4, "end"), {})
    counts.add(pq.read_table(pa.BufferReader(data), columns=list(SUMMARY_COLUMNS)))
    return summarize_dataset(name, labels, counts, METRICS, planned=4, complete=True)


def make_report(*datasets):
    timings = RunTimings({"first": 4}, 2.0, StageSeconds(predict_s=1.5))
    combined = combine(datasets, METRICS)
    return RunReport(
        "job",
        "/out",
        datasets,
        combined,
        timings,
        missing_parts=[],
        foreign_parts=[],
        broken_shards=[],
        within_tolerance=True,
        highlights=[],
    )


def rendered(report, width=100):
    console = Console(file=io.StringIO(), width=width)
    console.print(report_table(report))
    return console.file.getvalue()


LABELS = LabelSet("three", ("[red]a", "b, c", "never"), (), 255)


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_shows_the_figures_of_the_summary(width):
    report = make_report(dataset("first", LABELS, seed=0), dataset("second", LABELS, seed=1))

    text = rendered(report, width)

    content = report_content(report)
    entries = content["datasets"] + content["combined"]
    assert len(entries) == 3
    for entry in entries:
        interval = entry["miou_interval"]
        assert f"{interval['low']:.4f} to {interval['high']:.4f}" in text
        for rule, score in entry["rules"].items():
            assert rule in text
            assert score["miou"] is None or f"{score['miou']:.5f}" in text
        for row in entry["classes"]:
            for name in ("iou", "accuracy", "precision", "f1"):
                assert row[name] is None or f"{row[name]:.5f}" in text
        assert f"{entry['pixel_accuracy']:.5f}" in text
    for words in ("[red]a", "b, c", "never", "gt_present", "1 undecodable", "predict 1.5"):
        assert words in text


def test_a_dataset_without_targets_shows_class_shares_and_confidence():
    report = make_report(dataset("first", LABELS, seed=0, targets=False))

    text = rendered(report)

    for row in report_content(report)["datasets"][0]["classes"]:
        assert f"{row['mask_share']:.2%}" in text
    assert "mean confidence 0.5000" in text
    assert "rule" not in text


def test_cityscapes_categories_have_a_table():
    report = make_report(dataset("first", label_set("cityscapes"), seed=0))

    text = rendered(report)

    categories = report_content(report)["datasets"][0]["categories"]
    for row in categories["classes"]:
        assert row["name"] in text
        assert f"{row['iou']:.5f}" in text
    assert f"{categories['miou']:.5f}" in text
