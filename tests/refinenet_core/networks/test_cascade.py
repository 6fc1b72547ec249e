"""The cascade: blocks in a row, each refining the output of the coarser one."""

import pytest
import torch

from refinenet_core.networks.blocks import BlockStyle
from refinenet_core.networks.cascade import Cascade

STYLE = BlockStyle(kernel_size=1, adaptation_units=0, output_units=0, poolings=2)


def test_the_finest_features_resolution_and_width_come_out():
    cascade = Cascade([8, 16, 32], [4, 6, 10], inputs=[[2], [0, 1]], styles=[STYLE, STYLE])
    features = [torch.rand(1, 8, 12, 20), torch.rand(1, 16, 6, 10), torch.rand(1, 32, 3, 5)]

    refined = cascade(features)

    assert [block.channels for block in cascade.blocks] == [10, 4]
    assert cascade.channels == 4
    assert refined.shape == (1, 4, 12, 20)


@pytest.mark.parametrize("changed", [0, 1])
def test_every_feature_that_enters_a_block_reaches_the_output(changed):
    torch.manual_seed(0)
    cascade = Cascade([3, 3], [4, 4], inputs=[[1], [0]], styles=[STYLE, STYLE]).eval()
    features = [torch.rand(1, 3, 8, 8), torch.rand(1, 3, 4, 4)]
    before = cascade(features)

    features[changed] = features[changed] + 1

    assert not torch.allclose(cascade(features), before)


def test_each_block_needs_a_style_of_its_own():
    with pytest.raises(ValueError, match="shorter"):
        Cascade([3, 3], [4, 4], inputs=[[1], [0]], styles=[STYLE])
