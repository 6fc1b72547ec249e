"""Sums of maps: in Triton's interpreter and on a GPU."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from refinenet_core.gpu.sums import add_maps


def drawn(maps, shape, dtype, device="cpu"):
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.randn(shape, generator=generator) for _ in range(maps)]
    bias = torch.randn(shape[1], generator=generator)
    return [each.to(device, dtype) for each in drawn], bias.to(device, dtype)


def assert_is_the_sum(found, maps, bias):
    exact = sum(each.double() for each in maps) + bias.double()[:, None, None]
    step = torch.finfo(found.dtype).eps
    torch.testing.assert_close(
        found.double(), functional.relu6(exact), rtol=2 * step, atol=1e-5 + step
    )


@settings(deadline=None, max_examples=6)
@given(
    maps=st.integers(1, 5),
    shape=st.tuples(st.integers(1, 2), st.integers(1, 40), st.integers(1, 9), st.integers(1, 9)),
    dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float16]),
)
def test_maps_and_bias_are_added_and_rounded_once(interpreter, maps, shape, dtype):
    added, bias = drawn(maps, shape, dtype)

    found = interpreter(add_maps, added, bias_C=bias, activation="relu6")

    assert_is_the_sum(found, added, bias)


def test_what_is_not_a_number_stays_so(interpreter):
    [x], _ = drawn(1, (1, 3, 4, 5), torch.float16)
    x[0, 1, 2, 3] = torch.inf - torch.inf

    found = interpreter(add_maps, [x], activation="relu")

    assert found.isnan().nonzero().tolist() == [[0, 1, 2, 3]]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 7, 5, 3), (3, 256, 94, 125)])
def test_on_a_gpu_maps_and_bias_are_added_and_rounded_once(shape, dtype):
    added, bias = drawn(3, shape, dtype, device="cuda")

    assert_is_the_sum(add_maps(added, bias_C=bias, activation="relu6"), added, bias)
