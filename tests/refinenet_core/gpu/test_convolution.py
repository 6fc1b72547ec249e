"""Convolution as a product against PyTorch's: in Triton's interpreter, compiled, and on a GPU."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from compile_kernel import compile_kernel
from refinenet_core.gpu.convolution import convolution_kernel, convolve

WINDOWS = [(1, 1, 0), (1, 2, 0), (3, 1, 1), (3, 2, 1), (7, 2, 3)]  # side, stride, padding


def drawn(shape, outputs, window, dtype, device="cpu"):
    generator = torch.Generator().manual_seed(0)
    side, stride, padding = window
    x = torch.randn(shape, generator=generator)
    weight = torch.randn(side, side, shape[1], outputs, generator=generator)
    weight /= side * shape[1] ** 0.5
    bias = torch.randn(outputs, generator=generator)
    size = [(length + 2 * padding - side) // stride + 1 for length in shape[2:]]
    added = torch.randn(shape[0], outputs, *size, generator=generator)
    return [each.to(device, dtype) for each in (x, weight, bias, added)]


def plainly(x, weight, bias, added, window):
    _, stride, padding = window
    filters = weight.double().permute(3, 2, 0, 1)
    with torch.backends.cudnn.flags(enabled=False):  # which would plan for seconds
        out = functional.conv2d(x.double(), filters, bias.double(), stride, padding)
    return (out + added.double()).relu()


def assert_close_to(found, expected, dtype):
    assert found.dtype == dtype
    step = torch.finfo(dtype).eps
    torch.testing.assert_close(found.double(), expected, rtol=4 * step, atol=4 * step)


# Triton's interpreter multiplies no matrices of bfloat16.
@settings(deadline=None, max_examples=6)
@given(
    inputs=st.sampled_from([3, 16, 70]),
    outputs=st.sampled_from([5, 33, 64]),
    height=st.integers(1, 9),
    width=st.integers(1, 12),
    window=st.sampled_from(WINDOWS),
)
def test_the_kernel_is_the_convolution_of_the_textbook(  # noqa: PLR0917 - hypothesis names them
    interpreter, inputs, outputs, height, width, window
):
    x, weight, bias, added = drawn((2, inputs, height, width), outputs, window, torch.float16)
    _, stride, padding = window

    found = interpreter(
        convolve,
        x,
        weight,
        bias,
        stride=stride,
        padding=padding,
        added_BCHW=added,
        activation="relu",
    )

    assert_close_to(found, plainly(x, weight, bias, added, window), torch.float16)


@pytest.mark.parametrize("inputs", [3, 16])
def test_what_is_not_a_number_stays_so(interpreter, inputs):
    x, weight, bias, _ = drawn((1, inputs, 7, 7), 8, (3, 1, 1), torch.float16)
    x[0, 0, 3, 3] = torch.nan

    found = interpreter(convolve, x, weight, bias, padding=1, activation="relu6")

    assert found.isnan()[0, :, 2:5, 2:5].all()
    assert found.isnan().sum() == 9 * 8


@pytest.mark.parametrize(
    ("capability", "gathered", "product"),
    [(80, False, "mma.sync"), (90, False, "wgmma"), (90, True, "wgmma")],
)
def test_the_kernel_compiles_for_tensor_cores(capability, gathered, product):
    signature = dict.fromkeys(("x", "weight", "bias", "added", "out"), "*bf16")
    sizes = ("pixels", "height", "width", "out_height", "out_width", "in_channels", "out_channels")
    signature |= dict.fromkeys(sizes, "i32")
    signature |= {"KERNEL": (3,), "STRIDE": (1,), "PADDING": (1,), "GATHERED": (gathered,)}
    signature |= {"ADDED": (True,), "ACTIVATION": ("relu",)}
    signature |= {"PIXELS": (128,), "OUTPUTS": (64,), "INPUTS": (32 if gathered else 64,)}

    ptx = compile_kernel(convolution_kernel, signature, capability, num_warps=4, num_stages=3)

    assert product in ptx


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    ("inputs", "outputs", "size"),
    [
        (3, 64, (45, 61)),
        (70, 21, (45, 61)),
        (256, 256, (94, 125)),
        (96, 128, (13, 16)),
        (64, 5, (1, 1)),
    ],
)
def test_on_a_gpu_the_kernel_is_the_convolution_of_the_textbook(
    inputs, outputs, size, dtype, window
):
    x, weight, bias, added = drawn((2, inputs, *size), outputs, window, dtype, device="cuda")
    _, stride, padding = window

    found = convolve(
        x, weight, bias, stride=stride, padding=padding, added_BCHW=added, activation="relu"
    )

    assert_close_to(found, plainly(x, weight, bias, added, window), dtype)
