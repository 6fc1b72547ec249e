"""The tables of scores: by rule, by class, by category."""

import io
import math

import numpy as np
import pytest
from rich.console import Console

from jobs.display.score_tables import categories_table, classes_table, fraction, rules_table
from refinenet_core import LabelSet, label_set
from scored_parts import as_table, part_table, scored_row, summarize


def rendered(table):
    console = Console(file=io.StringIO(), width=140)
    console.print(table)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "-"), (math.nan, "-"), (0.0, "0.00000"), (2 / 3, "0.66667")]
)
def test_a_score_has_five_digits_and_an_undefined_one_is_a_dash(value, shown):
    assert fraction(value) == shown


def test_each_rule_has_a_row_which_says_what_it_is_the_mean_of():
    summary = summarize([part_table(0), part_table(1)])

    text = rendered(rules_table([summary]))

    rows = {line.split()[1]: line for line in text.splitlines() if line.strip().startswith("d ")}
    assert rows.keys() == summary.scores.rules.keys()
    assert "2 classes" in rows["gt_present"]
    assert rows["gt_present"].rstrip().endswith("c")  # the class without a target
    assert "4 images" in rows["image_mean"]
    for rule, score in summary.scores.rules.items():
        assert fraction(score.miou) in rows[rule]


def test_of_many_absent_classes_some_are_named():
    labels = LabelSet("nine", tuple("abcdefghi"), (), 255)
    ground = np.zeros((4, 4), np.uint8)

    text = rendered(
        rules_table([summarize([as_table([scored_row(0, ground, ground, 9)])], labels=labels)])
    )

    assert "b, c, d, e and 4 more" in text


def test_classes_are_shown_with_their_scores_and_boundaries():
    summary = summarize([part_table(0)])

    text = rendered(classes_table(summary))

    assert "boundary" in text
    for row in summary.class_rows():
        assert fraction(row["iou"]) in text
        assert fraction(row["boundary_iou"]) in text


def test_only_cityscapes_has_categories():
    rng = np.random.default_rng(0)
    prediction, target = rng.integers(0, 19, (2, 20, 20), dtype=np.uint8)
    rows = [scored_row(0, prediction, target, 19)]
    cityscapes = summarize([as_table(rows)], labels=label_set("cityscapes"))

    text = rendered(categories_table(cityscapes))

    assert "vehicle" in text
    assert "mIoU over categories: 0." in text
    assert categories_table(summarize([part_table(0)])).row_count == 0
