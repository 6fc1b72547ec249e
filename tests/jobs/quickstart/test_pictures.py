"""Pictures for people: panels, captions, colours."""

import numpy as np
import pytest

from jobs.quickstart.pictures import colourise, legend, side_by_side

CLASSES = ("ground", "stripes")
COLOURS = ((10, 200, 30), (240, 20, 60))


def test_each_class_is_drawn_in_its_colour_and_other_ids_in_black():
    labels = np.array([[0, 1], [2, 255]], dtype=np.uint8)

    drawn = colourise(labels, COLOURS)

    assert drawn.tolist() == [[[10, 200, 30], [240, 20, 60]], [[0, 0, 0], [0, 0, 0]]]


def test_the_picture_holds_image_target_prediction_and_overlay_from_left_to_right():
    image = np.full((40, 60, 3), 100, dtype=np.uint8)
    target, prediction = np.zeros((40, 60), np.uint8), np.ones((40, 60), np.uint8)

    picture = side_by_side(image, target, prediction, classes=CLASSES, colours=COLOURS)

    middle = [picture.getpixel((8 + panel * 68 + 30, 20 + 20)) for panel in range(4)]
    assert middle == [(100, 100, 100), (10, 200, 30), (240, 20, 60), (170, 60, 80)]


def test_without_a_target_its_panel_is_left_out():
    image = np.full((40, 60, 3), 100, dtype=np.uint8)
    labels = np.ones((40, 60), np.uint8)

    with_target = side_by_side(image, labels, labels, classes=CLASSES, colours=COLOURS)
    without = side_by_side(image, None, labels, classes=CLASSES, colours=COLOURS)

    assert with_target.width - without.width == 60 + 8
    assert without.getpixel((8 + 68 + 30, 40)) == (240, 20, 60)


def test_the_legend_shows_every_colour_and_takes_more_lines_when_narrow():
    names = [f"class {number}" for number in range(6)]
    colours = [(number * 40, 10, 20) for number in range(6)]

    wide, narrow = legend(names, colours, width=800), legend(names, colours, width=120)

    for drawn in (wide, narrow):
        pixels = {tuple(pixel) for pixel in np.asarray(drawn).reshape(-1, 3).tolist()}
        assert set(colours) <= pixels
    assert narrow.height > wide.height


def test_a_prediction_of_another_size_is_refused():
    image, labels = np.zeros((4, 6, 3), np.uint8), np.zeros((6, 4), np.uint8)

    with pytest.raises(ValueError, match=r"prediction has shape \(6, 4\)"):
        side_by_side(image, None, labels, classes=CLASSES, colours=COLOURS)


def test_classes_without_a_colour_are_refused():
    image, labels = np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), np.uint8)

    with pytest.raises(ValueError, match="2 classes have 1 colours"):
        side_by_side(image, None, labels, classes=CLASSES, colours=COLOURS[:1])
