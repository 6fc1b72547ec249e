"""What an actor's machine has: CPU cores that it may use, and a GPU."""

import os
import platform

import refinenet_core
from pipeline.errors import DeviceError


def usable_cores() -> int:
    """Return how many CPU cores this process may use.

    A container or `taskset` may allow fewer than the machine has.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def require_gpu() -> None:
    """Raise DeviceError unless PyTorch finds the GPU that Ray has given to this process."""
    import torch  # noqa: PLC0415 - who asks for cores needs none

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
