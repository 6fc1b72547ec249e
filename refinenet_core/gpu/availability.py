"""Whether the GPU's own kernels can be had: the one place that says so."""

import warnings
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from subprocess import CalledProcessError

import torch


@cache
def kernels_run(device: torch.device) -> bool:
    """Say whether Triton compiles and runs kernels for a device; warn once if it should and cannot.

    Without them everything is computed by PyTorch's own, more slowly.

    Raises:
        torch.OutOfMemoryError: There is no memory for a map of one value.
    """
    if device.type != "cuda" or find_spec("triton") is None:
        return False
    sums = import_module("refinenet_core.gpu.sums")
    try:
        with torch.cuda.device(device):
            sums.add_maps([torch.ones(1, 1, 1, 1, device=device)])
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, OSError, CalledProcessError) as error:  # no C compiler, for one
        warnings.warn(f"predicting without kernels of our own, more slowly: {error}", stacklevel=2)
        return False
    return True
