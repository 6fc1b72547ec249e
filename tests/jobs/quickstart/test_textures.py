"""Textures: shares of a second colour, which vary over a surface and with the seed."""

import numpy as np
import pytest

from jobs.quickstart.scenes import CLASSES
from jobs.quickstart.textures import TEXTURES


def drawn(name, seed=0):
    v, u = np.mgrid[-40:80, -40:80].astype(np.float32)
    return TEXTURES[name](np.random.default_rng(seed), u, v)


def test_there_is_a_texture_for_every_class():
    assert set(TEXTURES) == set(CLASSES)


@pytest.mark.parametrize("name", TEXTURES)
def test_a_texture_is_a_share_at_every_point_and_uses_both_colours(name):
    weight = drawn(name)

    assert weight.shape == (120, 120)
    assert weight.min() >= 0
    assert weight.max() <= 1
    assert 0.1 < weight.mean() < 0.9
    assert weight.max() - weight.min() > 0.5


@pytest.mark.parametrize("name", TEXTURES)
def test_a_seed_gives_the_same_texture_and_another_another(name):
    first, again, other = drawn(name, 1), drawn(name, 1), drawn(name, 2)

    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
