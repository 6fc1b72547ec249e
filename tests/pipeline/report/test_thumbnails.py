"""Thumbnails: small pictures of label maps, in colours that a page can tell apart."""

import base64
import io

import numpy as np
from PIL import Image

from pipeline.report.thumbnails import (
    LONGEST_PIXELS,
    MENDED,
    UNLABELLED,
    WRONG,
    distinct,
    draw_thumbnails,
)

COLOURS = [(10, 20, 30), (40, 50, 60)]


def test_colours_that_repeat_become_distinct_by_little():
    colours = [(0, 0, 0)] * 300 + [(255, 255, 255), (0, 0, 1)]

    found = distinct(colours)

    assert len(set(found)) == len(found) == 302
    assert found[0] == (0, 0, 0)
    assert found[300] == (255, 255, 255)
    assert all(max(map(abs, np.subtract(a, b))) < 64 for a, b in zip(found, colours, strict=True))


def test_a_prediction_is_drawn_in_its_classes_colours_and_clear_where_there_is_none():
    prediction = np.array([[0, 1], [255, 1]], dtype=np.uint8)

    drawn = pixels_of(draw_thumbnails(prediction, COLOURS).prediction)

    assert drawn[..., 3].tolist() == [[255, 255], [0, 255]]
    assert drawn[0, :, :3].tolist() == [[10, 20, 30], [40, 50, 60]]


def test_errors_mark_what_is_wrong_and_what_has_no_label():
    prediction = np.array([[0, 1, 1]], dtype=np.uint8)
    target = np.array([[0, 0, 255]], dtype=np.uint8)

    errors = pixels_of(draw_thumbnails(prediction, COLOURS, target=target).errors)

    assert errors[0, 0, 3] == 0
    assert tuple(errors[0, 1]) == (*WRONG, 255)
    assert tuple(errors[0, 2, :3]) == UNLABELLED


def test_changes_tell_mended_pixels_from_spoilt_ones():
    before, after = (np.array([row], dtype=np.uint8) for row in ([0, 1, 1], [1, 0, 1]))
    target = np.array([[1, 1, 1]], dtype=np.uint8)

    drawn = draw_thumbnails(before, COLOURS, target=target, other=after)

    changes = pixels_of(drawn.changes)
    assert [tuple(pixel[:3]) for pixel in changes[0, :2]] == [MENDED, WRONG]
    assert changes[0, 2, 3] == 0


def test_large_maps_are_reduced_and_keep_their_shape():
    drawn = draw_thumbnails(np.zeros((3 * LONGEST_PIXELS, LONGEST_PIXELS), np.uint8), COLOURS)

    assert (drawn.height, drawn.width) == (LONGEST_PIXELS, round(LONGEST_PIXELS / 3))
    assert pixels_of(drawn.prediction).shape[:2] == (drawn.height, drawn.width)


def pixels_of(url):
    """Return the pixels of a data URL, shape (H, W, 4)."""
    data = base64.b64decode(url.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))
