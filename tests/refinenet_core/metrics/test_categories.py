"""Categories: Cityscapes' seven, scored as its own scripts score them."""

import numpy as np

from refinenet_core import confusion_matrix, label_set, scores
from refinenet_core.metrics.categories import categories_of, merge_classes

CITYSCAPES = label_set("cityscapes").classes


def test_cityscapes_has_seven_categories_which_hold_each_class_once():
    categories = categories_of(CITYSCAPES)

    assert list(categories) == [
        "flat",
        "construction",
        "object",
        "nature",
        "sky",
        "human",
        "vehicle",
    ]
    assert sorted(class_id for ids in categories.values() for class_id in ids) == list(range(19))
    assert [CITYSCAPES[class_id] for class_id in categories["human"]] == ["person", "rider"]


def test_other_classes_have_no_categories():
    assert categories_of(label_set("camvid").classes) == {}
    assert categories_of(CITYSCAPES[::-1]) == {}


def test_merged_counts_are_those_of_label_maps_of_categories():
    rng = np.random.default_rng(0)
    prediction = rng.integers(0, 25, (30, 40), dtype=np.uint8)  # from 19 up: outside the classes
    target = rng.integers(0, 19, (30, 40), dtype=np.uint8)
    categories = categories_of(CITYSCAPES)
    category_of = np.full(256, 99, np.uint8)
    for category, ids in enumerate(categories.values()):
        category_of[list(ids)] = category

    merged = merge_classes(confusion_matrix(prediction, target, num_classes=19), categories)

    expected = confusion_matrix(category_of[prediction], category_of[target], num_classes=7)
    np.testing.assert_array_equal(merged, expected)
    assert merged[:, 7].sum() > 0


def test_a_rider_taken_for_a_person_is_a_hit_of_its_category():
    counts = np.zeros((19, 20), dtype=np.int64)
    counts[CITYSCAPES.index("rider"), CITYSCAPES.index("person")] = 8
    counts[CITYSCAPES.index("rider"), CITYSCAPES.index("bicycle")] = 2

    result = scores(merge_classes(counts, categories_of(CITYSCAPES)))

    assert scores(counts).pixel_accuracy == 0
    assert result.iou[5] == 0.8
    assert result.miou == 0.4  # vehicle: predicted, never true
