"""The blocks of the decoder: what each adds to what."""

import pytest
import torch
from torch import nn

from refinenet_core.networks.blocks import (
    BlockStyle,
    ChainedResidualPooling,
    MultiResolutionFusion,
    RefineNetBlock,
    ResidualConvUnit,
)

LIGHT = BlockStyle(kernel_size=1, adaptation_units=0, output_units=0, poolings=2)


def test_a_units_shortcut_carries_the_input_before_its_relu():
    unit = ResidualConvUnit(2)
    nn.init.zeros_(unit.conv2.weight)
    features = torch.tensor([-3.0, 5.0]).view(1, 2, 1, 1)

    assert torch.equal(unit(features), features)


@pytest.mark.parametrize(
    ("align_corners", "upsampled"), [(True, [0.0, 1.0, 2.0, 3.0]), (False, [0.0, 0.75, 2.25, 3.0])]
)
def test_coarser_paths_are_upsampled_to_the_finest_and_summed(align_corners, upsampled):
    fusion = MultiResolutionFusion([nn.Identity(), nn.Identity()], align_corners=align_corners)
    fine, coarse = torch.full((1, 1, 1, 4), 10.0), torch.tensor([[[[0.0, 3.0]]]])

    fused = fusion([fine, coarse])

    torch.testing.assert_close(fused.flatten(), 10 + torch.tensor(upsampled))


@pytest.mark.parametrize(
    ("improved", "expected"),
    [
        # A single 1 and the weight -1: pooled and then negated, or negated and then pooled.
        (False, [0, 0, -1, -1, 0, -1, -1, 0, 0]),
        (True, [0, 0, 0, 0, 1, 0, 0, 0, 0]),
    ],
)
def test_a_chain_adds_each_pooling_of_the_one_before(improved, expected):
    style = BlockStyle(kernel_size=1, poolings=1, improved_pooling=improved)
    chain = ChainedResidualPooling(1, style)
    nn.init.constant_(chain.convs[0].weight, -1)
    single = torch.zeros(1, 1, 1, 9)
    single[..., 4] = 1

    refined = chain(single)

    assert refined.flatten().tolist() == expected


def test_a_block_has_the_narrowest_paths_width_at_the_first_features_resolution():
    block = RefineNetBlock([8, 16], [6, 4], coarse_channels=5, style=LIGHT)
    features = [torch.rand(1, 8, 12, 10), torch.rand(1, 16, 6, 5)]

    out = block(features, torch.rand(1, 5, 3, 3))

    assert block.channels == 4
    assert out.shape == (1, 4, 12, 10)


def test_a_path_that_is_alone_needs_no_convolution_for_fusing():
    alone = RefineNetBlock([8], [4], coarse_channels=0, style=LIGHT)
    beside_a_coarse_one = RefineNetBlock([8], [4], coarse_channels=4, style=LIGHT)

    assert not list(alone.fusion.parameters())
    assert len(list(beside_a_coarse_one.fusion.parameters())) == 2
