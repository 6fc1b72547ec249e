"""Encoders: features of the documented widths at the documented resolutions."""

import pytest
import torch

from refinenet_core import build_model
from refinenet_core.networks.encoders import (
    InvertedResidual,
    MobileNetV2Encoder,
    ResNetEncoder,
)


def test_torchvisions_imagenet_weights_load_into_the_encoder_by_name():
    import torchvision

    resnet = torchvision.models.resnet50(weights=None).state_dict()
    encoder = build_model("refinenet50", device="meta").encoder

    assert encoder.state_dict().keys() == resnet.keys() - {"fc.weight", "fc.bias"}


@pytest.mark.parametrize("encoder", [MobileNetV2Encoder, lambda: ResNetEncoder(50)])
@pytest.mark.parametrize("size", [(64, 96), (33, 47), (1, 5)])
def test_features_have_the_stated_channels_and_strides_rounded_up(encoder, size):
    with torch.device("meta"):
        made = encoder().eval()
        features = made(torch.empty(2, 3, *size))

    assert [tuple(feature.shape) for feature in features] == [
        (2, channels, -(-size[0] // stride), -(-size[1] // stride))
        for channels, stride in zip(made.channels, made.strides, strict=True)
    ]


@pytest.mark.parametrize(
    ("out_channels", "stride", "added"), [(8, 1, True), (8, 2, False), (16, 1, False)]
)
def test_a_bottleneck_adds_its_input_where_the_shape_stays(out_channels, stride, added):
    block = InvertedResidual(8, out_channels, stride=stride, expansion=6).eval()
    torch.nn.init.zeros_(block.project.conv.weight)
    features = torch.rand(1, 8, 6, 6)

    out = block(features)

    assert out.shape == (1, out_channels, 6 // stride, 6 // stride)
    assert torch.equal(out, features) if added else not out.any()
