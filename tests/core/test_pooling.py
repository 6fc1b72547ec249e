"""The fast maximum against PyTorch's pooling."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from refinenet_core import pooling
from refinenet_core.pooling import max_pool_5x5


def expected(x):
    return functional.max_pool2d(x, kernel_size=5, stride=1, padding=2)


@settings(deadline=None, max_examples=60)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 23), st.integers(1, 23)),
    band_bytes=st.sampled_from([1, 700, 1 << 19]),
    channels_last=st.booleans(),
    seed=st.integers(0, 99),
)
def test_it_is_the_pooling_of_pytorch(shape, band_bytes, channels_last, seed):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).round()
    x = x.to(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    before = x.clone()

    with pytest.MonkeyPatch.context() as patch, torch.inference_mode():
        patch.setattr(pooling, "_BAND_BYTES", band_bytes)
        pooled = max_pool_5x5(x)

    assert torch.equal(pooled, expected(x))
    assert torch.equal(x, before)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_other_precisions_and_not_a_number_come_out_alike(dtype):
    x = torch.randn(1, 8, 20, 20).to(dtype, memory_format=torch.channels_last)
    x[0, 3, 7, 7] = float("nan")

    with torch.inference_mode():
        pooled = max_pool_5x5(x)

    torch.testing.assert_close(pooled, expected(x), equal_nan=True, rtol=0, atol=0)


def test_gradients_flow_where_they_are_asked_for():
    x = torch.randn(1, 4, 9, 9).to(memory_format=torch.channels_last).requires_grad_()

    max_pool_5x5(x).sum().backward()

    assert x.grad.sum() == 4 * 81
