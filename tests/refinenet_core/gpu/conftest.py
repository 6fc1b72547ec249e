"""Triton's interpreter, for the tests of this folder."""

import importlib.util

import pytest

from triton_interpreter import running_interpreter

if importlib.util.find_spec("triton") is None:
    pytest.skip("Triton is not installed; PyTorch brings it on Linux", allow_module_level=True)


@pytest.fixture(scope="session")
def interpreter():
    """Calls functions of importable modules in a process that interprets Triton's kernels."""
    with running_interpreter() as call:
        yield call
