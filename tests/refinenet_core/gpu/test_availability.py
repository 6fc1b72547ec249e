"""Whether kernels can be had, and what is said where they should be and cannot."""

import pytest
import torch

from refinenet_core.gpu import availability, sums


@pytest.fixture(autouse=True)
def _asked_afresh():
    availability.kernels_run.cache_clear()
    yield
    availability.kernels_run.cache_clear()


def test_a_cpu_has_none():
    assert not availability.kernels_run(torch.device("cpu"))


def test_there_are_none_without_triton(monkeypatch):
    monkeypatch.setattr(availability, "find_spec", lambda _: None)

    assert not availability.kernels_run(torch.device("cuda"))


def test_a_gpu_whose_kernels_do_not_compile_is_warned_of():
    """PyTorch has no CUDA here, whose error stands for that of a missing compiler."""
    if torch.cuda.is_available():
        pytest.skip("kernels compile here")

    with pytest.warns(UserWarning, match="without kernels of our own"):
        assert not availability.kernels_run(torch.device("cuda"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_has_them():
    assert availability.kernels_run(torch.device("cuda"))
    assert sums.add_maps([torch.ones(1, 1, 1, 1, device="cuda")]).item() == 1
