"""What "auto" stands for, and what is refused."""

import pytest

from refinenet_core import resolve_precision


def test_on_a_cpu_auto_is_float32():
    assert resolve_precision("auto", "cpu") == "float32"


@pytest.mark.parametrize("device", ["cpu", "cuda:1"])
def test_what_is_asked_for_is_taken(device):
    assert resolve_precision("float16", device) == "float16"


def test_a_precision_that_there_is_not_is_named():
    with pytest.raises(ValueError, match="'float8'; choose auto, float32, bfloat16, float16"):
        resolve_precision("float8", "cpu")
