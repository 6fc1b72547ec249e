"""Polygons: they cover a mask to the pixel, and are such as other tools take."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from pipeline.export.polygons import trace_polygons

MASKS = hnp.arrays(np.bool_, st.tuples(st.integers(1, 10), st.integers(1, 10)))


def filled(rings, shape):
    """Rasterise rings by the even-odd rule: each vertical edge turns what is right of it."""
    pixels = np.zeros(shape, dtype=bool)
    for ring in rings:
        for (x, y), (next_x, next_y) in pairwise(ring):
            if x == next_x:
                pixels[min(y, next_y) : max(y, next_y), x:] ^= True
    return pixels


def twice_the_area(ring):
    x, y = np.array(ring).T
    return int((x[:-1] * y[1:] - x[1:] * y[:-1]).sum())


def sample_masks():
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.random((90, 70)), 2) > 0.5
    return [smooth, rng.random((60, 80)) > 0.4, np.indices((20, 20)).sum(axis=0) % 2 == 0]


@given(MASKS)
@settings(max_examples=500, deadline=None)
def test_all_rings_together_cover_the_mask_exactly(mask):
    rings = [ring for polygon in trace_polygons(mask) for ring in polygon]

    np.testing.assert_array_equal(filled(rings, mask.shape), mask)


@given(MASKS)
@settings(max_examples=500, deadline=None)
def test_each_polygon_is_one_connected_piece_less_the_holes_in_it(mask):
    pieces, count = ndimage.label(mask)

    polygons = trace_polygons(mask)

    assert len(polygons) == count
    found = set()
    for outer, *holes in polygons:
        whole = filled([outer], mask.shape)
        for hole in holes:
            inside = filled([hole], mask.shape)
            assert whole[inside].all()  # it lies in the ring, and no other hole has been there
            whole &= ~inside
        [piece] = np.unique(pieces[whole])
        np.testing.assert_array_equal(whole, pieces == piece)
        found.add(piece)
    assert found == set(range(1, count + 1))


@given(MASKS)
@settings(max_examples=300, deadline=None)
def test_rings_are_closed_and_simple_and_turn_as_geojson_asks(mask):
    for outer, *holes in trace_polygons(mask):
        assert twice_the_area(outer) > 0
        assert all(twice_the_area(hole) < 0 for hole in holes)
        for ring in (outer, *holes):
            assert ring[0] == ring[-1]
            assert len(set(ring)) == len(ring) - 1
            steps = np.diff(np.array([*ring, ring[1]]), axis=0)
            assert (np.count_nonzero(steps, axis=1) == 1).all()
            turns = steps[:-1, 0] * steps[1:, 1] - steps[:-1, 1] * steps[1:, 0]
            assert (turns != 0).all()  # no point on a straight line


@pytest.mark.parametrize("mask", sample_masks())
def test_large_masks_are_covered_exactly_too(mask):
    polygons = trace_polygons(mask)

    assert len(polygons) == ndimage.label(mask)[1]
    np.testing.assert_array_equal(
        filled([ring for polygon in polygons for ring in polygon], mask.shape), mask
    )


def test_a_ring_of_pixels_has_its_hole_and_the_pixel_in_it_is_another_polygon():
    mask = np.ones((5, 5), dtype=bool)
    mask[1:4, 1:4] = False
    mask[2, 2] = True

    assert trace_polygons(mask) == [
        [
            [(5, 0), (5, 5), (0, 5), (0, 0), (5, 0)],
            [(1, 1), (1, 4), (4, 4), (4, 1), (1, 1)],
        ],
        [[(3, 2), (3, 3), (2, 3), (2, 2), (3, 2)]],
    ]


def test_an_empty_mask_has_no_polygon():
    assert trace_polygons(np.zeros((4, 3), dtype=bool)) == []
