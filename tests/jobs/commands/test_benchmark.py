"""The command `benchmark`: what cannot be measured is refused in a line."""

import pytest
import torch

from in_process import invoke


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "nope"], "unknown model 'nope'; known are"),
        (["--precision", "int4"], "precision is 'int4'; choose auto"),
        (["--device", "tpu"], "device is 'tpu'; choose cpu or cuda"),
        pytest.param(
            ["--device", "cuda"],
            "but PyTorch finds no GPU",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here"),
        ),
    ],
)
def test_a_benchmark_that_cannot_be_is_refused_in_a_line(arguments, message):
    result = invoke("benchmark", "--size", "32x32", *arguments)

    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_size_that_is_none_is_refused_before_anything_is_measured():
    result = invoke("benchmark", "--size", "32")

    assert result.exit_code == 2
    assert "WIDTHxHEIGHT" in result.stderr
