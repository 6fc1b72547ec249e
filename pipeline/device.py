"""The device of an actor: whether it is there, and what it can do."""

import platform

import torch

import refinenet_core
from pipeline.errors import DeviceError


def require_gpu() -> None:
    """Raise DeviceError unless PyTorch finds the GPU that Ray has given to this process."""
    if not torch.cuda.is_available():
        raise DeviceError(
            platform.node(),
            "Ray gives actors a GPU there, but PyTorch finds none: see what nvidia-smi and "
            "torch.cuda.is_available() say, or set resources.device to cpu",
        )


def gpu_precision() -> str:
    """Return the precision that "auto" stands for on the GPU of this process.

    Raises:
        DeviceError: There is none.
    """
    require_gpu()
    return refinenet_core.resolve_precision("auto", "cuda")
