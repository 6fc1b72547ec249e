"""Masks that exist already: class ids, misses, and what cannot be scored."""

import numpy as np
import pytest

from encoded_images import encoded
from label_images import IDS, PALETTE, THREE
from pipeline.errors import DecodeError
from pipeline.images.existing_masks import OUTSIDE, PredictionReader
from pipeline.spec.dataset_spec import DecodeSpec, PredictionsSpec


def predicted(mask, max_pixels=1000, **spec):
    reader = PredictionReader(THREE, PredictionsSpec(**spec), DecodeSpec(max_pixels=max_pixels))
    return reader.read(mask if isinstance(mask, bytes) else encoded(mask))


def test_what_a_mask_gives_no_class_is_outside_the_classes():
    ids = predicted(np.array([[0, 1, 2], [3, 200, 255]], np.uint8))

    assert ids.tolist() == [[0, 1, 2], [OUTSIDE] * 3]
    assert ids.dtype == np.uint8


def test_a_map_may_say_what_the_values_stand_for():
    mask = np.array([[0, 1, 3]], np.uint16)

    assert predicted(mask, label_map={3: 0, 1: 255}).tolist() == [[OUTSIDE, OUTSIDE, 0]]
    assert predicted(mask, reduce_zero_label=True).tolist() == [[OUTSIDE, 0, 2]]


def test_a_mask_may_hold_the_classes_colours():
    mask = np.array([[PALETTE[2], PALETTE[0], (1, 2, 3)]], np.uint8)

    assert predicted(mask, encoding="colours").tolist() == [[2, 0, OUTSIDE]]


@pytest.mark.parametrize(
    ("data", "max_pixels", "status", "message"),
    [
        (b"<html>", 9, "undecodable", "in no known image format"),
        (encoded(IDS, "JPEG"), 9, "unsupported", "the mask is JPEG compressed with loss"),
        (encoded(IDS), 5, "too_large", "3x2 pixels are more than decode.max_pixels, 5"),
    ],
)
def test_a_mask_that_cannot_be_read_for_sure_is_refused(data, max_pixels, status, message):
    with pytest.raises(DecodeError, match=message) as caught:
        predicted(data, max_pixels)

    assert caught.value.status == status
