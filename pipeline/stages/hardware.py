"""What an actor's machine has: CPU cores that it may use, and a GPU."""

import contextlib
import ctypes
import os
import platform
import sys
from pathlib import Path

import refinenet_core
from pipeline.errors import DeviceError


def usable_cores() -> int:
    """Return how many CPU cores this process may use.

    A container or `taskset` may allow fewer than the machine has.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def count_gpus() -> int:
    """Return how many GPUs PyTorch finds; without a driver none, and it is not asked."""
    if "torch" not in sys.modules and not _driver_is_there():
        return 0
    import torch  # noqa: PLC0415 - as below

    return torch.cuda.device_count()


def _driver_is_there() -> bool:
    """Say whether a driver of NVIDIA's or AMD's can be loaded."""
    for name in ("libcuda.so.1", "libamdhip64.so", "nvcuda.dll", "amdhip64.dll"):
        with contextlib.suppress(OSError):
            ctypes.CDLL(name)
            return True
    return Path("/dev/kfd").exists()  # AMD's, whose library may come with PyTorch


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
