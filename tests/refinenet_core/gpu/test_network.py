"""Networks of the GPU's kernels against the plain ones: block by block, and whole on a GPU."""

import pytest
import torch
from torch import nn

from competing_network import competing_network
from refinenet_core import MultiScalePredictor, build_model, list_models
from refinenet_core.gpu.network import fuse_network
from refinenet_core.networks.blocks import (
    BlockStyle,
    ChainedResidualPooling,
    RefineNetBlock,
    ResidualConvUnit,
)
from refinenet_core.networks.encoders import Bottleneck, ConvNormActivation, InvertedResidual
from refinenet_core.prediction.batch_norm_folding import folded_copy
from triton_interpreter import call_fused

LIGHT = BlockStyle(kernel_size=1, adaptation_units=0, output_units=0, activation="relu6")
FULL = BlockStyle(adaptation_units=1, output_units=1, poolings=1)


def map_of(channels, *size, seed=0):
    return torch.randn(2, channels, *size, generator=torch.Generator().manual_seed(seed))


class Folded(nn.Module):
    """A block in evaluation mode, its normalisations folded as in a network of ours."""

    def __new__(cls, block):
        torch.manual_seed(1)
        for module in block.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.bias)
                nn.init.uniform_(module.running_var, 0.5, 2)
        network = build_model("refinenet_lw_mobilenet_v2")
        network.encoder = block
        return folded_copy(network).encoder


BLOCKS = {
    "stem": (lambda: ConvNormActivation(3, 32, kernel_size=3, stride=2), (map_of(3, 9, 12),)),
    "linear": (lambda: ConvNormActivation(16, 24, linear=True), (map_of(16, 5, 6),)),
    "residual": (lambda: InvertedResidual(8, 8, stride=1, expansion=6), (map_of(8, 6, 9),)),
    "strided": (lambda: InvertedResidual(8, 16, stride=2, expansion=6), (map_of(8, 7, 9),)),
    "bottleneck": (lambda: Bottleneck(64, 16, stride=1), (map_of(64, 5, 7),)),
    "downsampling": (lambda: Bottleneck(32, 16, stride=2), (map_of(32, 7, 9),)),
    "unit": (lambda: ResidualConvUnit(32), (map_of(32, 6, 7),)),
    "chain": (lambda: ChainedResidualPooling(16, LIGHT), (map_of(16, 7, 11),)),
    "improved chain": (
        lambda: ChainedResidualPooling(16, BlockStyle(improved_pooling=True, poolings=2)),
        (map_of(16, 7, 11),),
    ),
    "light block": (
        lambda: RefineNetBlock([16, 24], [16, 16], coarse_channels=16, style=LIGHT),
        ([map_of(16, 8, 9), map_of(24, 4, 5, seed=1)], map_of(16, 3, 3, seed=2)),
    ),
    "alone": (
        lambda: RefineNetBlock([16], [16], coarse_channels=0, style=LIGHT),
        ([map_of(16, 6, 7)], None),
    ),
    "full block": (
        lambda: RefineNetBlock([16], [16], coarse_channels=32, style=FULL),
        ([map_of(16, 6, 7)], map_of(32, 3, 4, seed=1)),
    ),
}


def in_type(given, dtype, device="cpu"):
    if isinstance(given, list):
        return [in_type(each, dtype, device) for each in given]
    return None if given is None else given.to(device, dtype)


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_block_of_kernels_does_what_the_plain_one_does(interpreter, name, dtype):
    make, given = BLOCKS[name]
    block = Folded(make()).to(dtype)
    given = tuple(in_type(each, dtype) for each in given)
    with torch.inference_mode():
        expected = block.double()(*(in_type(each, torch.float64) for each in given))
    block = block.to(dtype)

    found = interpreter(call_fused, block, *given)

    step = torch.finfo(dtype).eps
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), expected, rtol=32 * step, atol=64 * step)


@pytest.mark.parametrize("name", list_models())
def test_nothing_that_a_gpu_plans_for_long_is_left_in_a_network(name):
    """Depthwise convolutions by cuDNN cost seconds a size; those of one pixel need none at all."""
    with torch.device("meta"):
        network = build_model(name).to(torch.bfloat16)

    fuse_network(network)

    assert not [module for module in network.modules() if isinstance(module, nn.Conv2d)]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", list_models())
def test_on_a_gpu_a_network_of_kernels_does_what_the_plain_one_does(name):
    network = competing_network(name)
    images = map_of(3, 97, 130).cuda()
    with torch.inference_mode():
        with torch.backends.cudnn.flags(enabled=False):  # which would plan for seconds
            expected = folded_copy(network).cuda().double()(images.double())
        for precision, atol in (("float32", 1e-3), ("float16", 0.1), ("bfloat16", 0.6)):
            fused = MultiScalePredictor(network, device="cuda", precision=precision).network
            assert not [each for each in fused.modules() if isinstance(each, nn.Conv2d)]
            with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
                found = fused(images.to(getattr(torch, precision)))
            torch.testing.assert_close(found.double(), expected, rtol=0, atol=atol)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("layer", ["conv1", "conv2"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_on_a_gpu_no_fused_activation_hides_what_is_not_a_number(layer, dtype):
    unit = ResidualConvUnit(64).cuda().to(dtype)
    getattr(unit, layer).weight.data[3, 0, 1, 1] = torch.nan
    with torch.inference_mode():
        found = call_fused(unit, map_of(64, 12, 12).cuda().to(dtype))

    assert found.isnan().any()
