"""Run lengths: pycocotools writes the same, and reads ours back to the same pixels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco

from pipeline.export.run_lengths import class_runs

SHAPES = st.tuples(st.integers(1, 12), st.integers(1, 12))
LABEL_MAPS = hnp.arrays(np.uint8, SHAPES, elements=st.sampled_from([0, 1, 2, 255]), fill=st.just(1))


@given(LABEL_MAPS)
@settings(max_examples=300, deadline=None)
def test_every_class_is_encoded_as_pycocotools_does(labels):
    found = class_runs(labels)

    assert sorted(found) == np.unique(labels).tolist()
    for class_id, runs in found.items():
        expected = coco.encode(np.asfortranarray(labels == class_id, dtype=np.uint8))
        assert runs.compressed() == expected["counts"].decode()
        assert runs.area == coco.area(expected)
        assert list(runs.box) == coco.toBbox(expected).tolist()


# pycocotools has not followed numpy 2 yet.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
@pytest.mark.parametrize("stripe", [1, 700, 40_000])
def test_runs_longer_than_any_group_of_bits_decode_to_the_same_pixels(stripe):
    """Lengths shrink and grow by turns, so that differences of each sign and size are there."""
    places = np.arange(3_000_000)
    labels = ((places // stripe) % 3 + (places > 1_500_000)).astype(np.uint8).reshape(2000, 1500)

    for class_id, runs in class_runs(labels).items():
        text = {"size": list(labels.shape), "counts": runs.compressed()}
        np.testing.assert_array_equal(coco.decode(text), labels == class_id)


def test_a_label_map_without_pixels_is_refused():
    with pytest.raises(ValueError, match="no pixels"):
        class_runs(np.empty((0, 4), dtype=np.uint8))
