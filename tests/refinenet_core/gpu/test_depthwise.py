"""Depthwise convolution against PyTorch's: in Triton's interpreter, compiled, and on a GPU."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from compile_kernel import compile_kernel
from refinenet_core.gpu.depthwise import depthwise_conv, depthwise_kernel

WINDOWS = [(3, 1, 1), (3, 2, 1), (5, 1, 2), (7, 2, 0), (1, 1, 0)]  # side, stride, padding
ACTIVATIONS = {"none": lambda x: x, "relu": torch.relu, "relu6": functional.relu6}


def drawn(shape, side, dtype, device="cpu"):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator) * 4
    weight = torch.randn(side, side, shape[1], generator=generator) / side
    bias = torch.randn(shape[1], generator=generator)
    return [each.to(device, dtype) for each in (x, weight, bias)]


def plainly(x, weight, bias, window, activations):
    _, stride, padding = window
    before, after = activations
    filters = weight.double().permute(2, 0, 1)[:, None]
    given = ACTIVATIONS[before](x.double())
    with torch.backends.cudnn.flags(enabled=False):  # which would plan for seconds
        out = functional.conv2d(given, filters, bias.double(), stride, padding, groups=len(filters))
    return ACTIVATIONS[after](out)


def assert_close_to(found, expected, dtype):
    assert found.dtype == dtype
    step = torch.finfo(dtype).eps
    torch.testing.assert_close(found.double(), expected, rtol=4 * step, atol=16 * step)


@settings(deadline=None, max_examples=6)
@given(
    channels=st.sampled_from([1, 33, 64]),
    height=st.integers(7, 15),
    width=st.integers(7, 18),
    window=st.sampled_from(WINDOWS),
    dtype=st.sampled_from([torch.float32, torch.float16]),
    before=st.sampled_from(list(ACTIVATIONS)),
    after=st.sampled_from(list(ACTIVATIONS)),
)
def test_the_kernel_is_the_convolution_of_the_textbook(  # noqa: PLR0917 - hypothesis names them
    interpreter, channels, height, width, window, dtype, before, after
):
    side, stride, padding = window
    x, weight, bias = drawn((2, channels, height, width), side, dtype)

    found = interpreter(
        depthwise_conv,
        x,
        weight,
        bias,
        stride=stride,
        padding=padding,
        before=before,
        after=after,
    )

    assert_close_to(found, plainly(x, weight, bias, window, (before, after)), dtype)


@pytest.mark.parametrize("activation", ["relu", "relu6"])
def test_what_is_not_a_number_stays_so(interpreter, activation):
    """Most fused activations make it 0, and nobody learns of the overflow."""
    x, weight, bias = drawn((1, 4, 9, 9), 3, torch.float16)
    x[0, 2, 4, 4] = torch.nan

    found = interpreter(
        depthwise_conv, x, weight, bias, stride=1, padding=1, before=activation, after=activation
    )

    assert found.isnan()[0, 2, 3:6, 3:6].all()
    assert found.isnan().sum() == 9


@pytest.mark.parametrize(("capability", "side", "rows"), [(80, 3, 4), (90, 7, 1)])
def test_the_kernel_compiles_for_a_gpu(capability, side, rows):
    signature = dict.fromkeys(("x", "weight", "bias", "out"), "*bf16")
    sizes = ("height", "width", "out_height", "out_width", "channels", "strips")
    signature |= dict.fromkeys(sizes, "i32")
    signature |= {"KERNEL": (side,), "STRIDE": (1,), "PADDING": (side // 2,)}
    signature |= {"BEFORE": ("relu6",), "AFTER": ("relu6",)}
    signature |= {"ROWS": (rows,), "COLUMNS": (16,), "CHANNELS": (32,)}

    ptx = compile_kernel(depthwise_kernel, signature, capability, num_warps=4)

    assert "min.NaN" in ptx


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", [(2, 3, 7, 300), (3, 70, 45, 61), (16, 96, 94, 125)])
def test_on_a_gpu_the_kernel_is_the_convolution_of_the_textbook(shape, dtype, window):
    side, stride, padding = window
    x, weight, bias = drawn(shape, side, dtype, device="cuda")

    found = depthwise_conv(
        x, weight, bias, stride=stride, padding=padding, before="relu6", after="relu"
    )

    assert_close_to(found, plainly(x, weight, bias, window, ("relu6", "relu")), dtype)
