"""Pooling against PyTorch's: in Triton's interpreter, compiled, and on a GPU."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from compile_kernel import compile_kernel
from refinenet_core.gpu.max_pooling import max_pool, max_pool_kernel

WINDOWS = [(5, 1, 2), (3, 2, 1)]  # side, stride, padding: of the decoder, of ResNet's first pooling


def strange_map(shape, dtype, seed=0, device="cpu"):
    """Return values of which some are infinite and some are no numbers."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=generator)
    odd = torch.rand(shape, generator=generator)
    x[odd < 0.02] = torch.nan
    x[(odd > 0.02) & (odd < 0.04)] = torch.inf
    x[odd > 0.9] = -torch.inf
    return x.to(device, dtype)


def assert_equals_pytorch(pooled, x, window):
    expected = functional.max_pool2d(x, *window)
    assert pooled.dtype == x.dtype
    torch.testing.assert_close(pooled, expected, rtol=0, atol=0, equal_nan=True)


@settings(deadline=None, max_examples=6)
@given(
    images=st.integers(1, 2),
    channels=st.sampled_from([1, 3, 70]),
    height=st.integers(1, 19),
    width=st.integers(1, 19),
    window=st.sampled_from(WINDOWS),
    dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float16]),
)
def test_the_kernel_gives_pytorchs_values(  # noqa: PLR0917 - hypothesis names them
    interpreter, images, channels, height, width, window, dtype
):
    x = strange_map((images, channels, height, width), dtype)
    side, stride, padding = window

    pooled = interpreter(max_pool, x, side, stride=stride, padding=padding)

    assert_equals_pytorch(pooled, x, window)


@pytest.mark.parametrize(("capability", "dtype"), [(80, "*bf16"), (90, "*fp32")])
def test_the_kernel_compiles_for_a_gpu_and_loads_each_value_once_a_row(capability, dtype):
    signature = dict.fromkeys(("x", "out"), dtype)
    signature |= dict.fromkeys(
        ("height", "width", "out_height", "out_width", "channels", "strips"), "i32"
    )
    signature |= {"KERNEL": (5,), "STRIDE": (1,), "PADDING": (2,)}
    signature |= {"ROWS": (12,), "COLUMNS": (8,), "CHANNELS": (64,)}

    ptx = compile_kernel(max_pool_kernel, signature, capability, num_warps=4)

    values_of_a_thread = 8 * 64 // 128
    assert ptx.count("ld.global") == (12 + 4) * 5 * values_of_a_thread  # 25 * 12 without sharing
    assert ptx.count("st.global") == 12 * values_of_a_thread


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    "shape", [(1, 1, 1, 1), (2, 3, 1, 300), (3, 70, 45, 61), (2, 256, 94, 125)]
)
def test_on_a_gpu_the_kernel_gives_pytorchs_values(shape, dtype, window):
    x = strange_map(shape, dtype, device="cuda")
    side, stride, padding = window

    assert_equals_pytorch(max_pool(x, side, stride=stride, padding=padding), x, window)
