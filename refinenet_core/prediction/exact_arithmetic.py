"""How PyTorch is to compute while a predictor works, whatever the program around it has set."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def exact_arithmetic() -> Iterator[None]:
    """Have equal inputs give equal bytes: no autotuned kernels, no TF32 under float32's name.

    PyTorch has an older and a newer way to allow TensorFloat-32, and refuses to read by the older
    what was set by the newer: both are met here, and left as they were.
    """
    cudnn: Any = torch.backends.cudnn  # whose types know nothing of the newer way
    matmul = torch.backends.cuda.matmul
    benchmark, deterministic = cudnn.benchmark, cudnn.deterministic
    convolutions, products = cudnn.conv.fp32_precision, matmul.fp32_precision
    try:
        older = torch.get_float32_matmul_precision()
    except RuntimeError:  # the newer way was used
        older = None
    cudnn.benchmark, cudnn.deterministic = False, True
    cudnn.conv.fp32_precision = "ieee"
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        cudnn.benchmark, cudnn.deterministic = benchmark, deterministic
        cudnn.conv.fp32_precision = convolutions
        if older is not None:
            torch.set_float32_matmul_precision(older)
        matmul.fp32_precision = products
