"""Maps as the GPU's kernels take them: channels last in memory, without gaps."""

import torch
from torch import Tensor


def channels_last(x_BCHW: Tensor) -> Tensor:
    """Return the map with its channels last in memory; itself if they are."""
    return x_BCHW.contiguous(memory_format=torch.channels_last)


def windows(x_BCHW: Tensor, kernel: int, *, stride: int, padding: int) -> tuple[int, int]:
    """Return how many windows a map has down and across."""
    height, width = x_BCHW.shape[2:]
    return (
        (height + 2 * padding - kernel) // stride + 1,
        (width + 2 * padding - kernel) // stride + 1,
    )


def empty_map(like: Tensor, channels: int, height: int, width: int) -> Tensor:
    """Return a map (B, channels, height, width), channels last, of another's B, type and device."""
    return torch.empty(
        (like.shape[0], channels, height, width),
        dtype=like.dtype,
        device=like.device,
        memory_format=torch.channels_last,
    )
