"""Enlargement and sum against PyTorch's: in Triton's interpreter, compiled, and on a GPU."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from compile_kernel import compile_kernel
from refinenet_core.gpu.upsampling import add_upsampled, add_upsampled_kernel

sides = st.integers(1, 18)


def drawn(shape, dtype, seed, device="cpu"):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(device, dtype)


def plainly(fine, coarse, *, align_corners):
    enlarged = functional.interpolate(
        coarse.double(), size=fine.shape[2:], mode="bilinear", align_corners=align_corners
    )
    return functional.relu6(fine.double() + enlarged)


def assert_close_to(found, expected, dtype):
    assert found.dtype == dtype
    step = torch.finfo(dtype).eps
    torch.testing.assert_close(found.double(), expected, rtol=2 * step, atol=1e-5 + 2 * step)


@settings(deadline=None, max_examples=6)
@given(
    size=st.tuples(sides, sides),
    coarse=st.tuples(sides, sides),
    channels=st.sampled_from([1, 70]),
    dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float16]),
    align_corners=st.booleans(),
)
def test_the_kernel_enlarges_as_pytorch_does(  # noqa: PLR0917 - hypothesis names them
    interpreter, size, coarse, channels, dtype, align_corners
):
    fine, coarse = drawn((2, channels, *size), dtype, 0), drawn((2, channels, *coarse), dtype, 1)
    options = {"align_corners": align_corners, "activation": "relu6"}

    found = interpreter(add_upsampled, fine, coarse, **options)

    assert_close_to(found, plainly(fine, coarse, align_corners=align_corners), dtype)


@pytest.mark.parametrize("capability", [80, 90])
def test_the_kernel_compiles_for_a_gpu(capability):
    signature = dict.fromkeys(("fine", "coarse", "out"), "*bf16")
    sizes = ("height", "width", "coarse_height", "coarse_width", "channels")
    signature |= dict.fromkeys(sizes, "i32") | dict.fromkeys(("down", "across"), "fp32")
    signature |= {"ALIGN_CORNERS": (True,), "ACTIVATION": ("relu",)}
    signature |= {"COLUMNS": (16,), "CHANNELS": (64,)}

    ptx = compile_kernel(add_upsampled_kernel, signature, capability, num_warps=4)

    assert "max.NaN" in ptx


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("coarse", [(1, 1), (47, 63), (94, 125)])
def test_on_a_gpu_the_kernel_enlarges_as_pytorch_does(coarse, dtype, align_corners):
    fine = drawn((3, 256, 94, 125), dtype, 0, device="cuda")
    small = drawn((3, 256, *coarse), dtype, 1, device="cuda")

    found = add_upsampled(fine, small, align_corners=align_corners, activation="relu6")

    assert_close_to(found, plainly(fine, small, align_corners=align_corners), dtype)
