"""The confusions of classes: which come first, and what an image's largest error is."""

import numpy as np

from pipeline.scores.worst_confusions import largest_error, worst_confusions


def test_the_worst_confusions_come_by_their_share_of_the_class():
    counts = np.array([[90, 10, 0, 0], [0, 0, 0, 4], [500, 0, 1500, 0]])

    found = worst_confusions(counts, ["a", "b", "c"], most=3)

    assert [(each.target, each.prediction, each.pixels) for each in found] == [
        ("b", "no class", 4),
        ("c", "a", 500),
        ("a", "b", 10),
    ]
    assert [each.share for each in found] == [1.0, 0.25, 0.1]


def test_an_images_largest_error_is_by_pixels_of_all_that_are_labelled():
    cells = [
        {"target": 0, "prediction": 0, "pixels": 70},
        {"target": 0, "prediction": -1, "pixels": 20},
        {"target": 1, "prediction": 0, "pixels": 10},
    ]

    error = largest_error(cells, ["a", "b"])

    assert (error.target, error.prediction, error.pixels) == ("a", "no class", 20)
    assert error.share == 0.2
    assert largest_error(cells[:1], ["a", "b"]) is None
