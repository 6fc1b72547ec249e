"""Summaries: a fold whose order does not matter, from what the tables hold alone."""

import csv
import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.output.mask_table import MaskRow
from pipeline.output.part_file import part_file
from pipeline.output.part_name import Part
from pipeline.report.write_summary import confusion_csv, dataset_content
from pipeline.scores.summary import combine
from pipeline.spec.job_spec import MetricsSpec
from refinenet_core import LabelSet, label_set, scores
from scored_parts import COLOURS, DEFAULTS, LABELS, as_table, part_table, scored_row, summarize


def test_counts_are_those_of_the_rows_and_predictions_outside_the_classes_are_misses():
    content = dataset_content(summarize([part_table(0), part_table(1)]))

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
    assert content["classes"][0]["predicted_pixels"] == counts[:, 0].sum()


def test_all_six_rules_stand_beside_the_one_asked_for():
    tables = [part_table(0), part_table(1)]
    by_rule = {
        rule: dataset_content(summarize(tables, MetricsSpec(rule=rule)))
        for rule in summarize(tables).scores.rules
    }

    assert len(by_rule) == 6
    for rule, content in by_rule.items():
        assert content["rule"] == rule
        assert content["miou"] == content["rules"][rule]["miou"]
        assert content["rules"] == by_rule["union_present"]["rules"]
    rules = by_rule["union_present"]["rules"]
    assert rules["gt_present"]["absent"] == ["c"]
    assert rules["gt_present"]["averaged"] == 2
    assert rules["union_present"]["absent"] == []
    images = [scores(table_counts(table, row)).miou for table in tables for row in (0, 1)]
    assert rules["image_mean"] == {
        "miou": pytest.approx(np.mean(images)),
        "averaged": 4,
        "absent": [],
    }


def table_counts(table, row):
    """A row's confusion matrix."""
    counts = np.zeros((3, 4), dtype=np.int64)
    for cell in table["confusion"][row].as_py():
        counts[cell["target"], cell["prediction"]] = cell["pixels"]
    return counts


def test_the_images_own_mious_are_spread_over_quantiles_and_a_histogram():
    half, full = np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8)
    half[:2] = 7  # outside the classes
    void = np.full((4, 4), 255, np.uint8)
    rows = [
        scored_row(number, prediction, target, 3)
        for number, (prediction, target) in enumerate([(half, full), (full, full), (full, void)])
    ]

    content = dataset_content(summarize([as_table(rows)]))["image_miou"]

    assert (content["images"], content["undefined"]) == (2, 1)
    assert content["quantiles"]["0.0"] == 0.5
    assert content["quantiles"]["0.5"] == 0.75
    assert content["quantiles"]["1.0"] == 1.0
    filled = {
        content["histogram"]["edges"][place]: images
        for place, images in enumerate(content["histogram"]["images"])
        if images
    }
    assert filled == {0.5: 1, 0.95: 1}


def test_boundary_iou_is_there_if_its_counts_are():
    table = part_table(0)
    bare = table.set_column(
        table.schema.get_field_index("boundary"),
        "boundary",
        pa.nulls(table.num_rows, table.schema.field("boundary").type),
    )

    with_counts, without = summarize([table]), summarize([bare])

    expected = with_counts.counts.boundary.iou
    content = dataset_content(with_counts)
    assert [row["boundary_iou"] for row in content["classes"]] == expected.tolist()
    assert content["mean_boundary_iou"] == pytest.approx(expected.mean())
    assert dataset_content(without)["mean_boundary_iou"] is None
    assert {row["boundary_iou"] for row in dataset_content(without)["classes"]} == {None}


def test_cityscapes_has_categories_and_others_have_none():
    labels = label_set("cityscapes")
    rng = np.random.default_rng(0)
    prediction, target = rng.integers(0, 19, (2, 20, 20), dtype=np.uint8)

    summary = summarize([as_table([scored_row(0, prediction, target, 19)])], labels=labels)

    categories = dataset_content(summary)["categories"]
    assert [row["name"] for row in categories["classes"]][-1] == "vehicle"
    assert categories["miou"] == pytest.approx(
        np.mean([row["iou"] for row in categories["classes"]])
    )
    assert sum(row["target_pixels"] for row in categories["classes"]) == 400
    assert dataset_content(summarize([part_table(0)]))["categories"] is None


def test_datasets_of_the_same_classes_are_also_scored_together():
    other = LabelSet("other", LABELS.classes, COLOURS[::-1], 0)
    another = LabelSet("another", ("a", "c", "b"), COLOURS, 255)
    first = summarize([part_table(0)], name="first")
    second = summarize([part_table(1)], labels=other, name="second")
    third = summarize([part_table(2)], labels=another, name="third", planned=None, complete=False)

    [both] = combine([first, second, third], DEFAULTS)

    assert both.datasets == ("first", "second")
    content = dataset_content(both)
    whole = dataset_content(summarize([part_table(0), part_table(1)]))
    differing = {name for name in content if content[name] != whole[name]}
    assert differing == {"name", "datasets", "images", "ignore_index"}  # planned: 16
    assert combine([first, third], DEFAULTS) == []


def test_a_dataset_without_targets_has_class_shares_and_confidence():
    rows = [
        MaskRow("s", number, "k", "u", None, confidence=confidence)
        for number, confidence in enumerate([0.5, 0.75])
    ]
    rows[0].class_pixels = [{"class": 0, "pixels": 30}, {"class": 2, "pixels": 10}]
    rows[1].class_pixels = [{"class": 2, "pixels": 40}]

    content = dataset_content(summarize([as_table(rows)]))

    assert content["mean_confidence"] == 0.625
    assert [row["mask_share"] for row in content["classes"]] == [30 / 80, 0, 50 / 80]
    assert [row["mask_pixels"] for row in content["classes"]] == [30, 0, 50]
    for name in ("rule", "miou", "miou_interval", "rules", "image_miou", "confusion"):
        assert content[name] is None, name
    assert {row["iou"] for row in content["classes"]} == {None}


def test_a_dataset_of_which_nothing_is_committed_has_no_scores_and_is_not_complete():
    summary = summarize([], complete=False)

    content = dataset_content(summary)
    assert content["complete"] is False
    assert content["miou"] is content["mean_confidence"] is None
    assert json.dumps(content, allow_nan=False)


def test_the_confusion_matrix_as_csv_is_the_summarys_with_names():
    labels = LabelSet("odd names", ("a, b", 'say "c"', "d"), COLOURS, 255)
    summary = summarize([part_table(0)], labels=labels)

    header, *rows = csv.reader(io.StringIO(confusion_csv(summary).decode()))

    assert header == ["target", "a, b", 'say "c"', "d", "outside"]
    assert [row[0] for row in rows] == list(labels.classes)
    assert [list(map(int, row[1:])) for row in rows] == dataset_content(summary)["confusion"]


def test_the_same_rows_give_the_same_file_and_the_file_says_whose_it_is():
    rows = [MaskRow("s", 0, "k", "u", None)]
    part = Part("d", "s", 7, 1, "end")

    first, second = (part_file(rows, part, {"model": "m"}) for _ in range(2))

    assert first == second
    metadata = json.loads(pq.read_schema(pa.BufferReader(first)).metadata[b"refinenet_batch"])
    assert metadata["fingerprint"] == {"model": "m"}
    assert metadata["part"]["number"] == 7
