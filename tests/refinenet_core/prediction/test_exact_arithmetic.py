"""What the program around a predictor has set does not change what it computes, and stays."""

import subprocess
import sys

import pytest

# In a process of its own: PyTorch's two ways to allow TF32 do not forget one another.
PROGRAM = """
import torch
from refinenet_core.prediction.exact_arithmetic import exact_arithmetic

def said():
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    return cudnn.benchmark, cudnn.deterministic, cudnn.conv.fp32_precision, matmul.fp32_precision

{setting}
before = said()
with exact_arithmetic():
    print(said())
print(said() == before)
{after}
"""
SETTINGS = {
    "nothing": ("", "torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()"),
    "older": (
        "torch.set_float32_matmul_precision('high'); torch.backends.cudnn.benchmark = True",
        "assert torch.get_float32_matmul_precision() == 'high' and torch.backends.cudnn.allow_tf32",
    ),
    "older, for convolutions": (
        "torch.backends.cudnn.allow_tf32 = False",
        "assert not torch.backends.cudnn.allow_tf32",
    ),
    "newer": ("torch.backends.fp32_precision = 'tf32'", ""),
    "newer, for products": ("torch.backends.cuda.matmul.fp32_precision = 'tf32'", ""),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_float32_is_float32_and_the_setting_is_put_back(name):
    setting, after = SETTINGS[name]

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM.format(setting=setting, after=after)],
        check=False,
        capture_output=True,
        text=True,
    )

    assert done.stdout.splitlines() == ["(False, True, 'ieee', 'ieee')", "True"], done.stderr
    assert done.returncode == 0, done.stderr
